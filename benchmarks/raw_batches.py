"""The least that reading takes in Python: raw batches, as the server sends them, to a file.

Run as a process by `peers.py`; uses nothing of callviz, so that no import of it counts.
"""

import sys
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.cursor import CursorType


def main(uri: str, database: str, collection: str, path: str) -> None:
    """Write a collection's documents as raw BSON, end to end."""
    with MongoClient[Any](uri) as client, Path(path).open("wb") as file:
        cursor = client[database][collection].find_raw_batches(batch_size=20_000, cursor_type=CursorType.EXHAUST)
        for batch in cursor:
            file.write(batch)


if __name__ == "__main__":
    main(*sys.argv[1:])
