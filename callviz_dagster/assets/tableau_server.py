"""What `published_workbook` and `published_datasource` share: the session, the file, errors, metadata, observations.

What belongs elsewhere: talking to the Tableau server (`tableau_server/`), what the checks decide
(`checks/tableau_server.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import dagster as dg

from callviz_dagster.assets.common import require, user_errors_as_failures, working_files
from callviz_dagster.assets.tableau import clean_name
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings
from callviz_dagster.storage.published import PublishedRecord, read_record
from callviz_dagster.tableau_server import installed
from callviz_dagster.tableau_server.content import Item, View
from callviz_dagster.tableau_server.errors import TableauServerError, site_name
from callviz_dagster.tableau_server.publish import PublishedItem
from callviz_dagster.tableau_server.session import TableauSession, signed_in, token_lock

POOL = "callviz_tableau_server"
"""Dagster's concurrency pool of the assets that use the token: a second sign-in with it would end the first session."""
OP_TAGS = {"dagster/priority": "-1"}
"""They run when nothing else is left to run."""
INSTALL = (
    "CALLVIZ_TABLEAU_SERVER needs the extra `tableau`: `pip install 'callviz-dagster[tableau]'`. Until then nothing is "
    "published there."
)


@contextlib.contextmanager
def taking_turns(settings: Settings, log: logging.Logger) -> Iterator[None]:
    """Hold the lock of the token while a file is opened and published, so that the latest one comes last.

    Raises:
        dg.Failure: the extra is not installed, or another process holds the lock for too long.
    """
    if not installed():
        raise dg.Failure(description=INSTALL)
    with user_errors_as_failures(), token_lock(settings, log):
        yield


@contextlib.contextmanager
def tableau_session(settings: Settings, log: logging.Logger) -> Iterator[TableauSession]:
    """Give a session on the server; errors become failures of one sentence.

    Raises:
        dg.Failure: nothing could be published; says why and what to do.
    """
    try:
        with user_errors_as_failures(), signed_in(settings, log) as session:
            yield session
    except TableauServerError as error:
        raise dg.Failure(description=str(error)) from None


@dataclass(frozen=True)
class OpenFile:
    """A published file that is open for reading."""

    file: IO[bytes]
    bytes: int
    digest: str
    """Of what it shows: the same while rows, columns and workbook are the same."""


@contextlib.contextmanager
def published_file(
    settings: Settings, name: str, asset: str, log: logging.Logger, digest: Callable[[IO[bytes], PublishedRecord], str]
) -> Iterator[OpenFile]:
    """Open a published file; what is read stays this file while a refresh replaces it.

    Args:
        settings: name the folder.
        name: the file's name.
        asset: the asset that makes it.
        log: where waiting for a refresh is logged.
        digest: returns the digest of what the file shows; called while no refresh replaces anything.

    Raises:
        dg.Failure: it is not there, or not as it was published.
    """
    path = settings.publish_dir / name
    with contextlib.ExitStack() as stack:
        with working_files(settings, log, name):
            file = stack.enter_context(require(path, asset).open("rb"))
            record = read_record(settings.publish_dir)
            if name not in record.files or record.files[name].sha256 != hashlib.file_digest(file, "sha256").hexdigest():
                raise dg.Failure(
                    description=f"{name} is not as it was published (it was changed, or a refresh was interrupted): "
                    f"materialize {asset} again."
                )
            opened = OpenFile(file, record.files[name].bytes, digest(file, record))
        yield opened


def server_metadata(settings: Settings, published: PublishedItem, size: int) -> dict[str, Any]:
    """Return what a materialization says of a published item."""
    item = published.item
    state = "created" if published.before is None else "overwritten"
    links = {f"view {view.name}": dg.MetadataValue.url(view.url(settings)) for view in published.views}
    job = {"job": published.job} if published.job else {}
    return {
        **({item.kind: dg.MetadataValue.url(item.url)} if item.url else {}),
        **links,
        "published": state if published.uploaded else "left as it was: nothing had changed",
        "LUID": item.luid,
        "server": settings.tableau_server,
        "site": site_name(settings),
        "project": published.project.path,
        **({"updated at": dg.MetadataValue.timestamp(item.updated_at)} if item.updated_at else {}),
        "bytes": size if published.uploaded else 0,
        "parts": published.parts,
        "seconds": round(published.seconds, 3),
        **job,
    }


def observation(key: dg.AssetKey, what: Item | View, extra: Mapping[str, Any]) -> dg.AssetObservation:
    """Return what the server shows of a node of the graph, under the names that dagster-tableau gives."""
    metadata = {
        "owner_id": (what.owner_luid or None),
        "name": what.name,
        "contentUrl": what.content_url,
        "createdAt": _clock(what.created_at),
        "updatedAt": _clock(what.updated_at),
        **extra,
    }
    return dg.AssetObservation(key, metadata={name: value for name, value in metadata.items() if value is not None})


def _clock(instant: dt.datetime | None) -> str | None:
    return instant.strftime("%Y-%m-%dT%H:%M:%S") if instant else None


def datasource_name(settings: Settings) -> str:
    """Return the name of the published data source."""
    return f"{settings.tableau_name} calls"


def datasource_spec(settings: Settings, names: Names = STAND_ALONE) -> dg.AssetSpec:
    """Return the node of the published data source, with the key and the kinds that dagster-tableau gives it."""
    return dg.AssetSpec(
        names.key(clean_name(datasource_name(settings))),
        deps=[names.key("published_datasource")],
        group_name=names.group("tableau"),
        kinds={"tableau", "extract", "published datasource"},
        tags={"dagster-tableau/asset_type": "data_source"},
        description=f"On the Tableau server: the data source {datasource_name(settings)}, for workbooks and metrics.",
        metadata={"dagster/storage_kind": "tableau"},
    )
