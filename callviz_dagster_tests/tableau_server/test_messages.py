"""What is shown when a Tableau server cannot be used: one sentence each, with what to do and without the secret."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
import requests

import callviz_dagster.tableau_server
from callviz_dagster.settings import Settings
from callviz_dagster.tableau_server.errors import SIGN_IN, LastAnswer, TableauServerError, explain
from callviz_dagster_tests.helpers.tableau_publisher import COMMIT, FIRST, JOB, PART, Publisher, only
from callviz_dagster_tests.helpers.tableau_server import (
    HANG,
    PROXY_PAGE,
    RESET,
    SECRET,
    Answer,
    Fault,
    Project,
    TableauServer,
    certificate,
    refusal,
    server_settings,
    tableau_server,
)


def message(publisher: Publisher, settings: Settings) -> str:
    with pytest.raises(TableauServerError) as caught:
        publisher(settings, FIRST)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


REFUSALS: dict[str, tuple[Fault, str]] = {
    "wrong token": (
        Fault("signin", refusal(401, "401001", "Signin Error", "The personal access token you provided is invalid.")),
        r"did not accept the personal access token callviz for the default site \(401001: Signin Error\. The personal "
        r"access token you provided is invalid\)\. Check CALLVIZ_TABLEAU_TOKEN_NAME, .* 15 days without use",
    ),
    "expired token": (
        Fault("signin", refusal(401, "401001", "Signin Error", "The personal access token has expired.")),
        r"The personal access token callviz has expired \(401001.*\)\. Make a new one under My Account Settings",
    ),
    "no permission": (
        Fault(COMMIT, refusal(403, "403004", "Forbidden", "You may not.")),
        r"does not allow the owner of the token callviz to publish the workbook callviz: 403004: Forbidden\. You may "
        r"not\. The owner needs the site role Creator, or Explorer \(can publish\), the capability Publish on the "
        r"project Operations/Calls and",
    ),
    "name taken": (
        Fault(COMMIT, refusal(409, "409004", "Resource Conflict", "callviz already exists.")),
        r"an item of that name is there that was not made by callviz: 409004: .* Set another CALLVIZ_TABLEAU_NAME",
    ),
    "too large": (
        Fault(COMMIT, Answer(413, b"<html>413 Request Entity Too Large<br></html>", "text/html")),
        r"The file is too large for the Tableau server, or for a proxy before it: .* CALLVIZ_DROP_FIELDS",
    ),
    "throttled": (
        Fault("GET .*/projects", refusal(429, "429000", "Too Many Requests", "Wait.", Retry_After="7200"), times=9),
        r"has had too many requests and could not list projects .* raise CALLVIZ_MIN_REFRESH_SECONDS\. The server asks "
        r"for a pause of 7200 s",
    ),
    "proxy page": (
        Fault(".*", PROXY_PAGE, times=99),
        r"did not answer as Tableau does, but with a page of its own: a proxy or its login .* HTTPS_PROXY and NO_PROXY",
    ),
    "well-formed proxy page": (
        Fault("GET .*/projects", Answer(200, b"<html><body/></html>", "text/html")),
        r"did not answer as Tableau does, but with a page of its own",
    ),
    "redirect": (
        Fault(".*", Answer(302, headers={"Location": "https://login.example.com/?token=1"})),
        r"redirects to https://login.example.com, and no token is sent on to another address",
    ),
    "no answer": (Fault("GET .*/projects", HANG, times=9), r"did not answer within 1 s\. Refresh again"),
    "connection lost": (Fault(".*", RESET, times=9), r"cannot be reached: the connection was lost\. Check"),
    "server error": (Fault("GET .*/projects", Answer(500)), r"could not list projects: HTTP status 500\."),
}


@pytest.mark.parametrize(("fault", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_each_refusal_is_one_sentence_that_says_what_to_do(
    server: TableauServer,
    tmp_path: Path,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    expected: str,
) -> None:
    monkeypatch.setattr("callviz_dagster.tableau_server.session.PAUSES", ())
    server.faults.append(fault)
    given = message(publisher, server_settings(server, tmp_path, tableau_timeout_seconds=1))
    assert re.search(expected, given), given
    assert "\n" not in given
    assert server.items() == []


def test_a_project_that_is_not_there_lists_those_that_are_seen(
    server: TableauServer, settings: Settings, tmp_path: Path, publisher: Publisher
) -> None:
    given = message(publisher, server_settings(server, tmp_path, tableau_project="Operations / Call"))
    assert given.startswith(
        "There is no project Operations/Call for the owner of the token callviz on the default site."
    )
    assert "The owner sees Calls, Default, Operations, Operations/Calls. Set CALLVIZ_TABLEAU_PROJECT" in given
    server.projects += [Project(f"p{number}", f"Project {number:02}") for number in range(30)]
    server.projects[2].parent = "a project that the owner does not see"
    assert " and 14 more. " in message(publisher, settings)
    server.projects.clear()
    assert "The owner sees no project at all." in message(publisher, settings)
    assert server.count(COMMIT) == server.count(PART) == 0


def test_of_two_projects_that_look_the_same_none_is_taken(
    server: TableauServer, tmp_path: Path, publisher: Publisher
) -> None:
    server.projects += [Project("p8", "Twice", "unseen"), Project("p9", "Twice", "unseen as well")]
    given = message(publisher, server_settings(server, tmp_path, tableau_project="Twice"))
    assert given.startswith("2 projects are Twice for the owner of the token callviz: p8, p9.")
    assert server.items() == []


def test_a_project_where_nothing_may_be_published_is_named_before_anything_is_sent(
    server: TableauServer, tmp_path: Path, publisher: Publisher
) -> None:
    given = message(publisher, server_settings(server, tmp_path, tableau_project="Calls"))
    assert given.startswith(
        "The owner of the token callviz may not publish in the project Calls, but may in Default, Operations, "
        "Operations/Calls. The owner needs the site role Creator"
    )
    assert server.count(COMMIT) == server.count(PART) == 0


def test_a_server_that_does_not_say_where_one_may_publish_decides_at_the_commit(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    server.projects[2].writeable = None
    publisher(settings, FIRST)
    assert only(server).content == FIRST


@pytest.mark.parametrize(("version", "product"), [("3.5", "2019.3.0"), ("2.4", "10.1.0")])
def test_a_server_that_is_too_old_is_named(
    server: TableauServer, settings: Settings, publisher: Publisher, version: str, product: str
) -> None:
    server.version, server.product = version, product
    assert f"is Tableau Server {product}, which is too old" in message(publisher, settings)
    assert server.count("POST .*") == 0, "no token was sent"


def test_a_refusal_to_list_projects_is_no_empty_list(
    server: TableauServer, settings: Settings, publisher: Publisher
) -> None:
    """With `.filter()`, tableauserverclient would take it for one."""
    server.faults.append(Fault("GET .*/projects", refusal(403, "403004", "Forbidden", "Not yours.")))
    assert "403004: Forbidden. Not yours" in message(publisher, settings)
    modules = Path(callviz_dagster.tableau_server.__file__).parent
    assert not [
        path for path in modules.glob("*.py") if re.search(r"s\.filter\(|\.all\(\)|find_by_name", path.read_text())
    ]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_that_is_not_trusted_is_named(
    tmp_path: Path, publisher: Publisher, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = certificate(tmp_path)
    with tableau_server(authority) as server:
        settings = server_settings(server, tmp_path)
        if trusted:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
            publisher(settings, FIRST)
            assert only(server).content == FIRST
        else:
            given = message(publisher, settings)
            assert "its certificate is not trusted. Name the file with the certificates of its authority" in given
            assert "REQUESTS_CA_BUNDLE" in given
            assert (server.requests, publisher.pauses) == ([], []), "no token was sent, and nothing tried again"


def test_a_server_without_tls_is_named(server: TableauServer, tmp_path: Path, publisher: Publisher) -> None:
    settings = server_settings(server, tmp_path, tableau_server=server.address.replace("http:", "https:"))
    assert "it does not answer with TLS. Check the port." in message(publisher, settings)


def test_a_server_that_is_not_there_is_named(tmp_path: Path, publisher: Publisher) -> None:
    with tableau_server() as server:
        settings = server_settings(server, tmp_path)
    assert f"{settings.tableau_server} cannot be reached: the connection was refused. Check" in message(
        publisher, settings
    )
    assert publisher.pauses == [2, 8, 32]


# Secrets


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_a_secret_that_the_server_repeats_is_shown_nowhere(
    server: TableauServer, settings: Settings, publisher: Publisher, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(0)
    first, second = SECRET.split(":")
    texts = [repr(settings)]
    for place in ("signin", "projects", PART, COMMIT, JOB):
        server.faults = [Fault(place, refusal(status, f"{status}000", SECRET, f"You sent {second}."), times=99)]
        texts.append(message(publisher, settings))
        assert "***" in texts[-1] or status == 500
        server.faults = [Fault(place, refusal(status, f"{status}000", SECRET, f"You sent {second}."))]
        with contextlib.suppress(TableauServerError):
            publisher(settings, FIRST)
        server.contents["workbook"].clear()
    texts += [path.read_text(encoding="utf-8") for path in settings.data_dir.rglob("*") if path.is_file()]
    for text in (caplog.text, *texts):
        assert first not in text
        assert second not in text


@pytest.mark.parametrize("before", range(220, 300, 8))
def test_a_secret_at_the_end_of_a_long_text_is_not_cut_into_something_unknown(
    server: TableauServer, settings: Settings, publisher: Publisher, before: int
) -> None:
    server.faults.append(Fault("signin", refusal(401, "401001", "Signin Error", "x" * before + SECRET), times=99))
    given = message(publisher, settings)
    assert not any(SECRET[:length] in given for length in (4, len(SECRET)))


def test_a_site_that_is_not_there_is_named(server: TableauServer, tmp_path: Path, publisher: Publisher) -> None:
    wrong = server_settings(server, tmp_path, tableau_site="markets")
    assert "did not accept the personal access token callviz for the site markets" in message(publisher, wrong)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (requests.exceptions.ProxyError("refused"), "cannot be reached through the proxy that HTTPS_PROXY names"),
        (ValueError(), "could not be used: ValueError."),
        (TableauServerError("It was explained before."), "It was explained before."),
    ],
)
def test_an_error_without_an_answer_is_one_sentence(error: Exception, sentence: str) -> None:
    settings = Settings(
        tableau_server="https://tableau.example.com",
        tableau_project="Calls",
        tableau_token_name="callviz",
        tableau_token_secret=SECRET,
    )
    assert sentence in str(explain(error, LastAnswer(), settings, SIGN_IN))
