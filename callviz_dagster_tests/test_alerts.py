"""Mails about a refresh that failed, and about calls that are too old, to a mail server on this machine."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import pytest
from pymongo.collection import Collection

from callviz_dagster.automation.alerts import too_old
from callviz_dagster.definitions import build_definitions
from callviz_dagster.setting_values.smtp import mail_server as parse
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.storage.files import PublishedFile
from callviz_dagster.storage.published import CALLS_CSV, Snapshot, record_file
from callviz_dagster_tests.helpers.certificate import certificate
from callviz_dagster_tests.helpers.smtp_server import PASSWORD, USER, mail_server

TO = ("ana@example.com", "team@example.com")


def with_alerts(settings: Settings, scheme: str, port: int) -> Settings:
    address = f"{scheme}://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"
    return dataclasses.replace(
        settings,
        alert_to=TO,
        alert_smtp=parse(address),
        ui_url="https://dagster.example.com",
        fresh_within=dt.timedelta(hours=1),
    )


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("certificate") / "server.pem")


@pytest.mark.each_case
@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
def test_a_failed_refresh_is_a_mail_with_the_asset_the_sentence_and_a_link(
    settings: Settings, pem: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    away = dataclasses.replace(settings, mongo_uri="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100")
    with mail_server(pem, starttls=scheme == "smtp") as server, dg.DagsterInstance.ephemeral() as instance:
        definitions = build_definitions(with_alerts(away, scheme, server.port))
        result = definitions.resolve_job_def("refresh_calls").execute_in_process(
            instance=instance, raise_on_error=False
        )
        assert not result.success
        sensor = definitions.resolve_sensor_def("refresh_calls_failed")
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
        context = dg.build_run_status_sensor_context(
            "refresh_calls_failed",
            _failure(result),
            instance,
            result.dagster_run,
        ).for_run_failure()
        sensor(context)
    (mail,) = server.mails
    assert mail["Subject"] == "callviz: refresh_calls failed"
    assert mail["To"] == "ana@example.com,team@example.com"
    text = str(mail.get_payload())
    assert "raw_calls: MongoDB did not answer: 127.0.0.1:9" in text
    assert f"https://dagster.example.com/runs/{result.run_id}" in text
    assert PASSWORD not in text


def _failure(result: dg.ExecuteInProcessResult) -> dg.DagsterEvent:
    (event,) = [event for event in result.all_events if event.event_type is dg.DagsterEventType.RUN_FAILURE]
    return event


def test_calls_that_are_too_old_are_one_mail_for_each_snapshot(
    tmp_path: Path, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    settings = Settings(publish_dir=tmp_path / "publish")
    with mail_server(pem, starttls=False) as server, dg.DagsterInstance.ephemeral() as instance:
        alerting = with_alerts(settings, "smtps", server.port)
        sensor = build_definitions(alerting).resolve_sensor_def("calls_not_fresh")
        now, cursor = dt.datetime.now(dt.UTC), None
        old, older = now - dt.timedelta(hours=2), now - dt.timedelta(hours=3)
        for snapshot, mails in ((None, 0), (old, 1), (old, 1), (now, 1), (older, 2)):
            if snapshot:
                _publish(alerting, snapshot)
            context = dg.build_sensor_context(instance, cursor)
            sensor.evaluate_tick(context)
            cursor = context.cursor
            assert len(server.mails) == mails
    assert {mail["Subject"] for mail in server.mails} == {"callviz: calls.csv is not fresh"}
    assert str(alerting.publish_dir / CALLS_CSV) in str(server.mails[0].get_payload())


def _publish(settings: Settings, snapshot: dt.datetime) -> None:
    """Record a calls.csv of a snapshot."""
    settings.publish_dir.mkdir(exist_ok=True)
    path = settings.publish_dir / CALLS_CSV
    path.touch()
    record_file(PublishedFile(path, 0, "0"), {}, Snapshot(time=snapshot.isoformat(), documents=3))


def test_fresh_calls_are_no_mail(tmp_path: Path) -> None:
    settings = Settings(publish_dir=tmp_path, fresh_within=dt.timedelta(hours=1))
    assert too_old(settings, dt.datetime.now(dt.UTC)) == ("", ""), "nothing is published"


@pytest.mark.parametrize(
    "given",
    [
        {"ALERT_TO": "ana@example.com"},
        {"ALERT_SMTP": "mail.example.com"},
        {"ALERT_SMTP": "http://calls:hunter2@mail.example.com"},
        {"ALERT_SMTP": "smtps://mail.example.com"},
        {"ALERT_TO": "Ana <ana@example.com>"},
    ],
)
def test_a_mail_setting_that_cannot_be_used_is_one_sentence_without_the_password(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="ALERT_") as error:
        Settings.load({f"CALLVIZ_{name}": value for name, value in given.items()})
    assert "hunter2" not in str(error.value)


def test_nothing_is_sent_where_no_address_is_set(collection: Collection[Any], settings: Settings) -> None:
    assert [sensor.name for sensor in build_definitions(settings).sensors or ()] == ["calls_changed"]
