"""The address of a server that sends mail, as one setting holds it. What belongs elsewhere: sending."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_PORTS = {"smtps": 465, "smtp": 587}


@dataclass(frozen=True)
class MailServer:
    """A mail server, and the user who sends."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    starttls: bool
    """Whether the connection is encrypted by STARTTLS; otherwise it is from the start."""


def mail_server(value: str) -> MailServer:
    """Return the server of `smtps://user:password@host:465`, or of `smtp://…` for STARTTLS.

    Raises:
        ValueError: it is no such address; says what is, and shows nothing of it.
    """
    try:
        address = urlsplit(value)
        port = address.port
    except ValueError:
        address, port = urlsplit(""), None
    if address.scheme not in _PORTS or not (address.hostname and address.username and address.password):
        raise ValueError(
            "smtps://user:password@mail.example.com, or smtp://… for STARTTLS, with special characters percent-encoded"
        )
    return MailServer(
        address.hostname,
        port or _PORTS[address.scheme],
        unquote(address.username),
        unquote(address.password),
        address.scheme == "smtp",
    )


def addresses(value: str) -> tuple[str, ...]:
    """Return e-mail addresses between commas."""
    given = tuple(part.strip() for part in value.split(",") if part.strip())
    if not all("@" in address and not any(mark in address for mark in " \r\n<>") for address in given):
        raise ValueError("e-mail addresses, for example calls@example.com")
    return given
