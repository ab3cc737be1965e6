"""What most people write by hand: all documents as a list, the list as a frame, the frame as a CSV file.

Run as a process by `peers.py`; uses nothing of callviz, so that no import of it counts.
"""

import sys
from typing import Any

import pandas as pd
from pymongo import MongoClient


def main(uri: str, database: str, collection: str, path: str) -> None:
    """Write a collection as CSV."""
    with MongoClient[Any](uri) as client:
        documents = list(client[database][collection].find())
    frame = pd.DataFrame(documents)
    for column in ("start_time", "end_time"):
        times = pd.to_datetime(frame[column], format="mixed", utc=True)
        frame[column] = times.dt.strftime("%Y-%m-%d %H:%M:%S")
    frame.to_csv(path, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
