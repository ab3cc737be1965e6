"""`callviz status`: what is published, how old it is, and how the last refreshes ended.

It reads the record in the publish folder and the Dagster instance, and nothing from MongoDB. What belongs elsewhere:
refreshing (`refresh.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from callviz_dagster.automation.runs import deployment_tags, failure_sentence
from callviz_dagster.cli.collection import ChosenCollection
from callviz_dagster.storage.published import CALLS_CSV, RowsHeld, left_out
from callviz_dagster.storage.refreshing import changed_published, read_published, update_working_copy
from callviz_dagster.table.volume import RECORD, refused_drop

_MOST_RUNS = 5


@dataclass(frozen=True)
class Run:
    """A refresh, as Dagster knows it."""

    id: str
    status: str
    started: str
    """ISO 8601, UTC."""
    message: str
    """Why it failed; empty where it did not."""


@dataclass(frozen=True)
class Status:
    """What is published, and what Dagster knows. As JSON, the keys are these names."""

    published: bool
    snapshot_time: str
    """Of `calls.csv`; ISO 8601, UTC; empty where nothing is published."""
    documents: int
    calls_since: str
    """First day of the calls in `calls.csv`, ISO 8601; empty where it has all."""
    older_calls: int
    """Calls of days before it, which are not in `calls.csv`."""
    age_seconds: int | None
    fresh: bool | None
    """By `CALLVIZ_FRESH_WITHIN`; null where it is not set, or nothing is published."""
    changed_files: tuple[str, ...]
    """Published files that are gone or are not as they were published."""
    waiting: str
    """A refused drop in the number of documents that keeps the sensor waiting; empty where there is none."""
    runs: tuple[Run, ...]
    """The last refreshes, the latest first."""


def read_status(collection: ChosenCollection, instance: dg.DagsterInstance, now: dt.datetime) -> Status:
    """Return what is known at `now`."""
    settings = collection.settings
    record = read_published(settings.publish_dir)
    entry, held = record.files.get(CALLS_CSV), record.held(CALLS_CSV)
    age = now - dt.datetime.fromisoformat(entry.time) if entry and entry.time else None
    update_working_copy(settings.data_dir, lambda name: name == RECORD)
    drop = refused_drop(settings.data_dir)
    return Status(
        published=entry is not None,
        snapshot_time=entry.time if entry else "",
        documents=entry.documents if entry else 0,
        calls_since=held.calls_since,
        older_calls=held.older_calls,
        age_seconds=int(age.total_seconds()) if age else None,
        fresh=age <= settings.fresh_within if age and settings.fresh_within else None,
        changed_files=tuple(changed_published(settings.publish_dir, record)),
        waiting=f"{drop.documents:,} documents where there were {drop.before:,}" if drop else "",
        runs=tuple(_runs(collection, instance)),
    )


def _runs(collection: ChosenCollection, instance: dg.DagsterInstance) -> Iterator[Run]:
    filters = dg.RunsFilter(tags=deployment_tags(collection.settings))
    for record in instance.get_run_records(filters, limit=_MOST_RUNS):
        run = record.dagster_run
        failed = run.status is dg.DagsterRunStatus.FAILURE
        started = record.create_timestamp.replace(tzinfo=dt.UTC).isoformat()
        yield Run(run.run_id, run.status.value.lower(), started, _failure(instance, run.run_id) if failed else "")


def _failure(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return the sentence of the step that failed first."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        if entry.dagster_event and (sentence := failure_sentence(entry.dagster_event.step_failure_data)):
            return sentence
    return "the process ended without reporting it"


def text(status: Status) -> Iterator[str]:
    """Yield a status as lines for a terminal."""
    if not status.published:
        yield "Nothing is published yet: run callviz refresh."
    else:
        fresh = {None: "", True: ", fresh", False: ", NOT fresh by CALLVIZ_FRESH_WITHIN"}[status.fresh]
        when = status.snapshot_time[:19].replace("T", " ")
        age = dt.timedelta(seconds=status.age_seconds or 0)
        yield f"Published: {status.documents:,} documents, as of {when} UTC, {age} ago{fresh}."
    if status.calls_since:
        yield left_out(RowsHeld(status.calls_since, status.older_calls))
    if status.changed_files:
        yield f"Not as they were published: {', '.join(status.changed_files)}; the next refresh replaces them."
    if status.waiting:
        yield f"The last refresh was refused: {status.waiting}."
    for run in status.runs:
        yield f"  {run.started[:19].replace('T', ' ')} UTC  {run.status:<9} {run.id[:8]}  {run.message}".rstrip()


def as_json(status: Status) -> dict[str, object]:
    """Return a status as JSON has it."""
    return dataclasses.asdict(status)
