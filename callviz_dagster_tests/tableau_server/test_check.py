"""`make check-tableau`: each step is shown, in a sandbox project."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest

from callviz_dagster.assets.callviz_workbook import build_callviz_workbook
from callviz_dagster.settings import Settings
from callviz_dagster.storage.lock import BusyError
from callviz_dagster.tableau_server.check import check, main
from callviz_dagster.tableau_server.session import token_lock
from callviz_dagster_tests.helpers.tableau import run
from callviz_dagster_tests.helpers.tableau_server import TableauServer

pytestmark = pytest.mark.slow
WITH_CALLS = True


def check_tableau(settings: Settings, monkeypatch: pytest.MonkeyPatch, project: str) -> int:
    for field in dataclasses.fields(Settings):
        value = getattr(settings, field.name)
        if field.name.startswith("tableau_") and isinstance(value, str) and value:
            monkeypatch.setenv(field.metadata["name"], value)
    monkeypatch.setenv("CALLVIZ_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("CALLVIZ_PUBLISH_DIR", str(settings.publish_dir))
    return main(["--project", project])


def test_make_check_tableau_tries_each_step_in_a_sandbox(
    server: TableauServer, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(settings, build_callviz_workbook()).success
    server.verdict["warnings"] = [{"line": 3, "elementName": "map", "message": "odd"}]
    for state in ("created", "overwritten"):
        assert check_tableau(settings, monkeypatch, "Default") == 0
        out = capsys.readouterr().out
        for line in (
            f"{server.address} answers with REST API 3.29.\nThe token callviz is accepted for the default site.\n",
            "The project Default is there, and the server allows to publish in it.\n",
            "Tableau's validation: 0 errors, 1 warnings.\n  line 3, <map>: odd\n",
            f"The workbook callviz check was {state} in ",
            "The server shows 6 views; missing: none; more: none.\n",
            "bytes; the file is what was sent.\n",
        ):
            assert line in out
    (content,) = server.items()
    assert (content.name, content.revision) == ("callviz check", 2)


def test_make_check_tableau_takes_its_turn_with_the_token(
    server: TableauServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(settings, build_callviz_workbook()).success
    log = logging.getLogger("test")
    with token_lock(settings, log), pytest.raises(BusyError, match="is publishing to the Tableau server"):
        check(dataclasses.replace(settings, tableau_timeout_seconds=0), "Default")
    assert server.requests == []


def test_make_check_tableau_says_what_is_missing(
    server: TableauServer, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def error_output(project: str, **given: Any) -> str:
        assert check_tableau(dataclasses.replace(settings, **given), monkeypatch, project) == 1
        return capsys.readouterr().err

    assert "make check-tableau PROJECT=Sandbox" in error_output("")
    assert "is not there: run `callviz demo`" in error_output("Default")
    assert run(settings, build_callviz_workbook()).success
    assert "There is no project Sandbox" in error_output("Sandbox")
    monkeypatch.delenv("CALLVIZ_TABLEAU_SERVER")
    assert "CALLVIZ_TABLEAU_SERVER is not set" in error_output("Sandbox", tableau_server=None)
