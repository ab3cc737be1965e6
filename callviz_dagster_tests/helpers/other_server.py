"""A server that speaks MongoDB's wire protocol and answers as another version or product does.

It knows one collection, `shop.calls`. What belongs elsewhere: MongoDB itself (`demo/mongod.py`), which most tests use.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import bson

_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
Document = dict[str, Any]
Answer = Callable[[Mapping[str, Any]], Document]


class OtherServer:
    """Answers commands by their name, until it is closed; `asked` has all of them.

    Args:
        documents: the documents of `shop.calls`.
        answers: further commands, or other answers to the usual ones.
        hello: what to add to the answer to `hello`.
    """

    def __init__(
        self, documents: list[Document], answers: Mapping[str, Answer] | None = None, hello: Document | None = None
    ) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[Document] = []
        hello = {"isWritablePrimary": True, "maxWireVersion": 17, **(hello or {})}
        self._answers: dict[str, Answer] = {
            "hello": lambda _: hello,
            "ismaster": lambda _: hello,
            "ping": lambda _: {},
            "buildinfo": lambda _: {"version": "9.9"},
            "listcollections": lambda _: cursor({"name": "calls", "type": "collection", "options": {}}),
            "find": lambda _: cursor(*documents),
            "count": lambda _: {"n": len(documents)},
            "aggregate": lambda _: cursor({"documents": len(documents)}),
            **(answers or {}),
        }
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        """Connection string."""
        return f"mongodb://127.0.0.1:{self.port}/shop?directConnection=true"

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, struct.error), client:
            while True:
                size, request, _, kind = struct.unpack("<iiii", _receive(client, 16))
                body = _receive(client, size - 16)
                if kind == _OP_QUERY:
                    start = body.index(b"\x00", 4) + 9
                    answer = b"\x08\x00\x00\x00" + struct.pack("<qii", 0, 0, 1) + self._answer(body[start:])
                else:
                    answer = struct.pack("<iB", 0, 0) + self._answer(body[5:])
                reply_kind = _OP_REPLY if kind == _OP_QUERY else _OP_MSG
                client.sendall(struct.pack("<iiii", len(answer) + 16, 0, request, reply_kind) + answer)

    def _answer(self, body: bytes) -> bytes:
        command: Document = bson.decode(body[: int.from_bytes(body[:4], "little")])
        self.asked.append(command)
        name = next(iter(command))
        answer = self._answers.get(name.lower())
        return bson.encode({"ok": 1.0} | answer(command) if answer else refused(59, f"no such command: {name!r}"))


def cursor(*documents: Document, **more: Any) -> Document:
    """Return the answer to a query that has these documents."""
    return {"cursor": {"firstBatch": list(documents), "id": bson.Int64(0), "ns": "shop.calls", **more}}


def refused(code: int, why: str) -> Document:
    """Return the answer to a command that is refused."""
    return {"ok": 0.0, "code": code, "errmsg": why}


def _receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = client.recv(size - len(data))
        if not part:
            raise ConnectionResetError
        data += part
    return data


@contextlib.contextmanager
def other_server(*given: Any, **named: Any) -> Iterator[OtherServer]:
    """Run one for the duration of the `with` block."""
    server = OtherServer(*given, **named)
    try:
        yield server
    finally:
        server.close()
