"""A partition: the part of the collection that is kept in one file, with its key, file name and MongoDB filter.

Partitions are half-open spans of local dates, or the whole collection. They share no document, because they are cut
by the stored start time where it is a BSON date; documents without one are in no partition and are counted
(`manifest.Coverage`).
What belongs elsewhere: reading a partition (`mongodb/connection.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from callviz_dagster.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

Filter = dict[str, Any]
_FOLDERS = {"raw_calls": ".bson.zst", "calls": ".parquet", "rejected_calls": ".parquet"}


@dataclass(frozen=True)
class Partition:
    """A part of the collection. `WHOLE` is all of it."""

    name: str
    """Stem of the files; in time order."""
    key: str = ""
    """Dagster's partition key; empty for the whole collection."""
    field: str = ""
    """The field (dotted path) that holds the start time."""
    start: dt.datetime | None = None
    """The first stored start time in it."""
    end: dt.datetime | None = None
    """The first stored start time after it."""

    def filter(self) -> Filter:
        """Return the MongoDB filter of the partition's documents."""
        if self.start is None or self.end is None:
            return {}
        return between(self.field, self.start, self.end)

    @property
    def span(self) -> str:
        """Its documents, as text that differs wherever the filter does; empty for the whole collection."""
        if self.start is None or self.end is None:
            return ""
        return f"{self.field} from {self.start.isoformat()} to {self.end.isoformat()}"

    def archive(self, data_dir: Path) -> Path:
        """Return the path of the partition's raw archive."""
        return data_dir / "raw_calls" / f"{self.name}.bson.zst"

    def manifest(self, data_dir: Path) -> Path:
        """Return the path of the manifest beside the raw archive."""
        return data_dir / "raw_calls" / f"{self.name}.json"

    def calls(self, data_dir: Path) -> Path:
        """Return the path of the partition's `calls`."""
        return data_dir / "calls" / f"{self.name}.parquet"

    def rejected_calls(self, data_dir: Path) -> Path:
        """Return the path of the partition's `rejected_calls`."""
        return data_dir / "rejected_calls" / f"{self.name}.parquet"


WHOLE = Partition("all")
PARTITIONS_TAG = "callviz/partitions"
"""Run tag: the partitions that are to be refreshed, where they are not all of the run's range."""


def between(field: str, start: dt.datetime | None, end: dt.datetime | None, *, lists: bool = True) -> Filter:
    """Return the filter of documents whose start time is a date from `start` to before `end`.

    MongoDB lets a list match as each of its items does, so one document could be in two partitions: `lists` leaves
    those out. Only where an index proves that there are none is it faster without.
    """
    # A bound that is a date is compared with dates alone.
    condition: Filter = ({"$gte": start} if start else {}) | ({"$lt": end} if end else {}) or {"$type": "date"}
    if not lists:
        return {field: condition}
    parts = field.split(".")
    parents = [".".join(parts[:length]) for length in range(1, len(parts))]
    no_list = {"$not": {"$type": "array"}}
    return {field: condition | no_list} | dict.fromkeys(parents, no_list)


@dataclass(frozen=True)
class Partitioning:
    """How the collection is cut into partitions: `none`, `daily`, `weekly` (from Monday) or `monthly`."""

    kind: str
    first: dt.date
    zone: str
    field: str
    source_zone: str | None = None
    """The zone of stored dates that are a local clock; None where they are instants."""

    @classmethod
    def of(cls, settings: Settings) -> Partitioning:
        """Return the partitioning that the settings ask for."""
        local = settings.source_dates == "local"
        return cls(
            settings.partitions,
            _floor(settings.partitions, settings.partitions_start or dt.date(1970, 1, 1)),
            settings.timezone,
            settings.field_start_time or "",
            settings.source_timezone if local else None,
        )

    @property
    def partitioned(self) -> bool:
        """Whether there is more than one partition."""
        return self.kind != "none"

    def __str__(self) -> str:
        """Return a text that differs wherever one of the partitions does."""
        if not self.partitioned:
            return "none"
        stored = f", a clock in {self.source_zone}" if self.source_zone else ""
        return f"{self.kind} from {self.first} in {self.zone} by {self.field}{stored}"

    def definition(self) -> dg.TimeWindowPartitionsDefinition | None:
        """Return Dagster's definition of the same partitions, including the current one."""
        import dagster as dg

        first = dt.datetime.combine(self.first, dt.time())
        if self.kind == "daily":
            return dg.DailyPartitionsDefinition(first, timezone=self.zone, end_offset=1)
        if self.kind == "weekly":
            return dg.WeeklyPartitionsDefinition(first, timezone=self.zone, day_offset=1, end_offset=1)
        if self.kind == "monthly":
            return dg.MonthlyPartitionsDefinition(first, timezone=self.zone, end_offset=1)
        return None

    def partition(self, key: str) -> Partition:
        """Return the partition of a partition key; of the empty one, the whole collection."""
        if not self.partitioned:
            return WHOLE
        day = dt.date.fromisoformat(key)
        name = {"daily": f"{day}", "weekly": f"{day:%G-W%V}", "monthly": f"{day:%Y-%m}"}[self.kind]
        return Partition(name, key, self.field, self._stored(day), self._stored(_next(self.kind, day)))

    def partitions(self, now: dt.datetime) -> list[Partition]:
        """Return all partitions in time order, up to the one that `now` is in."""
        if not self.partitioned:
            return [WHOLE]
        partitions = []
        day = self.first
        while self._instant(day) <= now:
            partitions.append(self.partition(day.isoformat()))
            day = _next(self.kind, day)
        return partitions

    def key_of(self, stored: object) -> str | None:
        """Return the key of the partition of a stored start time, which may lie in the future; None without one.

        `stored` is what the document holds; only a date (with a zone or, as pymongo gives it, in UTC) is in a
        partition.
        """
        if not self.partitioned:
            return ""
        if not isinstance(stored, dt.datetime):
            return None
        moment = stored if stored.tzinfo else stored.replace(tzinfo=dt.UTC)
        try:
            day = moment.date()
            # The local date may be the day before or after.
            for near in (day, day - dt.timedelta(1), day + dt.timedelta(1)):
                partition = self.partition(_floor(self.kind, near).isoformat())
                if partition.start and partition.end and partition.start <= moment < partition.end:
                    return partition.key if partition.key >= self.first.isoformat() else None
        except (OverflowError, ValueError):
            return None
        return None

    def _instant(self, day: dt.date) -> dt.datetime:
        """Return the first instant of a local date; where midnight is skipped, the moment of the skip."""
        return dt.datetime.combine(day, dt.time(), ZoneInfo(self.zone)).astimezone(dt.UTC)

    def _stored(self, day: dt.date) -> dt.datetime:
        """Return the first instant of a local date as the collection stores it."""
        instant = self._instant(day)
        if self.source_zone is None:
            return instant
        return instant.astimezone(ZoneInfo(self.source_zone)).replace(tzinfo=dt.UTC)


def _floor(kind: str, day: dt.date) -> dt.date:
    if kind == "weekly":
        return day - dt.timedelta(day.weekday())
    return day.replace(day=1) if kind == "monthly" else day


def _next(kind: str, day: dt.date) -> dt.date:
    if kind == "monthly":
        return (day.replace(day=1) + dt.timedelta(32)).replace(day=1)
    return day + dt.timedelta(7 if kind == "weekly" else 1)


def contiguous_runs(partitions: Iterable[Partition], all_partitions: Sequence[Partition]) -> list[list[Partition]]:
    """Return the partitions as runs that follow each other without a gap."""
    wanted = set(partitions)
    runs: list[list[Partition]] = []
    before = False
    for partition in all_partitions:
        if partition in wanted:
            if not before:
                runs.append([])
            runs[-1].append(partition)
        before = partition in wanted
    return runs


def format_keys(partitions: Iterable[Partition], all_partitions: Sequence[Partition]) -> str:
    """Return partition keys as short text that `parse_keys` reads: `2024-05-01...2024-05-03, 2024-06-01`."""
    parts = contiguous_runs(partitions, all_partitions)
    return ", ".join(part[0].key if len(part) == 1 else f"{part[0].key}...{part[-1].key}" for part in parts)


def parse_keys(text: str, all_partitions: Sequence[Partition]) -> list[Partition]:
    """Return the partitions that `format_keys` named."""
    keys: list[tuple[str, str]] = []
    for part in text.split(", "):
        first, _, last = part.partition("...")
        keys.append((first, last or first))
    return [partition for partition in all_partitions if any(first <= partition.key <= last for first, last in keys)]


def leftovers(data_dir: Path, partitions: Iterable[Partition]) -> list[Path]:
    """Return the files of partitions that no longer exist because the partitioning has changed."""
    names = {partition.name for partition in partitions}
    paths: list[Path] = []
    for folder, ending in _FOLDERS.items():
        for suffix in {ending, ".json"} if folder == "raw_calls" else {ending}:
            paths += [
                path
                for path in sorted((data_dir / folder).glob(f"[!.]*{suffix}"))
                if path.name.removesuffix(suffix) not in names and path.name != COVERAGE
            ]
    return paths


COVERAGE = "coverage.json"
"""Name of the file beside the raw archives that records how many documents are in no partition."""
