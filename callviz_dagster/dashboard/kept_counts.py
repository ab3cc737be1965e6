"""The counts of each `calls` file kept in the data folder, so that a refresh counts only the files that have changed.

They are found by the digest of the file and the fields that are counted; whatever is damaged, or of another version, is
counted anew. What belongs elsewhere: counting and adding up (`dashboard/file_counts.py`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callviz_dagster.dashboard.axes import CountOptions
from callviz_dagster.dashboard.counts import (
    COLUMNS,
    MAX_CELLS,
    Counts,
    Cube,
    count_calls,
    durations_between,
    read_files,
)
from callviz_dagster.dashboard.fields import FieldCounts
from callviz_dagster.dashboard.file_counts import FileCounts, added_up, count_file
from callviz_dagster.storage.files import open_for_writing, staged

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "call_counts.arrow"
"""Name of the file in the data folder."""
FORMAT_VERSION = 1
"""Raised by hand whenever what a file is counted by, or the form of its counts, changes."""


def count_files(
    digests: Mapping[Path, str],
    options: CountOptions,
    data_dir: Path,
    *,
    kept_fields: Sequence[str] | None = None,
    max_cells: int = MAX_CELLS,
) -> Counts:
    """Count the calls of Parquet files; those whose counts are kept are not read.

    Args:
        digests: the files, in time order, with their digests.
        options: what is counted.
        data_dir: where the counts are kept.
        kept_fields: the fields by which what is kept is counted, at least those of the options, which is the default.
        max_cells: bound of the counts' size.

    Raises:
        FileError: the counts cannot be written.
    """
    paths = [*digests]

    def durations(number: int, lower: float, upper: float) -> Iterator[tuple[Any, Any]]:
        return (durations_between(table, lower, upper) for table in read_files([paths[number]])(("duration_sec",)))

    fields = options.fields if kept_fields is None else kept_fields
    files = _kept_counts(digests, fields, data_dir / FILE)
    total = added_up(files, options, durations, max_cells=max_cells) if files else None
    return total or count_calls(read_files(paths), options, max_cells=max_cells)


def _kept_counts(digests: Mapping[Path, str], fields: Sequence[str], kept: Path) -> list[FileCounts] | None:
    """Return the counts of each file, which are kept from now on; None where they are too large for that."""
    known = _read(kept, fields)
    too_large = any(known.get(digest, "") is None for digest in digests.values())
    if not too_large and known.keys() != {*digests.values()}:
        with staged(kept) as temporary:
            _write(temporary, digests, fields, known)
        known = _read(kept, fields)
    counts = [known.get(digest) for digest in digests.values()]
    return None if None in counts else [each for each in counts if each]


def _write(
    temporary: Path, digests: Mapping[Path, str], fields: Sequence[str], known: Mapping[str, FileCounts | None]
) -> None:
    """Write the counts of files, those that are not known counted; none after those of one that are too large."""
    import pyarrow as pa

    paths = {digest: path for path, digest in digests.items()}
    with open_for_writing(temporary) as file, pa.ipc.new_file(file, _schema()) as writer:
        for digest, path in paths.items():
            counts = known.get(digest) or count_file(read_files([path])((*COLUMNS, *fields)), fields)
            writer.write_batch(_to_batch(digest, counts, fields))
            if counts is None:
                break


def _schema() -> pa.Schema:
    """Return the form of the file: a batch for each `calls` file, its first row for all calls, the others by field.

    Where the counts of a `calls` file are too large to be kept, its batch has the fields and no counts, so that they
    are not made again.
    """
    import pyarrow as pa

    columns = {"about": pa.string(), "keys": pa.large_list(pa.int64()), "calls": pa.large_list(pa.int32())}
    return pa.schema({**columns, "crc": pa.uint32()}, metadata={"format_version": str(FORMAT_VERSION)})


def _to_batch(digest: str, counts: FileCounts | None, fields: Sequence[str]) -> pa.RecordBatch:
    import pyarrow as pa

    abouts: list[Any] = [[digest, counts.whole, counts.types, counts.statuses] if counts else [digest]]
    abouts += [[field.name, field.values] for field in counts.fields] if counts else [[name] for name in fields]
    sections = [counts.cube, *counts.fields] if counts else [Cube.empty() for _ in abouts]
    texts = [*map(json.dumps, abouts)]
    keys, calls = ([getattr(section, name) for section in sections] for name in ("keys", "calls"))
    checksums = [*map(_checksum, texts, keys, calls)]
    columns = [pa.array(texts), _lists(keys, pa.int64()), _lists(calls, pa.int32()), pa.array(checksums, pa.uint32())]
    return pa.record_batch(columns, schema=_schema())


def _lists(values: Sequence[Any], kind: pa.DataType) -> pa.LargeListArray:
    import numpy as np
    import pyarrow as pa

    offsets = np.cumsum([0, *map(len, values)])
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(np.concatenate(values), kind))


def _checksum(about: str, keys: Any, calls: Any) -> int:
    return zlib.crc32(calls, zlib.crc32(keys, zlib.crc32(about.encode())))


def _read(kept: Path, fields: Sequence[str]) -> dict[str, FileCounts | None]:
    """Return the counts that are kept by these fields, by the digest of their file; nothing where they cannot be read.

    Counts that are too large to be kept are None. Cells stay on the disk until they are used.
    """
    import pyarrow as pa

    try:
        with pa.memory_map(str(kept)) as mapped:
            file = pa.ipc.open_file(mapped)
            if file.schema != _schema() or file.schema.metadata != _schema().metadata:
                return {}
            batches = [file.get_batch(number) for number in range(file.num_record_batches)]
        return {digest: counts for digest, names, counts in map(_from_batch, batches) if names == [*fields]}
    except (OSError, pa.ArrowException, ValueError, TypeError, IndexError):
        return {}


def _from_batch(batch: pa.RecordBatch) -> tuple[str, list[str], FileCounts | None]:
    """Return the digest of a file, the fields by which it was counted, and its counts.

    Raises:
        ValueError: they are damaged.
    """
    batch.validate(full=True)
    texts, checksums = batch["about"].to_pylist(), batch["crc"].to_pylist()
    keys, calls = ([row.values.to_numpy() for row in batch[name]] for name in ("keys", "calls"))
    if [*map(_checksum, texts, keys, calls)] != checksums:
        raise ValueError("a checksum differs")
    (digest, *about), *others = map(json.loads, texts)
    names = [name for name, *_ in others]
    if not about:
        return digest, names, None
    whole, types, statuses = about
    fields = [
        FieldCounts(name, tuple(values), grouped=False, keys=keys[number], calls=calls[number])
        for number, (name, values) in enumerate(others, 1)
    ]
    return digest, names, FileCounts(tuple(types), tuple(statuses), whole, Cube(keys[0], calls[0]), tuple(fields))
