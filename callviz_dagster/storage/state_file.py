"""A small text that is kept with the data folder and is no part of a refresh: on disk a file, in a bucket an object.

What belongs elsewhere: the files of a refresh (`working_copy.py`), and who may write (a lock of its own).
"""

from __future__ import annotations

from pathlib import Path

from callviz_dagster.setting_values.bucket_uri import bucket_uri
from callviz_dagster.storage.bucket import Bucket
from callviz_dagster.storage.files import write_text


def read_state(path: Path) -> str | None:
    """Return the text; None where there is none.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.
    """
    if uri := bucket_uri(path.parent):
        stored = Bucket(uri).read(path.name)
        return stored[0].decode() if stored else None
    return path.read_text(encoding="utf-8") if path.exists() else None


def write_state(path: Path, text: str) -> None:
    """Replace the text, whole or not at all.

    Raises:
        ChangedError: another process has written to the bucket meanwhile.
        FileError: it cannot be written.
    """
    if uri := bucket_uri(path.parent):
        bucket = Bucket(uri)
        stored = bucket.read(path.name)
        if not stored or stored[0] != text.encode():
            bucket.write(path.name, text.encode(), stored[1] if stored else None)
    else:
        write_text(path, text)
