"""What the values of a field of durations say of its unit: alone, over time, and beside end − start. Pure.

What belongs elsewhere: which unit is taken (`recognition/choice.py`), and what is doubtful of it
(`recognition/doubts.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from callviz_dagster.documents.buffers import Ints
from callviz_dagster.documents.recognition.facts import SECONDS, Facts, Fit, Floats, Source, parts_of_one
from callviz_dagster.documents.walker import Path

_HOUR = 3600.0
_LONG = 3 * _HOUR
"""Seconds: half of all calls are shorter."""
_SHORT = 20.0
"""Half of all calls last longer than this number of seconds, and less than this number of minutes."""
_FRACTIONS = 0.2
"""A field of which a fifth has decimal places is not one of whole seconds."""
_FEW = 5
"""With fewer values than this, a median says nothing."""
_RATIOS = (60.0, 1_000.0, 3_600.0, 60_000.0, 1e6, 3.6e6, 1e9)
"""What values in one unit are a multiple of those in another."""
_OF_HOURS = (3_600.0, 3.6e6)
"""Multiples by which hours differ from other units; a call is a fraction of an hour."""
_QUARTERS = (0.25, 0.5, 0.75)
_ALIKE, _ALIKE_OF_FEW = 3.0, 5.0
"""Durations of two groups of calls differ by less than these factors where their unit is the same: the quarters of many
calls, and the middle of a few."""
_TOO_SHORT = 0.5
"""Seconds: half of all calls are longer."""
_MANY = 20.0
"""Stored durations this many times as long as the call do not come from rounding."""
_EXACTLY, _LEAST_ELAPSED = 0.03, 100.0
"""A share in which rounding to whole numbers, and calls (seconds) in which it is less than that."""
_OF_THOUSANDS, _OF_SIXTY = 3, 10
"""Calls in a row that are a thousand times, or sixty times, as long as the others: more than chance puts together."""
_SHARE, _LEAST = 0.01, 3
"""A hundredth of the calls, and three of them, in another unit is no odd value."""
_GROUP = 0.05
"""The share of the values that a group of them must have, where neither time nor end − start sets it apart."""


@dataclass(frozen=True)
class TwoUnits:
    """Durations of one field in two units."""

    factor: float
    """What the larger ones are a multiple of."""
    share: float
    """Of the values, the smaller of the two groups."""
    since: int | None = None
    """The first instant (microseconds) of that group, where its calls follow each other in time."""


def too_large(facts: Facts, path: Path, unit: str) -> bool:
    """Return whether durations are larger than those of calls, so that their unit is doubtful."""
    values = _numbers(facts, path)
    return len(values) >= 3 and are_long(values * SECONDS[unit])


def are_long(seconds: Floats) -> bool:
    """Return whether lengths are larger than those of calls.

    Half of them longer than three hours, nine tenths longer than one hour, or one tenth longer than eight hours.
    """
    shortest, middle, longest = np.quantile(seconds, [0.1, 0.5, 0.9])
    return bool(middle > _LONG or shortest > _HOUR or longest > 8 * _HOUR)


def is_open(facts: Facts, path: Path) -> bool:
    """Return whether values could be seconds as well as minutes or hours: half of them are small.

    Calls of less than twenty seconds, or minutes; whole numbers must be those of minutes also at their largest.
    """
    values = _numbers(facts, path)
    if len(values) < _FEW or np.median(values) >= _SHORT:
        return False
    fractions = float(np.mean(values % 1 != 0))
    return fractions >= _FRACTIONS or (len(np.unique(values)) > 1 and float(values.max()) <= 3 * _SHORT)


def median(facts: Facts, path: Path) -> float:
    """Return the middle one of the numbers that are more than nothing, in the unit of the field; 0 without any."""
    values = _numbers(facts, path)
    return float(np.median(values)) if len(values) else 0.0


def are_zeros(facts: Facts, path: Path, start: Source, end: Source) -> bool:
    """Return whether a duration is zero for all calls, though they end later than they start."""
    numbers = facts.numbers(path)
    elapsed, both = facts.elapsed(start, end)
    known = numbers.known & both & (elapsed > 0)
    return bool(np.count_nonzero(known) >= _FEW and not numbers.values[known].any())


def _numbers(facts: Facts, path: Path) -> Floats:
    numbers = facts.numbers(path)
    return numbers.values[numbers.known & ~numbers.clock & (numbers.values > 0)]


def two_units(facts: Facts, path: Path, unit: str, start: Source | None, end: Source | None) -> TwoUnits | None:
    """Return what shows that a field holds durations in two units; None where nothing does.

    Where calls have an end, end − start tells call by call. Elsewhere a stretch of calls shows it, also the last few,
    or a group of values that are no calls in the unit, whenever they were stored.

    Args:
        facts: the sample.
        path: the field.
        unit: the unit in which it is read.
        start: what the start time is taken from.
        end: what the end time is taken from.
    """
    numbers = facts.numbers(path)
    usable = numbers.known & ~numbers.clock & (numbers.values > 0)
    if start and end:
        elapsed, both = facts.elapsed(start, end)
        comparable = usable & both & (elapsed > 0)
        if np.count_nonzero(comparable) >= max(_FEW, np.count_nonzero(usable) / 2):
            return _beside_elapsed(numbers.values[comparable], elapsed[comparable], unit)
    if start:
        times = facts.times(start)
        timed = usable & times.known
        order = np.argsort(times.instants[timed], kind="stable")
        stretch = _in_a_stretch(numbers.values[timed][order] * SECONDS[unit], times.instants[timed][order])
        if stretch:
            return stretch
    return _in_two_groups(numbers.values[usable] * SECONDS[unit])


def _beside_elapsed(numbers: Floats, elapsed: Floats, unit: str) -> TwoUnits | None:
    """Return what shows that some durations fit end − start in the unit taken, and others in another one.

    Those in a finer unit are many times longer than the call. Those in a coarser one are a fraction of it; as a talk
    may be, too, so that only an exact fraction counts.
    """
    ratios = numbers * SECONDS[unit] / elapsed
    steps = SECONDS[unit] / parts_of_one(numbers)
    fitting = (ratios > 1 / _ALIKE) & (ratios < _ALIKE)
    finer = (ratios > _MANY) & (elapsed >= 5 * steps)
    coarser = {factor: (np.abs(ratios * factor - 1) <= _EXACTLY) & (elapsed >= _LEAST_ELAPSED) for factor in _RATIOS}
    counts = [int(np.count_nonzero(coarser[factor])) for factor in _RATIOS]
    factor = _RATIOS[counts.index(max(counts))]
    are_finer = int(np.count_nonzero(finer)) > max(counts)
    count = int(np.count_nonzero(finer)) if are_finer else max(counts)
    if min(count, int(np.count_nonzero(fitting))) < max(_LEAST, _SHARE * len(numbers)):
        return None
    if are_finer:
        factor = _nearest(float(np.median(ratios[finer])), float(np.median(numbers[~finer])))
    return TwoUnits(factor, count / len(numbers))


def _in_a_stretch(seconds: Floats, instants: Ints) -> TwoUnits | None:
    """Return the stretch of calls whose durations differ most from all others, where their medians say another unit."""
    if len(seconds) < 2 * _OF_THOUSANDS:
        return None
    first, behind = _most_different(np.log(seconds))
    inside = np.zeros(len(seconds), np.bool_)
    inside[first:behind] = True
    if np.count_nonzero(inside) > len(seconds) / 2:
        inside = ~inside
    quarters = np.quantile(seconds[inside], _QUARTERS), np.quantile(seconds[~inside], _QUARTERS)
    low, high = sorted(quarters, key=lambda each: float(each[1]))
    factor = _nearest(high[1] / low[1], low[1])
    if factor < 1_000:
        proven = int(np.count_nonzero(inside)) >= _OF_SIXTY and _are_near(high / low, factor, _ALIKE)
    else:
        proven = _are_no_calls(low[1], high[1]) and _are_near(high[1] / low[1], factor, _ALIKE_OF_FEW)
    if not proven:
        return None
    return TwoUnits(factor, float(np.mean(inside)), int(instants[inside].min()))


def _are_near(ratios: Floats | float, factor: float, alike: float) -> bool:
    """Return whether all ratios differ from a factor by less than another one."""
    return bool(np.all(np.abs(np.log(ratios / factor)) < np.log(alike)))


def _are_no_calls(low: float, high: float) -> bool:
    """Return whether of two groups of durations, by their medians (seconds), one is too long or too short for calls."""
    return high > _LONG or low < _TOO_SHORT


def _most_different(logarithms: Floats) -> tuple[int, int]:
    """Return the stretch whose mean differs most from that of all others, by its first place and the one behind it.

    As in circular binary segmentation: a stretch at the beginning, in the middle or at the end.
    """
    count = len(logarithms)
    sums = np.concatenate([[0.0], np.cumsum(logarithms - logarithms.mean())])
    lengths = np.arange(count + 1)[None, :] - np.arange(count + 1)[:, None]
    usable = (lengths >= _OF_THOUSANDS) & (lengths <= count - _OF_THOUSANDS)
    weights = np.where(usable, lengths * (count - lengths), 1)
    statistic = np.where(usable, (sums[None, :] - sums[:, None]) ** 2 / weights, 0.0)
    first, behind = np.unravel_index(int(statistic.argmax()), statistic.shape)
    return int(first), int(behind)


def _in_two_groups(seconds: Floats) -> TwoUnits | None:
    """Return two groups of durations a thousand times apart, of which one is no calls: too long, or too short."""
    if len(seconds) < 4 * _FEW:
        return None
    logarithms = np.sort(np.log(seconds))
    below = np.arange(1, len(logarithms))
    sums = np.cumsum(logarithms)
    means = sums[:-1] / below, (sums[-1] - sums[:-1]) / (len(logarithms) - below)
    between = below * (len(logarithms) - below) * (means[1] - means[0]) ** 2
    cut = int(between.argmax()) + 1
    low, high = float(np.median(np.exp(logarithms[:cut]))), float(np.median(np.exp(logarithms[cut:])))
    share = min(cut, len(logarithms) - cut) / len(logarithms)
    factor = _nearest(high / low, low)
    apart = factor >= 1_000 and _are_near(high / low, factor, _ALIKE_OF_FEW)
    return TwoUnits(factor, share) if _are_no_calls(low, high) and apart and share >= _GROUP else None


def _nearest(ratio: float, lower: float) -> float:
    """Return what units differ by that is nearest to a ratio; hours only where the lower values are parts of one."""
    factors = [factor for factor in _RATIOS if lower < 1 or factor not in _OF_HOURS]
    return min(factors, key=lambda one: abs(np.log(one / ratio)))


def unit_by_data(facts: Facts, path: Path, start: Source, end: Source) -> str | None:
    """Return the unit in which a stored duration agrees with end − start, where only one does; None for no answer."""
    fits = {unit: facts.fit(path, unit, start, end) for unit in SECONDS}
    usable = {unit: fit for unit, fit in fits.items() if fit is not None}
    if not usable:
        return None
    plain = usable["s"]
    if plain.equal >= 0.5 or (plain.within >= 0.9 and plain.ratio > 0.02 and not _equal_in_larger(usable)):
        return "s" if plain.equal >= 0.8 else None
    best = max(usable, key=lambda unit: (usable[unit].equal, -abs(usable[unit].ratio - 1)))
    fit = usable[best]
    if fit.equal >= 0.8 and (fit.documents >= 3 or SECONDS[best] < 1):
        return best
    return _unit_of_talk(usable) if plain.within < 0.5 else None


def _unit_of_talk(fits: Mapping[str, Fit]) -> str | None:
    """Return the largest unit below seconds in which no duration is longer than end − start: talk times are shorter."""
    fine = (unit for unit in ("ms", "us", "ns") if fits[unit].within >= 0.9 and 0.1 <= fits[unit].ratio <= 1.1)
    return next(fine, None)


def _equal_in_larger(fits: Mapping[str, Fit]) -> bool:
    return any(fits[unit].equal >= 0.8 and fits[unit].documents >= 3 for unit in ("min", "h"))
