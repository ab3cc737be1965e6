"""Batches of documents as raw BSON, end to end: unpacking the server's replies, and finding `_id` values in them.

Holds the one private hook into pymongo. What belongs elsewhere: which documents are read (`snapshot.py`).
"""

from __future__ import annotations

from typing import Any

import bson
from bson import CodecOptions
from bson.binary import UuidRepresentation
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo.cursor import RawBatchCursor

from callviz_dagster.mongodb.errors import MongoError

HOOK = ((bson, "_array_of_documents_to_buffer"), (RawBatchCursor, "_unpack_response"))
"""The private names of pymongo that are used."""
_EMPTY_ARRAY = b"\x05\x00\x00\x00\x00"
EXACT: CodecOptions[dict[str, Any]] = CodecOptions(
    uuid_representation=UuidRepresentation.UNSPECIFIED, datetime_conversion=bson.DatetimeConversion.DATETIME_MS
)
"""Decodes a value so that it encodes to the same bytes again; raises on text that is not UTF-8."""
SHOWN = EXACT.with_options(unicode_decode_error_handler="backslashreplace")
"""Decodes every value that a server stores; bytes that are not UTF-8 become `\\xed`, as in `calls`."""


def unpack_quickly(cursor: RawBatchCursor[Any]) -> None:
    """Let a cursor give the same batches with less work, where this pymongo allows it.

    pymongo makes an object of each document first and throws it away: a second of processor time a million documents.
    A pymongo without these private names is used as it is; `test_raw_batches.py` fails there, so that it is noticed.
    """
    if all(hasattr(owner, name) for owner, name in HOOK):
        cursor._unpack_response = unpack_reply  # type: ignore[method-assign,assignment]  # the hook


def unpack_reply(response: Any, *_: Any, **__: Any) -> list[dict[str, Any]]:
    """Return the server's reply with the documents of its batch end to end, as `RawBatchCursor` does."""
    from callviz_dagster.documents.walker import iterate

    reply = bytes(response.raw_command_response())
    batches = [
        (cursor, name, array)
        for field, _, cursor in iterate(reply, 4)
        if field == b"cursor"
        for name, _, array in iterate(reply, cursor + 4)
        if name in (b"firstBatch", b"nextBatch")
    ]
    if not batches:
        return [bson.decode(reply)]
    ((cursor, name, array),) = batches
    size = int.from_bytes(reply[array : array + 4], "little")
    documents: bytes = bson._array_of_documents_to_buffer(memoryview(reply)[array : array + size])
    without = bytearray(reply[:array] + _EMPTY_ARRAY + reply[array + size :])
    for start in (0, cursor):
        length = int.from_bytes(without[start : start + 4], "little") - size + len(_EMPTY_ARRAY)
        without[start : start + 4] = length.to_bytes(4, "little")
    decoded: dict[str, Any] = bson.decode(without)
    decoded["cursor"][name.decode()] = [documents] if documents else []
    return [decoded]


def last_document(batch: bytes) -> bytes:
    """Return the last document of a batch."""
    from callviz_dagster.documents.walker import document_starts

    return batch[document_starts(batch)[-2] :]


def identifier(document: bytes) -> Any:
    """Return a document's `_id` so that it encodes to the same bytes again; None where it is text that is not UTF-8.

    Raises:
        MongoError: it has none.
    """
    try:
        return bson.decode(_id_element(document), EXACT)["_id"]
    except InvalidBSON:
        return None


def literal_identifier(document: bytes) -> RawBSONDocument:
    """Return a document's `_id` byte for byte as an expression, `{$literal: ...}`.

    Raises:
        MongoError: it has none.
    """
    element = _id_element(document)
    body = element[4:5] + b"$literal" + element[8:]
    return RawBSONDocument((len(body) + 4).to_bytes(4, "little") + body)


def without_first(batch: bytes, document: bytes) -> bytes:
    """Return a batch without its first document if that has the same `_id` as another document."""
    first = batch[: int.from_bytes(batch[:4], "little")]
    return batch[len(first) :] if _id_element(first) == _id_element(document) else batch


def _id_element(document: bytes) -> bytes:
    """Return the raw element `_id` of a document, as a document of its own."""
    from callviz_dagster.documents.walker import iterate, value_size

    for name, kind, start in iterate(document, 4):
        if name == b"_id":
            body = bytes([kind]) + b"_id\x00" + document[start : start + value_size(document, kind, start)] + b"\x00"
            return (len(body) + 4).to_bytes(4, "little") + body
    raise MongoError("A document has no _id, so an interrupted read cannot go on; refresh again.")
