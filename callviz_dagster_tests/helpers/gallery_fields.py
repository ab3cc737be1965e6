"""Awkward documents whose other fields, field names or identifiers are odd, with what they become."""

from __future__ import annotations

import datetime as dt

import bson
from bson import Decimal128
from bson.binary import Binary, UuidRepresentation

from callviz_dagster_tests.helpers import raw_bson as raw
from callviz_dagster_tests.helpers.awkward import (
    ID,
    START,
    UUID,
    Case,
    binary,
    call,
    code_with_scope,
    deep,
    extra_case,
    id_case,
    named_case,
    queue_case,
    typed_case,
)
from callviz_dagster_tests.helpers.raw_bson import array, date, nested, text, value

_LONG = "long " * 200_000

FIELDS: dict[str, list[Case]] = {
    "Text": [
        queue_case("null_value", "null", value(None), None),
        queue_case("missing_value", "(missing)", None, None),
        queue_case("undefined_value", "undefined", (raw.UNDEFINED, b""), None),
        queue_case("empty_string", '""', text(""), ""),
        queue_case("leading_space", '"  sales "', text("  sales "), "  sales "),
        queue_case("null_word", '"NULL"', text("NULL"), "NULL"),
        queue_case("leading_zero", '"0044123"', text("0044123"), "0044123"),
        queue_case("phone", '"+15550001234"', text("+15550001234"), "+15550001234"),
        queue_case("comma_quote", '"a,\\"b\\""', text('a,"b"'), 'a,"b"'),
        queue_case("newline", '"a\\nb"', text("a\nb"), "a\nb"),
        queue_case("carriage_return", '"a\\rb"', text("a\rb"), "a\rb"),
        queue_case("crlf", '"a\\r\\nb"', text("a\r\nb"), "a\r\nb"),
        queue_case(
            "other_line_breaks", '"a\\u0085b\\u2028c\\u000bd"', text("a\x85b\u2028c\x0bd"), "a\x85b\u2028c\x0bd"
        ),
        queue_case("tab", '"a\\tb"', text("a\tb"), "a\tb"),
        queue_case("backslash", '"a\\\\nb"', text("a\\nb"), "a\\nb"),
        queue_case("nul", '"a\\u0000b"', text("a\x00b"), "a\x00b"),
        queue_case("formula_eq", '"=HYPERLINK(1)"', text("=HYPERLINK(1)"), "=HYPERLINK(1)"),
        queue_case("formula_at", '"@SUM(1)"', text("@SUM(1)"), "@SUM(1)"),
        queue_case(
            "formula_minus", "\"-2+3+cmd|' /C calc'!A0\"", text("-2+3+cmd|' /C calc'!A0"), "-2+3+cmd|' /C calc'!A0"
        ),
        queue_case("emoji_rtl", '"👩‍👩‍👧 שלום"', text("👩‍👩‍👧 שלום"), "👩‍👩‍👧 שלום"),
        queue_case("long_1mb", "a million characters", text(_LONG), _LONG),
        queue_case(
            "invalid_utf8",
            "bytes 61 ff 62",
            text(b"a\xffb"),
            "a\\xffb",
            "queue: bytes that are not UTF-8 shown as \\x and hex digits",
        ),
        queue_case(
            "half_surrogate",
            "bytes ed a0 80",
            text(b"\xed\xa0\x80"),
            "\\xed\\xa0\\x80",
            "queue: bytes that are not UTF-8 shown as \\x and hex digits",
        ),
    ],
    "Other BSON types where the field is text elsewhere": [
        typed_case("text_int", "5", value(5), "5", "int"),
        typed_case("text_int64", "Int64 9007199254740993", value(bson.Int64(2**53 + 1)), "9007199254740993", "long"),
        typed_case("text_double", "2.5", value(2.5), "2.5", "double"),
        typed_case("text_nan", "NaN", value(float("nan")), "NaN", "double"),
        typed_case("text_minus_zero", "-0.0", value(-0.0), "-0", "double"),
        typed_case(
            "text_decimal",
            "Decimal128 12.345678901234567890123456789012",
            value(Decimal128("12.345678901234567890123456789012")),
            "12.345678901234567890123456789012",
            "decimal",
        ),
        typed_case("text_bool", "true", value(True), "true", "bool"),
        typed_case("text_date", "2024-03-01T10:00:00", value(START), "2024-03-01 10:00:00.000", "date"),
        typed_case(
            "text_date_10000",
            "DatetimeMS(253402300800000)",
            date(253_402_300_800_000),
            '{"$date": {"$numberLong": "253402300800000"}}',
            "date",
        ),
        typed_case("bson_objectid", "ObjectId", value(ID), str(ID), "objectId"),
        typed_case("bson_uuid", "UUID", value(UUID), str(UUID), "binData"),
        typed_case(
            "bson_uuid_legacy",
            "UUID, subtype 3",
            value(Binary.from_uuid(UUID, UuidRepresentation.PYTHON_LEGACY)),
            '{"$binary": {"base64": "EjRWeBI0VniavBI0VniavA==", "subType": "03"}}',
            "binData",
        ),
        typed_case(
            "bson_binary",
            "bytes ff 00",
            binary(b"\xff\x00", 0),
            '{"$binary": {"base64": "/wA=", "subType": "00"}}',
            "binData",
        ),
        typed_case(
            "bson_binary_old",
            "bytes ff 00, subtype 2",
            binary(b"\x02\x00\x00\x00\xff\x00", 2),
            '{"$binary": {"base64": "/wA=", "subType": "02"}}',
            "binData",
        ),
        typed_case(
            "bson_binary_md5",
            "16 bytes, subtype 5",
            binary(UUID.bytes, 5),
            '{"$binary": {"base64": "EjRWeBI0VniavBI0VniavA==", "subType": "05"}}',
            "binData",
        ),
        typed_case(
            "bson_binary_own",
            "bytes ff 00, subtype 128",
            binary(b"\xff\x00", 128),
            '{"$binary": {"base64": "/wA=", "subType": "80"}}',
            "binData",
        ),
        typed_case(
            "bson_timestamp",
            "Timestamp(1709287200, 7)",
            value(bson.Timestamp(1_709_287_200, 7)),
            '{"$timestamp": {"t": 1709287200, "i": 7}}',
            "timestamp",
        ),
        typed_case(
            "bson_regex",
            "/^a.*/i",
            (raw.REGEX, b"^a.*\x00i\x00"),
            '{"$regularExpression": {"pattern": "^a.*", "options": "i"}}',
            "regex",
        ),
        typed_case("bson_code", "Code f()", (raw.CODE, text("f()")[1]), '{"$code": "f()"}', "javascript"),
        typed_case(
            "bson_code_with_scope",
            "Code f(x) with {x: 1}",
            code_with_scope("f(x)", [("x", value(1))]),
            '{"$code": "f(x)", "$scope": {"x": 1}}',
            "javascriptWithScope",
        ),
        typed_case("bson_symbol", "Symbol sales", (raw.SYMBOL, text("sales")[1]), "sales", "symbol"),
        typed_case(
            "bson_dbpointer",
            "DBPointer",
            (raw.DB_POINTER, text("users")[1] + ID.binary),
            f'{{"$dbPointer": {{"$ref": "users", "$id": {{"$oid": "{ID}"}}}}}}',
            "dbPointer",
        ),
        typed_case(
            "bson_dbref", 'DBRef("users", 7)', value(bson.DBRef("users", 7)), '{"$ref": "users", "$id": 7}', "object"
        ),
        typed_case("bson_minkey", "MinKey", (raw.MIN_KEY, b""), '{"$minKey": 1}', "minKey"),
        typed_case("bson_maxkey", "MaxKey", (raw.MAX_KEY, b""), '{"$maxKey": 1}', "maxKey"),
        typed_case(
            "text_array", '["a", 1, null]', array([text("a"), value(1), value(None)]), '["a", 1, null]', "array"
        ),
        typed_case("text_empty_array", "[]", array([]), "[]", "array"),
        typed_case("text_empty_object", "{}", nested([]), "{}", "object"),
        Case("text_object", "queue: {id: 7}", call(queue=nested([("id", value(7))])), {"queue": None, "queue_id": 7}),
    ],
    "Numbers": [
        Case("number_missing", "attempts: (missing)", call(without="attempts"), {"attempts": None}),
        Case(
            "number_int64",
            "attempts: Int64 9007199254740993",
            call(attempts=value(bson.Int64(2**53 + 1))),
            {"attempts": 2**53 + 1},
        ),
        Case(
            "number_first_int64",
            "attempts: Int64 -9223372036854775808",
            call(attempts=value(bson.Int64(-(2**63)))),
            {"attempts": -(2**63)},
        ),
        Case("number_double", "attempts: 2.5", call(attempts=value(2.5)), {"attempts": 2.5}),
        Case(
            "number_infinity", "attempts: -Infinity", call(attempts=value(float("-inf"))), {"attempts": float("-inf")}
        ),
        Case(
            "number_text",
            'attempts: "twice"',
            call(attempts=text("twice")),
            {"attempts": "twice", "repairs": "attempts: string kept as text"},
        ),
        Case(
            "number_bool",
            "attempts: true",
            call(attempts=value(True)),
            {"attempts": "true", "repairs": "attempts: bool kept as text"},
        ),
        Case(
            "number_decimal",
            "attempts: Decimal128 1.10",
            call(attempts=value(Decimal128("1.10"))),
            {"attempts": "1.10", "repairs": "attempts: decimal kept as text"},
        ),
    ],
    "Fields that only some documents have": [
        extra_case("extra_field_late", 'surprise: "only here"', ("surprise", text("only here")), surprise="only here"),
        extra_case("extra_null", "surprise: null", ("surprise", value(None)), surprise=None),
        extra_case(
            "extra_date",
            "expires: 9999-12-29T23:59:59",
            ("expires", date(253_402_127_999_000)),
            expires=dt.datetime(9999, 12, 29, 23, 59, 59, tzinfo=dt.UTC),
        ),
        extra_case(
            "extra_date_too_late",
            "expires: DatetimeMS(253402300800000)",
            ("expires", date(253_402_300_800_000)),
            expires='{"$date": {"$numberLong": "253402300800000"}}',
        ),
        extra_case(
            "nested_caller",
            'caller: {number: "+1555", name: "Ann"}',
            ("caller", nested([("number", text("+1555")), ("name", text("Ann"))])),
            caller_number="+1555",
            caller_name="Ann",
        ),
        extra_case(
            "tags_array", 'tags: ["vip", "a,b"]', ("tags", array([text("vip"), text("a,b")])), tags='["vip", "a,b"]'
        ),
        extra_case(
            "transfers_array",
            "transfers: [{agent: 7, at: a date}]",
            ("transfers", array([nested([("agent", value(7)), ("at", value(START))])])),
            transfers='[{"agent": 7, "at": {"$date": "2024-03-01T10:00:00.000Z"}}]',
        ),
        extra_case(
            "nested_10_deep",
            "deep: {level1: {level2: … {level10: 1}}}",
            ("deep", deep(10)),
            deep_level1_level2_level3_level4_level5_level6_level7='{"level8": {"level9": {"level10": 1}}}',
        ),
        extra_case(
            "dup_call_id", 'call_id: "c-1", as another document has it', ("call_id", text("c-1")), call_id="c-1"
        ),
    ],
    "Names of fields": [
        named_case("key_dot", '"a.b": "dot"', [("a.b", text("dot"))], {"a.b": "dot"}),
        named_case(
            "key_dot_collision",
            '"a.b": "dot" beside a: {b: "nested"}',
            [("a.b", text("dot")), ("a", nested([("b", text("nested"))]))],
            {"a.b": "dot", "a_b": "nested"},
        ),
        named_case(
            "key_flattening_collision",
            'a_b: "flat" beside a: {b: "nested"}',
            [("a_b", text("flat")), ("a", nested([("b", text("nested"))]))],
            {"a_b": "flat", "a_b_2": "nested"},
        ),
        named_case("key_dollar", '"$price": 5', [("$price", value(5))], {"$price": 5}),
        named_case("key_unicode", '"名前 x": "v"', [("名前 x", text("v"))], {"名前 x": "v"}),
        named_case(
            "key_slash_plus_digit",
            '"a/b": 1, "+c": 2, "1st": 3',
            [("a/b", value(1)), ("+c", value(2)), ("1st", value(3))],
            {"a/b": 1, "+c": 2, "1st": 3},
        ),
        named_case("key_case_clash", 'Queue: "Q2" beside queue', [("Queue", text("Q2"))], {"Queue_2": "Q2"}),
        named_case(
            "key_contract_clash",
            'call_date: "x", Repairs: "y"',
            [("call_date", text("x")), ("Repairs", text("y"))],
            {"call_date_2": "x", "Repairs_2": "y"},
        ),
        named_case("key_empty", '"": "v"', [("", text("v"))], {"unnamed": "v"}),
        named_case("key_formula", '"=cmd": "v"', [("=cmd", text("v"))], {"=cmd": "v"}),
        named_case("key_line_break", '"a\\nb": "v"', [("a\nb", text("v"))], {"a\nb": "v"}),
        named_case("key_invalid_utf8", "bytes 6b ff as a name", [(b"k\xff", text("v"))], {"k\\xff": "v"}),
        named_case(
            "dup_key",
            'note: "one", note: "two"',
            [("note", text("one")), ("note", text("two"))],
            {"note": "one", "note_2": "two"},
        ),
        named_case(
            "dup_key_nested",
            "a: {b: 1}, a: {b: 2, b: 3}",
            [("a", nested([("b", value(1))])), ("a", nested([("b", value(2)), ("b", value(3))]))],
            {"a_b": 1, "a_2_b": 2, "a_2_b_2": 3},
        ),
        named_case(
            "dup_key_in_array",
            "list: [{b: 1, b: 2}]",
            [("list", array([nested([("b", value(1)), ("b", value(2))])]))],
            {"list": '[{"b": 1, "b": 2}]'},
        ),
    ],
    "Identifiers": [
        id_case("id_string", '"call-77"', text("call-77"), "call-77"),
        id_case("id_empty_string", '""', text(""), "", "_id: empty"),
        id_case("id_int", "42", value(42), "42"),
        id_case("id_double", "2.5", value(2.5), "2.5"),
        id_case("id_uuid", "UUID", value(UUID), str(UUID)),
        id_case(
            "id_uuid_legacy",
            "UUID, subtype 3",
            value(Binary.from_uuid(UUID, UuidRepresentation.PYTHON_LEGACY)),
            '{"$binary": {"base64": "EjRWeBI0VniavBI0VniavA==", "subType": "03"}}',
        ),
        id_case("id_bytes", "bytes ff 00", binary(b"\xff\x00", 0), '{"$binary": {"base64": "/wA=", "subType": "00"}}'),
        id_case("id_date", "2024-03-01T10:00:00", value(START), "2024-03-01T10:00:00.000Z"),
        id_case("id_null", "null", value(None), "null"),
        id_case("id_minkey", "MinKey", (raw.MIN_KEY, b""), '{"$minKey": 1}'),
        Case(
            "id_object",
            "_id: {tenant: 1, n: 7}",
            call(_id=nested([("tenant", value(1)), ("n", value(7))])),
            {"_id": '{"tenant": 1, "n": 7}', "_id_tenant": 1, "_id_n": 7},
        ),
        Case(
            "id_invalid_utf8",
            "_id: bytes 61 ff",
            call(_id=text(b"a\xff")),
            {"_id": "a\\xff", "repairs": "_id: bytes that are not UTF-8 shown as \\x and hex digits"},
        ),
        Case(
            "id_missing",
            "_id: (missing), as only a file can hold it",
            call(without="_id"),
            {"_id": "", "repairs": "_id: missing"},
        ),
    ],
}
