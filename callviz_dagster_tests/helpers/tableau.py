"""What the tests of the Tableau half share: the workbook, the official schemas, and a small published `calls.csv`."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
from lxml import etree

from callviz_dagster.calls_csv.format import csv_lines, header_line
from callviz_dagster.contract import LEADING, REPAIRS, Column, Kind, arrow_schema
from callviz_dagster.settings import Settings
from callviz_dagster.tableau.workbook import locate

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


def publish(settings: Settings, table: pa.Table | None = None) -> pa.Table:
    """Write calls as the assets `calls` and `calls_csv` do: the Parquet file, and the CSV beside the workbook."""
    table = calls_table() if table is None else table
    parquet = settings.data_dir / "calls" / "all.parquet"
    parquet.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, parquet, row_group_size=5)
    columns = [column for column in COLUMNS if column.name in table.schema.names]
    settings.publish_dir.mkdir(parents=True, exist_ok=True)
    with (settings.publish_dir / "calls.csv").open("wb") as file:
        file.write(header_line(columns))
        for batch in table.to_batches():
            file.write(csv_lines(batch, columns, settings.timezone)[0])
    return table
