"""Counting calls: every cell equals DuckDB's count, whatever the batches and however coarse the counts have to be."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callviz_dagster.dashboard import axes
from callviz_dagster.dashboard import counts as counting
from callviz_dagster.dashboard.axes import CountOptions
from callviz_dagster.dashboard.counts import Counts, coarser, count_calls, read_files
from callviz_dagster.dashboard.fields import by_month
from callviz_dagster.dashboard.payload import Totals, payload_totals, to_payload
from callviz_dagster_tests.helpers.calls import Call, business, query, table

DAY = dt.date(2026, 3, 2)


def counted(
    calls: Sequence[Call] | pa.Table, *, labels: int = 12, max_cells: int = counting.MAX_CELLS, rows: int = 10_000
) -> Counts:
    """Count calls, given in pieces of so many rows."""
    whole = calls if isinstance(calls, pa.Table) else table(calls)

    def read(columns: Sequence[str]) -> Iterable[pa.Table]:
        chosen = whole.select(list(columns))
        return (chosen.slice(start, rows) for start in range(0, max(whole.num_rows, 1), rows))

    return count_calls(read, CountOptions(labels), max_cells=max_cells)


def cells(counts: Counts, cube: counting.Cube) -> Counter[tuple[object, ...]]:
    """Return a cube's cells with their values in words and numbers; None for what it does not tell apart."""
    return Counter(
        {
            (
                counts.types[kind],
                counts.statuses[status],
                counting.date_of(day),
                hour if cube.hours else None,
                (duration * counts.step if duration >= 0 else -1) if cube.durations else None,
            ): calls
            for kind, status, day, hour, duration, calls in zip(
                cube.call_type.tolist(),
                cube.status.tolist(),
                cube.day.tolist(),
                cube.hour.tolist(),
                cube.duration.tolist(),
                cube.calls.tolist(),
                strict=True,
            )
        }
    )


def expected(
    calls: pa.Table, *, hours: bool = True, durations: bool = True, step: int = 1
) -> Counter[tuple[object, ...]]:
    """Return the same cells, counted by DuckDB."""
    hour = "call_hour" if hours else "null"
    duration = f"coalesce(floor(duration_sec / {step}) * {step}, -1)" if durations else "null"
    rows = query(f"select call_type, status, call_date, {hour}, {duration}, count(*) from calls group by all", calls)
    return Counter({tuple(row[:-1]): row[-1] for row in rows})


def test_every_cell_equals_duckdbs_count() -> None:
    calls = table(business())
    counts = counted(calls)
    assert cells(counts, counts.cubes[0]) == expected(calls)
    assert counts.calls == 3000
    assert counts.step == 1
    assert counts.exact


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_batches_make_no_difference(rows: int) -> None:
    calls = business(400)
    one, many = counted(calls), counted(calls, rows=rows)
    assert np.array_equal(one.cubes[0].keys, many.cubes[0].keys)
    assert np.array_equal(one.cubes[0].calls, many.cubes[0].calls)
    assert one.median == many.median


@pytest.mark.parametrize(("max_cells", "step", "cubes"), [(2923, 10, 1), (2906, 60, 1), (500, 60, 2)])
@pytest.mark.parametrize("rows", [50, 10_000])
def test_too_many_cells_are_made_coarser_and_stay_right(max_cells: int, step: int, cubes: int, rows: int) -> None:
    calls = table(business())
    counts = counted(calls, max_cells=max_cells, rows=rows)
    assert (counts.step, len(counts.cubes), counts.exact) == (step, cubes, False)
    for cube in counts.cubes:
        assert cells(counts, cube) == expected(calls, hours=cube.hours, durations=cube.durations, step=step)
    assert counts.median == query("select median(duration_sec) from calls", calls)[0][0]


def test_made_coarser_afterwards_is_as_if_counted_so() -> None:
    calls = business()
    fine, coarse = counted(calls), counted(calls, max_cells=500)
    for _ in range(3):
        fine = coarser(fine)
    for one, other in zip(fine.cubes, coarse.cubes, strict=True):
        assert np.array_equal(one.keys, other.keys)
        assert np.array_equal(one.calls, other.calls)
    with pytest.raises(ValueError, match="apart already"):
        coarser(fine)


@pytest.mark.parametrize(
    "durations",
    [
        [5.0],
        [5.0, 8.0],
        [0.0, 0.0, 0.0, 7.5],
        [59.999, 60.0, 60.001],
        [1.25, 1.5, 1.75, 3600.0],
        [0.0, 1e9, 1e12, 1e300],
        [None, 3.0, None, 9.0],
    ],
)
@pytest.mark.parametrize("max_cells", [1000, 1])
def test_the_median_is_exact_however_coarse_the_counts(durations: list[float | None], max_cells: int) -> None:
    calls = table([("incoming", "completed", DAY, 9, duration) for duration in durations])
    (median,) = query("select median(duration_sec) from calls", calls)[0]
    assert counted(calls, max_cells=max_cells).median == pytest.approx(median)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1e7, allow_nan=False)), min_size=1, max_size=40),
    st.sampled_from([1, 2, 1000]),
)
def test_the_median_of_any_durations_is_exact(durations: list[float | None], max_cells: int) -> None:
    calls = table([("incoming", "completed", DAY, 9, duration) for duration in durations])
    (median,) = query("select median(duration_sec) from calls", calls)[0]
    actual = counted(calls, max_cells=max_cells).median
    assert actual == (None if median is None else pytest.approx(median))


@pytest.mark.parametrize(
    ("durations", "max_cells", "step", "exact"),
    [
        ([1.0, 2.0, 2.0], 100, 1, True),
        ([1.5, 2.0], 100, 1, False),
        ([1.0, 1e12], 100, 1, False),
        ([1.0, 2.0], 1, 10, False),
    ],
)
def test_medians_of_selections_are_exact_where_classes_hold_one_duration_each(
    durations: list[float], max_cells: int, step: int, exact: bool
) -> None:
    counts = counted([("incoming", "completed", DAY, 9, duration) for duration in durations], max_cells=max_cells)
    assert (counts.step, counts.exact) == (step, exact)


def test_no_calls() -> None:
    counts = counted([])
    assert (counts.calls, counts.with_duration, counts.median, counts.completed) == (0, 0, None, None)
    assert counts.days.size == 0
    assert payload_totals(to_payload(counts)) == [Totals(0, 0)]


def test_completed_calls() -> None:
    calls = business()
    assert counted(calls).completed == sum(status == "completed" for _, status, *_ in calls)
    assert counted([("incoming", "ANSWERED", DAY, 9, 1.0), ("incoming", "busy", DAY, 9, 1.0)]).completed == 1
    assert counted([("incoming", "ended", DAY, 9, 1.0)]).completed is None


def test_days_outside_the_years_of_computers() -> None:
    dates = [dt.date(1677, 12, 31), dt.date(1969, 12, 31), dt.date(1970, 1, 1), dt.date(2262, 1, 1)]
    counts = counted([("incoming", "completed", date, 0, None) for date in dates])
    assert [counting.date_of(day) for day in counts.days] == dates


# Labels


def labelled(frequencies: dict[str, int], column: int) -> list[Call]:
    call: Call = ("incoming", "busy", DAY, 9, None)
    return [
        (label if column == 0 else call[0], label if column == 1 else call[1], *call[2:])
        for label, number in frequencies.items()
        for _ in range(number)
    ]


def test_labels_stand_most_frequent_first_and_then_by_name() -> None:
    counts = counted(labelled({"b": 2, "a": 2, "c": 3}, 0))
    assert counts.types == ("c", "a", "b")
    assert not counts.grouped_types


def test_the_rarest_labels_are_grouped() -> None:
    counts = counted(labelled({"a": 5, "b": 4, "c": 2, "d": 1}, 0), labels=2)
    assert counts.types == ("a", "b", "other (2 types)")
    assert counts.grouped_types
    assert np.bincount(counts.cubes[0].call_type, weights=counts.cubes[0].calls).tolist() == [5, 4, 3]


def test_completed_is_never_grouped() -> None:
    counts = counted(labelled({"busy": 5, "failed": 4, "ended": 3, "completed": 1}, 1), labels=2)
    assert counts.statuses == ("busy", "completed", "other (2 statuses)")
    assert counts.completed == 1


def test_a_label_of_the_groups_name_stays_apart_from_the_group() -> None:
    counts = counted(labelled({"other (2 types)": 5, "a": 2, "b": 1}, 0), labels=1)
    assert counts.types == ("other (2 types)", "other (2 types) (2)")


def test_long_labels_are_cut_and_stay_apart() -> None:
    counts = counted(labelled({"x" * 500: 2, "x" * 400: 1}, 0))
    assert [len(label) for label in counts.types] == [121, 125]
    assert counts.calls == 3


def test_labels_that_are_all_different_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(axes, "MAX_DISTINCT", 100)
    calls = labelled({f"unique {number}": 1 for number in range(1000)} | {"frequent": 50}, 0)
    counts = counted(calls, labels=1, rows=60)
    assert counts.types[0] == "frequent"
    assert counts.types[1].startswith("other (more than ")
    assert np.bincount(counts.cubes[0].call_type, weights=counts.cubes[0].calls).tolist() == [50, 1000]


def test_more_labels_than_a_cell_can_name_are_grouped() -> None:
    counts = counted(labelled({f"label {number}": 1 for number in range(300)}, 0), labels=1000)
    assert len(counts.types) == axes.MAX_LABELS + 1
    assert counts.calls == 300


# Files


def test_files_are_counted_together(tmp_path: Path) -> None:
    calls = table(business(500))
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    pq.write_table(calls.slice(0, 200), paths[0])
    pq.write_table(calls.slice(200), paths[1], row_group_size=50)
    counts = count_calls(read_files(paths), CountOptions())
    assert cells(counts, counts.cubes[0]) == expected(calls)


def test_the_cells_of_a_field_equal_duckdbs_counts() -> None:
    calls = table(business())
    queues = [None if number % 5 == 0 else f"queue {number % 40}" for number in range(calls.num_rows)]
    calls = calls.append_column("queue", pa.array(queues))
    options = CountOptions(fields=("queue",))
    (field,) = count_calls(lambda columns: [calls.select(list(columns))], options).fields
    assert len(field.values) == axes.MAX_VALUES + 1
    assert field.values[0] == axes.NO_VALUE
    for monthly in (field, by_month(field)):
        day = "date_trunc('month', call_date)::date" if monthly.monthly else "call_date"
        names = ", ".join(f"'{value}'" for value in field.values)
        rows = query(
            f"""select if(value in ({names}), value, '{field.values[-1]}'), call_type, status,
                if(duration_sec is null, 0, least(floor(duration_sec / 60), 30) + 1)::int, {day}, count(*)
            from (select *, coalesce(queue, '{axes.NO_VALUE}') as value from calls) group by all""",
            calls,
        )
        counts = counted(calls)
        parts = [monthly.part(name).tolist() for name in ("value", "type", "status", "bin", "day")]
        shown = {
            (field.values[value], counts.types[kind], counts.statuses[status], duration, counting.date_of(day)): number
            for value, kind, status, duration, day, number in zip(*parts, monthly.calls.tolist(), strict=True)
        }
        assert shown == {tuple(row[:-1]): row[-1] for row in rows}
