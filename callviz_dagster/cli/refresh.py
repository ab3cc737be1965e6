"""`callviz refresh`: run the job that refreshes everything, in this process, and say how it went.

What belongs elsewhere: what a refresh does (`assets/`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from callviz_dagster.assets.common import BUSY, FAILED_CHECKS
from callviz_dagster.automation.jobs import partition_tags
from callviz_dagster.automation.runs import failure_sentence
from callviz_dagster.cli.collection import ChosenCollection
from callviz_dagster.cli.exit_codes import ExitCode
from callviz_dagster.definitions import build_definitions
from callviz_dagster.local.summary import summary
from callviz_dagster.partitions import Partitioning, parse_keys
from callviz_dagster.progress import PROGRESS_LINE
from callviz_dagster.settings import SettingsError
from callviz_dagster.storage.published import CALLS_CSV, RowsHeld
from callviz_dagster.storage.refreshing import published_places, read_published
from callviz_dagster.table.volume import ACCEPT_DROP_TAG

Say = Callable[[str], None]


@dataclass(frozen=True)
class Refreshed:
    """How a refresh went. As JSON, the keys are these names."""

    status: str
    """`done`, `failed`, `busy` or `refused`."""
    run_id: str
    seconds: float
    message: str = ""
    """Why nothing more was published, in a sentence; empty where the refresh is done."""
    failed_checks: tuple[str, ...] = ()
    """Checks that failed, those that only warn included; the asset, a colon and the name."""
    calls: int = 0
    """Rows of `calls`: those in `calls.csv`, and the older ones."""
    calls_since: str = ""
    """First day of the calls in `calls.csv`, ISO 8601; empty where it has all."""
    older_calls: int = 0
    """Calls of days before it, which are not in `calls.csv`."""
    rejected: int = 0
    snapshot_time: str = ""
    """Of the collection, as `calls.csv` shows it; ISO 8601, UTC."""
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The published files, by name: `path`, `bytes` and `sha256`."""

    @property
    def exit_code(self) -> ExitCode:
        """What the command returns."""
        return {
            "done": ExitCode.DONE,
            "failed": ExitCode.FAILED,
            "busy": ExitCode.BUSY,
            "refused": ExitCode.REFUSED,
        }[self.status]


def refresh(
    collection: ChosenCollection,
    instance: dg.DagsterInstance,
    *,
    partition: str,
    accept_drop: int | None = None,
    as_json: bool,
    quiet: bool,
) -> ExitCode:
    """Refresh, print what `--json` and `--quiet` let through, and return the exit code.

    Args:
        collection: what to refresh.
        instance: where the run is recorded.
        partition: which partitions, see `run_tags`.
        accept_drop: see `run_tags`.
        as_json: whether to print one JSON object and nothing else.
        quiet: whether to print only why a refresh was not done.

    Raises:
        SettingsError: a setting is not allowed, or there is no such partition.
    """
    began = time.time()
    collection.settings.require_mongo_uri()
    tags = run_tags(collection, partition, accept_drop)
    say: Say = (lambda line: None) if quiet or as_json else terminal(sys.stdout)
    say(f"Reading {collection.settings.database}.{collection.settings.mongo_collection}, through Dagster ...")
    refreshed = run(collection, instance, tags, say)
    if as_json:
        sys.stdout.write(json.dumps(dataclasses.asdict(refreshed), indent=1) + "\n")
    elif refreshed.status == "done":
        say(summary(collection.settings, began, refreshed.seconds, ("callviz dev", "the Dagster UI")))
    if refreshed.status != "done":
        sys.stderr.write(refreshed.message + "\n")
    return refreshed.exit_code


def run_tags(collection: ChosenCollection, partition: str, accept_drop: int | None = None) -> dict[str, str]:
    """Return the tags of a run.

    Args:
        collection: what to refresh.
        partition: `2024-05-01` or `2024-05-01...2024-05-31`; all partitions where it is empty.
        accept_drop: a number of documents that this run publishes although `CALLVIZ_MAX_DROP` refuses it.

    Raises:
        SettingsError: there are no such partitions.
    """
    accepted = {} if accept_drop is None else {ACCEPT_DROP_TAG: str(accept_drop)}
    partitions = Partitioning.of(collection.settings).partitions(dt.datetime.now(dt.UTC))
    if not partition:
        return partition_tags(partitions, partitions) | accepted
    chosen = parse_keys(partition, partitions)
    if not chosen or not chosen[0].key:
        there_are = f"there is no such partition; they are {partitions[0].key} to {partitions[-1].key}."
        none = "the collection is not divided into partitions, see CALLVIZ_PARTITIONS."
        raise SettingsError(f"--partition {partition}: {there_are if partitions[0].key else none}")
    return partition_tags(chosen, partitions) | accepted


def run(collection: ChosenCollection, instance: dg.DagsterInstance, tags: Mapping[str, str], say: Say) -> Refreshed:
    """Run the job in this process and return how it went; `say` is told how it proceeds."""
    settings, names = collection.settings, collection.names
    definitions = build_definitions(settings, name=collection.name, key_prefix=collection.name or None)
    listening = dg.Definitions.merge(definitions, dg.Definitions(loggers={"console": _listener(say)}))
    began = time.monotonic()
    result = listening.resolve_job_def(names.job).execute_in_process(
        run_config={"loggers": {"console": {}}}, instance=instance, tags=dict(tags), raise_on_error=False
    )
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    given = [failure.user_failure_data for failure in failures if failure.user_failure_data]
    about = given[0].metadata if given else {}
    failed = "busy" if BUSY in about else "refused" if FAILED_CHECKS in about else "failed"
    message = next(filter(None, map(failure_sentence, failures)), "The run ended without reporting why.")
    record, places = read_published(settings.publish_dir), published_places(settings.publish_dir)
    checks = result.get_asset_check_evaluations()
    published = next(
        (
            event.materialization.metadata
            for event in result.get_asset_materialization_events()
            if event.materialization.asset_key == names.key("calls_csv")
        ),
        {},
    )
    held = record.held(CALLS_CSV) if published else RowsHeld()
    return Refreshed(
        status="done" if result.success else failed,
        run_id=result.run_id,
        seconds=round(time.monotonic() - began, 3),
        message="" if result.success else message,
        failed_checks=tuple(f"{one.asset_key.to_user_string()}:{one.check_name}" for one in checks if not one.passed),
        calls=_count(published.get("dagster/row_count")) + held.older_calls,
        calls_since=held.calls_since,
        older_calls=held.older_calls,
        rejected=_count(published.get("rejected")),
        snapshot_time=record.snapshot.time,
        files={
            file: {"path": places.get(file, ""), "bytes": entry.bytes, "sha256": entry.sha256}
            for file, entry in record.files.items()
        },
    )


def _count(value: Any) -> int:
    return int(value.value) if value is not None else 0


def _listener(say: Say) -> dg.LoggerDefinition:
    """Return a logger that says how a run proceeds, in place of Dagster's own, which prints every event."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta = getattr(record, "dagster_meta", {})
            for line in lines(meta.get("dagster_event"), str(meta.get("orig_message") or record.getMessage())):
                say(line)

    @dg.logger
    def console(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("callviz", logging.DEBUG)
        logger.addHandler(Handler())
        return logger

    return console


def lines(event: Any, message: str) -> Iterable[str]:
    """Return what an event, or the message of a log line, says to a user; nothing where it is of no interest."""
    if event is None:
        if match := PROGRESS_LINE.search(message):
            yield f"    {match[0].strip()}"
    elif event.is_step_success:
        yield f"  {event.step_key.split('__')[-1]} ({event.step_success_data.duration_ms / 1000:.1f} s)"
    elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if not check.passed:
            yield f"    ! {check.check_name}: {check.description or 'did not pass'}"


def terminal(output: Any) -> Say:
    """Return a function that prints lines; on a terminal, progress takes the place of the progress before it."""
    if not output.isatty():

        def say(line: str) -> None:
            output.write(line + "\n")
            output.flush()

        return say
    pending = False

    def say_over(line: str) -> None:
        nonlocal pending
        passing = bool(PROGRESS_LINE.search(line))
        output.write(("\r\033[K" if pending else "") + line + ("" if passing else "\n"))
        output.flush()
        pending = passing

    return say_over
