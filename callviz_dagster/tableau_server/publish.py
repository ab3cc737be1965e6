"""Publishing a workbook or a data source: refused before anything is sent, left out where nothing changed, read back.

What is on the server is always read from there. An item is overwritten only if callviz made it, or if
`CALLVIZ_TABLEAU_ADOPT` names it. What belongs elsewhere: requests (`content.py`, `upload.py`), and the record of what
was published (`record.py`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import IO

from callviz_dagster.tableau_server.content import (
    TITLES,
    Item,
    Kind,
    Project,
    View,
    find_item,
    find_project,
    read_item,
    read_views,
)
from callviz_dagster.tableau_server.errors import LostAnswerError, TableauServerError, UnfinishedError
from callviz_dagster.tableau_server.record import (
    Place,
    RecordedItem,
    ServerRecord,
    read_server_record,
    write_server_record,
)
from callviz_dagster.tableau_server.session import PAUSES, TableauSession
from callviz_dagster.tableau_server.upload import PART_BYTES, commit, upload, wait_for_job

_CONFLICT = 409


@dataclass(frozen=True)
class Publication:
    """What is to be published."""

    kind: Kind
    name: str
    file: IO[bytes]
    bytes: int
    digest: str
    """Of what it shows: the same while rows, columns and workbook are the same."""


@dataclass(frozen=True)
class PublishedItem:
    """What the server shows afterwards, and how it came there."""

    item: Item
    views: tuple[View, ...]
    """Sheets and dashboards; none of a data source."""
    project: Project
    before: Item | None
    """What was there before; None where it is new."""
    uploaded: bool
    """False where nothing had changed, so that nothing was sent."""
    parts: int = 0
    job: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class _Committed:
    parts: int
    job: str


def publish(session: TableauSession, publication: Publication, *, part_bytes: int = PART_BYTES) -> PublishedItem:
    """Publish a file under its name in the project that the settings name; read back what the server shows.

    To be called under the lock of the token. What the server shows is for the caller to judge, who then calls
    `remember`.

    Raises:
        TableauServerError: it was not published, or the server does not show it; says why and what to do.
        FileError: the record cannot be written.
    """
    start = time.perf_counter()
    settings = session.settings
    project = find_project(session)
    place = Place.of(settings, project.luid, publication.kind, publication.name)
    record = read_server_record(settings.data_dir)
    before = find_item(session, publication.kind, publication.name, project)
    if before is None:
        _refuse_moved(session, record.at(place))
        write_server_record(settings.data_dir, record.with_creating(place))
    elif not _may_overwrite(session, before, record, place):
        raise TableauServerError(_taken(session, before, project))
    elif _is_unchanged(before, record.at(place), publication.digest):
        return PublishedItem(before, _views(session, before), project, before, uploaded=False)
    try:
        committed = _send_and_commit(session, publication, project, before, part_bytes)
    except UnfinishedError:
        raise
    except TableauServerError:
        # Nothing was made, so one that is there later is somebody else's.
        write_server_record(settings.data_dir, record)
        raise
    after = _changed_item(session, publication, project, before)
    if after is None:
        raise TableauServerError(
            f"The Tableau server took the {TITLES[publication.kind]} {publication.name} and does not show it. Refresh "
            "again, and look there under Jobs if it stays so."
        )
    return PublishedItem(
        after,
        _views(session, after),
        project,
        before,
        uploaded=True,
        parts=committed.parts,
        job=committed.job,
        seconds=time.perf_counter() - start,
    )


def remember(session: TableauSession, published: PublishedItem, digest: str) -> None:
    """Record an item as callviz's own.

    Args:
        session: the one that published it.
        published: what was published.
        digest: that of the publication; empty where the server does not show what was published, so that the next
            refresh publishes anew.

    Raises:
        FileError: the record cannot be written.
    """
    data_dir, item = session.settings.data_dir, published.item
    place = Place.of(session.settings, published.project.luid, item.kind, item.name)
    updated_at = item.updated_at.isoformat() if item.updated_at else ""
    record = read_server_record(data_dir).with_item(RecordedItem(item.luid, place, digest, updated_at))
    write_server_record(data_dir, record)


def _may_overwrite(session: TableauSession, item: Item, record: ServerRecord, place: Place) -> bool:
    """Return whether callviz made an item, may adopt it, or made it in a refresh that was interrupted."""
    interrupted = place in record.creating and item.owner_luid == session.user_id
    return record.knows(item.luid) or item.luid in session.settings.tableau_adopt or interrupted


def _taken(session: TableauSession, item: Item, project: Project) -> str:
    return (
        f"The {TITLES[item.kind]} {item.name} in {project.path} exists and was not made by callviz: it is left as it "
        "is. Set another CALLVIZ_TABLEAU_NAME or CALLVIZ_TABLEAU_PROJECT, or let callviz overwrite it with "
        f"CALLVIZ_TABLEAU_ADOPT={item.luid}, which is needed once."
    )


def _refuse_moved(session: TableauSession, recorded: RecordedItem | None) -> None:
    """Refuse to make a second item while the one that callviz made is there under another name or in another project.

    Raises:
        TableauServerError: says where it is now.
    """
    if recorded is None or recorded.place.kind not in TITLES:
        return
    kind: Kind = "workbook" if recorded.place.kind == "workbook" else "datasource"
    item = read_item(session, kind, recorded.luid)
    if item is not None:
        raise TableauServerError(
            f"The {TITLES[kind]} that callviz publishes was renamed or moved on the Tableau server: it is {item.name} "
            f"in the project {item.project_name} now. Set CALLVIZ_TABLEAU_NAME and CALLVIZ_TABLEAU_PROJECT to that, or "
            f"delete it ({item.url or item.luid}), and refresh again."
        )


def _is_unchanged(item: Item, recorded: RecordedItem | None, digest: str) -> bool:
    return (
        recorded is not None
        and recorded.luid == item.luid
        and recorded.digest == digest != ""
        and item.updated_at is not None
        and recorded.updated_at == item.updated_at.isoformat()
    )


def _send_and_commit(
    session: TableauSession, publication: Publication, project: Project, before: Item | None, part_bytes: int
) -> _Committed:
    """Send and publish the file; once more where the answer was lost and the item, read again, has not changed.

    Raises:
        TableauServerError: it was not published.
        UnfinishedError: it was not published, and may still be.
    """
    try:
        return _attempt(session, publication, project, before, part_bytes)
    except LostAnswerError as lost:
        session.log.info(f"It was not published, and is sent once more: {lost}")
    try:
        return _attempt(session, publication, project, before, part_bytes)
    except LostAnswerError as lost:
        raise UnfinishedError(f"{lost} The item on the server has not changed.") from None
    except TableauServerError as error:
        # Made by the first attempt, after it was looked for.
        if session.answer.status == _CONFLICT and _is_published(session, publication, project, before):
            return _Committed(0, "")
        raise UnfinishedError(str(error)) from None  # the first attempt may still come through


def _attempt(
    session: TableauSession, publication: Publication, project: Project, before: Item | None, part_bytes: int
) -> _Committed:
    """Send and publish the file once; where the answer is lost, read the item again.

    Raises:
        LostAnswerError: the answer was lost, and the item has not changed.
        UnfinishedError: it may still be published.
        TableauServerError: it was refused, or its job did not succeed.
    """
    uploaded = upload(session, publication.file, publication.bytes, part_bytes)
    name, overwrite = publication.name, before is not None
    try:
        job = commit(session, publication.kind, name, project.luid, uploaded, overwrite=overwrite)
    except LostAnswerError as lost:
        session.log.info(f"Whether it was published is not known, so the item is read again: {lost}")
        if _is_published(session, publication, project, before):
            return _Committed(uploaded.parts, "")
        raise
    if job:
        wait_for_job(session, job)
    return _Committed(uploaded.parts, job)


def _is_published(session: TableauSession, publication: Publication, project: Project, before: Item | None) -> bool:
    """Return whether an item is another one than before; a new one may be somebody else's.

    Raises:
        UnfinishedError: it cannot be read, so what was sent may have been published or not.
    """
    try:
        item = _changed_item(session, publication, project, before)
    except TableauServerError as error:
        raise UnfinishedError(str(error)) from None
    return item is not None and (before is not None or item.owner_luid == session.user_id)


def _changed_item(
    session: TableauSession, publication: Publication, project: Project, before: Item | None
) -> Item | None:
    """Read an item again until it is another one than before; None where it does not become so.

    The server's lists follow a change after a while, so a known item is read by its LUID.
    """
    for pause in (*PAUSES, None):
        if before is None:
            item = find_item(session, publication.kind, publication.name, project)
        else:
            item = read_item(session, publication.kind, before.luid)
        if item is not None and (before is None or item.updated_at != before.updated_at):
            return item
        if pause is not None:
            session.pause(pause)
    return None


def _views(session: TableauSession, item: Item) -> tuple[View, ...]:
    return tuple(read_views(session, item.luid)) if item.kind == "workbook" else ()
