"""`make check-tableau`: publishes the packed workbook into a sandbox project of a real Tableau server, step by step.

It overwrites nothing but the workbook that it made there itself. What belongs elsewhere: publishing (`publish.py`).
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import logging
import sys
from collections.abc import Sequence
from typing import IO

from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.storage.files import FileError, stat_and_hash
from callviz_dagster.storage.lock import BusyError
from callviz_dagster.tableau.model import read
from callviz_dagster.tableau.pack import packed_workbook
from callviz_dagster.tableau_server import installed
from callviz_dagster.tableau_server.content import find_project
from callviz_dagster.tableau_server.errors import TableauServerError, site_name
from callviz_dagster.tableau_server.publish import Publication, PublishedItem, publish, remember
from callviz_dagster.tableau_server.session import TableauSession, signed_in, token_lock
from callviz_dagster.tableau_server.validation import validate

NAME = "callviz check"
"""Name of the workbook that it publishes."""
PACKAGE = "callviz.twbx"


def check(settings: Settings, project: str) -> None:
    """Publish the packed workbook into a project, and print what the server says.

    Raises:
        SettingsError: no server is set, or there is no packed workbook.
        TableauServerError: the server refused it.
    """
    if not settings.tableau_server:
        raise SettingsError(
            "CALLVIZ_TABLEAU_SERVER is not set: set it, and the project and the token that it needs, as in "
            "docs/tableau-server.md."
        )
    path = settings.publish_dir / PACKAGE
    if not path.is_file():
        raise SettingsError(f"{path.absolute()} is not there: run `callviz demo`, or refresh, and then check again.")
    folder = settings.data_dir / "check_tableau"
    sandbox = dataclasses.replace(settings, tableau_project=project, tableau_name=NAME, data_dir=folder)
    log = logging.getLogger(__name__)
    with (
        token_lock(settings, log),
        path.open("rb") as file,
        signed_in(sandbox, log) as session,
    ):
        _preflight(session)
        _validation(session, file)
        package = stat_and_hash(path)
        # Without a digest, it also publishes what it published before.
        published = publish(session, Publication("workbook", NAME, file, package.bytes, digest=""))
        remember(session, published, "")
        _published(session, published, file)
        _downloaded(session, published, package.sha256)
    _say(f"Look at it in the browser, and delete it when you have: {published.item.url or published.item.luid}")


def _preflight(session: TableauSession) -> None:
    settings = session.settings
    _say(f"{settings.tableau_server} answers with REST API {session.server.version}.")
    _say(f"The token {settings.tableau_token_name} is accepted for {site_name(settings)}.")
    project = find_project(session)
    allowed = "allows" if project.writeable else "does not say whether it allows"
    _say(f"The project {project.path} is there, and the server {allowed} to publish in it.")


def _validation(session: TableauSession, file: IO[bytes]) -> None:
    verdict = validate(session, packed_workbook(file))
    if verdict is None:
        _say("Tableau's validation: this server has none (it came with REST API 3.29).")
        return
    _say(f"Tableau's validation: {len(verdict.errors):,} errors, {len(verdict.warnings):,} warnings.")
    for finding in (*verdict.errors, *verdict.warnings):
        _say(f"  {finding}")


def _published(session: TableauSession, published: PublishedItem, file: IO[bytes]) -> None:
    state = "overwritten" if published.before else "created"
    _say(f"The workbook {NAME} was {state} in {published.seconds:.1f} s: {published.item.luid}.")
    workbook = read(packed_workbook(file))
    expected = {sheet.name for sheet in workbook.sheets if not sheet.hidden} | {one.name for one in workbook.dashboards}
    views = {view.name for view in published.views}
    _say(
        f"The server shows {len(views)} views; missing: {_listed(expected - views)}; more: {_listed(views - expected)}."
    )
    for view in published.views:
        _say(f"  {view.name}: {view.url(session.settings)}")


def _downloaded(session: TableauSession, published: PublishedItem, sha256: str) -> None:
    import hashlib

    def download() -> bytes:
        content = io.BytesIO()
        session.server.workbooks.download(published.item.luid, content)
        return content.getvalue()

    content = session.call("send the workbook back", download)
    comparison = (
        "is what was sent" if hashlib.sha256(content).hexdigest() == sha256 else "was packed anew by the server"
    )
    _say(f"Downloaded again: {len(content):,} bytes; the file {comparison}.")


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; return the exit code."""
    parser = argparse.ArgumentParser(prog="make check-tableau", description=__doc__)
    parser.add_argument("--project", default="", help="path of the sandbox project")
    project = parser.parse_args(arguments).project
    try:
        if not project:
            raise SettingsError("Name the project to try it in: make check-tableau PROJECT=Sandbox")
        if not installed():
            raise SettingsError("Install the extra `tableau`: `pip install 'callviz-dagster[tableau]'`.")
        check(Settings.load(), project)
    except (SettingsError, TableauServerError, FileError, BusyError) as error:
        sys.stderr.write(f"{error.strerror if isinstance(error, FileError) else error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
