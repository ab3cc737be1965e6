"""Sending a file to the Tableau server: in parts, then the one request that publishes it, as a job that is waited for.

What belongs elsewhere: whether it is sent at all, and what to do when an answer is lost (`publish.py`).
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import IO, Any

from callviz_dagster.tableau_server.content import TITLES, Kind, endpoint
from callviz_dagster.tableau_server.errors import MOST_DETAIL, TableauServerError, UnfinishedError, redact
from callviz_dagster.tableau_server.session import TableauSession

PART_BYTES = 16 << 20
"""Size of a part, and of the largest file that goes along with the request that publishes it. A part is in memory up to
three times while it is sent."""
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 1.0, 30.0, 1.5
"""Seconds between two looks at a job: Tableau Cloud allows 20,000 a day and site."""
_EXTENSIONS = {"workbook": "twbx", "datasource": "hyper"}
_SUCCEEDED, _CANCELLED = (0, 3), 2
"""Finish codes of jobs."""


@dataclass(frozen=True)
class Upload:
    """A file that the server has, whole, and has not published yet; or a small one that goes along."""

    session_id: str | None
    content: bytes
    """The whole file, where it was not sent in parts."""
    parts: int


def upload(session: TableauSession, file: IO[bytes], size: int, part_bytes: int = PART_BYTES) -> Upload:
    """Send a file in parts; one of a single part is only read.

    A part whose answer is lost is not sent again by itself, for it may be there: the file is sent from its beginning,
    into a new upload session.

    Raises:
        TableauServerError: the file could not be sent.
    """
    if size <= part_bytes:
        file.seek(0)
        return Upload(None, file.read(), 1)
    # One part that passed its retries ends the upload: each retry sends the whole file.
    return session.call("receive the file", lambda: _send(session, file, size, part_bytes))


def _send(session: TableauSession, file: IO[bytes], size: int, part_bytes: int) -> Upload:
    from tableauserverclient.server import RequestFactory

    uploads = session.server.fileuploads
    file.seek(0)
    session_id = uploads.initiate()
    parts = 0
    while part := file.read(part_bytes):
        request, content_type = RequestFactory.Fileupload.chunk_req(part)
        uploads.append(session_id, request, content_type)
        parts += 1
        # tableauserverclient leaves each part in a reference cycle.
        del part, request
        gc.collect(1)
        session.log.info(f"Sent part {parts:,} of {-(-size // part_bytes):,}.")
    return Upload(session_id, b"", parts)


def commit(
    session: TableauSession, kind: Kind, name: str, project_luid: str, uploaded: Upload, *, overwrite: bool
) -> str:
    """Publish an uploaded file; return the job that does it, or an empty text where the server did it at once.

    Raises:
        LostAnswerError: it may be published or not.
        TableauServerError: the server refused it.
    """
    import tableauserverclient as TSC
    from tableauserverclient.server import RequestFactory

    item: TSC.WorkbookItem | TSC.DatasourceItem
    factory: Any
    if kind == "workbook":
        # Tabs are shown at first; later on, the server's own setting stays.
        item, factory = TSC.WorkbookItem(project_luid, name, show_tabs=not overwrite), RequestFactory.Workbook
    else:
        item, factory = TSC.DatasourceItem(project_luid, name), RequestFactory.Datasource
    extension = _EXTENSIONS[kind]
    post: Any = endpoint(session, kind).post_request
    url = f"{endpoint(session, kind).baseurl}?{kind}Type={extension}&asJob=true"
    if overwrite:
        url += "&overwrite=true"
    if uploaded.session_id:
        url += f"&uploadSessionId={uploaded.session_id}"
        request, content_type = factory.publish_req_chunked(item)
    else:
        request, content_type = factory.publish_req(item, f"{name}.{extension}", uploaded.content)

    def publish() -> str:
        jobs = TSC.JobItem.from_response(post(url, request, content_type).content, session.server.namespace)
        return jobs[0].id if jobs else ""

    return session.commit(f"publish the {TITLES[kind]} {name}", publish)


def wait_for_job(session: TableauSession, job_id: str) -> None:
    """Wait until a job has ended, at most ten times as long as for an answer.

    Raises:
        TableauServerError: it failed or was cancelled.
        UnfinishedError: it was not done in time, or cannot be seen.
    """
    most = 10.0 * session.settings.tableau_timeout_seconds
    deadline = time.monotonic() + most
    waited, pause = 0.0, _FIRST_PAUSE
    while True:
        try:
            job = session.call("show the job that publishes", lambda: session.server.jobs.get_by_id(job_id))
        except TableauServerError as error:
            raise UnfinishedError(f"{error} The job {job_id} may still publish; the next refresh looks.") from None
        if job.completed_at is not None:
            break
        if waited >= most or time.monotonic() >= deadline:
            raise UnfinishedError(
                f"The job {job_id} that publishes on the Tableau server was not done after {most:.0f} s. See there, "
                "under Jobs, what it waits for; the next refresh publishes anew. If jobs take longer, raise "
                "CALLVIZ_TABLEAU_TIMEOUT_SECONDS."
            )
        session.pause(pause)
        waited += pause
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
    if job.finish_code in _SUCCEEDED:
        return
    notes = redact(" ".join([*job.notes, *(note.get("text") or "" for note in job.status_notes)]), session.settings)
    ended = "was cancelled" if job.finish_code == _CANCELLED else "failed"
    reason = f": {notes[:MOST_DETAIL].rstrip('. ')}" if notes else ""
    raise TableauServerError(
        f"The job {job_id} that publishes on the Tableau server {ended}{reason}. What was published before is "
        "unchanged; refresh again."
    )
