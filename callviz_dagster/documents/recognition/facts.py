"""What the values of a sample say, field by field and of two fields together, as numbers. Pure.

Values are read by the same readers as the table's (`documents/times.py`). What belongs elsewhere: taking the sample
(`recognition/evidence.py`) and what follows from the facts (`recognition/choice.py`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from callviz_dagster.documents import times
from callviz_dagster.documents.buffers import Ints, Mask
from callviz_dagster.documents.durations import (
    UNITS,
    TwoPartClock,
    read_duration,
    read_duration_document,
)
from callviz_dagster.documents.recognition.evidence import Evidence, Value
from callviz_dagster.documents.times import Reading
from callviz_dagster.documents.times.clock import parse_clock
from callviz_dagster.documents.walker import Path

Floats = NDArray[np.float64]

Source = tuple[Path, ...]
"""What plays a role: one field, or two, of which the first holds the date and the second the time of day."""

SECONDS = {unit: factor / divisor for unit, (factor, divisor) in UNITS.items()}
"""Seconds in each unit of a duration."""

_DAY = 86_400_000_000
_TWO_PART_CLOCKS: dict[TwoPartClock, int] = {"mm:ss": 1, "hh:mm": 60}
"""What `05:12` can be, and what its minutes and seconds are multiplied by."""
_LONGEST = 40
"""Characters of a value that is shown as an example."""
_LEAST_TO_SETTLE = 3
"""Calls that show what two numbers of a duration, or of a date, are."""
_NUMERIC_DATE = re.compile(r"\s*(\d{1,2})[./-](\d{1,2})[./-]\d{2}")
_DATE_WITH_POINTS = re.compile(r"(?:[^\W\d_]+\.?,?\s+)?(\d{1,2})\.(\d{1,2})\.(\d{4}|\d{2})(?!\d)")
_TWO_PARTS = re.compile(r"(\d{1,9}):([0-5]\d)")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_YES_AND_NO = frozenset(
    ["yes", "no", "y", "n", "true", "false", "t", "f", "ja", "nein", "j", "si", "sí", "oui", "non", "o", "sim"]
)
"""How text says yes or no; compared without case."""
_EARLIEST_CALL, _LATEST_CALL = 315_532_800_000_000, 2_524_608_000_000_000
"""1980 and 2050: calls outside are errors, or another thing was read as a time."""
_CLOSE = 0.05
"""Rounded up, or with a moment of ringing, a stored duration differs by less than a twentieth from end − start."""


@dataclass(frozen=True)
class Times:
    """Instants (microseconds) by document of the sample, and which documents have one."""

    instants: Ints
    known: Mask
    filled: Mask
    """Documents in which the field holds something, readable or not."""
    midnight: Mask
    """Of the known ones, those that are a date without a time of day."""

    @property
    def readable(self) -> float:
        """Share of the filled values that are read as times."""
        return share(self.known, self.filled)


@dataclass(frozen=True)
class Numbers:
    """Durations in the unit of the field by document of the sample, and which documents have one."""

    values: Floats
    known: Mask
    filled: Mask
    clock: Mask
    """Of the known ones, those written in hours, minutes and seconds, whose unit is known."""


@dataclass(frozen=True)
class Labels:
    """What a field of labels holds in the sample."""

    counts: Counter[str]
    filled: Mask
    kinds: frozenset[str]
    """`text`, `flag` or `number`."""

    @property
    def yes_or_no(self) -> bool:
        """Whether the values are true and false, or 1 and 0, which become words where the field's name has one."""
        return self.kinds == {"flag"} or (self.kinds == {"number"} and self.counts.keys() <= {"0", "1", "0.0", "1.0"})

    @property
    def yes_or_no_in_words(self) -> bool:
        """Whether the values are texts such as `yes` and `no`, or `J` and `N`."""
        return self.kinds == {"text"} and {label.casefold() for label in self.counts} <= _YES_AND_NO


def share(part: Mask, of: Mask) -> float:
    """Return the share of one set of documents in another; 0 where that is empty."""
    count = int(np.count_nonzero(of))
    return int(np.count_nonzero(part & of)) / count if count else 0.0


@dataclass
class Facts:
    """The sample, asked about fields; answers are kept."""

    evidence: Evidence
    zone: str = "UTC"
    """Zone of text times that have none."""
    date_order: str | None = None
    two_parts: dict[Path, TwoPartClock] = field(default_factory=dict)
    """For fields of durations in two parts, whether these are minutes and seconds or hours and minutes, where known."""
    _times: dict[Source, Times] = field(default_factory=dict)
    _numbers: dict[Path, Numbers] = field(default_factory=dict)
    _labels: dict[Path, Labels] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of documents in the sample."""
        return len(self.evidence.documents)

    @cached_property
    def paths(self) -> Mapping[Path, int]:
        """The fields of the sample, with the number of documents in which they hold something."""
        return Counter(
            path for one in self.evidence.documents for path, value in one.values.items() if not _blank(value)
        )

    def values(self, path: Path) -> list[Value]:
        """Return the value of a field in each document; None where it is missing, null or blank."""
        stored = [one.values.get(path) for one in self.evidence.documents]
        return [None if _blank(value) else value for value in stored]

    def examples(self, source: Source, most: int = 3) -> list[str]:
        """Return some different values of a field as text, long ones cut; of two fields the values of one document."""
        rows = zip(*(self.values(path) for path in source), strict=True)
        texts = dict.fromkeys(" ".join(map(plain, values)) for values in rows if not any(v is None for v in values))
        return [text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…" for text in [*texts][:most]]

    def times(self, source: Source) -> Times:
        """Return a field, or a date and a time of day joined, read as times."""
        if source not in self._times:
            if len(source) == 1:
                pairs = zip(self.values(source[0]), self.near, strict=True)
                read = [self._read(value, near) for value, near in pairs]
            else:
                days, clocks = self.values(source[0]), self.values(source[1])
                read = [self._join(day, clock) for day, clock in zip(days, clocks, strict=True)]
            self._times[source] = _as_times(read)
        return self._times[source]

    @cached_property
    def near(self) -> list[list[int]]:
        """For each document the instants that it holds for certain: its BSON dates, and the time in its ObjectId."""
        return [
            [
                *([one.id_second * 1_000_000] if one.id_second is not None else []),
                *(
                    reading.instant
                    for value in one.values.values()
                    if isinstance(value, dict) and "$date" in value
                    if (reading := times.read_subdocument(value, zone="UTC")).instant is not None
                ),
            ]
            for one in self.evidence.documents
        ]

    def _read(self, value: Value, near: Collection[int] = ()) -> Reading | None:
        if value is None:
            return None
        return _whatever_order(lambda order: read_time(value, self.zone, order, near), self.date_order)

    def _join(self, day: Value, clock: Value) -> Reading | None:
        if day is None or clock is None:
            return None
        date, hour = _date_or_clock(day), _date_or_clock(clock)
        return _whatever_order(
            lambda order: times.join_date_and_clock(date, hour, zone=self.zone, date_order=order), self.date_order
        )

    def ambiguous(self, path: Path) -> int:
        """Return how many values are dates whose day and month could change places."""
        return sum(
            read_time(value, self.zone, self.date_order, near).problem == "ambiguous"
            for value, near in zip(self.values(path), self.near, strict=True)
            if value is not None
        )

    def shown_date_order(self, path: Path) -> str | None:
        """Return the order of day and month, `dmy` or `mdy`, that dates of a field show whose day is beyond 12."""
        dates = [
            match for value in self.values(path) if isinstance(value, str) if (match := _NUMERIC_DATE.match(value))
        ]
        day_first = sum(int(date[1]) > 12 for date in dates)
        month_first = sum(int(date[2]) > 12 for date in dates)
        if min(day_first, month_first) > 0 or max(day_first, month_first) < _LEAST_TO_SETTLE:
            return None
        return "dmy" if day_first else "mdy"

    def contradicts_day_first(self, path: Path) -> str:
        """Return what dates with points between their numbers show to come first, `month` or `year`, else nothing.

        The month comes first where second numbers are beyond 12; the year where first numbers hardly vary and the last
        ones, of two digits, do.
        """
        texts = [value.strip() for value in self.values(path) if isinstance(value, str)]
        dates = [match for text in texts if (match := _DATE_WITH_POINTS.match(text))]
        if sum(int(date[2]) > 12 for date in dates) >= _LEAST_TO_SETTLE:
            return "month"
        firsts, lasts = {date[1] for date in dates}, {date[3] for date in dates if len(date[3]) == 2}
        return "year" if len(lasts) > 12 and len(firsts) <= len(lasts) / 4 else ""

    def clocks(self, path: Path) -> Mask:
        """Return which values are a time of day alone."""
        return np.array(
            [isinstance(v, str) and parse_clock(v.strip()) is not None for v in self.values(path)], np.bool_
        )

    def settle_two_parts(self, path: Path, start: Source | None, end: Source | None) -> None:
        """Find out what `05:12` is in a field of such values: minutes over 59 settle it, or end − start does."""
        parts = [_two_parts(value) for value in self.values(path)]
        stored = np.array([one[0] * 60 + one[1] if one else 0 for one in parts], np.float64)
        there = np.array([one is not None for one in parts], np.bool_)
        if share(there, self.numbers(path).filled) < 0.5:
            return  # odd values in a field of another form
        if any(one and one[0] > 59 for one in parts):
            form: TwoPartClock | None = "mm:ss"
        else:
            form = self._form_by_elapsed(stored, there, start, end) if start and end else None
        if form:
            self.two_parts[path] = form
            self._numbers.pop(path, None)

    def _form_by_elapsed(self, stored: Floats, there: Mask, start: Source, end: Source) -> TwoPartClock | None:
        seconds, both = self.elapsed(start, end)
        usable = there & both & (seconds > 0)
        if np.count_nonzero(usable) < _LEAST_TO_SETTLE:
            return None
        fits = (
            form
            for form, factor in _TWO_PART_CLOCKS.items()
            if np.mean(np.abs(stored * factor - seconds)[usable] <= 60) >= 0.9
        )
        return next(fits, None)

    def numbers(self, path: Path) -> Numbers:
        """Return a field read as durations in its own unit; hours, minutes and seconds are in seconds."""
        if path not in self._numbers:
            values = self.values(path)
            read = [read_number(value, self.two_parts.get(path)) for value in values]
            known = np.array([one is not None for one in read], np.bool_)
            self._numbers[path] = Numbers(
                np.array([one[0] if one else 0.0 for one in read], np.float64),
                known,
                np.array([value is not None for value in values], np.bool_),
                np.array([bool(one and one[1]) for one in read], np.bool_),
            )
        return self._numbers[path]

    def labels(self, path: Path) -> Labels:
        """Return a field read as labels."""
        if path not in self._labels:
            values = self.values(path)
            texts = [plain(value).strip() for value in values if value is not None]
            kinds = frozenset(_label_kind(value) for value in values if value is not None)
            if kinds == {"text"} and all(map(_NUMBER.fullmatch, texts)):
                kinds = frozenset({"number"})
            self._labels[path] = Labels(Counter(texts), np.array([v is not None for v in values], np.bool_), kinds)
        return self._labels[path]

    # One field

    def crowded(self, source: Source) -> float:
        """Return the share of the times whose second many documents have: written in one go, not when calls began.

        Of few documents two may start in one second, and dates without a time of day all do; neither counts.
        """
        read = self.times(source)
        seconds = read.instants[read.known & ~read.midnight] // 1_000_000
        if len(seconds) < 5:
            return 0.0
        _, places, counts = np.unique(seconds, return_inverse=True, return_counts=True)
        return float(np.mean(counts[places] >= 3))

    def plausible(self, source: Source) -> float:
        """Return the share of the times that lie in the years in which there are calls."""
        read = self.times(source)
        return share((read.instants >= _EARLIEST_CALL) & (read.instants < _LATEST_CALL), read.known)

    # Two fields

    def elapsed(self, start: Source, end: Source) -> tuple[Floats, Mask]:
        """Return seconds from one time to another, and which documents have both."""
        first, last = self.times(start), self.times(end)
        micros = last.instants - first.instants
        if len(start) == len(end) == 2 and start[0] == end[0]:
            micros = np.where(micros < 0, micros + _DAY, micros)  # one date, of the start: the end is on the next day
        return micros / 1e6, first.known & last.known

    def fit(self, path: Path, unit: str, start: Source, end: Source) -> Fit | None:
        """Return how a duration in a unit agrees with end − start; None where no document can tell."""
        numbers = self.numbers(path)
        seconds, both = self.elapsed(start, end)
        usable = numbers.known & both & (numbers.values > 0) & (seconds > 0)
        if not usable.any():
            return None
        stored = np.where(numbers.clock, numbers.values, numbers.values * SECONDS[unit])[usable]
        total = seconds[usable]
        step = np.where(numbers.clock, 1.0, SECONDS[unit] / parts_of_one(numbers.values[usable & ~numbers.clock]))[
            usable
        ]
        slack = np.maximum(_CLOSE * total, np.maximum(1.5, step))
        middle = float(np.median(stored / total))
        return Fit(
            len(total),
            float(np.mean(np.abs(stored - total) <= slack)),
            float(np.mean(np.abs(stored - total) <= np.maximum(1.0, step))),
            float(np.mean(stored <= total + slack)),
            middle,
            float(np.mean(np.abs(stored / total / middle - 1) <= _CLOSE)),
            len(np.unique(stored)) == 1 and float(np.ptp(total)) > 2 * float(slack.max()),
        )


@dataclass(frozen=True)
class Fit:
    """How a stored duration agrees with end − start."""

    documents: int
    equal: float
    """Share of the documents in which they are equal, but for rounding and a moment of ringing."""
    exact: float
    """Share in which they are equal to the second, or to the unit."""
    within: float
    """Share in which the stored one is not longer: a talk time is shorter."""
    ratio: float
    """The stored one by end − start, in the middle."""
    alike: float
    """Share in which that ratio is the same, but for rounding: with another unit it would be 1."""
    constant: bool = False
    """Whether the stored one is always the same, and end − start is not: a limit, and no duration."""


def parts_of_one(values: Floats) -> int:
    """Return to which part of their unit numbers are rounded: 1 for whole ones, 10 for those of one decimal place."""
    return next((10**places for places in range(6) if np.allclose(values * 10**places % 1, 0, atol=1e-6)), 10**6)


def _whatever_order(read: Callable[[str | None], Reading], date_order: str | None) -> Reading:
    """Return a reading also where day and month could change places: the field holds times in either order."""
    first = read(date_order)
    if first.instant is not None or (date_order is None and first.problem != "ambiguous"):
        return first
    return next((reading for order in ("mdy", "dmy") if (reading := read(order)).instant is not None), first)


def _label_kind(value: Value) -> str:
    if isinstance(value, bool):
        return "flag"
    return "text" if isinstance(value, str) else "number"


def _two_parts(value: Value) -> tuple[int, int] | None:
    """Return the two numbers of a duration such as `05:12`."""
    match = _TWO_PARTS.fullmatch(value.strip()) if isinstance(value, str) else None
    return (int(match[1]), int(match[2])) if match else None


def plain(value: Value) -> str:
    """Return a value of the sample as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict) and len(value) == 1:
        return plain(next(iter(value.values())))
    return json.dumps(value) if isinstance(value, dict) else str(value)


def read_time(value: Value, zone: str, date_order: str | None, near: Collection[int] = ()) -> Reading:
    """Read a value of the sample as a time; `near` are other times of its document."""
    if isinstance(value, str):
        return times.read_text(value, zone=zone, date_order=date_order, near=near)
    if isinstance(value, dict):
        if "$numberDecimal" in value:
            return times.read_number(Decimal(value["$numberDecimal"]), zone=zone, near=near)
        return times.read_subdocument(value, zone=zone, date_order=date_order)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return times.UNREADABLE
    return times.read_number(value, zone=zone, near=near)


def read_number(value: Value, two_parts: TwoPartClock | None = None) -> tuple[float, bool] | None:
    """Read a value of the sample as a duration; return it, and whether it is in seconds for certain."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value), False
    if isinstance(value, dict):
        number = value.get("$numberDecimal")
        duration = read_duration(Decimal(number)) if number else read_duration_document(value)
        return None if duration.seconds is None else (duration.seconds, number is None)
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text), False
    duration = read_duration(text, two_part_clock=two_parts)
    return None if duration.seconds is None else (duration.seconds, True)


def _date_or_clock(value: Value) -> str | int:
    """Return a date or a time of day as `times.join_date_and_clock` takes it: text, or the instant of a BSON date."""
    if isinstance(value, dict):
        reading = times.read_subdocument(value, zone="UTC")
        return reading.instant if reading.instant is not None else ""
    return plain(value)


def _blank(value: Value) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _as_times(read: list[Reading | None]) -> Times:
    instants = np.array([r.instant if r and r.instant is not None else 0 for r in read], np.int64)
    known = np.array([r is not None and r.instant is not None for r in read], np.bool_)
    midnight = known & (instants % _DAY == 0)
    by_note = np.array([bool(r and r.note.startswith("date without a time of day")) for r in read], np.bool_)
    return Times(instants, known, np.array([r is not None for r in read], np.bool_), midnight | by_note)
