"""Raw BSON for tests, also such as no driver writes: a name twice in one document, text that is not UTF-8.

BSON: https://bsonspec.org/spec.html. Nothing here uses the code under test.
"""

from __future__ import annotations

import datetime as dt
import os
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import bson
from bson import CodecOptions, Decimal128
from bson.binary import UuidRepresentation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

Value = tuple[int, bytes]
"""A value's BSON type and its bytes."""

DOUBLE, STRING, DOCUMENT, ARRAY, BINARY, UNDEFINED, OBJECT_ID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
BOOLEAN, DATE, NULL, REGEX, DB_POINTER, CODE, SYMBOL = 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E
CODE_WITH_SCOPE, INT32, TIMESTAMP, INT64, DECIMAL128, MIN_KEY, MAX_KEY = 0x0F, 0x10, 0x11, 0x12, 0x13, 0xFF, 0x7F

MORE = float(os.environ.get("CALLVIZ_TEST_MORE", "1"))
"""Factor of the number of examples that Hypothesis generates: the same ones each time, or above 1 new ones."""


def examples(number: int) -> Callable[[Any], Any]:
    """Let a Hypothesis test run with this many examples, times `MORE`."""
    return hypothesis_settings(
        max_examples=max(round(number * MORE), 1),
        derandomize=MORE <= 1,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


def element(name: str | bytes, value: Value) -> bytes:
    """Return an element of a document."""
    kind, content = value
    return bytes([kind]) + (name.encode() if isinstance(name, str) else name) + b"\x00" + content


def raw_document(elements: Sequence[tuple[str | bytes, Value]]) -> bytes:
    """Return a document of these elements, in this order, names as often as they are given."""
    body = b"".join(element(name, value) for name, value in elements) + b"\x00"
    return struct.pack("<i", len(body) + 4) + body


def value(anything: Any) -> Value:
    """Return a Python value as the driver stores it."""
    options: CodecOptions[Any] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
    raw = bson.encode({"": anything}, codec_options=options)
    return raw[4], raw[6:-1]


def text(content: str | bytes) -> Value:
    """Return a string; bytes may be no UTF-8."""
    raw = content.encode() if isinstance(content, str) else content
    return STRING, struct.pack("<i", len(raw) + 1) + raw + b"\x00"


def date(milliseconds: int) -> Value:
    """Return a date, also one that Python cannot hold."""
    return DATE, struct.pack("<q", milliseconds)


def nested(elements: Sequence[tuple[str | bytes, Value]]) -> Value:
    """Return a nested document."""
    return DOCUMENT, raw_document(elements)


def array(values: Sequence[Value]) -> Value:
    """Return an array."""
    return ARRAY, raw_document([(str(index), item) for index, item in enumerate(values)])


def _sized(content: bytes) -> bytes:
    return struct.pack("<i", len(content)) + content


def _texts() -> st.SearchStrategy[Value]:
    some = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
    awkward = st.sampled_from(
        ["", " ", "\u00a0", "\u3000", "a\x00b", "=1+1", "+1 555", "-x", "\r", 'a"b,c\n', "שלום", "📞"]
    )
    return st.one_of(some, awkward).map(text) | st.sampled_from([b"a\xffb", b"\xed\xa0\x80", b"\xc0\x80"]).map(text)


def _code_with_scope(parts: tuple[Value, list[tuple[str | bytes, Value]]]) -> Value:
    body = parts[0][1] + raw_document(parts[1])
    return CODE_WITH_SCOPE, struct.pack("<i", len(body) + 4) + body


def scalars() -> st.SearchStrategy[Value]:
    """Return values of every BSON type that holds no other values."""
    subtypes = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 8, 128, 255])
    small = st.binary(max_size=20)
    return st.one_of(
        st.floats().map(lambda number: (DOUBLE, struct.pack("<d", number))),
        _texts(),
        st.tuples(subtypes, small | st.binary(min_size=16, max_size=16)).map(
            lambda parts: (BINARY, struct.pack("<iB", len(parts[1]), parts[0]) + parts[1])
        ),
        st.sampled_from([(UNDEFINED, b""), (NULL, b""), (MIN_KEY, b""), (MAX_KEY, b"")]),
        st.binary(min_size=12, max_size=12).map(lambda raw: (OBJECT_ID, raw)),
        st.booleans().map(lambda yes: (BOOLEAN, bytes([yes]))),
        st.integers(-(2**63), 2**63 - 1).map(date),
        st.sampled_from([(REGEX, b"^a.*\x00i\x00"), (REGEX, b"\xff\x00\x00"), (REGEX, b"\x00msx\x00")]),
        st.tuples(_texts(), st.binary(min_size=12, max_size=12)).map(lambda p: (DB_POINTER, p[0][1] + p[1])),
        _texts().map(lambda raw_value: (CODE, raw_value[1])),
        _texts().map(lambda raw_value: (SYMBOL, raw_value[1])),
        st.integers(-(2**31), 2**31 - 1).map(lambda number: (INT32, struct.pack("<i", number))),
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(
            lambda pair: (TIMESTAMP, struct.pack("<II", *pair))
        ),
        st.integers(-(2**63), 2**63 - 1).map(lambda number: (INT64, struct.pack("<q", number))),
        decimals(),
    )


def decimals() -> st.SearchStrategy[Value]:
    """Return Decimal128 values: every bit pattern is one, among them NaN, Infinity and huge exponents."""
    odd = ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "1E+6144", "1E-6176", "-0", "12.5", "0E+6111", "9" * 34]
    return st.one_of(
        st.binary(min_size=16, max_size=16).map(lambda raw: (DECIMAL128, raw)),
        st.sampled_from(odd).map(lambda number: (DECIMAL128, Decimal128(number).bid)),
    )


def values(names: st.SearchStrategy[str | bytes]) -> st.SearchStrategy[Value]:
    """Return values of every BSON type, nested ones too; `names` are those of the nested documents' fields."""

    def around(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
        elements = st.lists(st.tuples(names, inner), max_size=3)
        return st.one_of(
            elements.map(nested),
            st.lists(inner, max_size=3).map(array),
            st.tuples(_texts(), elements).map(_code_with_scope),
            inner.map(lambda raw_value: nested([("$ref", text("calls")), ("$id", raw_value)])),
        )

    return st.recursive(scalars(), around, max_leaves=6)


def times() -> st.SearchStrategy[Value]:
    """Return what collections hold as times: dates, text of many forms, numbers since 1970."""
    moments = st.datetimes(dt.datetime(1960, 1, 1), dt.datetime(2045, 12, 31), timezones=st.just(dt.UTC)).map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    )
    forms: Sequence[Callable[[dt.datetime], Any]] = (
        lambda m: m,
        lambda m: m,
        lambda m: m.isoformat(),
        lambda m: m.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30))).isoformat(" ", "milliseconds"),
        lambda m: m.replace(tzinfo=None).isoformat(),
        lambda m: m.strftime("%Y-%m-%d %H:%M:%S"),
        lambda m: m.strftime("%Y%m%dT%H%M%SZ"),
        lambda m: m.strftime("%a, %d %b %Y %H:%M:%S +0000"),
        lambda m: m.strftime("%m/%d/%Y %I:%M:%S %p"),
        lambda m: m.strftime("%d.%m.%Y %H:%M"),
        lambda m: int(m.timestamp()),
        lambda m: m.timestamp(),
        lambda m: bson.Int64(int(m.timestamp() * 1000)),
        lambda m: str(int(m.timestamp() * 1_000_000)),
        lambda m: Decimal128(str(int(m.timestamp()))),
        lambda m: bson.Timestamp(max(int(m.timestamp()), 0), 1),
        lambda m: bson.Int64(int(m.timestamp()) * 10**9 + 5),
        lambda m: bson.Int64(m.strftime("%Y%m%d%H%M%S")),
        lambda m: bson.Int64(m.strftime("%Y%m%d%H%M")),
        lambda m: m.strftime("%y%m%d%H%M%S"),
        lambda m: m.strftime("%Y%m%d%H%M%S.%f"),
        lambda m: bson.Int64(int(m.timestamp()) * 10**7 + 621_355_968_000_000_000),
        lambda m: m.strftime("%Y-%m-%d %H:%M:%S.%f +0000 UTC"),
        lambda m: m.strftime("%Y-%m-%dT%H:%M:%SZ[Europe/Berlin]"),
        lambda m: m.strftime("%d-%b-%Y %H:%M:%S"),
        lambda m: m.strftime("%Y-%m-%d%%20%H%%3A%M%%3A%S"),
        lambda m: f"/Date({int(m.timestamp() * 1000)})/",
        lambda m: {"$date": bson.Int64(int(m.timestamp() * 1000))},
        lambda m: {"seconds": bson.Int64(int(m.timestamp())), "nanos": 5_000},
    )
    return st.tuples(moments, st.sampled_from(forms)).map(lambda pair: value(pair[1](pair[0])))


class Element(NamedTuple):
    """An element of a document: its name, its type, and where in the bytes its value starts and ends."""

    name: bytes
    kind: int
    start: int
    end: int


def read_elements(raw: bytes, start: int) -> list[Element]:
    """Return the elements of the document that starts there, read one after the other."""
    elements = []
    position = start + 4
    while raw[position]:
        kind = raw[position]
        end_of_name = raw.index(b"\x00", position + 1)
        begin = end_of_name + 1
        elements.append(Element(raw[position + 1 : end_of_name], kind, begin, begin + _size(raw, kind, begin)))
        position = elements[-1].end
    return elements


def _size(raw: bytes, kind: int, start: int) -> int:
    fixed = {DOUBLE: 8, OBJECT_ID: 12, BOOLEAN: 1, DATE: 8, INT32: 4, TIMESTAMP: 8, INT64: 8, DECIMAL128: 16}
    if kind in fixed:
        return fixed[kind]
    if kind in (NULL, UNDEFINED, MIN_KEY, MAX_KEY):
        return 0
    if kind == REGEX:
        pattern_end = raw.index(b"\x00", start)
        return raw.index(b"\x00", pattern_end + 1) + 1 - start
    length: int = struct.unpack_from("<i", raw, start)[0]
    if kind in (DOCUMENT, ARRAY, CODE_WITH_SCOPE):
        return length
    return length + {STRING: 4, CODE: 4, SYMBOL: 4, BINARY: 5, DB_POINTER: 4 + 12}[kind]
