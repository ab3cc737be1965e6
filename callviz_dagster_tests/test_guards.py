"""Each check guards something: on, it finds a fault and the last good files stay; off, the fault is published."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import itertools
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.collection import Collection

from callviz_dagster.assets.checks import calls as calls_checks
from callviz_dagster.assets.checks import calls_csv as calls_csv_checks
from callviz_dagster.assets.checks import raw_calls as raw_calls_checks
from callviz_dagster.assets.checks.results import EXAMPLES, combine_partitions
from callviz_dagster.assets.checks.results import result as check_result
from callviz_dagster.calls_csv import encode
from callviz_dagster.calls_csv import format as csv_format
from callviz_dagster.calls_csv import publish as csv_publish
from callviz_dagster.engine.archive import ArchiveCounts
from callviz_dagster.mongodb.snapshot import SnapshotRead
from callviz_dagster.settings import Settings
from callviz_dagster.storage import archive
from callviz_dagster.storage.files import parquet_writer
from callviz_dagster.table import identifiers as table_identifiers
from callviz_dagster.table import normalize
from callviz_dagster_tests.helpers.raw_bson import examples
from callviz_dagster_tests.helpers.refresh import checks as evaluations
from callviz_dagster_tests.helpers.refresh import failure, refresh
from callviz_dagster_tests.helpers.refresh import files as all_files

Document = dict[str, Any]
CHECKS = {"raw_calls": raw_calls_checks, "calls": calls_checks, "calls_csv": calls_csv_checks}
START = dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC)


def call(number: int, **changed: Any) -> Document:
    document = {
        "_id": bson.ObjectId(f"{number:024x}"),
        "call_type": "incoming",
        "status": "completed",
        "start_time": START + dt.timedelta(minutes=number),
        "end_time": START + dt.timedelta(minutes=number, seconds=90),
        "duration_sec": 90,
        "queue": f"queue {number}",
        "attempts": number,
    }
    return {name: field_value for name, field_value in (document | changed).items() if field_value is not None}


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong in a refresh, and the check that must find it."""

    check: str
    asset: str
    file: str
    """The file that must not be replaced, below the data or the publish folder."""
    inject: Callable[[pytest.MonkeyPatch], None] = lambda patch: None
    documents: tuple[Document, ...] = (call(100),)
    """What is added to the collection before the refresh."""
    warns: bool = False
    """Whether the check only warns."""


def _losing_bytes(patch: pytest.MonkeyPatch) -> None:
    class Losing:
        def __init__(self, codec: pa.Codec) -> None:
            self._codec = codec

        def compress(self, batch: bytes) -> pa.Buffer:
            return self._codec.compress(batch[: int.from_bytes(batch[:4], "little")])

    def opened(self: archive.BsonArchiveWriter) -> archive.BsonArchiveWriter:
        enter(self)
        self._codec = Losing(self._codec)
        return self

    enter = archive.BsonArchiveWriter.__enter__
    patch.setattr(archive.BsonArchiveWriter, "__enter__", opened)


def _reading_one_document_less(patch: pytest.MonkeyPatch) -> None:
    def read(self: SnapshotRead) -> Iterator[bytes]:
        for batch in good(self):
            yield batch[int.from_bytes(batch[:4], "little") :]

    good = SnapshotRead.__iter__
    patch.setattr(SnapshotRead, "__iter__", read)


def _normalizing(
    change: Callable[[normalize.Normalized], normalize.Normalized],
) -> Callable[[pytest.MonkeyPatch], None]:
    """Return a fault in what documents become."""

    def inject(patch: pytest.MonkeyPatch) -> None:
        good = normalize.normalize
        patch.setattr(normalize, "normalize", lambda *given, **options: change(good(*given, **options)))

    return inject


def _changed(column: str, cell: Any) -> Callable[[normalize.Normalized], normalize.Normalized]:
    def change(rows: normalize.Normalized) -> normalize.Normalized:
        place = rows.calls.schema.get_field_index(column)
        field = rows.calls.schema.field(place)
        array = pa.array([cell] * rows.calls.num_rows, field.type)
        return dataclasses.replace(rows, calls=rows.calls.set_column(place, field, array))

    return change


def _first(column: str, value: Any) -> Callable[[normalize.Normalized], normalize.Normalized]:
    """Return a fault in one cell."""

    def change(rows: normalize.Normalized) -> normalize.Normalized:
        place = rows.calls.schema.get_field_index(column)
        field = rows.calls.schema.field(place)
        array = pa.array([value, *rows.calls.column(column).to_pylist()[1:]], field.type)
        return dataclasses.replace(rows, calls=rows.calls.set_column(place, field, array))

    return change


def _one_row_twice(rows: normalize.Normalized) -> normalize.Normalized:
    """Repeat a row under another `_id`, so that only the count tells."""
    first = dataclasses.replace(rows, calls=rows.calls.slice(0, 1))
    return dataclasses.replace(rows, calls=pa.concat_tables([rows.calls, _changed("_id", "zzz")(first).calls]))


def _both_calls_and_rejected(rows: normalize.Normalized) -> normalize.Normalized:
    copy = dict.fromkeys(rows.rejected.schema.names, "x")
    return dataclasses.replace(
        rows, rejected=pa.concat_tables([rows.rejected, pa.Table.from_pylist([copy], schema=rows.rejected.schema)])
    )


def _csv(change: Callable[[bytes], bytes]) -> Callable[[pytest.MonkeyPatch], None]:
    """Return a fault in the text of calls.csv."""

    def inject(patch: pytest.MonkeyPatch) -> None:
        def changed(*given: Any) -> csv_format.EncodedRows:
            lines: csv_format.EncodedRows = good(*given)
            return lines._replace(text=memoryview(change(bytes(lines.text))))

        good = csv_format.csv_lines
        patch.setattr(encode, "csv_lines", changed)

    return inject


def _keeping_another_byte(patch: pytest.MonkeyPatch) -> None:
    class Disk(io.FileIO):
        def write(self, text: Any) -> int:
            return super().write(bytes(text).replace(b"completed", b"comple+ed", 1))

    patch.setattr(csv_publish, "open_for_writing", lambda path: Disk(path, "wb"))


CALLS, REJECTED, CSV = "data/calls/all.parquet", "data/rejected_calls/all.parquet", "publish/calls.csv"
ARCHIVE = "data/raw_calls/all.bson.zst"
FAULTS = {
    "the archive holds one document of each batch": Fault("archive_complete", "raw_calls", ARCHIVE, _losing_bytes),
    "the read ends before the last document": Fault(
        "archive_complete", "raw_calls", ARCHIVE, _reading_one_document_less
    ),
    "a document becomes no row": Fault(
        *("every_document_accounted_for", "calls", CALLS),
        _normalizing(lambda rows: dataclasses.replace(rows, calls=rows.calls.slice(1))),
    ),
    "a document becomes two rows": Fault(
        *("every_document_accounted_for", "calls", CALLS),
        _normalizing(_one_row_twice),
    ),
    "a document is in both tables": Fault(
        "every_document_accounted_for", "calls", CALLS, _normalizing(_both_calls_and_rejected)
    ),
    "too many documents have no start time": Fault(
        *("rejected_within_limit", "calls", CALLS), documents=(call(100, start_time=None), call(101, start_time=None))
    ),
    "a duration is negative": Fault("schema_holds", "calls", CALLS, _normalizing(_changed("duration_sec", -1.0))),
    "a label is blank": Fault("schema_holds", "calls", CALLS, _normalizing(_changed("status", ""))),
    "a label is nothing but spaces": Fault("schema_holds", "calls", CALLS, _normalizing(_changed("call_type", " "))),
    "an _id is empty": Fault("schema_holds", "calls", CALLS, _normalizing(_first("_id", ""))),
    "an hour is another than that of the start": Fault(
        "schema_holds", "calls", CALLS, _normalizing(_first("call_hour", 23))
    ),
    "a weekday is another than that of the start": Fault(
        "schema_holds", "calls", CALLS, _normalizing(_first("call_weekday", "Monday"))
    ),
    "a date is another than that of the start": Fault(
        "schema_holds", "calls", CALLS, _normalizing(_first("call_date", dt.date(2024, 3, 2)))
    ),
    "a call ends before it starts": Fault(
        *("schema_holds", "calls", CALLS),
        _normalizing(_changed("end_time", dt.datetime(2024, 2, 29, tzinfo=dt.UTC))),
    ),
    "a start time is too early": Fault(
        *("schema_holds", "calls", CALLS),
        _normalizing(_changed("start_time", dt.datetime(1600, 1, 1, tzinfo=dt.UTC))),
    ),
    "calls share an _id": Fault("ids_unique", "calls", CALLS, _normalizing(_changed("_id", "same"))),
    "a column comes": Fault("columns_stable", "calls", CALLS, documents=(call(100, surprise=1),), warns=True),
    "a column changes its type": Fault(
        "columns_stable", "calls", CALLS, documents=(call(100, attempts="twice"),), warns=True
    ),
    "a label is new": Fault("labels_known", "calls", CALLS, documents=(call(100, status="teleported"),), warns=True),
    "a call is in the future": Fault(
        *("times_plausible", "calls", CALLS),
        documents=(call(100, start_time=dt.datetime(2200, 1, 1), end_time=None),),
        warns=True,
    ),
    "hardly any call has a status": Fault(
        *("roles_recognized", "calls", CALLS),
        documents=tuple(call(100 + number, status=None) for number in range(400)),
        warns=True,
    ),
    "most calls end before they start": Fault(
        *("roles_plausible", "calls", CALLS),
        documents=tuple(call(100 + number, end_time=dt.datetime(2023, 1, 1)) for number in range(30)),
    ),
    "the CSV lacks a row": Fault("csv_reads_back", "calls_csv", CSV, _csv(lambda lines: lines.split(b"\n", 1)[1])),
    "a quote in the CSV is not doubled": Fault(
        *("csv_reads_back", "calls_csv", CSV),
        _csv(lambda lines: lines.replace(b'""', b'"')),
        documents=(call(100, queue='say "hi"'),),
    ),
    "a formula in the CSV is not defused": Fault(
        *("csv_reads_back", "calls_csv", CSV),
        _csv(lambda lines: lines.replace(b"'=", b"=")),
        documents=(call(100, queue="=1+1"),),
    ),
    "the disk keeps another byte of the CSV": Fault("csv_reads_back", "calls_csv", CSV, _keeping_another_byte),
    "a time in the CSV is an hour off": Fault(
        "csv_reads_back", "calls_csv", CSV, _csv(lambda lines: lines.replace(b" 10:0", b" 11:0"))
    ),
}


TIDY = [call(number) for number in range(20)]


@pytest.fixture(scope="module")
def published(_client: MongoClient[Document], mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish tidy calls once; return the folder that holds the data and the publish folder."""
    folder = tmp_path_factory.mktemp("published")
    database = _client[f"test_{uuid.uuid4().hex[:12]}"]
    database.calls.insert_many(TIDY)
    settings = Settings(
        mongo_uri=mongo_uri, mongo_database=database.name, data_dir=folder / "data", publish_dir=folder / "publish"
    )
    assert refresh(settings).success
    _client.drop_database(database)
    return folder


@pytest.fixture
def good(settings: Settings, collection: Collection[Document], published: Path) -> dict[str, bytes]:
    """Give a collection of tidy calls and what was published of them; return the files."""
    collection.insert_many(TIDY)
    shutil.copytree(published, settings.data_dir.parent, dirs_exist_ok=True)
    return _files(settings)


def _files(settings: Settings) -> dict[str, bytes]:
    root = str(settings.data_dir.parent) + "/"
    return {path.removeprefix(root): content for path, content in all_files(settings).items()}


def _off(patch: pytest.MonkeyPatch, fault: Fault) -> None:
    """Let the check pass, whatever there is."""
    passed = check_result(fault.check, True, "not checked")
    patch.setattr(CHECKS[fault.asset], fault.check, lambda *given, **options: passed)
    if fault.check == "archive_complete":
        patch.setattr(ArchiveCounts, "complete", True)


@pytest.mark.each_case
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_check_finds_a_fault_that_would_be_published_without_it(
    fault: Fault,
    good: dict[str, bytes],
    settings: Settings,
    collection: Collection[Document],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collection.insert_many(fault.documents)
    fault.inject(monkeypatch)

    result = refresh(settings)
    evaluation = evaluations(result)[fault.check]
    assert not evaluation.passed
    assert evaluation.severity is (dg.AssetCheckSeverity.WARN if fault.warns else dg.AssetCheckSeverity.ERROR)
    now = _files(settings)
    if fault.warns:
        assert result.success
        assert now[CSV] != good[CSV]
    else:
        assert not result.success
        assert (evaluation.description or "") in failure(result)
        assert now[fault.file] == good[fault.file]
        assert now[CSV] == good[CSV]
        assert not [path for path in now if path.endswith(".tmp")]

    _off(monkeypatch, fault)
    (settings.data_dir / "calls" / "all.parquet").write_bytes(good[CALLS])
    up_to = {"raw_calls": ["raw_calls"], "calls": ["raw_calls", "calls", "rejected_calls"], "calls_csv": []}
    result = refresh(settings, *up_to[fault.asset])
    assert result.success
    assert all(check.passed for check in evaluations(result).values())
    assert _files(settings)[fault.file] != good[fault.file]


def test_every_check_of_the_tables_is_tried_here() -> None:
    specs = (*raw_calls_checks.RAW_CALLS_CHECKS, *calls_checks.CALLS_CHECKS, *calls_csv_checks.CALLS_CSV_CHECKS)
    elsewhere = {
        "collection_not_empty",
        "one_instant",
        "calls_in_one_partition",
        "volume_stable",
        "documents_covered",
        "start_time_indexed",
        "collection_accounted_for",
        "call_identifiers_unique",
    }
    assert {fault.check for fault in FAULTS.values()} == {spec.name for spec in specs} - elsewhere


def test_rejected_calls_is_there_to_look_at_when_too_many_were_rejected(
    good: dict[str, bytes], settings: Settings, collection: Collection[Document]
) -> None:
    collection.insert_many([call(number, start_time="yesterday") for number in range(50, 60)])
    assert not refresh(settings).success
    reasons = pq.read_table(settings.data_dir / "rejected_calls" / "all.parquet").column("reason")
    assert pc.value_counts(reasons).to_pylist() == [{"values": "start_unreadable", "counts": 10}]
    assert _files(settings)[CALLS] == good[CALLS]


def test_identifiers_of_two_types_that_read_alike_only_warn(
    good: dict[str, bytes], settings: Settings, collection: Collection[Document]
) -> None:
    collection.insert_many([call(100, _id="7"), call(101, _id=7)])
    result = refresh(settings)
    evaluation = evaluations(result)["ids_unique"]
    assert (result.success, evaluation.passed, evaluation.severity) == (True, False, dg.AssetCheckSeverity.WARN)
    assert _files(settings)[CSV].count(b'\n"7",') == 2


@pytest.mark.parametrize(
    ("identifiers", "looked", "repeated"),
    [
        (range(130), False, 0),
        ([bson.Int64(10**number) for number in range(19)], False, 0),
        (["", *(f"call-{number}" for number in range(130))], False, 0),
        ([bson.Binary(bytes([number] * 16), 4) for number in range(130)], False, 0),
        ([-2, -1, *range(20)], True, 0),
        ([9, 10, 11, "10"], True, 1),
        ([1.5, 20, "1.5"], True, 1),
    ],
)
def test_identifiers_that_rise_need_no_second_look(
    settings: Settings,
    collection: Collection[Document],
    monkeypatch: pytest.MonkeyPatch,
    identifiers: Sequence[Any],
    looked: bool,
    repeated: int,
) -> None:
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", 7)
    collection.insert_many([call(0, _id=identifier) for identifier in identifiers])
    good, asked = table_identifiers.repeated_ids, []

    def asking(path: Path) -> tuple[list[str], int]:
        asked.append(path)
        return good(path)

    monkeypatch.setattr(table_identifiers, "repeated_ids", asking)
    evaluation = evaluations(refresh(settings))["ids_unique"]
    assert (bool(asked), evaluation.metadata["repeated"].value) == (looked, repeated)


@pytest.mark.parametrize(
    ("batches", "ascending", "numbered"),
    [
        ([["1", "2"], ["10"]], False, True),
        ([["1", "10"], ["2"]], True, False),
        ([["a"], ["b"]], True, True),
        ([["a"], ["a"]], False, False),
        ([[""], [""]], False, False),
        ([["", ""]], False, False),
        ([["b", "a"], ["c"]], False, False),
        ([[], ["a"], [], ["b"]], True, True),
    ],
)
def test_identifiers_are_followed_from_batch_to_batch(
    batches: list[list[str]], ascending: bool, numbered: bool
) -> None:
    orders = [table_identifiers.id_order(pa.table({"_id": pa.array(batch, pa.string())})) for batch in batches]
    first, *later = [order for order in orders if order]
    for order in later:
        first.follow(order)
    assert (first.ascending, first.numbered) == (ascending, numbered)


@pytest.fixture
def calls_file(tmp_path: Path) -> Callable[[Sequence[str]], Path]:
    """Return a function that writes a `calls` file of these identifiers."""
    numbers = itertools.count()

    def write(identifiers: Sequence[str]) -> Path:
        path = tmp_path / f"{next(numbers)}.parquet"
        pq.write_table(pa.table({"_id": pa.array(identifiers, pa.string())}), path)
        return path

    return write


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_identifiers_that_are_repeated_are_found_in_bounded_memory(
    calls_file: Callable[[Sequence[str]], Path], at_once: int
) -> None:
    examples, repeated = table_identifiers.repeated_ids(calls_file(["a", "b", "größer", "", "b", "a", "b"]), at_once)
    assert (sorted(examples), repeated) == (["a", "b"], 3)
    assert table_identifiers.repeated_ids(calls_file(["b", "a", "ab"]), at_once) == ([], 0)
    assert table_identifiers.repeated_ids(calls_file([]), at_once) == ([], 0)


@pytest.mark.parametrize("at_once", [1, 3, 100])
@examples(40)
@given(
    files=st.lists(st.lists(st.sampled_from([*"abcdefghij", "", "größer"]), max_size=6), max_size=5),
    statistics=st.booleans(),
    wanted=st.sets(st.sampled_from([*"aceg", "", "größer", "z" * 5_000])),
)
def test_identifiers_that_several_files_have_are_found(
    files: list[list[str]],
    at_once: int,
    statistics: bool,
    wanted: set[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("calls")
    paths = [folder / f"{number}.parquet" for number in range(len(files))]
    for path, identifiers in zip(paths, files, strict=True):
        table = pa.table({"_id": pa.array(identifiers, pa.string())})
        pq.write_table(table, path, row_group_size=2, write_statistics=statistics)
        existing = table_identifiers.existing_ids(path, sorted(wanted))
        assert existing == [identifier for identifier in identifiers if identifier in wanted]
    holders: dict[str, set[Path]] = {}
    for path, identifiers in zip(paths, files, strict=True):
        for identifier in identifiers:
            holders.setdefault(identifier, set()).add(path)
    shared = table_identifiers.shared_ids(paths, at_once)
    assert {identifier: set(partitions) for identifier, partitions in shared.items()} == {
        identifier: partitions for identifier, partitions in holders.items() if len(partitions) > 1
    }


def test_row_groups_without_the_wanted_identifiers_are_not_read(
    calls_file: Callable[[Sequence[str]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = calls_file([])
    with parquet_writer(path, pa.schema({"_id": pa.string(), "status": pa.string()})) as writer:
        for texts in (["a", "c"], ["d", "f"], ["z" * 5_000, "zz"]):
            writer.write_table(pa.table({"_id": texts, "status": texts}))
    read: list[int] = []
    iter_batches = pq.ParquetFile.iter_batches

    def noting(file: pq.ParquetFile, **options: Any) -> Any:
        read.extend(options["row_groups"])
        return iter_batches(file, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noting)
    assert (table_identifiers.existing_ids(path, ["b", "e", "f"]), read) == (["f"], [0, 1, 2])
    read.clear()
    assert (table_identifiers.existing_ids(path, ["d", "z" * 5_000]), read) == (["d", "z" * 5_000], [1, 2])
    read.clear()
    assert (table_identifiers.existing_ids(path, ["C", "cc"]), read) == ([], [2])


def test_failures_in_many_partitions_are_counted_beyond_the_examples() -> None:
    failures = [(f"2024-{month:02}", check_result("columns_stable", False, "It changed.")) for month in range(1, 13)]
    description = combine_partitions(failures).description or ""
    assert description.startswith("12 of 12 partitions: 2024-01: It changed. 2024-02: It changed.")
    assert description.endswith("2024-10: It changed. And 2 more.")
    assert "more" not in (combine_partitions(failures[:EXAMPLES]).description or "")


def test_every_check_is_reported_also_when_all_is_well(good: dict[str, bytes], settings: Settings) -> None:
    result = refresh(settings)
    specs = (*raw_calls_checks.RAW_CALLS_CHECKS, *calls_checks.CALLS_CHECKS, *calls_csv_checks.CALLS_CSV_CHECKS)
    assert set(evaluations(result)) == {spec.name for spec in specs}
    assert all(check.passed and check.description for check in evaluations(result).values())


def test_a_failed_check_shows_the_values_and_where_to_look_them_up(
    good: dict[str, bytes], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _normalizing(_changed("duration_sec", -7.0))(monkeypatch)
    evaluation = evaluations(refresh(settings))["schema_holds"]
    (table,) = [value.value for value in evaluation.metadata.values() if isinstance(value, dg.MarkdownMetadataValue)]
    first = str(table).splitlines()[2]
    assert f"|{0:024x}|" in first
    assert "|duration\\_sec|" in first
    assert "|-7.0|" in first
