"""The runs of this deployment in the Dagster instance: which they are, whether they live, and how they ended.

The runs of other code locations in the same instance, and of another callviz, are neither waited for nor ended. What
belongs elsewhere: requesting runs (`sensor.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from callviz_dagster.automation.decisions import Outcome, Request
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings
from callviz_dagster.storage.refreshing import place, refreshing_process
from callviz_dagster.storage.run_file import RunState, forget_run, run_state

if TYPE_CHECKING:
    from dagster._core.execution.plan.objects import StepFailureData

COLLECTION_TAG = "callviz/collection"
"""Run tag: the collection, for people."""
DEPLOYMENT_TAG = "callviz/deployment"
"""Run tag: a digest of the collection's name and the data folder, for these two are what a refresh works on."""
REQUEST_TAG = "callviz/request"
"""Run tag: which request of the sensor the run answers."""
SILENCE = dt.timedelta(minutes=5)
"""How long a run may say nothing before its process counts as dead, where no file shows that it lives. Loading the
code takes seconds; a refresh logs its progress every few seconds."""
_ASSET_JOB = "__ASSET_JOB"
"""Dagster's job for assets that are materialized without a job, in every code location."""
_PENDING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Every status of a run that still means to do something; Dagster's own list leaves the queued ones out."""


def failure_sentence(failure: StepFailureData | None) -> str:
    """Return why a step failed: the description of a failure that callviz foresaw, else the error's message."""
    if failure and failure.user_failure_data:
        return " ".join((failure.user_failure_data.description or "").split())
    if not failure or not failure.error:
        return ""
    if failure.error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
        return "The refresh was interrupted: its process was asked to end, by a restart or by hand."
    return " ".join(failure.error.message.split())


def deployment_tags(settings: Settings) -> dict[str, str]:
    """Return the tags of every run of this deployment's jobs."""
    named = f"{settings.database}.{settings.mongo_collection}\n{place(settings.data_dir)}"
    return {DEPLOYMENT_TAG: hashlib.sha256(named.encode()).hexdigest()[:32]}


def end_dead_runs(
    instance: dg.DagsterInstance,
    settings: Settings,
    location: str | None,
    now: dt.datetime,
    names: Names = STAND_ALONE,
) -> list[dg.DagsterRun]:
    """Return this deployment's refreshes that are queued or running; report those as failed whose process is dead.

    After a power cut nothing reports to Dagster that a run has ended, and it would be waited for without end.

    Args:
        instance: the Dagster instance.
        settings: this deployment's settings.
        location: the name of this deployment's code location in the instance, if it is known.
        now: the present.
        names: those of the collection.
    """
    alive = []
    for run in _pending_runs(instance, settings, location, names):
        if _is_dead(instance, run, settings, now):
            instance.report_run_failed(run, "The process of this run has ended without reporting it.")
            forget_run(settings.data_dir, run.run_id)
        else:
            alive.append(run)
    return alive


def ended_runs(
    instance: dg.DagsterInstance,
    settings: Settings,
    location: str | None,
    before: dt.datetime,
    names: Names = STAND_ALONE,
) -> list[dg.DagsterRun]:
    """Return this deployment's runs that were created before a moment and have ended; those by hand by location."""
    ended = [status for status in dg.DagsterRunStatus if status not in _PENDING]
    own = instance.get_runs(dg.RunsFilter(tags=deployment_tags(settings), statuses=ended, created_before=before))
    by_hand = instance.get_runs(dg.RunsFilter(job_name=_ASSET_JOB, statuses=ended, created_before=before))
    return [*own, *(run for run in by_hand if _is_own(run, settings, location, names))]


def _pending_runs(
    instance: dg.DagsterInstance, settings: Settings, location: str | None, names: Names
) -> Sequence[dg.DagsterRun]:
    of_jobs = instance.get_runs(dg.RunsFilter(tags=deployment_tags(settings), statuses=_PENDING))
    by_hand = instance.get_runs(dg.RunsFilter(job_name=_ASSET_JOB, statuses=_PENDING))
    return [*of_jobs, *(run for run in by_hand if _is_own(run, settings, location, names))]


def _is_own(run: dg.DagsterRun, settings: Settings, location: str | None, names: Names) -> bool:
    """Return whether a run without the tag works on the same files: it says so in the data folder, or will."""
    if run.asset_selection is not None and not names.owns_any(run.asset_selection):
        return False
    if run_state(settings.data_dir, run.run_id) is not RunState.UNKNOWN:
        return True
    origin = run.remote_job_origin
    return location is not None and origin is not None and origin.location_name == location


def _is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun, settings: Settings, now: dt.datetime) -> bool:
    state = run_state(settings.data_dir, run.run_id)
    if state is not RunState.UNKNOWN or run.status is dg.DagsterRunStatus.QUEUED:
        return state is RunState.DEAD
    return _silent_for(instance, run, now) > SILENCE and not refreshing_process(settings.data_dir)


def _silent_for(instance: dg.DagsterInstance, run: dg.DagsterRun, now: dt.datetime) -> dt.timedelta:
    events = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    if events:
        return now - dt.datetime.fromtimestamp(events[0].timestamp, dt.UTC)
    record = instance.get_run_record_by_id(run.run_id)
    return now - record.update_timestamp.replace(tzinfo=dt.UTC) if record else dt.timedelta()


def outcome_of(request: Request | None, instance: dg.DagsterInstance) -> tuple[Outcome, str]:
    """Return what became of a requested refresh, and why where it failed."""
    if request is None:
        return Outcome.NONE, ""
    runs = instance.get_runs(dg.RunsFilter(tags={REQUEST_TAG: request.id}), limit=1)
    if not runs:
        return Outcome.FAILED, "the run was never started"
    run = runs[0]
    if run.status in _PENDING:
        return Outcome.RUNNING, ""
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return Outcome.DONE, ""
    return Outcome.FAILED, f"run {run.run_id[:8]} was {'canceled' if run.status.value == 'CANCELED' else 'a failure'}"


def last_refresh(instance: dg.DagsterInstance, settings: Settings) -> dt.datetime | None:
    """Return when the last run of this deployment's jobs was created."""
    records = instance.get_run_records(dg.RunsFilter(tags=deployment_tags(settings)), limit=1)
    return records[0].create_timestamp.replace(tzinfo=dt.UTC) if records else None
