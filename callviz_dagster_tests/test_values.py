"""Single values as text and as Extended JSON; expected forms are written out by hand."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import struct
import uuid
from typing import Any

import bson
import pyarrow as pa
import pytest
from bson import CodecOptions, Decimal128, json_util
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import DatetimeConversion
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.documents.text import number_texts
from callviz_dagster.documents.values import (
    Renderer,
    Secrets,
    date_text,
    decode_text,
    document_at,
    dotted,
    field_name,
    number_text,
    plain_path,
)
from callviz_dagster_tests.helpers import raw_bson as raw
from callviz_dagster_tests.helpers.raw_bson import Value, array, date, examples, nested, text, value

UUID = uuid.UUID("12345678-1234-5678-9abc-123456789abc")
ID = bson.ObjectId("65e1a7c0a1b2c3d4e5f60718")
KEY = b"k" * 32


def _binary(content: bytes, subtype: int) -> Value:
    return raw.BINARY, struct.pack("<iB", len(content), subtype) + content


def _scope(code: str, scope: Value) -> Value:
    body = text(code)[1] + scope[1]
    return raw.CODE_WITH_SCOPE, struct.pack("<i", len(body) + 4) + body


def _oid(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal)


TABLE: list[tuple[str, Value, str | None, str, str]] = [
    # name, value, text, relaxed JSON, canonical JSON
    ("double", value(2.5), "2.5", "2.5", '{"$numberDouble": "2.5"}'),
    ("whole double", value(5.0), "5", "5.0", '{"$numberDouble": "5.0"}'),
    ("minus zero", value(-0.0), "-0", "-0.0", '{"$numberDouble": "-0.0"}'),
    ("small double", value(5e-324), "5e-324", "5e-324", '{"$numberDouble": "5e-324"}'),
    ("large double", value(1e300), "1e+300", "1e+300", '{"$numberDouble": "1e+300"}'),
    ("NaN", value(float("nan")), "NaN", '{"$numberDouble": "NaN"}', '{"$numberDouble": "NaN"}'),
    ("Infinity", value(float("inf")), "Infinity", '{"$numberDouble": "Infinity"}', '{"$numberDouble": "Infinity"}'),
    (
        *("-Infinity", value(float("-inf")), "-Infinity"),
        *('{"$numberDouble": "-Infinity"}', '{"$numberDouble": "-Infinity"}'),
    ),
    ("int", value(-7), "-7", "-7", '{"$numberInt": "-7"}'),
    (
        "long",
        value(bson.Int64(2**53 + 1)),
        "9007199254740993",
        "9007199254740993",
        '{"$numberLong": "9007199254740993"}',
    ),
    (
        *("longest", value(bson.Int64(-(2**63))), "-9223372036854775808"),
        *("-9223372036854775808", '{"$numberLong": "-9223372036854775808"}'),
    ),
    ("decimal", value(Decimal128("12.50")), "12.50", '{"$numberDecimal": "12.50"}', '{"$numberDecimal": "12.50"}'),
    (
        *("long decimal", value(Decimal128("12.345678901234567890123456789012")), "12.345678901234567890123456789012"),
        *(2 * ('{"$numberDecimal": "12.345678901234567890123456789012"}',)),
    ),
    ("huge decimal", value(Decimal128("1E+6144")), "1.000000000000000000000000000000000E+6144", "", ""),
    # A coefficient of more than 34 digits counts as zero; pymongo before 4.20 raises on it.
    ("odd decimal", (raw.DECIMAL128, bytes.fromhex("0d387dd45ce301e94a2599abf5fd9930")), "0E+44", "", ""),
    ("decimal NaN", value(Decimal128("sNaN")), "NaN", '{"$numberDecimal": "NaN"}', '{"$numberDecimal": "NaN"}'),
    ("true", value(True), "true", "true", "true"),
    ("false", value(False), "false", "false", "false"),
    ("null", value(None), None, "null", "null"),
    ("undefined", (raw.UNDEFINED, b""), None, '{"$undefined": true}', '{"$undefined": true}'),
    ("text", text('a"b\\c'), 'a"b\\c', '"a\\"b\\\\c"', '"a\\"b\\\\c"'),
    ("empty text", text(""), "", '""', '""'),
    ("NUL in text", text("a\x00b"), "a\x00b", '"a\\u0000b"', '"a\\u0000b"'),
    ("emoji and right-to-left", text("📞 שלום"), "📞 שלום", '"📞 שלום"', '"📞 שלום"'),
    ("not UTF-8", text(b"a\xffb"), "a\\xffb", '"a\\\\xffb"', '"a\\\\xffb"'),
    (
        "half a surrogate",
        text(b"\xed\xa0\x80"),
        "\\xed\\xa0\\x80",
        '"\\\\xed\\\\xa0\\\\x80"',
        '"\\\\xed\\\\xa0\\\\x80"',
    ),
    ("symbol", (raw.SYMBOL, text("busy")[1]), "busy", '{"$symbol": "busy"}', '{"$symbol": "busy"}'),
    (
        *("date", date(1_709_287_200_000), "2024-03-01T10:00:00.000Z"),
        *('{"$date": "2024-03-01T10:00:00.000Z"}', '{"$date": {"$numberLong": "1709287200000"}}'),
    ),
    (
        *("date before 1970", date(-1), "1969-12-31T23:59:59.999Z"),
        *(2 * ('{"$date": {"$numberLong": "-1"}}',)),
    ),
    (
        *("last date of 9999", date(253_402_300_799_999), "9999-12-31T23:59:59.999Z"),
        *('{"$date": "9999-12-31T23:59:59.999Z"}', '{"$date": {"$numberLong": "253402300799999"}}'),
    ),
    ("date in 10000", date(253_402_300_800_000), *(3 * ('{"$date": {"$numberLong": "253402300800000"}}',))),
    ("date in 0000", date(-62_135_596_800_001), *(3 * ('{"$date": {"$numberLong": "-62135596800001"}}',))),
    ("last date", date(2**63 - 1), *(3 * ('{"$date": {"$numberLong": "9223372036854775807"}}',))),
    ("first date", date(-(2**63)), *(3 * ('{"$date": {"$numberLong": "-9223372036854775808"}}',))),
    ("ObjectId", value(ID), str(ID), f'{{"$oid": "{ID}"}}', f'{{"$oid": "{ID}"}}'),
    (
        *("UUID", value(UUID), str(UUID)),
        *(2 * ('{"$binary": {"base64": "EjRWeBI0VniavBI0VniavA==", "subType": "04"}}',)),
    ),
    (
        *("legacy UUID", value(Binary.from_uuid(UUID, UuidRepresentation.PYTHON_LEGACY))),
        *(3 * ('{"$binary": {"base64": "EjRWeBI0VniavBI0VniavA==", "subType": "03"}}',)),
    ),
    ("UUID of a wrong size", _binary(b"abc", 4), *(3 * ('{"$binary": {"base64": "YWJj", "subType": "04"}}',))),
    ("bytes", _binary(b"\xff\x00", 0), *(3 * ('{"$binary": {"base64": "/wA=", "subType": "00"}}',))),
    ("no bytes", _binary(b"", 0), *(3 * ('{"$binary": {"base64": "", "subType": "00"}}',))),
    (
        *("old bytes", _binary(b"\x03\x00\x00\x00abc", 2)),
        *(3 * ('{"$binary": {"base64": "YWJj", "subType": "02"}}',)),
    ),
    ("old bytes, too short", _binary(b"ab", 2), *(3 * ('{"$binary": {"base64": "YWI=", "subType": "02"}}',))),
    ("own bytes", _binary(b"abc", 128), *(3 * ('{"$binary": {"base64": "YWJj", "subType": "80"}}',))),
    (
        *("timestamp", value(bson.Timestamp(1_709_287_200, 7))),
        *(3 * ('{"$timestamp": {"t": 1709287200, "i": 7}}',)),
    ),
    (
        *("last timestamp", (raw.TIMESTAMP, b"\xff" * 8)),
        *(3 * ('{"$timestamp": {"t": 4294967295, "i": 4294967295}}',)),
    ),
    (
        *("regex", (raw.REGEX, b"^a\\d\x00ix\x00")),
        *(3 * ('{"$regularExpression": {"pattern": "^a\\\\d", "options": "ix"}}',)),
    ),
    (
        *("regex with an option that only others know", (raw.REGEX, b"a\x00zi\x00")),
        *(3 * ('{"$regularExpression": {"pattern": "a", "options": "zi"}}',)),
    ),
    (
        *("regex that is not UTF-8", (raw.REGEX, b"\xff\x00\x00")),
        *(3 * ('{"$regularExpression": {"pattern": "\\\\xff", "options": ""}}',)),
    ),
    ("code", (raw.CODE, text("f()")[1]), *(3 * ('{"$code": "f()"}',))),
    ("code that is not UTF-8", (raw.CODE, text(b"\xff")[1]), *(3 * ('{"$code": "\\\\xff"}',))),
    (
        *("code with scope", _scope("f(x)", nested([("x", date(2**63 - 1)), ("x", value(1))]))),
        *(2 * ('{"$code": "f(x)", "$scope": {"x": {"$date": {"$numberLong": "9223372036854775807"}}, "x": 1}}',)),
        '{"$code": "f(x)", "$scope": {"x": {"$date": {"$numberLong": "9223372036854775807"}}, '
        '"x": {"$numberInt": "1"}}}',
    ),
    ("MinKey", (raw.MIN_KEY, b""), *(3 * ('{"$minKey": 1}',))),
    ("MaxKey", (raw.MAX_KEY, b""), *(3 * ('{"$maxKey": 1}',))),
    (
        *("DBPointer", (raw.DB_POINTER, text("users")[1] + _oid(str(ID)))),
        *(3 * (f'{{"$dbPointer": {{"$ref": "users", "$id": {{"$oid": "{ID}"}}}}}}',)),
    ),
    (
        *("DBRef", value(bson.DBRef("users", 7))),
        *(2 * ('{"$ref": "users", "$id": 7}',)),
        '{"$ref": "users", "$id": {"$numberInt": "7"}}',
    ),
    (
        *("array", array([value(1), text("a"), array([]), nested([])])),
        *(2 * ('[1, "a", [], {}]',)),
        '[{"$numberInt": "1"}, "a", [], {}]',
    ),
    ("empty array", array([]), *(3 * ("[]",))),
    (
        *("a name twice", nested([("a", value(1)), ("a", value(2))])),
        *(2 * ('{"a": 1, "a": 2}',)),
        '{"a": {"$numberInt": "1"}, "a": {"$numberInt": "2"}}',
    ),
    ("names", nested([("", value(True)), (b"\xff", value(None))]), *(3 * ('{"": true, "\\\\xff": null}',))),
]


@pytest.mark.parametrize(
    ("raw_value", "plain", "relaxed", "canonical"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_every_type_as_text_and_as_extended_json(
    raw_value: Value, plain: str | None, relaxed: str, canonical: str
) -> None:
    kind, content = raw_value
    renderer = Renderer(content)
    assert renderer.text(kind, 0) == plain
    if relaxed:
        assert renderer.json(kind, 0) == relaxed
        assert json.dumps(renderer.value(kind, 0)) == json.dumps(json.loads(relaxed))
        assert renderer.json(kind, 0, canonical=True) == canonical


def test_text_that_is_not_utf_8_is_marked() -> None:
    for kind, content in (text(b"\xff"), nested([(b"\xff", value(1))]), (raw.REGEX, b"\xff\x00\x00")):
        renderer = Renderer(content)
        renderer.json(kind, 0)
        assert renderer.invalid_text
    renderer = Renderer(text("\\xff")[1])
    renderer.json(raw.STRING, 0)
    assert not renderer.invalid_text


_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    uuid_representation=UuidRepresentation.UNSPECIFIED, datetime_conversion=DatetimeConversion.DATETIME_MS
)
_names = st.sampled_from(["a", "b", "", "$x", "名"])


@examples(300)
@given(raw.values(_names))
def test_canonical_json_is_what_the_driver_reads_back(raw_value: Value) -> None:
    """Types that the driver has no class for, and what it cannot hold, are in the table above."""
    document = raw.raw_document([("v", raw_value)])
    try:
        expected = bson.decode(document, _OPTIONS)
    except (bson.errors.InvalidBSON, UnicodeDecodeError):
        return  # text that is not UTF-8, and binaries of a wrong size
    raw_kinds = {kind for kind, _ in _all_within(raw_value)}
    if raw_kinds & {raw.SYMBOL, raw.DB_POINTER, raw.UNDEFINED, raw.REGEX} or _repeats_a_name(raw_value):
        return
    options = json_util.JSONOptions(
        json_mode=json_util.JSONMode.CANONICAL, datetime_conversion=DatetimeConversion.DATETIME_MS
    )
    rendered = Renderer(document).document(0, canonical=True)
    assert json.loads(rendered) == json.loads(json_util.dumps(expected, json_options=options))


def _all_within(raw_value: Value) -> list[Value]:
    kind, content = raw_value
    if kind not in (raw.DOCUMENT, raw.ARRAY, raw.CODE_WITH_SCOPE):
        return [raw_value]
    start = 0
    if kind == raw.CODE_WITH_SCOPE:
        start = 8 + struct.unpack_from("<i", content, 4)[0]
    inner = [(e.kind, content[e.start : e.end]) for e in raw.read_elements(content, start)]
    return [raw_value, *(deep for one in inner for deep in _all_within(one))]


def _repeats_a_name(raw_value: Value) -> bool:
    for kind, content in _all_within(raw_value):
        if kind in (raw.DOCUMENT, raw.CODE_WITH_SCOPE):
            start = 0 if kind == raw.DOCUMENT else 8 + struct.unpack_from("<i", content, 4)[0]
            names = [e.name for e in raw.read_elements(content, start)]
            if len(set(names)) < len(names) or any(name.startswith(b"$") for name in names):
                return True
    return False


@examples(300)
@given(raw.values(st.sampled_from([b"a", b"$id", b"\xff", b""])), st.sampled_from(["", "x"]))
def test_no_value_raises_and_all_json_can_be_parsed(raw_value: Value, path: str) -> None:
    kind, content = raw_value
    for secrets in (Secrets(), Secrets(["x.a"], ["x.b"], KEY), Secrets([], ["x"], KEY)):
        renderer = Renderer(content, secrets=secrets)
        for canonical in (False, True):
            json.loads(renderer.json(kind, 0, path, canonical=canonical))
        assert (renderer.text(kind, 0, path) is None) == (kind in (raw.NULL, raw.UNDEFINED))


def test_documents_as_deep_as_mongodb_takes_them_are_rendered() -> None:
    deep = value(1)
    for _ in range(200):
        deep = nested([("a", array([deep]))])
    assert Renderer(deep[1]).document(0).count("[") == 200


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        *((0.0, "0"), (-0.0, "-0"), (5.0, "5"), (2.5, "2.5"), (-2.5, "-2.5"), (0.1, "0.1"), (1e15, "1000000000000000")),
        *((1e16, "1e+16"), (9007199254740993.0, "9007199254740992"), (1e-5, "1e-05"), (1e22, "1e+22")),
        *((float("nan"), "NaN"), (float("inf"), "Infinity"), (float("-inf"), "-Infinity")),
    ],
)
def test_numbers_as_text(number: float, expected: str) -> None:
    assert number_text(number) == expected


@examples(300)
@given(st.floats(allow_nan=False))
def test_numbers_as_text_are_exact(number: float) -> None:
    assert struct.pack("<d", float(number_text(number))) == struct.pack("<d", number)


@examples(200)
@given(st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**14), 10**14))
def test_dates_in_utc_are_exact(milliseconds: int) -> None:
    written = date_text(milliseconds)
    if written.startswith("{"):
        assert json.loads(written) == {"$date": {"$numberLong": str(milliseconds)}}
        assert not -62_135_596_800_000 <= milliseconds < 253_402_300_800_000
    else:
        span = dt.datetime.fromisoformat(written) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        assert span == dt.timedelta(milliseconds=milliseconds)


def test_names_for_people_and_for_settings() -> None:
    path = (b"a\x002", b"b.c", b"\xff")
    assert (dotted(path), plain_path(path), field_name(b"x\x0012")) == ("a_2.b.c.\\xff", "a.b.c.\\xff", "x_12")
    assert decode_text(b"\xc3\xa9\xff") == ("é\\xff", False)


# Secrets


def _token(plain: str) -> str:
    return hmac.new(KEY, plain.encode(), hashlib.sha256).hexdigest()[:32]


PHONE = "+15550001"
CALL = raw.raw_document(
    [
        ("caller", text(PHONE)),
        ("caller", text(PHONE)),
        ("customer", nested([("phone", text(PHONE)), ("name", text("Ann")), ("phone", value(None))])),
        ("parties", array([nested([("phone", text(PHONE))]), nested([("phone", array([text(PHONE), value(5)]))])])),
        ("x.secret", nested([("deep", array([array([nested([("very", text("hidden"))])])]))])),
        ("agent", value(5)),
    ]
)


def test_pseudonyms_are_the_same_token_wherever_a_value_stands() -> None:
    secrets = Secrets((), ("caller", "customer.phone", "parties.phone", "x.secret", "agent"), KEY)
    token, hidden, five = _token(PHONE), _token("hidden"), _token("5")
    for canonical in (False, True):
        rendered = Renderer(CALL, secrets=secrets).document(0, canonical=canonical)
        assert json.loads(rendered, object_pairs_hook=list) == [
            ("caller", token),
            ("caller", token),
            ("customer", [("phone", token), ("name", "Ann"), ("phone", None)]),
            ("parties", [[("phone", token)], [("phone", [token, five])]]),
            ("x.secret", [("deep", [[[("very", hidden)]]])]),
            ("agent", five),
        ]


def test_dropped_fields_are_left_out_at_every_depth() -> None:
    secrets = Secrets(("caller", "customer.phone", "parties.phone", "x.secret.deep", "agent"))
    rendered = Renderer(CALL, secrets=secrets).document(0)
    assert rendered == '{"customer": {"name": "Ann"}, "parties": [{}, {}], "x.secret": {}}'


@pytest.mark.parametrize(
    "raw_value", [row[1] for row in TABLE if row[1][0] not in (raw.NULL, raw.UNDEFINED)], ids=lambda v: str(v)[:20]
)
def test_a_hidden_value_of_any_type_leaves_only_tokens(raw_value: Value) -> None:
    kind, content = raw_value
    renderer = Renderer(content, secrets=Secrets((), ("v",), KEY), date_text=lambda _: "local")
    for rendered in (renderer.json(kind, 0, "v"), renderer.json(kind, 0, "v", canonical=True)):
        leaves: list[Any] = []

        def walk(part: Any, leaves: list[Any] = leaves) -> None:
            if isinstance(part, list):
                for inner in part:
                    walk(inner[1] if isinstance(inner, tuple) else inner)
            elif part is not None:
                leaves.append(part)

        walk(json.loads(rendered, object_pairs_hook=lambda pairs: [tuple(pair) for pair in pairs]))
        assert all(isinstance(leaf, str) and len(leaf) == 32 and int(leaf, 16) >= 0 for leaf in leaves)
    cell = renderer.text(kind, 0, "v")
    if kind not in (raw.DOCUMENT, raw.ARRAY):
        assert f'"{cell}"' == renderer.json(kind, 0, "v")


def test_a_path_covers_what_is_below_it_and_nothing_that_only_starts_alike() -> None:
    secrets = Secrets(("a.b",), ("c",), KEY)
    assert [secrets.drops(path) for path in ("a", "a.b", "a.b.c", "a.bc", "b")] == [False, True, True, False, False]
    assert [secrets.hides(path) for path in ("c", "c.d", "cd", "a.c")] == [True, True, False, False]


def test_another_key_gives_other_tokens() -> None:
    assert Secrets((), ("c",), KEY).token("x") != Secrets((), ("c",), b"l" * 32).token("x")


def test_a_document_at_a_position_is_read_alone() -> None:
    _, content = nested(
        [
            *(("seconds", value(5)), ("long", value(bson.Int64(2**40))), ("half", value(0.5)), ("yes", value(True))),
            *(
                (b"\xff", text(b"a\xff")),
                ("inner", nested([("x", value(None))])),
                ("at", value(dt.datetime(2024, 3, 1))),
            ),
            *(("seconds", value(6)), ("pointer", (raw.DB_POINTER, text(b"\xff")[1] + ID.binary)), ("list", array([]))),
        ]
    )
    assert document_at(b"xx" + content + b"yy", 2) == {
        **{"seconds": 6, "long": 2**40, "half": 0.5, "yes": True, "\\xff": "a\\xff", "inner": {"x": None}},
        **{"at": None, "pointer": None, "list": None},
    }


@pytest.mark.parametrize(
    ("number", "expected"),
    [(5e-05, "5e-05"), (0.0001, "0.0001"), (9e-05, "9e-05"), (-5e-05, "-5e-05"), (1e10, "10000000000")],
)
def test_small_and_large_numbers_are_written_the_same_alone_and_in_a_column(number: float, expected: str) -> None:
    """Arrow writes some of them in another way."""
    assert number_text(number) == expected
    assert number_texts(pa.array([number, 1.5])).to_pylist() == [expected, "1.5"]
