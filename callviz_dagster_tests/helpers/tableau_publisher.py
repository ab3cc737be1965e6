"""Shared by the tests of publishing to a Tableau server: files that are published without waiting, and what it has."""

from __future__ import annotations

import dataclasses
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from callviz_dagster.settings import Settings
from callviz_dagster.tableau_server.content import Kind
from callviz_dagster.tableau_server.publish import Publication, PublishedItem, publish, remember
from callviz_dagster.tableau_server.session import signed_in
from callviz_dagster_tests.helpers.tableau_server import TableauServer, server_settings

COMMIT = r"POST .*/(workbooks|datasources)$"
PART = r"PUT .*/fileUploads/.*"
JOB = r"GET .*/jobs/.*"
FIRST, SECOND = b"first " * 100, b"second " * 100
PART_BYTES = 64
"""Regular expressions for requests, and two files that need several parts."""


class Publisher:
    """Publishes bytes, without waiting where it would; keeps the pauses."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.on_pause: Callable[[], Any] = lambda: None

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.on_pause()

    def __call__(
        self,
        settings: Settings,
        content: bytes,
        *,
        kind: Kind = "workbook",
        digest: str = "",
        part_bytes: int = PART_BYTES,
    ) -> PublishedItem:
        digest = digest or str(hash(content))
        name = settings.tableau_name if kind == "workbook" else f"{settings.tableau_name} calls"
        publication = Publication(kind, name, io.BytesIO(content), len(content), digest)
        with signed_in(settings, logging.getLogger("test"), self.pause) as session:
            published = publish(session, publication, part_bytes=part_bytes)
            remember(session, published, digest)
        return published


def only(server: TableauServer, kind: str = "workbook") -> Any:
    (content,) = server.items(kind)
    return content


def on_server(settings: Settings, server: TableauServer, **given: Any) -> Settings:
    """Return settings that publish to the server too."""
    theirs = server_settings(server, Path("unused"), **given)
    names = [field.name for field in dataclasses.fields(Settings) if field.name.startswith("tableau_")]
    return dataclasses.replace(settings, **{name: getattr(theirs, name) for name in names})
