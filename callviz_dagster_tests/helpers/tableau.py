"""What the tests of the Tableau half share: the workbook, the official schemas, and a small published `calls.csv`."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from lxml import etree

from callviz_dagster.calls_csv.format import csv_lines, header_line
from callviz_dagster.contract import LEADING, REPAIRS, Column, Kind, arrow_schema, arrow_type
from callviz_dagster.names import STAND_ALONE
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import stat_and_hash
from callviz_dagster.storage.published import InputFile, Snapshot, record_file
from callviz_dagster.table.manifest import FOOTER_KEY, TableFooter
from callviz_dagster.table.plan import FieldColumn
from callviz_dagster.tableau.model import locate
from callviz_dagster_tests.helpers.refresh import checks, empty_instance

ZONE = "Europe/Berlin"
EXTRA = (Column("agent", Kind.TEXT, ""), Column("cost_usd", Kind.NUMBER, ""), Column("answered", Kind.BOOLEAN, ""))
COLUMNS = (*LEADING, *EXTRA, REPAIRS)
KINDS = {column.name: column.kind for column in COLUMNS}
SCHEMA_VERSIONS = ("2026.1.0", "2026.2.0")

_XS = "http://www.w3.org/2001/XMLSchema"
_USER = "http://www.tableausoftware.com/xml/user"
_STUBS = {
    _USER: '<xs:attributeGroup name="UserAttributes-AG">'
    '<xs:anyAttribute namespace="##any" processContents="skip"/></xs:attributeGroup>',
    "http://www.w3.org/XML/1998/namespace": '<xs:attribute name="base"/>',
}


def workbook_xml() -> bytes:
    """Return the workbook of callviz."""
    return locate().read_bytes()


class _Stubs(etree.Resolver):  # type: ignore[misc]  # lxml has no type information
    """Gives the two imported namespaces, which the schemas name but do not bring along."""

    def resolve(self, url: str, _public_id: str, context: Any) -> Any:
        if url in _STUBS:
            stub = f'<xs:schema xmlns:xs="{_XS}" targetNamespace="{url}">{_STUBS[url]}</xs:schema>'
            return self.resolve_string(stub, context)
        return None


@cache
def official_schema(version: str) -> etree.XMLSchema:
    """Return Tableau's own schema of a version."""
    parser = etree.XMLParser()
    parser.resolvers.add(_Stubs())
    tree = etree.parse(Path(__file__).parent / "tableau_schemas" / f"twb_{version}.xsd", parser)
    for imported in tree.iter(f"{{{_XS}}}import"):
        imported.set("schemaLocation", imported.get("namespace"))
    return etree.XMLSchema(tree)


def schema_errors(xml: bytes, version: str) -> list[str]:
    """Return what a version's schema has against a workbook."""
    schema = official_schema(version)
    schema.validate(etree.fromstring(xml).getroottree())
    return [f"line {error.line}: {error.message}" for error in schema.error_log]


def calls_table(rows: int = 12) -> pa.Table:
    """Return some calls around the end of daylight saving time."""
    zone = ZoneInfo(ZONE)
    starts = [dt.datetime(2024, 10, 26, 12, tzinfo=dt.UTC) + dt.timedelta(hours=5 * n) for n in range(rows)]
    local = [start.astimezone(zone) for start in starts]
    seconds = [None if n % 5 == 4 else 37.5 * n for n in range(rows)]
    data = {
        "_id": [f"{n:024x}" for n in range(rows)],
        "call_type": [("incoming", "outgoing", "missed", "unknown")[n % 4] for n in range(rows)],
        "status": [("completed", "no-answer")[n % 2] for n in range(rows)],
        "start_time": starts,
        "end_time": [
            None if length is None else start + dt.timedelta(seconds=length)
            for start, length in zip(starts, seconds, strict=True)
        ],
        "duration_sec": seconds,
        "call_date": [moment.date() for moment in local],
        "call_weekday": [moment.strftime("%A") for moment in local],
        "call_hour": [moment.hour for moment in local],
        "agent": ["Müller, Jörg", 'said "hi"', "", None, "two\nlines", "=1+1"] * (rows // 6) + [None] * (rows % 6),
        "cost_usd": [None if n == 3 else n / 4 for n in range(rows)],
        "answered": [None if n == 2 else n % 2 == 0 for n in range(rows)],
        "repairs": [None] * rows,
    }
    return pa.Table.from_pydict(data, schema=arrow_schema(COLUMNS))


def footer_of(table: pa.Table, zone: str = ZONE) -> TableFooter:
    """Return what a `calls` file says of itself: its own fields as columns, and a snapshot."""
    known = {column.name for column in (*LEADING, REPAIRS)}
    kinds = {arrow_type(kind): kind for kind in Kind}
    fields = [
        FieldColumn(field.name, (field.name.encode(),), kinds[field.type])
        for field in table.schema
        if field.name not in known
    ]
    return TableFooter(
        "shop.calls on db.example.net",
        "2024-10-29T06:00:00+00:00",
        zone,
        documents=table.num_rows,
        calls=table.num_rows,
        fields=tuple(fields),
    )


def write_calls(path: Path, table: pa.Table, footer: TableFooter) -> None:
    """Write calls as the asset `calls` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({FOOTER_KEY: footer.to_json()}), path, row_group_size=5)


def publish(settings: Settings, table: pa.Table | None = None) -> pa.Table:
    """Write calls as the assets `calls` and `calls_csv` do: the Parquet file, and the CSV beside the workbook."""
    table = calls_table() if table is None else table
    write_calls(settings.data_dir / "calls" / "all.parquet", table, footer_of(table, settings.timezone))
    columns = [column for column in COLUMNS if column.name in table.schema.names]
    settings.publish_dir.mkdir(parents=True, exist_ok=True)
    with (settings.publish_dir / "calls.csv").open("wb") as file:
        file.write(header_line(columns))
        for batch in table.to_batches():
            file.write(csv_lines(batch, columns, settings.timezone)[0])
    record(settings, "calls.csv")
    return table


def record(settings: Settings, name: str) -> None:
    """Write a published file into the record as the asset that makes it from `calls` does."""
    calls = settings.data_dir / "calls" / "all.parquet"
    inputs = {"calls/all.parquet": InputFile(stat_and_hash(calls).sha256, [1730181600, 3])}
    snapshot = Snapshot([1730181600, 3], "2024-10-29T06:00:00+00:00", "shop.calls on db.example.net")
    record_file(stat_and_hash(settings.publish_dir / name), inputs, snapshot)


UPSTREAM = [dg.AssetSpec("calls"), dg.AssetSpec("calls_csv", deps=["calls"])]


def published_settings(folder: Path) -> Settings:
    """Return settings whose folders hold published calls; no MongoDB is needed for them."""
    settings = Settings(data_dir=folder / "data", publish_dir=folder / "publish", timezone=ZONE)
    publish(settings)
    return settings


def run(settings: Settings, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    """Materialize Tableau assets alone."""
    return dg.materialize(
        [*UPSTREAM, *assets],
        selection=dg.AssetSelection.assets(*assets),
        resources={STAND_ALONE.settings: settings},
        raise_on_error=False,
        instance=empty_instance(),
    )


def passed(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Return which checks of a run have passed."""
    return {name: evaluation.passed for name, evaluation in checks(result).items()}
