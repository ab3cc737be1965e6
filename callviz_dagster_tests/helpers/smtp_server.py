"""A mail server on this machine: it speaks TLS, from the start or by STARTTLS, asks for a password, and keeps mails."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from pathlib import Path

USER, PASSWORD = "calls@example.com", "hunter2 p@ss"


@dataclass
class MailServerOfTest:
    """What the server has received."""

    port: int
    mails: list[Message] = field(default_factory=list)
    refused: int = 0
    """Sign-ins with another user or password."""


@contextlib.contextmanager
def mail_server(pem: Path, *, starttls: bool) -> Iterator[MailServerOfTest]:
    """Run the server on a free port of 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        received = MailServerOfTest(listening.getsockname()[1])

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with contextlib.suppress(OSError):
                        secured = connection if starttls else context.wrap_socket(connection, server_side=True)
                        _talk(secured, context, received)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield received
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _talk(connection: socket.socket, context: ssl.SSLContext, received: MailServerOfTest) -> None:
    """Answer one client until it quits."""
    connection.settimeout(30)
    connection.sendall(b"220 test\r\n")
    lines = connection.makefile("rb")
    for line in lines:
        verb = line.split(b" ")[0].strip().upper()
        if verb == b"EHLO":
            connection.sendall(b"250-test\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n")
        elif verb == b"STARTTLS":
            connection.sendall(b"220 go ahead\r\n")
            connection = context.wrap_socket(connection, server_side=True)
            _talk_on(connection, received)
            return
        else:
            _answer(connection, lines, verb, line, received)
        if verb == b"QUIT":
            return


def _talk_on(connection: socket.socket, received: MailServerOfTest) -> None:
    lines = connection.makefile("rb")
    for line in lines:
        verb = line.split(b" ")[0].strip().upper()
        if verb == b"EHLO":
            connection.sendall(b"250-test\r\n250 AUTH PLAIN\r\n")
        else:
            _answer(connection, lines, verb, line, received)
        if verb == b"QUIT":
            return


def _answer(
    connection: socket.socket, lines: Iterator[bytes], verb: bytes, line: bytes, received: MailServerOfTest
) -> None:
    if verb == b"AUTH":
        _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
        if (user, password) == (USER, PASSWORD):
            connection.sendall(b"235 welcome\r\n")
        else:
            received.refused += 1
            connection.sendall(b"535 no\r\n")
    elif verb == b"DATA":
        connection.sendall(b"354 go on\r\n")
        body = b""
        for part in lines:
            if part == b".\r\n":
                break
            body += part
        received.mails.append(message_from_bytes(body))
        connection.sendall(b"250 taken\r\n")
    else:
        connection.sendall(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
