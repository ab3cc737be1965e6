"""Mails to people: a refresh has failed, or `calls.csv` is older than it may be.

What belongs elsewhere: chats and pagers, for which Dagster has integrations of its own.
"""

from __future__ import annotations

import datetime as dt
import html
import smtplib
import ssl
from email.message import EmailMessage
from typing import TYPE_CHECKING

import dagster as dg

from callviz_dagster.automation.runs import failure_sentence
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.setting_values.smtp import MailServer
from callviz_dagster.settings import Settings
from callviz_dagster.storage.published import CALLS_CSV
from callviz_dagster.storage.refreshing import place, read_published

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

_TICK_SECONDS = 60
_PATIENCE_SECONDS = 30


def build_alerts(
    settings: Settings, job: UnresolvedAssetJobDefinition, names: Names = STAND_ALONE
) -> list[dg.SensorDefinition]:
    """Return the sensors that send mails; none where no address is set."""
    server = settings.alert_smtp
    if not settings.alert_to or server is None:
        return []
    failed = dg.make_email_on_run_failure_sensor(
        email_from=settings.alert_from or server.user,
        email_password=server.password,
        email_to=list(settings.alert_to),
        email_body_fn=lambda context: "<br>".join(map(html.escape, failure_lines(context))),
        email_subject_fn=lambda context: f"callviz: {context.dagster_run.job_name} failed",
        smtp_host=server.host,
        smtp_type="STARTTLS" if server.starttls else "SSL",
        smtp_port=server.port,
        smtp_user=server.user,
        name=f"{names.job}_failed",
        webserver_base_url=settings.ui_url,
        monitored_jobs=[job],
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    return [failed, *([_build_not_fresh(settings, server, names)] if settings.fresh_within else [])]


def failure_lines(context: dg.RunFailureSensorContext) -> list[str]:
    """Return the asset and the sentence of each step that failed."""
    lines = [
        f"{event.step_key}: {failure_sentence(event.step_failure_data) or 'failed'}"
        for event in context.get_step_failure_events()
    ]
    return lines or [" ".join((context.failure_event.message or "The run failed.").split())]


def _build_not_fresh(settings: Settings, server: MailServer, names: Names) -> dg.SensorDefinition:
    """Return the sensor that sends one mail for each snapshot that has become too old."""

    @dg.sensor(
        name=f"{names.name or 'calls'}_not_fresh",
        minimum_interval_seconds=_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Send a mail when calls.csv is older than CALLVIZ_FRESH_WITHIN allows.",
    )
    def not_fresh(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        snapshot, line = too_old(settings, dt.datetime.now(dt.UTC))
        if not line:
            return dg.SkipReason("calls.csv is fresh, or nothing is published yet")
        if context.cursor != snapshot:
            _send(settings, server, "callviz: calls.csv is not fresh", line)
            context.update_cursor(snapshot)
        return dg.SkipReason(line)

    return not_fresh


def too_old(settings: Settings, now: dt.datetime) -> tuple[str, str]:
    """Return the snapshot of `calls.csv` and a sentence where it is too old at `now`; two empty texts otherwise."""
    entry = read_published(settings.publish_dir).files.get(CALLS_CSV)
    if not entry or not entry.time or not settings.fresh_within:
        return "", ""
    if now - dt.datetime.fromisoformat(entry.time) <= settings.fresh_within:
        return "", ""
    path = place(settings.publish_dir / CALLS_CSV)
    when = entry.time[:19].replace("T", " ")
    return entry.time, f"{path} is of {when} UTC, older than CALLVIZ_FRESH_WITHIN allows. See the last runs in Dagster."


def _send(settings: Settings, server: MailServer, subject: str, line: str) -> None:
    message = EmailMessage()
    message["From"] = settings.alert_from or server.user
    message["To"] = ", ".join(settings.alert_to)
    message["Subject"] = subject
    message.set_content(line, cte="8bit")
    encryption = ssl.create_default_context()
    connection: smtplib.SMTP
    if server.starttls:
        connection = smtplib.SMTP(server.host, server.port, timeout=_PATIENCE_SECONDS)
        connection.starttls(context=encryption)
    else:
        connection = smtplib.SMTP_SSL(server.host, server.port, timeout=_PATIENCE_SECONDS, context=encryption)
    with connection:
        connection.login(server.user, server.password)
        connection.send_message(message)
