"""The calls of the last months: from which day on, how many are older, and the rows that are left without those.

Months are those of the calendar in the zone that `calls` was made for, counted back from the month of the newest call.
A call dated after the snapshot, as a wrong clock dates one, does not count as the newest: it stays, and pushes no other
call out. Today's clock decides nothing, so the same files give the same rows.
What belongs elsewhere: the setting (`settings.py`), and the files that hold these rows (`calls_csv/`, `tableau/`).
"""

from __future__ import annotations

import datetime as dt
import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from callviz_dagster.storage.files import FileError, parquet_metadata
from callviz_dagster.table.manifest import TableFooter, snapshot_day

_DAY = "call_date"


@dataclass(frozen=True)
class RecentCalls:
    """Which calls are kept."""

    since: dt.date | None = None
    """The first day that is kept; None where no call is older than that, or there is no limit."""
    older: Mapping[Path, int] = field(default_factory=dict)
    """Number of older calls in each `calls` file that has some."""

    @property
    def older_calls(self) -> int:
        """Number of calls that are not kept."""
        return sum(self.older.values())

    @property
    def first_day(self) -> str:
        """The first day that is kept, ISO 8601; empty where all calls are."""
        return self.since.isoformat() if self.since else ""

    def kept(self, calls: Mapping[Path, TableFooter]) -> dict[Path, int]:
        """Return the files that have calls to keep, or that have no calls at all, and how many those are."""
        kept = {path: footer.calls - self.older.get(path, 0) for path, footer in calls.items()}
        return {path: number for path, number in kept.items() if number or path not in self.older}


ALL_CALLS = RecentCalls()


def recent_calls(calls: Mapping[Path, TableFooter], months: int | None) -> RecentCalls:
    """Return which calls of Parquet files are of the last `months`; all of them without a number.

    Raises:
        FileError: a file is damaged.
    """
    if months is None or not calls:
        return ALL_CALLS
    groups = [group for path in calls for group in _row_groups(path)]
    newest = _newest(groups, snapshot_day([*calls.values()]))
    since = first_day(newest, months) if newest else dt.date.min
    older: dict[Path, int] = {}
    for group in groups:
        if number := group.before(since):
            older[group.path] = older.get(group.path, 0) + number
    return RecentCalls(since, older) if older else ALL_CALLS


def first_day(newest: dt.date, months: int) -> dt.date:
    """Return the first day of `months` calendar months of which the last one is that of the newest call."""
    number = newest.year * 12 + newest.month - months
    return dt.date(number // 12, number % 12 + 1, 1) if number >= 12 else dt.date.min


def row_groups_since(metadata: pq.FileMetaData, since: dt.date | None) -> list[int]:
    """Return the row groups of a `calls` file that may have calls from a day on."""
    groups = range(metadata.num_row_groups)
    if since is None:
        return [*groups]
    spans = {group: _span(metadata, group) for group in groups}
    return [group for group, span in spans.items() if span is None or span[1] >= since]


def rows_since(batch: pa.RecordBatch, since: dt.date | None) -> pa.RecordBatch:
    """Return the rows of `calls` from a day on; all of them without one."""
    return batch if since is None else batch.filter(pc.greater_equal(batch.column(_DAY), pa.scalar(since)))


class _RowGroup(NamedTuple):
    """The calls of a row group, and their days."""

    path: Path
    number: int
    rows: int
    first: dt.date
    last: dt.date

    def before(self, day: dt.date) -> int:
        """Return how many calls are of days before one."""
        if not self.first < day <= self.last:
            return self.rows if self.last < day else 0
        return int(pc.sum(pc.less(_days(self.path, self.number), pa.scalar(day))).as_py())

    def newest(self, day: dt.date) -> dt.date | None:
        """Return the latest of its days that is not after one; None where all are."""
        if not self.first <= day < self.last:
            return self.last if self.last <= day else None
        days = _days(self.path, self.number)
        latest: dt.date = pc.max(days.filter(pc.less_equal(days, pa.scalar(day)))).as_py()
        return latest


def _newest(groups: list[_RowGroup], day: dt.date) -> dt.date | None:
    return max((newest for group in groups if (newest := group.newest(day))), default=None)


def _row_groups(path: Path) -> Iterator[_RowGroup]:
    """Yield the row groups of a `calls` file that have calls."""
    metadata = parquet_metadata(path)
    for number in range(metadata.num_row_groups):
        if rows := metadata.row_group(number).num_rows:
            first, last = _span(metadata, number) or _span_of_days(_days(path, number))
            yield _RowGroup(path, number, rows, first, last)


def _span(metadata: pq.FileMetaData, group: int) -> tuple[dt.date, dt.date] | None:
    """Return the first and the last day of a row group; None where the file does not say."""
    statistics = metadata.row_group(group).column(metadata.schema.names.index(_DAY)).statistics
    return (statistics.min, statistics.max) if statistics and statistics.has_min_max else None


def _span_of_days(days: pa.ChunkedArray) -> tuple[dt.date, dt.date]:
    ends = pc.min_max(days)
    return ends["min"].as_py(), ends["max"].as_py()


def _days(path: Path, group: int) -> pa.ChunkedArray:
    """Return the days of the calls in a row group.

    Raises:
        FileError: the file is damaged.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read_row_group(group, columns=[_DAY]).column(0)
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> FileError:
    """Return the error of a `calls` file that cannot be read."""
    return FileError(errno.EIO, f"{path.absolute()} cannot be read ({error}); materialize calls again.")
