"""The contract of `calls` read once more: each document by itself, one value after the other, as plainly as can be.

What the tests compare `callviz_dagster.table.normalize` with. It shares no code with it, reads BSON by `raw_bson.py`,
lets the driver render single values, and knows only the names and labels that the tests use.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
import struct
import unicodedata
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import bson
from bson import CodecOptions, Decimal128, json_util
from bson.binary import UuidRepresentation

from callviz_dagster_tests.helpers import raw_bson as raw

Path = tuple[tuple[bytes, int], ...]
"""Names, each with the number of its repetition within its document, from 1."""

FLAT = 0
"""Type of a nested document whose fields stand for it."""

NAMES = {
    "start_time": ["start_time", "startedAt", "date", "createdAt"],
    "end_time": ["end_time", "endedAt"],
    "duration": ["duration_sec", "duration", "duration_ms"],
    "call_type": ["call_type", "type", "direction"],
    "status": ["status", "state"],
}
WEAKER_NAMES = {"date": 1, "createdAt": 2}
WRAPPER = "call"
LABELS = {
    "call_type": {"Incoming": "incoming", "OUT_BOUND": "outbound", "voice mail": "voicemail"},
    "status": {
        **{
            "NO ANSWER": "no-answer",
            "No Answer": "no-answer",
            "no_answer": "no-answer",
            "canceled": "cancelled",
            "Completed": "completed",
        },
        "voice mail": "voicemail",
    },
}
JOINERS = "\u200c\u200d"
PRINTED_FORMATS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
EARLIEST, LATEST = dt.datetime(1678, 1, 1, tzinfo=dt.UTC), dt.datetime(2262, 1, 1, tzinfo=dt.UTC)
_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    unicode_decode_error_handler="backslashreplace", uuid_representation=UuidRepresentation.UNSPECIFIED
)


@dataclass
class Row:
    """A row of `calls`: its cells by column, and which columns `repairs` names."""

    cells: dict[str, Any] = field(default_factory=dict)
    repaired: set[str] = field(default_factory=set)


@dataclass
class Rejected:
    """A row of `rejected_calls`."""

    identifier: str
    reason: str
    field: str
    value: str | None
    document: str


@dataclass
class Table:
    """What a collection becomes."""

    kinds: dict[str, str] = field(default_factory=dict)
    """The columns of the documents' other fields."""
    rows: list[Row | Rejected] = field(default_factory=list)


# Reading


def decoded(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")


def valid(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def string(content: bytes) -> bytes:
    return content[4:-1]


def fields_of(content: bytes, prefix: Path = ()) -> dict[Path, raw.Value]:
    """Return all fields of a document, nested ones too, in the order in which they stand."""
    fields: dict[Path, raw.Value] = {}
    times: Counter[bytes] = Counter()
    for name, kind, start, end in raw.read_elements(content, 0):
        times[name] += 1
        path = (*prefix, (name, times[name]))
        inner = raw.read_elements(content, start) if kind == raw.DOCUMENT else []
        if inner and inner[0].name != b"$ref" and len(path) < 8:
            fields[path] = (FLAT, content[start:end])
            fields.update(fields_of(content[start:end], path))
        else:
            fields[path] = (kind, content[start:end])
    return fields


def shown(name: tuple[bytes, int]) -> str:
    return decoded(name[0]) + (f"_{name[1]}" if name[1] > 1 else "")


def dotted(path: Path) -> str:
    return ".".join(map(shown, path))


def number_text(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number.is_integer() and abs(number) < 1e16:
        return "-0" if str(number) == "-0.0" else str(int(number))
    return repr(number)


def int64(content: bytes) -> int:
    return int(struct.unpack("<q", content)[0])


def as_json(value: raw.Value, canonical: bool = False) -> str:
    """Return a value as Extended JSON."""
    kind, content = value
    if kind in (raw.DOCUMENT, FLAT, raw.ARRAY, raw.CODE_WITH_SCOPE):
        return _container_as_json(kind, content, canonical)
    if kind == raw.DATE:
        return _date_as_json(int64(content), canonical)
    if kind == raw.BINARY:
        subtype, inner = content[4], content[5:]
        if subtype == 2 and len(inner) >= 4 and struct.unpack_from("<i", inner)[0] == len(inner) - 4:
            inner = inner[4:]
        return f'{{"$binary": {{"base64": "{base64.b64encode(inner).decode()}", "subType": "{subtype:02x}"}}}}'
    if kind == raw.UNDEFINED:
        return '{"$undefined": true}'
    if kind == raw.SYMBOL:
        return f'{{"$symbol": {json.dumps(decoded(string(content)), ensure_ascii=False)}}}'
    if kind == raw.DB_POINTER:
        name = json.dumps(decoded(string(content[:-12])), ensure_ascii=False)
        return f'{{"$dbPointer": {{"$ref": {name}, "$id": {{"$oid": "{content[-12:].hex()}"}}}}}}'
    single = bson.decode(raw.raw_document([("v", value)]), _OPTIONS)["v"]
    mode = json_util.CANONICAL_JSON_OPTIONS if canonical else json_util.RELAXED_JSON_OPTIONS
    return json_util.dumps(single, json_options=mode, ensure_ascii=False)


def _container_as_json(kind: int, content: bytes, canonical: bool) -> str:
    if kind == raw.CODE_WITH_SCOPE:
        size = struct.unpack_from("<i", content, 4)[0]
        code = json.dumps(decoded(content[8 : 7 + size]), ensure_ascii=False)
        return f'{{"$code": {code}, "$scope": {as_json((raw.DOCUMENT, content[8 + size :]), canonical)}}}'
    elements = raw.read_elements(content, 0)
    items = [as_json((e.kind, content[e.start : e.end]), canonical) for e in elements]
    if kind == raw.ARRAY:
        return "[" + ", ".join(items) + "]"
    names = [json.dumps(decoded(e.name), ensure_ascii=False) for e in elements]
    return "{" + ", ".join(f"{name}: {item}" for name, item in zip(names, items, strict=True)) + "}"


def _date_as_json(milliseconds: int, canonical: bool) -> str:
    if canonical or not 0 <= milliseconds < 253_402_300_800_000:
        return f'{{"$date": {{"$numberLong": "{milliseconds}"}}}}'
    moment = EPOCH + dt.timedelta(milliseconds=milliseconds)
    return f'{{"$date": "{moment.strftime("%Y-%m-%dT%H:%M:%S.")}{milliseconds % 1000:03}Z"}}'


def as_text(value: raw.Value, zone: str) -> str | None:
    """Return a value as a cell of a text column."""
    kind, content = value
    if kind in (raw.NULL, raw.UNDEFINED):
        return None
    if kind in (raw.STRING, raw.SYMBOL):
        return decoded(string(content))
    if kind in (raw.INT32, raw.INT64, raw.DOUBLE, raw.DECIMAL128):
        return _number_as_text(kind, content)
    if kind == raw.BOOLEAN:
        return "true" if content != b"\x00" else "false"
    if kind == raw.DATE:
        return _date_as_text(value, zone)
    if kind == raw.OBJECT_ID:
        return content.hex()
    if kind == raw.BINARY and content[4] == 4 and len(content) == 21:
        return str(uuid.UUID(bytes=content[5:]))
    return as_json(value)


def _number_as_text(kind: int, content: bytes) -> str:
    if kind == raw.DECIMAL128:
        return str(Decimal128.from_bid(content))
    if kind == raw.DOUBLE:
        return number_text(struct.unpack("<d", content)[0])
    return str(int.from_bytes(content, "little", signed=True))


def _date_as_text(value: raw.Value, zone: str) -> str:
    try:
        moment = (EPOCH + dt.timedelta(milliseconds=int64(value[1]))).astimezone(ZoneInfo(zone))
    except OverflowError:
        return as_json(value, canonical=True)
    written = moment.replace(tzinfo=None).isoformat(" ", "milliseconds")
    twice = {moment.replace(fold=0).utcoffset(), moment.replace(fold=1).utcoffset()}
    return written + (moment.isoformat()[-6:] if len(twice) > 1 else "")


def all_valid(value: raw.Value) -> bool:
    """Tell whether all text in a value, also in names, is UTF-8."""
    kind, content = value
    if kind in (raw.STRING, raw.SYMBOL, raw.CODE):
        return valid(string(content))
    if kind == raw.DB_POINTER:
        return valid(string(content[:-12]))
    if kind == raw.REGEX:
        return valid(content)
    if kind == raw.CODE_WITH_SCOPE:
        size = struct.unpack_from("<i", content, 4)[0]
        return valid(content[8 : 7 + size]) and all_valid((raw.DOCUMENT, content[8 + size :]))
    if kind in (raw.DOCUMENT, FLAT, raw.ARRAY):
        inner = raw.read_elements(content, 0)
        return all(
            (kind == raw.ARRAY or valid(e.name)) and all_valid((e.kind, content[e.start : e.end])) for e in inner
        )
    return True


# Times, numbers, labels


def number_of(value: raw.Value) -> Decimal | None:
    """Return a number; None for what is none, and NaN for what is not a number."""
    kind, content = value
    try:
        if kind in (raw.INT32, raw.INT64, raw.DECIMAL128):
            return Decimal(as_text(value, "UTC") or "NaN")
        if kind == raw.DOUBLE:
            return Decimal(repr(struct.unpack("<d", content)[0]))
        if kind == raw.STRING:
            text = decoded(string(content)).strip()
            return Decimal(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) else None
    except InvalidOperation:
        return Decimal("NaN")
    return None


def instant_of(value: raw.Value, zone: str, others: Sequence[dt.datetime]) -> dt.datetime | str:
    """Return the instant (with microseconds) that a value means, or what is wrong with it.

    `others` are other times of its document: they settle which of several meanings a number has.
    """
    kind, content = value
    written = decoded(string(content)).strip() if kind == raw.STRING else ""
    try:
        moment: dt.datetime | str | None = None
        if kind == raw.DATE:
            moment = EPOCH + dt.timedelta(milliseconds=int64(content))
        elif kind == raw.TIMESTAMP:
            moment = EPOCH + dt.timedelta(seconds=struct.unpack_from("<I", content, 4)[0])
        elif kind == raw.STRING:
            moment = read_text(written)
        elif kind in (raw.DOCUMENT, FLAT):
            moment = _instant_of_document(content)
        if moment is None and (kind != raw.STRING or re.fullmatch(r"[+-]?\d+(\.\d+)?", written)):
            moment = _instant_of_number(number_of(value), written, zone, others)
    except OverflowError:
        return "out_of_range"
    if moment is None or isinstance(moment, str):
        return moment or "unreadable"
    moment = moment.replace(tzinfo=moment.tzinfo or ZoneInfo(zone))
    return moment.astimezone(dt.UTC) if EARLIEST <= moment < LATEST else "out_of_range"


def _instant_of_document(content: bytes) -> dt.datetime | str:
    """Read `{$date: number}` and `{seconds, nanos}` of whole numbers; the tests write no other documents of times."""
    fields = {e.name: (e.kind, content[e.start : e.end]) for e in raw.read_elements(content, 0)}
    whole = (raw.INT32, raw.INT64)
    numbers = {name: int(number_of(value) or 0) for name, value in fields.items() if value[0] in whole}
    if set(fields) == set(numbers) == {b"$date"}:
        return EPOCH + dt.timedelta(milliseconds=numbers[b"$date"])
    if set(fields) == set(numbers) == {b"seconds", b"nanos"} and abs(numbers[b"seconds"]) >= 10**8:
        return EPOCH + dt.timedelta(seconds=numbers[b"seconds"], microseconds=numbers[b"nanos"] // 1000)
    return "unreadable"


def _instant_of_number(
    number: Decimal | None, written: str, zone: str, others: Sequence[dt.datetime]
) -> dt.datetime | str:
    if number is None or not number.is_finite():
        return "unreadable"
    if not 10**8 <= abs(number) < 10**20:
        return "unreadable" if abs(number) < 10**8 else "out_of_range"
    digits = re.sub(r"\.0*$", "", written or format(number, "f"))
    if calendar := re.fullmatch(r"((?:19|20)\d{12})(?:\.(\d+)|(\d{3}|\d{6}))?", digits):
        fraction = (calendar[2] or calendar[3] or "0")[:6]
        moment = _parsed(calendar[1], "%Y%m%d%H%M%S")
        return moment + dt.timedelta(microseconds=int(fraction.ljust(6, "0"))) if moment else "unreadable"
    possible = [*_calendar_meanings(digits, zone), *_counts_from_other_years(number)]
    power = next(power for below, power in ((11, 6), (14, 3), (17, 0), (20, -3)) if abs(number) < 10**below)
    counted = EPOCH + dt.timedelta(microseconds=math.floor(number.scaleb(power)))
    if not possible:
        return counted
    year = dt.timedelta(days=366)
    possible += [counted] if EARLIEST <= counted < LATEST else []
    beside = {moment for moment in possible if any(abs(moment - other) <= year for other in others)}
    return beside.pop() if len(beside) == 1 else "ambiguous"


def _calendar_meanings(digits: str, zone: str) -> list[dt.datetime]:
    """Return the instants that 12 digits mean as a calendar time: with four digits of the year, and with two."""
    if not re.fullmatch(r"[0-9]{12}", digits):
        return []
    meanings = [_parsed(digits, "%Y%m%d%H%M") if digits[:2] in ("19", "20") else None, _parsed(digits, "%y%m%d%H%M%S")]
    return [moment.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC) for moment in meanings if moment]


def _counts_from_other_years(number: Decimal) -> list[dt.datetime]:
    """Return the instants between 1990 and 2100 that 18 digits mean as units of 100 ns from the years 1 and 1601."""
    if number != int(number) or not 10**17 <= number < 10**18:
        return []
    counts = [int(number) - start for start in (621_355_968_000_000_000, 116_444_736_000_000_000)]
    moments = [EPOCH + dt.timedelta(microseconds=count // 10) for count in counts]
    return [moment for moment in moments if 1990 <= moment.year < 2100]


def _parsed(text: str, form: str) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(text, form)
    except ValueError:
        return None


def read_text(text: str) -> dt.datetime | str | None:
    """Read the forms of time that the tests write."""
    if count := re.fullmatch(r"/Date\((-?\d+)\)/", text):
        return EPOCH + dt.timedelta(milliseconds=int(count[1]))
    text = re.sub(r"( [+-]\d{4}) [A-Z]+$|(Z)\[[A-Za-z/]+\]$", r"\1\2", text).replace("%20", " ").replace("%3A", ":")
    for form in (
        *("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S"),
        *("%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%a, %d %b %Y %H:%M:%S %z", "%Y%m%dT%H%M%S%z"),
        *("%Y-%m-%d %H:%M:%S.%f %z", "%d-%b-%Y %H:%M:%S", "%d.%m.%Y %H:%M"),
    ):
        if moment := _parsed(text, form):
            return moment
    if moment := _parsed(text, "%m/%d/%Y %I:%M:%S %p"):
        return "ambiguous" if moment.day <= 12 and moment.day != moment.month else moment
    return None


def other_times(fields: Mapping[Path, raw.Value]) -> list[dt.datetime]:
    """Return the instants that a document holds for certain: its dates, and the one in its `_id`."""
    moments = []
    for path, (kind, content) in fields.items():
        if kind == raw.DATE and -(10**14) < int64(content) < 10**14:
            moments.append(EPOCH + dt.timedelta(milliseconds=int64(content)))
        if kind == raw.OBJECT_ID and path == ((b"_id", 1),):
            moments.append(EPOCH + dt.timedelta(seconds=int.from_bytes(content[:4], "big")))
    return moments


# Documents


def order_of(role: str, types_by_path: Mapping[Path, Counter[int]]) -> list[Path]:
    """Return the fields that play a role, in the order in which they are tried."""
    ranked = []
    for path, kinds in types_by_path.items():
        there = sum(n for kind, n in kinds.items() if kind not in (raw.NULL, raw.UNDEFINED))
        contain = sum(kinds[kind] for kind in (FLAT, raw.DOCUMENT, raw.ARRAY))
        name = decoded(path[-1][0])
        nested = len(path) == 2 and path[0] == (WRAPPER.encode(), 1)
        if there and name in NAMES[role] and path[-1][1] == 1 and (len(path) == 1 or nested):
            strength = 0.5 if nested and name == "date" else WEAKER_NAMES.get(name, 0)  # a call's date says more
            ranked.append((2 * contain > there, strength, len(path), NAMES[role].index(name), path))
    return [path for *_, path in sorted(ranked)]


def empty(value: raw.Value) -> bool:
    kind, content = value
    return kind in (raw.NULL, raw.UNDEFINED) or (kind == raw.STRING and not decoded(string(content)).strip())


def normalize_plainly(documents: Sequence[bytes], zone: str, source_zone: str) -> Table:
    """Return the table that a collection becomes."""
    all_fields = [fields_of(document) for document in documents]
    types_by_path: dict[Path, Counter[int]] = {}
    for fields in all_fields:
        for path, (kind, _) in fields.items():
            types_by_path.setdefault(path, Counter())[kind] += 1
    roles = {role: order_of(role, types_by_path) for role in NAMES}
    filled = {
        path: sum(n for kind, n in kinds.items() if kind not in (raw.NULL, raw.UNDEFINED))
        for path, kinds in types_by_path.items()
    }
    usual = {
        role: next(path for path in paths if 2 * filled[path] >= max(filled[p] for p in paths))
        for role, paths in roles.items()
        if paths
    }
    columns = _columns(all_fields, types_by_path, {paths[0] for paths in roles.values() if paths})
    table = Table({name: kind for name, _, kind in columns})
    for document, fields in zip(documents, all_fields, strict=True):
        table.rows.append(_row(document, fields, roles, usual, columns, types_by_path, zone, source_zone))
    return table


def _columns(
    all_fields: Sequence[dict[Path, raw.Value]], types_by_path: dict[Path, Counter[int]], hidden: set[Path]
) -> list[tuple[str, Path, str]]:
    columns: list[tuple[str, Path, str]] = []
    taken = {"_id", "call_type", "status", "start_time", "end_time", "duration_sec", "call_date", "call_weekday"}
    taken |= {"call_hour", "other_fields", "repairs"}
    for path, kinds in types_by_path.items():
        if path in hidden or path == ((b"_id", 1),) or set(kinds) <= {FLAT}:
            continue
        plain = "_".join(map(shown, path)) or "unnamed"
        name, number = plain, 1
        while _as_header(name) in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(_as_header(name))
        values = [fields[path] for fields in all_fields if path in fields]
        columns.append((name, path, _kind({kind for kind in kinds if kind != FLAT}, values)))
    return columns


def _as_header(name: str) -> str:
    """Return a name as the CSV has it, and as Tableau compares it."""
    name = "".join(chr(0x2400 + ord(c)) if c < " " and c not in "\t\n\r" else c for c in name)
    dangerous = name[:1] in ("=", "@", "\t", "\r") or (
        name[:1] in ("+", "-") and not re.fullmatch(r"[+-][0-9 ().\-/]*|[+-]\d*\.?\d+([eE][+-]?\d+)?", name)
    )
    return (("'" if dangerous else "") + name).casefold()


def _kind(kinds: set[int], values: Sequence[raw.Value]) -> str:
    kinds -= {raw.NULL, raw.UNDEFINED}
    longs = [int64(content) for kind, content in values if kind == raw.INT64]
    dates = [int64(content) for kind, content in values if kind == raw.DATE]
    if not kinds:
        return "text"
    if kinds <= {raw.INT32, raw.INT64}:
        return "integer"
    if kinds <= {raw.INT32, raw.INT64, raw.DOUBLE} and all(abs(number) <= 2**53 for number in longs):
        return "number"
    if kinds == {raw.BOOLEAN}:
        return "boolean"
    if kinds == {raw.DATE} and any(map(_in_every_zone, dates)):
        return "datetime"
    return "text"


def _in_every_zone(milliseconds: int) -> bool:
    """Tell whether a date lies in the years 1 to 9999 in every time zone: a day is left at either end."""
    return -62_135_510_400_000 <= milliseconds < 253_402_128_000_000


def _row(
    document: bytes,
    fields: dict[Path, raw.Value],
    roles: dict[str, list[Path]],
    usual: dict[str, Path],
    columns: Sequence[tuple[str, Path, str]],
    types_by_path: dict[Path, Counter[int]],
    zone: str,
    source_zone: str,
) -> Row | Rejected:
    row = Row()
    chosen = _chosen(fields, roles, usual, row)
    row.cells["_id"] = _identifier(fields.get(((b"_id", 1),)), row)

    named, value = chosen.get("start_time", (roles["start_time"][0], None))
    others = other_times(fields)
    start = "missing" if value is None else instant_of(value, source_zone, others)
    if value is None or isinstance(start, str):
        written = as_text(value, zone) if value is not None else None
        whole = as_json((raw.DOCUMENT, document), canonical=True)
        return Rejected(row.cells["_id"], f"start_{start}", dotted(named), written, whole)
    if value[0] != raw.DATE:
        row.repaired.add("start_time")
    local = start.astimezone(ZoneInfo(zone))
    row.cells |= {"start_time": start, "call_date": local.date()}
    row.cells |= {"call_weekday": f"{local:%A}", "call_hour": local.hour}

    end = _end(chosen.get("end_time"), start, source_zone, others, row)
    row.cells["end_time"] = end
    row.cells["duration_sec"] = _duration(chosen.get("duration"), end - start if end is not None else None, row)
    if row.cells["duration_sec"] is None and end is not None and end >= start:
        row.cells["duration_sec"] = (end - start) / dt.timedelta(seconds=1)
    for role in ("call_type", "status"):
        row.cells[role] = _label(role, chosen.get(role), zone, row)

    for name, path, column in columns:
        row.cells[name], repair = _cell(fields.get(path, (raw.NULL, b"")), column, types_by_path[path], zone)
        if repair:
            row.repaired.add(name)
    return row


Chosen = tuple[Path, raw.Value]


def _chosen(
    fields: dict[Path, raw.Value], roles: dict[str, list[Path]], usual: dict[str, Path], row: Row
) -> dict[str, Chosen]:
    """Return the field of each role that a document fills, and its value."""
    chosen: dict[str, Chosen] = {}
    for role, paths in roles.items():
        path = next((path for path in paths if path in fields and not empty(fields[path])), None)
        if path is not None:
            chosen[role] = path, fields[path]
            if path != usual[role]:
                row.repaired.add("duration_sec" if role == "duration" else role)
    return chosen


def _identifier(value: raw.Value | None, row: Row) -> str:
    if value is None or not all_valid(value) or (value[0] == raw.STRING and not string(value[1])):
        row.repaired.add("_id")
    if value is None:
        return ""
    written = as_text(value, "UTC")
    if written == "":
        row.repaired.add("_id")
    if value[0] == raw.DATE and written is not None and not written.startswith("{"):
        written = written.replace(" ", "T") + "Z"
    return "null" if written is None else written


def _end(
    chosen: Chosen | None, start: dt.datetime, zone: str, others: Sequence[dt.datetime], row: Row
) -> dt.datetime | None:
    if chosen is None:
        return None
    end = instant_of(chosen[1], zone, others)
    if isinstance(end, str) or chosen[1][0] != raw.DATE or end < start:
        row.repaired.add("end_time")
    return end if isinstance(end, dt.datetime) else None


def _duration(chosen: Chosen | None, elapsed: dt.timedelta | None, row: Row) -> float | None:
    if chosen is None:
        return None
    path, value = chosen
    written = decoded(string(value[1])).strip() if value[0] == raw.STRING else ""
    seconds = _seconds_of_text(written, elapsed)
    number = number_of(value) if seconds is None else seconds
    if number is None or not number.is_finite() or not 0 <= number < 2**53:
        row.repaired.add("duration_sec")
        return None
    rounded = value[0] == raw.DECIMAL128 and Decimal(repr(float(number))) != number
    if value[0] == raw.STRING or rounded:
        row.repaired.add("duration_sec")
    return float(number) / (1000 if seconds is None and dotted(path).endswith("_ms") else 1) + 0.0


def _seconds_of_text(text: str, elapsed: dt.timedelta | None) -> Decimal | None:
    """Read the forms of duration that the tests write, which say themselves that they are seconds."""
    if parts := re.fullmatch(r"(?:(\d+) days )?(\d+):(\d\d):(\d\d(?:\.\d+)?)", text):
        days, hours, minutes, seconds = (Decimal(part or 0) for part in parts.groups())
        return days * 86_400 + hours * 3600 + minutes * 60 + seconds
    if parts := re.fullmatch(r"(?:PT)?(?:(\d+)m ?)?(\d+)s", text, re.IGNORECASE):
        return Decimal(parts[1] or 0) * 60 + Decimal(parts[2])
    if parts := re.fullmatch(r"(\d+):(\d\d)", text):
        seconds, lasted = Decimal(parts[1]) * 60 + Decimal(parts[2]), elapsed.total_seconds() if elapsed else 0.0
        fits = lasted > 0 and float(seconds) <= lasted * 1.05 + 2 and float(seconds) * 60 > lasted * 1.05 + 60
        return seconds if fits or int(parts[1]) > 59 or not seconds else None
    return None


def _label(role: str, chosen: Chosen | None, zone: str, row: Row) -> str:
    if chosen is None:
        return "unknown"
    kind, content = chosen[1]
    written = as_text((kind, content), zone) or ""
    named = dict[bytes, str]()
    if kind in (raw.DOCUMENT, FLAT):
        inner = raw.read_elements(content, 0)
        named = {e.name: decoded(string(content[e.start : e.end])) for e in inner if e.kind == raw.STRING}
    if visible(named.get(b"name", "")):
        row.repaired.add(role)
        return _known(role, named[b"name"])
    label = _known(role, written) if kind == raw.STRING else written.strip() or "unknown"
    if kind != raw.STRING or label != written or not all_valid((kind, content)):
        row.repaired.add(role)
    return label


def _known(role: str, text: str) -> str:
    return LABELS[role].get(visible(text), visible(text)) or "unknown"


def visible(text: str) -> str:
    """Return what can be seen of a text: composed, with plain spaces, without format characters.

    Joiners stay between characters outside ASCII.
    """
    text = unicodedata.normalize("NFC", text)
    shown = ""
    for place, character in enumerate(text):
        around = text[place - 1 : place] + text[place + 1 : place + 2]
        joins = len(around) == 2 and all(c > "\x7f" and c not in JOINERS for c in around) and character in JOINERS
        if joins or unicodedata.category(character) != "Cf" or character in PRINTED_FORMATS:
            shown += " " if unicodedata.category(character) == "Zs" else character
    return unicodedata.normalize("NFC", shown).strip()


def _cell(value: raw.Value, column: str, kinds: Counter[int], zone: str) -> tuple[Any, bool]:
    """Return the cell of a field, and whether it was repaired."""
    kind, content = value
    if kind in (raw.NULL, raw.UNDEFINED, FLAT):
        return None, False
    if column == "text":
        types = {kind: n for kind, n in kinds.items() if kind not in (raw.NULL, raw.UNDEFINED)}
        # Where two types are as frequent, the one with the smaller number; flattened documents come last.
        most = max(types, key=lambda kind: (types[kind], -(kind or 0x103)))
        return as_text(value, zone), kind != most or not all_valid(value)
    if column == "boolean":
        return content != b"\x00", False
    if column == "datetime" and not _in_every_zone(int64(content)):
        return None, True
    if column == "datetime":
        return EPOCH + dt.timedelta(milliseconds=int64(content)), False
    number = struct.unpack({raw.INT32: "<i", raw.INT64: "<q", raw.DOUBLE: "<d"}[kind], content)[0]
    return (float(number) if column == "number" else int(number)), False
