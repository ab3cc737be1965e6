"""`CALLVIZ_CSV_MONTHS`: `calls.csv`, workbook and extract hold the last months, and account for every older call."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import itertools
import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from lxml import etree
from pymongo.collection import Collection

from callviz_dagster.assets.calls_csv import require_good
from callviz_dagster.assets.checks.calls_hyper import all_calls_are_in_the_extract
from callviz_dagster.assets.common import AuditFailed
from callviz_dagster.calls_csv import encode
from callviz_dagster.calls_csv.publish import publish_csv
from callviz_dagster.cli.collection import ChosenCollection
from callviz_dagster.cli.status import read_status, text
from callviz_dagster.local.summary import summary
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.storage.files import FileError, PublishedFile
from callviz_dagster.storage.published import InputFile, PublishedRecord, RowsHeld, Snapshot, read_record
from callviz_dagster.table.manifest import TableFooter
from callviz_dagster.table.read import rows
from callviz_dagster.table.recent import RecentCalls, first_day, recent_calls
from callviz_dagster.tableau.audit import audit
from callviz_dagster.tableau.pack import packed_workbook, prepare_workbook
from callviz_dagster_tests.helpers.months import calls_of_months, monthly, refreshed
from callviz_dagster_tests.helpers.refresh import checks, empty_instance, failure, metadata, refresh
from callviz_dagster_tests.helpers.tableau import (
    COLUMNS,
    KINDS,
    SCHEMA_VERSIONS,
    ZONE,
    calls_table,
    footer_of,
    schema_errors,
    workbook_xml,
    write_calls,
)

Document = dict[str, Any]
LOG = logging.getLogger("test")
(CALL_DATE,) = (column for column in COLUMNS if column.name == "call_date")
SNAPSHOT_DAY = dt.date(2024, 10, 29)
"""Of `footer_of`."""
DAYS = st.lists(st.dates(dt.date(2024, 6, 1), dt.date(2025, 1, 31)), min_size=1, max_size=12)


def calls_of(folder: Path, *partitions: Sequence[dt.date], statistics: bool = True) -> dict[Path, TableFooter]:
    """Write calls of these days as `calls` files of a few row groups; return them with their footers."""
    footers: dict[Path, TableFooter] = {}
    numbers = itertools.count()
    for name, days in enumerate(partitions):
        table = calls_table(len(days))
        for column, values in (("call_date", days), ("_id", [f"{next(numbers):024x}" for _ in days])):
            place = table.schema.get_field_index(column)
            table = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))
        path = folder / "calls" / f"{name}.parquet"
        footers[path] = footer_of(table)
        write_calls(path, table, footers[path])
        if not statistics:
            pq.write_table(table, path, row_group_size=5, write_statistics=False)
    return footers


# Which calls


@pytest.mark.parametrize(
    ("newest", "months", "first"),
    [
        ("2024-03-15", 1, "2024-03-01"),
        ("2024-03-31", 3, "2024-01-01"),
        ("2024-03-01", 4, "2023-12-01"),
        ("2024-12-31", 12, "2024-01-01"),
        ("2024-12-31", 13, "2023-12-01"),
        ("2024-01-01", 25, "2022-01-01"),
        ("2024-02-29", 2024 * 12 - 10, "0001-01-01"),
        ("2024-02-29", 10**9, "0001-01-01"),
    ],
)
def test_months_are_calendar_months_and_the_newest_one_counts(newest: str, months: int, first: str) -> None:
    assert first_day(dt.date.fromisoformat(newest), months) == dt.date.fromisoformat(first)


@examples(max_examples=25, deadline=None)
@given(st.lists(DAYS, min_size=1, max_size=4), st.integers(1, 9), st.booleans())
def test_rows_are_those_of_the_last_months_and_all_others_are_counted(
    tmp_path_factory: pytest.TempPathFactory, partitions: list[list[dt.date]], months: int, statistics: bool
) -> None:
    calls = calls_of(tmp_path_factory.mktemp("calls"), *partitions, statistics=statistics)
    recent = recent_calls(calls, months)
    past = [day for day in itertools.chain(*partitions) if day <= SNAPSHOT_DAY]
    first = first_day(max(past), months) if past else dt.date.min
    older = {path: sum(day < first for day in days) for path, days in zip(calls, partitions, strict=True)}
    assert recent.older == {path: number for path, number in older.items() if number}
    assert recent.since == (first if recent.older else None)

    paths = [*recent.kept(calls)]
    assert paths == [path for path, footer in calls.items() if older[path] < footer.calls]
    kept = pa.Table.from_batches(rows(paths, COLUMNS, ZONE, recent.since))
    everything = pa.Table.from_batches(rows([*calls], COLUMNS, ZONE))
    assert kept.equals(everything.filter([day >= first for day in everything["call_date"].to_pylist()]))
    assert kept.num_rows + recent.older_calls == everything.num_rows


def test_a_stray_call_of_the_future_stays_and_pushes_no_other_out(tmp_path: Path) -> None:
    days = [dt.date(2024, 7, 31), dt.date(2024, 8, 1), dt.date(2024, 10, 28)]
    stray = [*days, dt.date(2091, 1, 1)]
    for partitions in ((stray,), (days, stray[-1:])):
        calls = calls_of(tmp_path, *partitions)
        recent = recent_calls(calls, 3)
        assert (recent.first_day, recent.older_calls) == ("2024-08-01", 1)
        kept = [row for batch in rows([*recent.kept(calls)], COLUMNS, ZONE, recent.since) for row in batch.to_pylist()]
        assert [row["call_date"] for row in kept] == stray[1:]


def test_the_last_months_of_old_calls_are_theirs_and_not_those_of_today(tmp_path: Path) -> None:
    recent = recent_calls(calls_of(tmp_path, [dt.date(1999, 1, 31), dt.date(1999, 2, 1), dt.date(1999, 3, 31)]), 2)
    assert (recent.first_day, recent.older_calls) == ("1999-02-01", 1)


def test_calls_of_the_future_alone_are_all_kept(tmp_path: Path) -> None:
    assert recent_calls(calls_of(tmp_path, [dt.date(2030, 1, 1), dt.date(2040, 1, 1)]), 1) == RecentCalls()


def test_a_limit_that_leaves_nothing_out_is_no_limit(tmp_path: Path) -> None:
    calls = calls_of(tmp_path, [dt.date(2024, 9, 1), dt.date(2024, 10, 1)])
    assert recent_calls(calls, 2) == recent_calls(calls, None) == recent_calls({}, 2) == RecentCalls()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (path,) = calls = calls_of(tmp_path, [dt.date(2024, 9, 1), dt.date(2024, 10, 1)])
    content = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(COLUMNS.index(CALL_DATE))
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(FileError, match=f"{path} cannot be read"):
        recent_calls(calls, 1)


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "all"])
def test_a_number_of_months_is_a_whole_one(value: str) -> None:
    with pytest.raises(SettingsError, match=r"CALLVIZ_CSV_MONTHS: .* is not allowed; it takes a whole number from 1"):
        Settings.load({"CALLVIZ_CSV_MONTHS": value})


# Nothing is lost silently


def test_a_row_that_is_neither_in_the_file_nor_counted_as_older_forbids_publishing(tmp_path: Path) -> None:
    calls = calls_of(tmp_path, [dt.date(2024, 8, 31), dt.date(2024, 9, 1)], [dt.date(2024, 10, 1)])
    recent = recent_calls(calls, 2)
    target = tmp_path / "calls.csv"
    for since, older in ((dt.date(2024, 10, 1), recent.older), (recent.since, {}), (None, recent.older)):
        with pytest.raises(AuditFailed) as refused:
            publish_csv(calls, target, ZONE, LOG, require_good, recent=RecentCalls(since, older))
        assert "which are not the 3 calls" in (refused.value.results[0].description or "")
        assert not target.exists()
    published = publish_csv(calls, target, ZONE, LOG, require_good, recent=recent)
    assert (published.rows, published.footer.calls) == (2, 3)


def test_the_extract_has_the_rows_that_are_not_older() -> None:
    held = RowsHeld("2024-03-01", 30)
    assert all_calls_are_in_the_extract(70, 100, held).passed
    assert not all_calls_are_in_the_extract(100, 100, held).passed
    assert not all_calls_are_in_the_extract(69, 100, held).passed


def test_lines_are_copied_as_the_limit_moves_and_rows_that_became_too_old_are_not_removed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A week in two months is encoded again; a partition without recent calls is not even opened."""
    august, week, october = (
        [dt.date(2024, 8, 9)] * 3,
        [dt.date(2024, 8, 31), dt.date(2024, 9, 1)],
        [dt.date(2024, 10, 7)],
    )
    calls = calls_of(tmp_path, august, week, october)
    encoded: list[str] = []
    good = encode.encode_part

    def counted(path: Path, *given: Any, **more: Any) -> Any:
        encoded.append(path.stem)
        return good(path, *given, **more)

    monkeypatch.setattr("callviz_dagster.calls_csv.assembler.encode_part", counted)
    target = tmp_path / "calls.csv"
    seen = []
    for months in (3, 2, 2, 1, None):
        encoded.clear()
        one = publish_csv(calls, target, ZONE, LOG, require_good, recent=recent_calls(calls, months))
        assert not isinstance(one.changes, str)
        changes = (one.changes.added, one.changes.removed, one.changes.older) if one.changes else None
        seen.append(("".join(encoded), one.rows, changes))
    assert seen == [
        ("012", 6, None),
        ("1", 2, (0, 0, 4)),
        ("", 2, (0, 0, 0)),
        ("", 1, (0, 0, 1)),
        ("01", 6, (5, 0, 0)),
    ]


def test_files_whose_rows_have_another_limit_do_not_belong_together() -> None:
    def record(csv_since: str | None, extract_since: str | None) -> PublishedRecord:
        made = PublishedRecord()
        since = {"calls.csv": csv_since, "calls.hyper": extract_since, "call_dashboard.html": None}
        for name, first in since.items():
            held = None if first is None else RowsHeld(first, 5 if first else 0)
            inputs = {"calls/all.parquet": InputFile("a")}
            made = made.with_file(PublishedFile(Path(name), 0, name), inputs, Snapshot(), held)
        return PublishedRecord.from_json(made.to_json())

    assert (
        record("2024-03-01", "2024-03-01").differing()
        == record("", "").differing()
        == record(None, None).differing()
        == []
    )
    assert record("2024-03-01", "").differing() == record("", "2024-03-01").differing() == ["calls.hyper"]
    assert record("2024-03-01", "2024-03-01").held("calls.csv") == RowsHeld("2024-03-01", 5)


# The workbook says so


def titles(inside: bytes) -> list[str]:
    """Return the title of each dashboard."""
    found = etree.fromstring(inside).findall("dashboards/dashboard/layout-options/title/formatted-text")
    return ["".join(run.text for run in title) for title in found]


@pytest.mark.parametrize("source", ["csv", "hyper"])
def test_the_title_of_the_dashboard_says_since_when_it_has_calls(source: str) -> None:
    plain = prepare_workbook(workbook_xml(), KINDS, source=source)
    limited = prepare_workbook(workbook_xml(), KINDS, source=source, since="2024-03-01")
    (before,), (title,) = titles(plain), titles(limited)
    said = " (calls since 2024-03-01; older ones are not in this file)"
    assert title == before.replace("Calls Overview", f"Calls Overview{said}")
    lines = limited.decode().splitlines()
    assert [line for line in lines if said not in line] == plain.decode().splitlines()
    for version in SCHEMA_VERSIONS:
        assert schema_errors(limited, version) == schema_errors(plain, version) == []


def test_a_workbook_that_was_packed_before_says_it_once_and_no_longer_without_a_limit() -> None:
    first = prepare_workbook(workbook_xml(), KINDS, since="2024-02-01")
    assert audit(first, KINDS) == []
    assert prepare_workbook(first, KINDS, since="2024-03-01") == prepare_workbook(
        workbook_xml(), KINDS, since="2024-03-01"
    )
    saved = first.replace(b"'> (calls", b"'><![CDATA[ (calls").replace(b"file)</run>", b"file)]]></run>")
    assert saved != first
    assert prepare_workbook(first, KINDS) == prepare_workbook(saved, KINDS) == prepare_workbook(workbook_xml(), KINDS)
    own = workbook_xml().replace(b"Calls Overview", b"My Dashboard")
    assert prepare_workbook(own, KINDS, since="2024-03-01") == prepare_workbook(own, KINDS)


# A refresh


def csv_rows(settings: Settings) -> list[dict[str, str]]:
    text = (settings.publish_dir / "calls.csv").read_text(encoding="utf-8")
    return [*csv.DictReader(io.StringIO(text, newline=""))]


def calls_until(collection: Collection[Document], last: dt.datetime, number: int = 60) -> None:
    """Insert a call for every fourth day until a moment, and one of the far future; none of them in order of `_id`."""
    starts = [last - dt.timedelta(days=4 * n) for n in range(number)] + [dt.datetime(2091, 1, 1, 12, tzinfo=dt.UTC)]
    collection.create_index("start_time")
    collection.insert_many(
        {
            "_id": f"{n * 37 % 101:03d}",
            "start_time": start,
            "duration_sec": n,
            "status": ("completed", "missed")[n % 2],
            "call_type": ("incoming", "outgoing", "internal")[n % 3],
            **({"early": n} if n > number - 5 else {}),
        }
        for n, start in enumerate(starts)
    )


CSV = ("raw_calls", "calls", "rejected_calls", "calls_csv")
LAST = dt.datetime(2024, 5, 31, 23, 30, tzinfo=dt.UTC)
"""In Berlin, it is June."""


@pytest.mark.parametrize(
    "published",
    [
        ("calls_csv", "callviz_workbook"),
        pytest.param(("calls_csv", "calls_hyper", "call_dashboard"), marks=pytest.mark.long),
    ],
    ids=lambda published: " and ".join(published[1:]),
)
def test_published_files_hold_the_last_months_and_the_page_all(
    settings: Settings, collection: Collection[Document], tmp_path: Path, published: tuple[str, ...]
) -> None:
    """Together they account for every call, and say so wherever calls are counted."""
    calls_until(collection, LAST)
    collection.insert_one({"_id": "no start", "status": "missed"})
    everything = dataclasses.replace(settings, timezone="Europe/Berlin")
    limited = dataclasses.replace(everything, csv_months=3, publish_dir=tmp_path / "limited")
    assert refresh(everything, "raw_calls", "calls", "rejected_calls", *published[:1], *published[2:]).success
    result = refresh(limited, *published)
    assert result.success, failure(result)
    assert all(check.passed for check in checks(result).values())

    everything_rows = csv_rows(everything)
    recent_rows = [row for row in everything_rows if row["call_date"] >= "2024-04-01"]
    older = len(everything_rows) - len(recent_rows)
    assert older > 30
    assert csv_rows(limited) == recent_rows
    assert {"2024-06-01", "2091-01-01"} <= {row["call_date"] for row in recent_rows}

    for asset in {"calls_csv", "calls_hyper", "callviz_workbook"} & {*published}:
        told = metadata(result, asset)
        assert (told["calls since"], told["older calls left out"]) == ("2024-04-01", older)
    assert f"**{len(recent_rows)}** calls" in metadata(result, "calls_csv")["headline"]
    accounted = checks(result)["collection_accounted_for"]
    assert accounted.metadata["calls"].value == len(everything_rows)
    assert f"Of the calls, {older} are older than 2024-04-01, and not in calls.csv." in (accounted.description or "")
    sentence = f"the calls since 2024-04-01 (CALLVIZ_CSV_MONTHS); {older} older calls are on the page"
    assert sentence in summary(limited, 0, 0, ("", ""))
    status = read_status(ChosenCollection(limited), empty_instance(), dt.datetime.now(dt.UTC))
    assert (status.calls_since, status.older_calls) == ("2024-04-01", older)
    assert sentence in "".join(text(status))
    assert "older calls" not in summary(everything, 0, 0, ("", ""))
    record = read_record(limited.publish_dir)
    assert record.differing() == []

    if "callviz_workbook" in published:
        with zipfile.ZipFile(limited.publish_dir / "callviz.twbx") as package:
            assert package.read("Data/calls/calls.csv") == (limited.publish_dir / "calls.csv").read_bytes()
        with (limited.publish_dir / "callviz.twbx").open("rb") as file:
            assert "(calls since 2024-04-01; older ones are not in this file)" in titles(packed_workbook(file))[0]
        assert record.files["callviz.twbx"].older_calls == older
    else:
        page = "call_dashboard.html"
        assert (limited.publish_dir / page).read_bytes() == (everything.publish_dir / page).read_bytes()
        assert record.files[page].calls_since is None
        extract = limited.publish_dir / "calls.hyper"
        assert ids_in(extract) == sorted(row["_id"] for row in recent_rows)


def ids_in(extract: Path) -> list[str]:
    import pantab

    query = 'SELECT "_id" FROM "Extract"."Extract"'
    ids: list[str] = pantab.frame_from_hyper_query(extract, query, return_type="pyarrow")["_id"].to_pylist()
    return sorted(ids)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["none", "weekly"])
def test_as_a_month_begins_the_oldest_one_goes_and_no_guard_is_alarmed(
    settings: Settings, collection: Collection[Document], kind: str
) -> None:
    """Weeks lie in two months. With partitions, the same bytes come out as without."""
    calls_of_months(collection)
    cut = dataclasses.replace(monthly(settings), max_drop=0.0)
    whole = dataclasses.replace(cut, partitions="none", partitions_start=None)
    limited = dataclasses.replace(cut if kind == "weekly" else whole, partitions=kind, csv_months=3)
    assert refreshed(limited, assets=CSV).success
    rows_before = csv_rows(limited)
    everything = dataclasses.replace(
        whole, data_dir=settings.data_dir / "all", publish_dir=settings.publish_dir / "all"
    )
    assert refreshed(everything, assets=CSV).success
    newest = dt.date.fromisoformat(csv_rows(everything)[-1]["call_date"])
    header, *lines = (everything.publish_dir / "calls.csv").read_bytes().splitlines(keepends=True)
    recent = [row["call_date"] >= str(first_day(newest, 3)) for row in csv_rows(everything)]
    assert (limited.publish_dir / "calls.csv").read_bytes() == header + b"".join(itertools.compress(lines, recent))

    next_month = (newest.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    came = dt.datetime.combine(next_month, dt.time(), dt.UTC)
    collection.insert_one({"_id": "999999", "start_time": came, "status": "busy", "call_type": "incoming"})
    result = refreshed(limited, assets=CSV)
    assert result.success, failure(result)
    assert all(check.passed for check in checks(result).values())
    gone = [row for row in rows_before if row["call_date"] < str(first_day(next_month, 3))]
    assert csv_rows(limited)[:-1] == rows_before[len(gone) :]
    changes = metadata(result, "calls_csv")
    counted = ("rows added", "rows changed", "rows removed", "rows that became too old", "older calls left out")
    assert [changes[name] for name in counted] == [1, 0, 0, len(gone), 1_001 - len(csv_rows(limited))]
    assert len(gone) > 20
