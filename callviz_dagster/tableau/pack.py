"""The workbook packed with its data (.twbx): its copy that reads the packed file, and the archive that holds both.

The copy differs from the workbook in its data connection, its pinned types, the statuses that count as completed, a
hidden parameter that names the snapshot, and where older calls are left out, the title of its dashboard. What belongs
elsewhere: whether the workbook fits (`tableau/audit.py`), where the file goes (`assets/callviz_workbook.py`).
"""

from __future__ import annotations

import hashlib
import itertools
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape, unescape

from callviz_dagster.contract import Kind
from callviz_dagster.documents.display import display_text
from callviz_dagster.documents.outcomes import COMPLETED_FORMULA_START, COMPLETED_LABELS, completed_formula
from callviz_dagster.tableau.deflate import FindDeflated, Piece, deflate_in_pieces, no_kept_pieces
from callviz_dagster.tableau.form import REMOTE_TYPES
from callviz_dagster.tableau.model import (
    CSV_NAME,
    DASHBOARD,
    DATATYPES,
    HYPER_NAME,
    PARAMETERS,
    Source,
    WorkbookError,
    local_name,
    read,
    read_source,
    reads_calls,
    unfork,
)

PIECE = 1 << 20
"""Most bytes of the data that are deflated by themselves: larger pieces are deflated more slowly, and no better."""
_FOLDER = "Data/calls"
"""The folder of the data in the archive."""
_ROLES = {
    **dict.fromkeys(("string", "boolean"), ("dimension", "nominal")),
    **dict.fromkeys(("date", "datetime"), ("dimension", "ordinal")),
    **dict.fromkeys(("integer", "real"), ("measure", "quantitative")),
}
"""Role and type of a further column by its data type, as Desktop gives them."""
_AGGREGATIONS = {"integer": "Sum", "real": "Sum", "date": "Year", "datetime": "Year"}
_COLLATIONS = {"csv": "LEN_RUS", "hyper": "LROOT"}
_SNAPSHOT_NAME = "[callviz snapshot]"
_SNAPSHOT_PARAMETER = re.compile(
    rf"[ \t]*<column\b[^>]*\bname=['\"]{re.escape(_SNAPSHOT_NAME)}['\"][^>]*"
    r"\bvalue=['\"](?P<value>[^>]*?)['\"]>.*?</column>\n?",
    re.DOTALL,
)
_FIRST_DAY_START = " (calls since "
_FIRST_DAY = re.compile(rf"[ \t]*<run\b[^>]*>(?:<!\[CDATA\[)?{re.escape(_FIRST_DAY_START)}[^<]*</run>\n?")
"""The part of a dashboard's title that says since when it has calls; Desktop may save it in a CDATA section."""
_HYPER_CONNECTION = (
    "<connection authentication='auth-none' author-locale='en_US' class='hyper' "
    f"dbname='{_FOLDER}/{HYPER_NAME}' default-settings='yes' schema='Extract' sslmode='' "
    "username='tableau_internal_user' />"
)


def prepare_workbook(
    workbook_xml: bytes,
    csv_columns: Mapping[str, Kind],
    *,
    source: str = "csv",
    snapshot: str = "",
    completed: Sequence[str] = COMPLETED_LABELS,
    since: str = "",
) -> bytes:
    """Return the workbook as it stands inside a .twbx: it reads the data packed with it, and every column is pinned.

    Columns that the workbook pins keep their data type; the others of `calls.csv` are pinned to what they hold, so
    that Tableau does not guess from the first rows. A hidden parameter holds the snapshot, and where older calls are
    left out, the title of the dashboard Calls Overview says since when. Everything else stays as it is, byte for byte.

    Args:
        workbook_xml: a workbook that `audit` finds nothing wrong with.
        csv_columns: the columns of `calls.csv`, in order, and what they hold.
        source: `csv` or `hyper`, whichever is packed with it.
        snapshot: a sentence about the snapshot of the collection that the data is of; empty where it is not known.
        completed: the statuses that count as completed, for the field *Completed* where its formula is callviz's own.
        since: the first day of the calls in the data, ISO 8601; empty where it has all.

    Raises:
        WorkbookError: it cannot be packed in this way; says why.
    """
    text = _decoded(workbook_xml)
    for tag in reversed([tag for tag in _tags("connection", text) if reads_calls(tag.group())]):
        start = text.rfind("<datasource ", 0, tag.start())
        end = text.find("</datasource>", tag.end())
        text = text[:start] + _with_packed_data(text[start:end], csv_columns, source) + text[end:]
    if source == "hyper":
        text = _with_extract_object(text)
    return _with_snapshot(_with_first_day(_with_completed(text, completed), since), snapshot).encode()


def packed_snapshot(workbook_xml: bytes) -> str:
    """Return the snapshot that a packed workbook holds; an empty text where it holds none."""
    match = _SNAPSHOT_PARAMETER.search(_decoded(workbook_xml))
    return unescape(match["value"], {"&apos;": "'", "&quot;": '"'}).strip('"') if match else ""


def packed_workbook(package: IO[bytes]) -> bytes:
    """Return the workbook inside a .twbx.

    Raises:
        zipfile.BadZipFile: it is not a zip file.
    """
    with zipfile.ZipFile(package) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(".twb")))


def without_snapshot(workbook_xml: bytes) -> bytes:
    """Return a packed workbook without its snapshot: the same bytes while workbook and columns are the same."""
    return _SNAPSHOT_PARAMETER.sub("", _decoded(workbook_xml)).encode()


def _decoded(workbook_xml: bytes) -> str:
    try:
        return workbook_xml.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WorkbookError("The workbook is not UTF-8, in which Tableau Desktop saves: save it there again.") from None


def _with_completed(text: str, labels: Sequence[str]) -> str:
    """Return a workbook whose field *Completed* counts these statuses; a formula that a person wrote stays."""
    attribute = f"formula='{_quoted(completed_formula(labels))}'".replace('"', "&quot;")
    start = re.escape(_quoted(COMPLETED_FORMULA_START).replace('"', "&quot;"))
    own = rf"formula='{start}\([^']*\)'"
    return re.sub(own, lambda _: attribute, text)


def _with_first_day(text: str, since: str) -> str:
    """Return a workbook whose dashboard says in its title since when it has calls; one that said so no longer does."""
    text = _FIRST_DAY.sub("", text)
    if not since:
        return text
    run = f"<run fontcolor='#555555' fontsize='9'>{_FIRST_DAY_START}{since}; older ones are not in this file)</run>"
    dashboard = rf"<dashboard\b[^>]*\bname=['\"]{re.escape(DASHBOARD)}['\"][^>]*>"
    title = rf"{dashboard}\s*<layout-options>\s*<title>(?:(?!</title>).)*?</run>\n?"
    return re.sub(title, lambda match: f"{match.group().rstrip()}\n            {run}\n", text, count=1, flags=re.DOTALL)


def _with_snapshot(text: str, snapshot: str) -> str:
    """Return a workbook whose hidden parameter holds the snapshot, in the place of one that it may have."""
    text = _SNAPSHOT_PARAMETER.sub("", text)
    if not snapshot:
        return text
    value = _quoted(f'"{snapshot}"').replace('"', "&quot;")
    column = (
        f"      <column caption='Snapshot' datatype='string' hidden='true' name='{_SNAPSHOT_NAME}' "
        f"param-domain-type='any' role='measure' type='nominal' value='{value}'>\n"
        f"        <calculation class='tableau' formula='{value}' />\n"
        "      </column>\n"
    )
    parameters = (
        rf"<datasource\b[^>]*\bname=['\"]{PARAMETERS}['\"][^>]*(?<!/)>\s*?\n(?:[ \t]*<aliases\b[^>]*/>[ \t]*\n)?"
    )
    changed, inserted = re.subn(parameters, lambda match: match.group() + column, text, count=1)
    if inserted:
        return changed
    source = (
        f"\n    <datasource hasconnection='false' inline='true' name='{PARAMETERS}' version='18.1'>\n"
        f"      <aliases enabled='yes' />\n{column}    </datasource>"
    )
    return text.replace("<datasources>", f"<datasources>{source}", 1)


def pinned_types(workbook_xml: bytes, csv_columns: Mapping[str, Kind]) -> dict[str, str]:
    """Return the Tableau data type in which the prepared workbook reads each column of `calls.csv`."""
    calls = read(workbook_xml).calls
    return _pinned(calls.pinned if calls else {}, csv_columns)


def _pinned(pinned: Mapping[str, str], csv_columns: Mapping[str, Kind]) -> dict[str, str]:
    return {name: pinned.get(local_name(name), DATATYPES[kind]) for name, kind in csv_columns.items()}


@dataclass(frozen=True)
class PackedData:
    """The data that was packed."""

    sha256: str
    crc: int
    """Its CRC-32 checksum, as zipfile computed it."""
    bytes: int
    start: int
    """Offset in the package at which its deflated bytes begin."""
    pieces: Sequence[Piece]
    """The pieces in which it was deflated; none where it was deflated as a whole."""


def write_package(
    workbook_xml: bytes,
    name: str,
    data: Path,
    target: IO[bytes],
    part_starts: Iterable[int] = (),
    find_deflated: FindDeflated = no_kept_pieces,
) -> PackedData:
    """Write a .twbx: the workbook at the top, the data file below `Data/`, as Tableau Desktop does.

    The same input gives the same bytes, whichever pieces are kept: names, order, times and permissions in the archive
    are fixed, and so is where the data is cut.

    Args:
        workbook_xml: the result of `prepare_workbook`.
        name: file name of the workbook inside the archive.
        data: `calls.csv` or `calls.hyper`; it is read, deflated and written in pieces.
        target: a seekable file, open for writing.
        part_starts: offsets of the parts of the data that change on their own.
        find_deflated: finds pieces that need not be deflated again.

    Raises:
        DeflateError: what was deflated does not inflate to the data.
    """
    digest = hashlib.sha256()
    with zipfile.ZipFile(target, "w") as archive:
        member = _member(name, len(workbook_xml))
        with archive.open(member, "w") as file:
            file.write(workbook_xml)
        size = data.stat().st_size
        member = _member(f"{_FOLDER}/{data.name}", size)
        with data.open("rb") as original, archive.open(member, "w") as file:
            start, deflater = target.tell(), deflate_in_pieces(file, find_deflated)
            for length in piece_lengths(size, part_starts):
                piece = original.read(length)
                digest.update(piece)
                file.write(piece)
    return PackedData(digest.hexdigest(), member.CRC, member.file_size, start, deflater.pieces if deflater else [])


def piece_lengths(size: int, part_starts: Iterable[int]) -> Iterator[int]:
    """Yield the lengths of the pieces in which data is deflated: each part is cut by itself, at fixed places.

    So a part that has not changed has the same pieces wherever it stands, and one to which something was appended has
    the same first ones.
    """
    edges = sorted({0, size, *(start for start in part_starts if 0 < start < size)})
    for start, end in itertools.pairwise(edges):
        yield from (min(PIECE, end - offset) for offset in range(start, end, PIECE))


def separate_names(columns: Iterable[str], source: Source) -> dict[str, str]:
    """Return the name of each column's field; one that a calculated field or another column has gets an addition.

    Names differ for Tableau only where they differ in lower case.
    """
    taken = {name.casefold() for name in source.fields - source.columns}
    names: dict[str, str] = {}
    for column in columns:
        local = base = local_name(column)
        number = 1
        while local.casefold() in taken:
            local = f"{base} ({CSV_NAME})" if number == 1 else f"{base} ({CSV_NAME} {number})"
            number += 1
        taken.add(local.casefold())
        names[column] = local
    return names


def _member(name: str, size: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 0
    member.file_size = size
    return member


def _tags(name: str, text: str) -> Iterator[re.Match[str]]:
    """Yield the start tags of an element, whose quoted values may hold anything."""
    return re.finditer(rf"<{name}\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>", text)


def _with_attribute(tag: str, name: str, value: str) -> str:
    attribute = f"{name}='{_quoted(value)}'"
    changed, replaced = re.subn(rf"\b{name}=(?:\"[^\"]*\"|'[^']*')", lambda _: attribute, tag, count=1)
    return changed if replaced else tag.replace(" ", f" {attribute} ", 1)


def _quoted(text: str) -> str:
    """Return a text as it stands in XML, between single quotes or between tags."""
    return escape(display_text(text), {"'": "&apos;", "\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})


def _with_packed_data(block: str, csv_columns: Mapping[str, Kind], source: str) -> str:
    """Return the text of a data source, changed to read the packed file; every column is pinned."""
    parsed = ET.fromstring(f"<x xmlns:user='user'>{block}</datasource></x>")
    unfork(parsed)
    data_source = read_source(parsed[0])
    if data_source.tables - {f"[{CSV_NAME}]"}:
        # Other tables stand beside it: they keep their columns, and only the folder is changed.
        if source == "hyper":
            raise WorkbookError(
                f"CALLVIZ_WORKBOOK_SOURCE=hyper takes a workbook whose data source has the one table {CSV_NAME}; "
                f"{data_source.caption} has {', '.join(sorted(data_source.tables))}."
            )
        return _connected(block, source)
    types = _pinned(data_source.pinned, csv_columns)
    if source == "csv":
        block = _with_relation_columns(block, types)
    local_names = separate_names(types, data_source)
    block = _with_captions(_with_records(block, types, local_names, source), types, local_names, data_source)
    block = _connected(block, source)
    return block if source == "csv" else _with_hyper_relations(block)


def _connected(block: str, source: str) -> str:
    """Return a data source that looks for its file where the archive has it."""
    for tag in [tag.group() for tag in _tags("connection", block) if reads_calls(tag.group())]:
        block = block.replace(tag, _with_attribute(tag, "directory", _FOLDER) if source == "csv" else _HYPER_CONNECTION)
    return block


def _with_extract_object(text: str) -> str:
    """Return a workbook whose logical table is called as the table of the .hyper file is, wherever it is named."""
    text = re.sub(rf"\b{re.escape(CSV_NAME)}_(?=[0-9A-F]{{32}}\b)", "Extract_", text)
    return re.sub(rf"(<(?:object|column)\b[^>]*\bcaption=['\"]){re.escape(CSV_NAME)}(?=['\"])", r"\1Extract", text)


def _with_relation_columns(block: str, types: Mapping[str, str]) -> str:
    """Return a data source whose relations list all columns of the text file."""
    columns = "".join(
        f"<column datatype='{datatype}' name='{_quoted(name)}' ordinal='{ordinal}' />\n"
        for ordinal, (name, datatype) in enumerate(types.items())
    )
    return re.sub(
        r"(?P<indent>[ \t]*)(?P<open><columns\b[^>]*>).*?</columns>",
        lambda match: _laid_out(match["indent"], match["open"], columns, "</columns>"),
        block,
        flags=re.DOTALL,
    )


def _with_hyper_relations(block: str) -> str:
    """Return a data source whose tables are the one of the .hyper file, under a connection named for its class."""

    def extract_table(match: re.Match[str]) -> str:
        return f"<{match['tag']} connection={match['id']} name='Extract' table='[Extract].[Extract]' type='table' />"

    relation = (
        r"<(?P<tag>(?:_\.fcp\.[^\s>]*\.\.\.)?relation)\b[^>]*?\bconnection=(?P<id>'[^']*'|\"[^\"]*\")[^>]*>"
        r"\s*<columns\b.*?</columns>\s*</(?P=tag)>"
    )
    block = re.sub(relation, extract_table, block, flags=re.DOTALL)
    return re.sub(r"(?<=['\"])textscan\.(?=\w+['\"])", "hyper.", block)


def _with_captions(block: str, types: Mapping[str, str], local_names: Mapping[str, str], data_source: Source) -> str:
    """Return a data source in which each further column has a caption that no other field has."""
    taken = {caption.casefold() for caption in data_source.captions.values()}
    columns = ""
    for name, local in local_names.items():
        if local in data_source.captions or (local == local_name(name) and local.casefold() not in taken):
            continue
        role, kind = _ROLES[types[name]]
        columns += (
            f"      <column caption='{_quoted(local_name(name))} (field)' datatype='{types[name]}' "
            f"name='[{_quoted(local)}]' role='{role}' type='{kind}' />\n"
        )
    return re.sub(r"<aliases\b[^>]*/>\n", lambda match: match.group() + columns, block, count=1)


def _with_records(block: str, types: Mapping[str, str], local_names: Mapping[str, str], source: str) -> str:
    """Return a data source with a metadata record for each column, after those of its capabilities."""

    def records(match: re.Match[str]) -> str:
        lines = _records(match["records"], types, local_names, source)
        return _laid_out(match["indent"], "<metadata-records>", lines, "</metadata-records>")

    existing = r"(?P<indent>[ \t]*)<metadata-records>(?P<records>.*?)</metadata-records>"
    return re.sub(existing, records, block, count=1, flags=re.DOTALL)


def _records(existing: str, types: Mapping[str, str], local_names: Mapping[str, str], source: str) -> str:
    object_id = re.search(r"<([\w.]*object-id)>.*?</\1>", existing)
    parent = "[Extract]" if source == "hyper" else f"[{CSV_NAME}]"
    lines: list[str] = []
    if source == "csv":
        capability = re.search(
            r"<metadata-record class=['\"]capability['\"]>.*?</metadata-record>", existing, re.DOTALL
        )
        lines += [line.strip() for line in capability.group().splitlines()] if capability else []
    for ordinal, (name, datatype) in enumerate(types.items()):
        lines += [
            "<metadata-record class='column'>",
            f"<remote-name>{_quoted(name)}</remote-name>",
            f"<remote-type>{REMOTE_TYPES[datatype]}</remote-type>",
            f"<local-name>[{_quoted(local_names[name])}]</local-name>",
            f"<parent-name>{parent}</parent-name>",
            f"<remote-alias>{_quoted(name)}</remote-alias>",
            f"<ordinal>{ordinal}</ordinal>",
            f"<local-type>{datatype}</local-type>",
            f"<aggregation>{_AGGREGATIONS.get(datatype, 'Count')}</aggregation>",
            *(("<scale>1</scale>", "<width>1073741823</width>") if datatype == "string" and source == "csv" else ()),
            "<contains-null>true</contains-null>",
            *((f"<collation flag='0' name='{_COLLATIONS[source]}' />",) if datatype == "string" else ()),
            *((object_id.group(),) if object_id else ()),
            "</metadata-record>",
        ]
    return "\n".join(lines) + "\n"


def _laid_out(indent: str, first: str, lines: str, last: str) -> str:
    """Return elements on lines of their own, indented below the first."""
    depth, out = 1, [indent + first]
    for line in lines.splitlines():
        closes = line.startswith("</")
        depth -= closes
        out.append(f"{indent}{'  ' * depth}{line}")
        depth += not closes and not line.endswith("/>") and "</" not in line
    return "\n".join([*out, indent + last])
