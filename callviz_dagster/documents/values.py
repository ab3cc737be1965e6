"""One BSON value → its text or its JSON, exactly.

Arrays and nested documents are read straight from the raw bytes, so that a name that occurs twice, text that is
not UTF-8 and types that Python does not have stay visible.
What belongs elsewhere: finding the values (`documents/walker.py`) and columns of them (`table/`).

Extended JSON v2: https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md.
"""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
import math
import struct
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from bson import Decimal128

from callviz_dagster.documents import walker as el
from callviz_dagster.documents.walker import REPEAT, Path, iterate

Decode = Callable[[bytes], str]
"""Returns the text of bytes that should be UTF-8."""

_int32 = struct.Struct("<i").unpack_from
_int64 = struct.Struct("<q").unpack_from
_double = struct.Struct("<d").unpack_from
_timestamp = struct.Struct("<II").unpack_from

TYPE_NAMES = {
    el.DOUBLE: "double",
    el.STRING: "string",
    el.DOCUMENT: "object",
    el.ARRAY: "array",
    el.BINARY: "binData",
    el.UNDEFINED: "undefined",
    el.OBJECT_ID: "objectId",
    el.BOOLEAN: "bool",
    el.DATE: "date",
    el.NULL: "null",
    el.REGEX: "regex",
    el.DB_POINTER: "dbPointer",
    el.CODE: "javascript",
    el.SYMBOL: "symbol",
    el.CODE_WITH_SCOPE: "javascriptWithScope",
    el.INT32: "int",
    el.TIMESTAMP: "timestamp",
    el.INT64: "long",
    el.DECIMAL128: "decimal",
    el.MIN_KEY: "minKey",
    el.MAX_KEY: "maxKey",
    el.FLATTENED: "object",
}
"""MongoDB's names (`$type` aliases) of the BSON types."""

_MOST_DATE = 253_402_300_800_000
"""Milliseconds at the end of the year 9999; Extended JSON writes dates from 1970 to there as ISO text."""
_OLD_BINARY = 2
"""Binary subtype that has its length in it once more."""
_UUID = b"\x10\x00\x00\x00\x04"
"""How binary data that is a UUID starts: its length and its subtype."""


def decode_text(raw: bytes) -> tuple[str, bool]:
    r"""Return UTF-8 text and whether it was valid; bytes that are not are shown as `\xff`."""
    try:
        return raw.decode(), True
    except UnicodeDecodeError:
        return raw.decode(errors="backslashreplace"), False


def field_name(name: bytes) -> str:
    """Return one name of a path for people; the second `x` of a document is `x_2`."""
    return decode_text(name.replace(REPEAT, b"_"))[0]


def dotted(path: Path) -> str:
    """Return a path as MongoDB writes it, with dots."""
    return ".".join(field_name(name) for name in path)


def plain_path(path: Path) -> str:
    """Return a dotted path without the numbers of repeated names: what settings name."""
    return ".".join(decode_text(name.split(REPEAT)[0])[0] for name in path)


def number_text(number: float) -> str:
    """Return a number as `calls.csv` writes it: whole numbers without a point, others in the fewest digits."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0 and math.copysign(1, number) < 0:
        return "-0"
    if abs(number) < 1e16 and number == int(number):
        return str(int(number))
    return repr(number)


def date_text(milliseconds: int) -> str:
    """Return a date as ISO 8601 in UTC; outside the years 1 to 9999 as Extended JSON."""
    try:
        moment = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _date_json(milliseconds, True)
    return moment.isoformat(timespec="milliseconds") + "Z"


def _date_json(milliseconds: int, canonical: bool) -> str:
    if canonical or not 0 <= milliseconds < _MOST_DATE:
        return f'{{"$date": {{"$numberLong": "{milliseconds}"}}}}'
    return f'{{"$date": "{date_text(milliseconds)}"}}'


def document_at(raw: bytes, start: int) -> dict[str, Any]:
    """Return the document that starts there, with its text, numbers, booleans and documents; None for other types.

    Unlike the driver, it reads every document that a server has stored. Of a name that occurs twice, the last counts.
    """
    return {decode_text(name)[0]: _python_value(raw, kind, at) for name, kind, at in iterate(raw, start + 4)}


def _python_value(raw: bytes, kind: int, start: int) -> Any:
    if kind == el.STRING:
        return _string(raw, start, lambda content: decode_text(content)[0])
    if kind == el.BOOLEAN:
        return raw[start] != 0
    if kind in (el.DOCUMENT, el.FLATTENED):
        return document_at(raw, start)
    readers = {el.DOUBLE: _double, el.INT32: _int32, el.INT64: _int64}
    return readers[kind](raw, start)[0] if kind in readers else None


def _quoted(text: str) -> str:
    """Return text as JSON."""
    return json.dumps(text, ensure_ascii=False)


def _string(raw: bytes, start: int, decode: Decode) -> str:
    """Return the text of a string."""
    length = _int32(raw, start)[0]
    return decode(raw[start + 4 : start + 3 + length])


_PLAIN_TEXTS: dict[int, Callable[[bytes, int], str]] = {
    el.DOUBLE: lambda raw, start: number_text(_double(raw, start)[0]),
    el.OBJECT_ID: lambda raw, start: raw[start : start + 12].hex(),
    el.BOOLEAN: lambda raw, start: "true" if raw[start] else "false",
    el.INT32: lambda raw, start: str(_int32(raw, start)[0]),
    el.INT64: lambda raw, start: str(_int64(raw, start)[0]),
    el.DECIMAL128: lambda raw, start: str(Decimal128.from_bid(raw[start : start + 16])),
}
"""How values of these types are written in a text column."""


def _int32_json(raw: bytes, start: int, canonical: bool, _: Decode) -> str:
    number = _int32(raw, start)[0]
    return f'{{"$numberInt": "{number}"}}' if canonical else str(number)


def _int64_json(raw: bytes, start: int, canonical: bool, _: Decode) -> str:
    number = _int64(raw, start)[0]
    return f'{{"$numberLong": "{number}"}}' if canonical else str(number)


def _double_json(raw: bytes, start: int, canonical: bool, _: Decode) -> str:
    number = _double(raw, start)[0]
    if canonical or not math.isfinite(number):
        return f'{{"$numberDouble": "{repr(number) if math.isfinite(number) else number_text(number)}"}}'
    return repr(number)


def _binary_json(raw: bytes, start: int, _canonical: bool, _: Decode) -> str:
    size, subtype = _int32(raw, start)[0], raw[start + 4]
    content = raw[start + 5 : start + 5 + size]
    if subtype == _OLD_BINARY and size >= 4 and _int32(content, 0)[0] == size - 4:
        content = content[4:]
    return f'{{"$binary": {{"base64": "{base64.b64encode(content).decode()}", "subType": "{subtype:02x}"}}}}'


def _timestamp_json(raw: bytes, start: int, _canonical: bool, _: Decode) -> str:
    increment, seconds = _timestamp(raw, start)
    return f'{{"$timestamp": {{"t": {seconds}, "i": {increment}}}}}'


def _regex_json(raw: bytes, start: int, _canonical: bool, decode: Decode) -> str:
    end = raw.index(b"\x00", raw.index(b"\x00", start) + 1)
    pattern, options = raw[start:end].split(b"\x00")
    fields = f'"pattern": {_quoted(decode(pattern))}, "options": {_quoted(decode(options))}'
    return f'{{"$regularExpression": {{{fields}}}}}'


def _db_pointer_json(raw: bytes, start: int, _canonical: bool, decode: Decode) -> str:
    end = start + 4 + _int32(raw, start)[0]
    name, identifier = _quoted(_string(raw, start, decode)), raw[end : end + 12].hex()
    return f'{{"$dbPointer": {{"$ref": {name}, "$id": {{"$oid": "{identifier}"}}}}}}'


_SCALARS: dict[int, Callable[[bytes, int, bool, Decode], str]] = {
    el.DOUBLE: _double_json,
    el.STRING: lambda raw, start, _, decode: _quoted(_string(raw, start, decode)),
    el.BINARY: _binary_json,
    el.UNDEFINED: lambda *_: '{"$undefined": true}',
    el.OBJECT_ID: lambda raw, start, *_: f'{{"$oid": "{raw[start : start + 12].hex()}"}}',
    el.BOOLEAN: lambda raw, start, *_: "true" if raw[start] else "false",
    el.DATE: lambda raw, start, canonical, _: _date_json(_int64(raw, start)[0], canonical),
    el.NULL: lambda *_: "null",
    el.REGEX: _regex_json,
    el.DB_POINTER: _db_pointer_json,
    el.CODE: lambda raw, start, _, decode: f'{{"$code": {_quoted(_string(raw, start, decode))}}}',
    el.SYMBOL: lambda raw, start, _, decode: f'{{"$symbol": {_quoted(_string(raw, start, decode))}}}',
    el.INT32: _int32_json,
    el.TIMESTAMP: _timestamp_json,
    el.INT64: _int64_json,
    el.DECIMAL128: lambda raw, start, *_: f'{{"$numberDecimal": "{Decimal128.from_bid(raw[start : start + 16])}"}}',
    el.MIN_KEY: lambda *_: '{"$minKey": 1}',
    el.MAX_KEY: lambda *_: '{"$maxKey": 1}',
}
"""Writers of values by BSON type: bytes, position, whether canonical, and what decodes text."""


@dataclass
class Secrets:
    """Which fields are left out and which are replaced by tokens, at any depth.

    A path covers everything below it, and goes through arrays as MongoDB's dotted paths do. Of a document or an
    array each value is replaced, so that the same value gives the same token wherever it stands; names stay.
    """

    dropped: Collection[str] = ()
    pseudonymized: Collection[str] = ()
    key: bytes = b""

    def __bool__(self) -> bool:
        """Return whether there is anything to hide."""
        return bool(self.dropped or self.pseudonymized)

    def drops(self, path: str) -> bool:
        """Return whether the field is left out."""
        return _covers(self.dropped, path)

    def hides(self, path: str) -> bool:
        """Return whether the field's value is replaced by a token."""
        return _covers(self.pseudonymized, path)

    def token(self, text: str) -> str:
        """Return the keyed HMAC-SHA-256 token of a value's text: 32 hex digits."""
        return hmac.new(self.key, text.encode(), "sha256").hexdigest()[:32]


def _covers(paths: Collection[str], path: str) -> bool:
    return any(path == other or path.startswith(other + ".") for other in paths)


@dataclass
class Renderer:
    """Renders values of raw documents as text and as JSON; by its path a value is secret or not."""

    raw: bytes
    date_text: Callable[[int], str] = field(default=date_text)
    secrets: Secrets = field(default_factory=Secrets)
    invalid_text: bool = False
    """Whether text that is not UTF-8 was met; the caller resets it."""

    def text(self, kind: int, start: int, path: str = "") -> str | None:
        """Return a value as a cell of a text column; None for null.

        Text, numbers, dates (by `date_text`), ObjectIds, UUIDs and decimals are plain; the rest is relaxed
        Extended JSON.
        """
        if kind in (el.NULL, el.UNDEFINED):
            return None
        if kind in (el.DOCUMENT, el.FLATTENED, el.ARRAY):
            return self.json(kind, start, path)
        if path and self.secrets.hides(path):
            return self._token(kind, start)
        if kind in (el.STRING, el.SYMBOL):
            return _string(self.raw, start, self._decoded)
        if kind in _PLAIN_TEXTS:
            return _PLAIN_TEXTS[kind](self.raw, start)
        if kind == el.DATE:
            return self.date_text(_int64(self.raw, start)[0])
        if kind == el.BINARY and self.raw.startswith(_UUID, start):
            return str(uuid.UUID(bytes=self.raw[start + 5 : start + 21]))
        return self._scalar(kind, start, path, False)

    def json(self, kind: int, start: int, path: str = "", *, canonical: bool = False) -> str:
        """Return a value as Extended JSON on one line, relaxed or canonical."""
        if kind in (el.DOCUMENT, el.FLATTENED):
            return self.document(start, path, canonical=canonical)
        if kind == el.ARRAY:
            items = [self.json(k, s, path, canonical=canonical) for _, k, s in iterate(self.raw, start + 4)]
            return f"[{', '.join(items)}]"
        if path and kind not in (el.NULL, el.UNDEFINED) and self.secrets.hides(path):
            return _quoted(self._token(kind, start))
        return self._scalar(kind, start, path, canonical)

    def value(self, kind: int, start: int) -> Any:
        """Return a value as JSON data: what `json` writes, parsed; of common types without writing it."""
        if kind == el.STRING:
            return _string(self.raw, start, self._decoded)
        if kind in (el.BOOLEAN, el.INT32, el.INT64):
            return _python_value(self.raw, kind, start)
        if kind == el.DOUBLE and math.isfinite(number := _double(self.raw, start)[0]):
            return number
        if kind == el.DATE and 0 <= (milliseconds := _int64(self.raw, start)[0]) < _MOST_DATE:
            return {"$date": date_text(milliseconds)}
        return json.loads(self.json(kind, start))

    def document(self, start: int, path: str = "", *, canonical: bool = False) -> str:
        """Return the document that starts there as Extended JSON."""
        parts = []
        for raw_name, kind, value in iterate(self.raw, start + 4):
            name, valid = decode_text(raw_name)
            self.invalid_text |= not valid
            below = ""
            if self.secrets:
                below = f"{path}.{name}" if path else name
                if self.secrets.drops(below):
                    continue
            parts.append(f"{_quoted(name)}: {self.json(kind, value, below, canonical=canonical)}")
        return f"{{{', '.join(parts)}}}"

    def _token(self, kind: int, start: int) -> str:
        """Return the token of a value: the same for the same value, in every column and at every depth."""
        return self.secrets.token(Renderer(self.raw).text(kind, start) or "")

    def _decoded(self, raw: bytes) -> str:
        text, valid = decode_text(raw)
        self.invalid_text |= not valid
        return text

    def _scalar(self, kind: int, start: int, path: str, canonical: bool) -> str:
        if kind != el.CODE_WITH_SCOPE:
            return _SCALARS[kind](self.raw, start, canonical, self._decoded)
        code = _quoted(_string(self.raw, start + 4, self._decoded))
        scope = start + 8 + _int32(self.raw, start + 4)[0]
        return f'{{"$code": {code}, "$scope": {self.document(scope, path, canonical=canonical)}}}'
