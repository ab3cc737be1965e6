"""Publishing to a Tableau server: driven by the real tableauserverclient against a server over loopback."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from callviz_dagster.settings import Settings
from callviz_dagster.tableau_server.content import Kind, View
from callviz_dagster.tableau_server.errors import TableauServerError, UnfinishedError
from callviz_dagster.tableau_server.publish import Publication, publish
from callviz_dagster.tableau_server.record import ServerRecord
from callviz_dagster.tableau_server.session import signed_in
from callviz_dagster_tests.helpers.tableau_publisher import (
    COMMIT,
    FIRST,
    JOB,
    PART,
    PART_BYTES,
    SECOND,
    Publisher,
    only,
)
from callviz_dagster_tests.helpers.tableau_server import (
    HANG,
    LOST,
    OWNER,
    PROXY_PAGE,
    RESET,
    SITE,
    Answer,
    Fault,
    TableauServer,
    refusal,
    server_settings,
    tableau_server,
)

# Made, overwritten, left as it is


@pytest.mark.parametrize("kind", ["workbook", "datasource"])
@pytest.mark.parametrize("part_bytes", [PART_BYTES, 1 << 20])
def test_made_once_and_overwritten_later(
    server: TableauServer, settings: Settings, publisher: Publisher, kind: Kind, part_bytes: int
) -> None:
    first = publisher(settings, FIRST, kind=kind, part_bytes=part_bytes)
    content = only(server, kind)
    assert (content.content, content.revision, first.uploaded, first.before) == (FIRST, 1, True, None)
    assert content.show_tabs == (kind == "workbook")
    second = publisher(settings, SECOND, kind=kind, part_bytes=part_bytes)
    assert only(server, kind).content == SECOND
    assert (only(server, kind).luid, only(server, kind).revision) == (first.item.luid, 2)
    assert second.item.luid == first.item.luid
    assert second.item.updated_at and first.item.updated_at
    assert second.item.updated_at > first.item.updated_at
    parts = -(-len(SECOND) // PART_BYTES) if part_bytes == PART_BYTES else 1
    assert (second.parts, bool(second.job)) == (parts, True)
    assert not server.sessions, "signed out"


def test_nothing_is_uploaded_while_nothing_changes(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    publisher(settings, FIRST, digest="rows")
    again = publisher(settings, SECOND, digest="rows")
    assert (again.uploaded, only(server).content) == (False, FIRST)
    assert server.count(COMMIT) == 1


@pytest.mark.parametrize("change", ["the digest", "the item", "the record"])
def test_whatever_changes_is_published_anew(
    server: TableauServer, settings: Settings, publisher: Publisher, change: str
) -> None:
    publisher(settings, FIRST, digest="rows")
    if change == "the item":
        only(server).updated = "2026-07-01T00:00:00Z"
    if change == "the record":
        path = settings.data_dir / "tableau_server.json"
        path.write_text(path.read_text().replace('"digest": "rows"', '"digest": ""'))
    assert publisher(settings, SECOND, digest="other" if change == "the digest" else "rows").uploaded
    assert only(server).content == SECOND


def test_a_lost_record_overwrites_nothing(server: TableauServer, settings: Settings, publisher: Publisher) -> None:
    publisher(settings, FIRST)
    (settings.data_dir / "tableau_server.json").unlink()
    with pytest.raises(TableauServerError, match="exists and was not made by callviz: it is left as it is"):
        publisher(settings, SECOND)
    assert only(server).content == FIRST


def test_a_workbook_of_somebody_else_is_overwritten_only_when_adopted(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    theirs = server.add("workbook", "callviz", server.projects[2].luid, b"theirs")
    with pytest.raises(TableauServerError, match=f"CALLVIZ_TABLEAU_ADOPT={theirs.luid}, which is needed once"):
        publisher(settings, FIRST)
    assert (theirs.content, server.count(COMMIT)) == (b"theirs", 0)
    publisher(server_settings(server, settings.data_dir.parent, tableau_adopt=(theirs.luid,)), FIRST)
    assert (only(server).luid, theirs.content) == (theirs.luid, FIRST)
    publisher(settings, SECOND)
    assert theirs.content == SECOND


def test_the_same_name_in_another_project_is_another_workbook(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    theirs = server.add("workbook", "callviz", server.projects[0].luid, b"theirs")
    publisher(settings, FIRST)
    assert (theirs.content, len(server.items())) == (b"theirs", 2)


def test_one_of_many_is_found(
    server: TableauServer, settings: Settings, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callviz_dagster.tableau_server.content._PAGE", 3)
    for number in range(10):
        server.add("workbook", "callviz", server.projects[0].luid if number else server.projects[1].luid)
    publisher(settings, FIRST)
    publisher(settings, SECOND)
    assert len(server.items()) == 11


@pytest.mark.parametrize("change", ["renamed", "moved"])
def test_a_workbook_that_was_renamed_or_moved_is_not_made_a_second_time(
    server: TableauServer, settings: Settings, publisher: Publisher, change: str
) -> None:
    publisher(settings, FIRST)
    if change == "renamed":
        only(server).name = "Call centre"
    else:
        only(server).project = server.projects[0].luid
    with pytest.raises(
        Exception, match=r"was renamed or moved .* Set CALLVIZ_TABLEAU_NAME and CALLVIZ_TABLEAU_PROJECT"
    ):
        publisher(settings, SECOND)
    given = {
        "tableau_name": only(server).name,
        "tableau_project": "Default" if change == "moved" else "Operations/Calls",
    }
    publisher(server_settings(server, settings.data_dir.parent, **given), SECOND)
    assert only(server).content == SECOND


def test_a_workbook_that_was_deleted_is_made_again(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    publisher(settings, FIRST, digest="rows")
    server.contents["workbook"].clear()
    assert publisher(settings, FIRST, digest="rows").uploaded
    assert only(server).content == FIRST


def test_a_first_publish_that_was_killed_is_taken_up_again(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    def killed(*_given: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        patch.setattr("callviz_dagster.tableau_server.publish.wait_for_job", killed)
        publisher(settings, FIRST)
    publisher(settings, SECOND)
    assert (only(server).content, only(server).owner) == (SECOND, OWNER)


# Faults


@pytest.mark.parametrize(
    ("megabytes", "part_megabytes"), [(5, 1), pytest.param(155, 16, marks=pytest.mark.long)], ids=["5 MB", "155 MB"]
)
def test_a_file_in_parts_arrives_byte_equal(
    server: TableauServer, settings: Settings, publisher: Publisher, megabytes: int, part_megabytes: int
) -> None:
    content = b"".join(number.to_bytes(8) for number in range(megabytes << 17))
    published = publisher(settings, content, part_bytes=part_megabytes << 20)
    assert only(server).content == content
    assert published.parts == server.count(PART) == -(-megabytes // part_megabytes)


REFUSED = {
    "500": refusal(500, "500000"),
    "401 twice": refusal(401, "401002"),
    "403": refusal(403, "403004"),
    "404": refusal(404, "404005"),
    "400": refusal(400, "400011"),
    "the page of a proxy": PROXY_PAGE,
    "403 of a proxy": Answer(403, b"<html>no<br></html>", "text/html"),
}
PASSING: dict[str, Answer | str] = {
    "reset": RESET,
    "answer lost": LOST,
    "502": Answer(502, b"<html>bad gateway</html>", "text/html"),
    "503": refusal(503, "503000"),
    "504": Answer(504),
    "429": refusal(429, "429000", Retry_After="5"),
    "401": refusal(401, "401002"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("place", [PART, COMMIT], ids=["part", "commit"])
def test_a_fault_that_stays_leaves_what_was_published(
    server: TableauServer, settings: Settings, publisher: Publisher, fault: Answer, place: str
) -> None:
    for before in ([], [FIRST]):
        server.faults = [Fault(place, fault, times=99)]
        with pytest.raises(TableauServerError):
            publisher(settings, SECOND)
        assert [item.content for item in server.items()] == before
        server.faults.clear()
        publisher(settings, FIRST)
    assert only(server).content == FIRST


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "name"),
    [
        (place, name)
        for place, names in (
            *((place, PASSING.keys()) for place in (PART, COMMIT, JOB)),
            *((f"GET .*/{what}", ("reset", "429", "401")) for what in ("projects", "workbooks", "views")),
            ("GET .*/serverInfo", ("reset", "503")),
        )
        for name in names
    ],
)
def test_a_fault_that_passes_is_survived(
    server: TableauServer, settings: Settings, publisher: Publisher, place: str, name: str
) -> None:
    fault: Any = PASSING[name]
    for revision, content in enumerate((FIRST, SECOND), start=1):
        server.faults.append(Fault(place, fault, after=1 if place == PART else 0))
        publisher(settings, content)
        assert (only(server).content, only(server).revision) == (content, revision), "published once"
        if name == "429":
            assert max(publisher.pauses) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("place", [PART, COMMIT], ids=["part", "commit"])
def test_a_server_that_does_not_answer_in_time_is_asked_again(
    server: TableauServer, tmp_path: Path, publisher: Publisher, place: str
) -> None:
    """In the commit, only after the item was read again."""
    server.faults.append(Fault(place, HANG))
    publisher(server_settings(server, tmp_path, tableau_timeout_seconds=1), FIRST)
    assert (only(server).content, only(server).revision) == (FIRST, 1)
    assert server.count("POST .*/fileUploads") == 2


def test_a_file_is_sent_again_from_its_beginning_when_a_part_was_lost(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    """The server may have the part whose answer was lost, and would then have it twice."""
    server.faults.append(Fault(PART, LOST, after=2))
    publisher(settings, FIRST)
    assert only(server).content == FIRST
    assert server.count("POST .*/fileUploads") == 2


def test_a_commit_whose_answer_was_lost_is_read_back_before_it_is_made_again(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    publisher(settings, FIRST)
    server.requests.clear()
    server.faults.append(Fault(COMMIT, LOST))
    published = publisher(settings, SECOND)
    assert server.count(COMMIT) == 1
    after = server.requests[next(n for n, line in enumerate(server.requests) if re.fullmatch(COMMIT, line)) + 1]
    assert after == f"GET /api/3.29/sites/{SITE}/workbooks/{published.item.luid}"
    assert (only(server).content, published.job) == (SECOND, "")


def test_a_first_commit_that_is_done_late_is_not_taken_for_somebody_elses(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    """Its job runs so late that it is sent again, and the second one finds the name taken."""
    server.job_waits = 8
    server.faults.append(Fault(COMMIT, LOST))
    publisher(settings, FIRST)
    assert (only(server).content, only(server).revision) == (FIRST, 1)


def test_an_item_that_appears_while_an_answer_is_lost_may_be_somebody_elses(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    server.faults.append(Fault(COMMIT, RESET, times=9))
    publisher.on_pause = lambda: server.items() or server.add("workbook", "callviz", server.projects[2].luid, b"theirs")
    with pytest.raises(TableauServerError):
        publisher(settings, FIRST)
    server.faults.clear()
    with pytest.raises(TableauServerError, match="exists and was not made by callviz"):
        publisher(settings, SECOND)
    assert only(server).content == b"theirs"


def test_a_workbook_that_the_owner_makes_after_a_refusal_is_left_as_it_is(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    server.faults.append(Fault(COMMIT, refusal(403, "403004")))
    with pytest.raises(TableauServerError):
        publisher(settings, FIRST)
    theirs = server.add("workbook", "callviz", server.projects[2].luid, b"theirs", OWNER)
    with pytest.raises(TableauServerError, match="exists and was not made by callviz"):
        publisher(settings, FIRST)
    assert theirs.content == b"theirs"


def test_a_first_publish_whose_job_ends_too_late_is_taken_up_again(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    server.job_outcome = "never"
    with pytest.raises(TableauServerError, match="was not done after 3000 s"):
        publisher(settings, FIRST)
    for job in server.jobs.values():
        job.outcome = "success"
    server.job_outcome = "success"
    publisher(settings, SECOND)
    assert (only(server).content, only(server).revision) == (SECOND, 2)


@pytest.mark.parametrize("state", [RESET, refusal(500, "500000")])
def test_a_lost_answer_that_cannot_be_looked_into_leaves_the_workbook_callvizs(
    server: TableauServer, settings: Settings, publisher: Publisher, state: Any
) -> None:
    """What was sent is done, and nothing more can be read."""
    server.faults += [Fault(COMMIT, LOST), Fault(r"GET .*/workbooks.*", state, times=99, after=1)]
    with pytest.raises(UnfinishedError):
        publisher(settings, FIRST)
    server.faults.clear()
    publisher(settings, SECOND)
    assert only(server).content == SECOND


@pytest.mark.parametrize("fault", [RESET, refusal(503, "503000"), refusal(429, "429000")])
def test_a_first_publish_whose_job_cannot_be_seen_is_taken_up_again(
    server: TableauServer, settings: Settings, publisher: Publisher, fault: Any
) -> None:
    server.job_waits = 3
    server.faults.append(Fault(JOB, fault, times=99))
    with pytest.raises(UnfinishedError, match=r"The job \S+ may still publish"):
        publisher(settings, FIRST)
    server.faults.clear()
    for job in server.jobs.values():
        job.waits = 0
    publisher(settings, SECOND)
    assert only(server).content == SECOND


def test_a_first_commit_whose_answer_was_lost_stays_callvizs_though_it_cannot_be_sent_again(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    server.job_waits = 99
    server.faults += [Fault(COMMIT, LOST), Fault(COMMIT, refusal(403, "403004"))]
    with pytest.raises(UnfinishedError):
        publisher(settings, FIRST)
    for job in server.jobs.values():
        job.waits = 0
    publisher(settings, SECOND)
    assert only(server).content == SECOND


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 403, 404, 409])
@pytest.mark.parametrize("place", ["GET .*/projects", PART, COMMIT], ids=["projects", "part", "commit"])
def test_what_is_refused_is_not_tried_again(
    server: TableauServer, settings: Settings, publisher: Publisher, place: str, status: int
) -> None:
    server.faults.append(Fault(place, refusal(status, f"{status}000")))
    with pytest.raises(TableauServerError, match=f"{status}000"):
        publisher(settings, FIRST)
    assert publisher.pauses == []


# Jobs


def test_a_job_is_waited_for(server: TableauServer, settings: Settings, publisher: Publisher) -> None:
    server.job_waits = 5
    published = publisher(settings, FIRST)
    assert published.job in server.jobs
    assert publisher.pauses == sorted(publisher.pauses), "less and less often"
    assert len(publisher.pauses) == 5


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ("failed", "failed: The extract could not be read. What was published before is unchanged"),
        ("cancelled", "was cancelled. What was published before is unchanged"),
        ("never", "was not done after 3000 s. See there, under Jobs"),
    ],
)
def test_a_job_that_does_not_succeed_leaves_what_was_published(
    server: TableauServer, settings: Settings, publisher: Publisher, outcome: str, message: str
) -> None:
    publisher(settings, FIRST)
    server.job_outcome = outcome
    with pytest.raises(TableauServerError, match=message):
        publisher(settings, SECOND)
    assert only(server).content == FIRST
    assert max(publisher.pauses, default=0) <= 32
    server.job_outcome = "success"
    publisher(settings, SECOND)
    assert only(server).content == SECOND


# Sessions


def test_a_token_that_is_used_elsewhere_too_is_named(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    """Each sign-in ends the session before; callviz signs in once more, and not for ever."""
    server.faults.append(Fault("GET .*/projects", refusal(401, "401002"), times=2))
    with pytest.raises(TableauServerError, match=r"ended the session of the token callviz twice: .* for callviz alone"):
        publisher(settings, FIRST)
    assert server.count("POST .*/auth/signin") == 2


def test_two_sessions_of_one_token_at_once_both_publish(
    server: TableauServer, tmp_path: Path, publisher: Publisher
) -> None:
    """Two deployments with folders of their own: nothing but the server knows of both."""
    first, second = (server_settings(server, tmp_path / name, tableau_name=name) for name in ("one", "two"))
    with signed_in(first, logging.getLogger("test"), publisher.pauses.append) as session:
        publisher(second, SECOND)
        publication = Publication("workbook", "one", io.BytesIO(FIRST), len(FIRST), "rows")
        publish(session, publication)
    assert {item.name: item.content for item in server.items()} == {"one": FIRST, "two": SECOND}


def test_a_site_is_signed_in_to_by_its_content_url(server: TableauServer, tmp_path: Path, publisher: Publisher) -> None:
    given = server_settings(server, tmp_path, tableau_site="marketing")
    with signed_in(given, logging.getLogger("test"), publisher.pause) as session:
        assert session.server.site_url == "marketing"
    view = View("1", "Daily Calls", "callviz/sheets/DailyCalls", "", None, None)
    assert view.url(given) == f"{server.address}/#/site/marketing/views/callviz/DailyCalls"


def test_a_proxy_of_the_environment_is_not_given_a_token_over_http(
    settings: Settings, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tableau_server() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        publisher(settings, FIRST)
        assert proxy.requests == []


@pytest.mark.parametrize("text", ["{", "[]", '{"format_version": 0}', '{"format_version": 1, "items": [{}]}'])
def test_a_record_that_cannot_be_read_counts_as_none(text: str) -> None:
    assert ServerRecord.from_json(text) == ServerRecord()
