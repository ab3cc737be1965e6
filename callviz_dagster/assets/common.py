"""What the asset modules share: errors as one sentence, and the metadata that every file carries.

What belongs elsewhere: anything that one asset alone needs.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import functools
import gc
import hashlib
import logging
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from callviz_dagster.assets.checks.published_together import together
from callviz_dagster.assets.checks.results import blocking
from callviz_dagster.contract import ROLES
from callviz_dagster.engine.cluster import EngineError
from callviz_dagster.mongodb.errors import MongoError
from callviz_dagster.names import Names
from callviz_dagster.partitions import PARTITIONS_TAG, WHOLE, Partition, Partitioning, format_keys, parse_keys
from callviz_dagster.settings import PRECEDENCE, PREFIX, Settings, SettingsError
from callviz_dagster.storage.files import FileError, PublishedFile
from callviz_dagster.storage.lock import BusyError
from callviz_dagster.storage.published import InputFile, RowsHeld, Snapshot, cluster_time, read_record
from callviz_dagster.storage.refreshing import WorkingCopies, place, refreshing, uri_of
from callviz_dagster.table.manifest import (
    UNREADABLE,
    Coverage,
    TableFooter,
    existing_partitions,
    is_complete,
    published_coverage,
)
from callviz_dagster.tableau.extract import installed
from callviz_dagster.tableau.model import HYPER_NAME

if TYPE_CHECKING:
    from callviz_dagster.table.options import TableOptions
    from callviz_dagster.table.recent import RecentCalls

FAILED_CHECKS = "failed checks"
"""Metadata of a failure: the checks that forbid publishing."""
BUSY = "busy"
"""Metadata of a failure: another process refreshes the same files."""


class AuditFailed(Exception):  # noqa: N818  # a verdict, no error of the program
    """The audit of a staged file forbids publishing it; carries the checks' results."""

    def __init__(self, results: list[dg.AssetCheckResult]) -> None:
        super().__init__()
        self.results = results

    def failure(self, *paths: Path) -> dg.Failure:
        """Return the failure that names the checks that forbid publishing, and the previous files that were kept."""
        failed = blocking(self.results)
        paths_kept = ", ".join(place(path) for path in paths if path.is_file())
        descriptions = [result.description or "" for result in failed]
        return dg.Failure(
            description=" ".join(
                [*descriptions, *([f"The last good file was left as it was: {paths_kept}."] if paths_kept else [])]
            ),
            metadata={FAILED_CHECKS: ", ".join(str(result.check_name) for result in failed)},
        )


def run_settings(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, names: Names) -> Settings:
    """Return the settings of a run, from the resource that holds them."""
    settings: Settings = getattr(context.resources, names.settings)
    return settings


@contextlib.contextmanager
def user_errors_as_failures() -> Iterator[None]:
    """Turn errors that a user can fix into failures whose description says how, and when a new setting is read."""
    from callviz_dagster.table.options import PlanError

    try:
        yield
    except (SettingsError, PlanError, MongoError, FileError, BusyError, EngineError) as error:
        message = (error.strerror if isinstance(error, FileError) else "") or str(error)
        # An error of a worker has a note: its environment is not the one of this process.
        of_worker = isinstance(error, SettingsError) and bool(getattr(error, "__notes__", ()))
        if PREFIX in message and not of_worker:
            message = f"{message} {PRECEDENCE}"
        metadata = {BUSY: True} if isinstance(error, BusyError) else {}
        raise dg.Failure(description=message, metadata=metadata) from None


@contextlib.contextmanager
def working_files(settings: Settings, log: logging.Logger, *reads: str) -> Iterator[WorkingCopies]:
    """Hold the lock while the files of a step are read and replaced; see `refreshing`.

    Of the data folder, a step has the manifests and the `calls` files at hand; of the published files, those that it
    names in `reads`.
    """

    def needs(name: str) -> bool:
        return name in reads or name.startswith("calls/") or name.endswith(".json")

    _end_without_collecting()
    # An extract that is no longer made, because its extra was uninstalled, waits for nothing.
    obsolete = frozenset() if installed() else frozenset({HYPER_NAME})
    with (
        user_errors_as_failures(),
        refreshing(settings.data_dir, settings.publish_dir, log, needs, obsolete=obsolete) as copies,
    ):
        yield copies


@functools.cache
def _end_without_collecting() -> None:
    """Let this process end without a search of all of its objects for garbage.

    At its end, Python searches them several times: a second in a process that has loaded Dagster and pandas. The system
    takes the memory back anyway.
    """
    atexit.register(gc.freeze)


@contextlib.contextmanager
def publishing(settings: Settings, log: logging.Logger, *reads: str) -> Iterator[WorkingCopies]:
    """Hold the lock while a file is published; log at the end, whether it was or not, which files differ.

    `reads` names the published files that this one is made from.

    So the last publishing asset of a run names, in its last line, the files that could not be replaced. Where it was
    published this is no warning: another asset of the run may still replace them.
    """
    level = logging.WARNING
    try:
        with working_files(settings, log, *reads) as copies:
            yield copies
        level = logging.INFO
    finally:
        passed, description = together(read_record(settings.publish_dir))
        if not passed:
            log.log(level, description)


def table_options(settings: Settings) -> TableOptions:
    """Return what the settings say of the table."""
    from callviz_dagster.documents.values import Secrets
    from callviz_dagster.table.options import TableOptions

    return TableOptions(
        timezone=settings.timezone,
        source_timezone=settings.source_timezone,
        source_dates=settings.source_dates,
        date_order=settings.date_order,
        role_fields={role: name for role in ROLES if (name := settings.role_field(role))},
        duration_unit=settings.field_duration_unit,
        max_columns=settings.max_columns,
        secrets=Secrets(settings.drop_fields, settings.pseudonymize, (settings.pseudonym_key or "").encode()),
    )


@dataclass(frozen=True)
class PartitionSelection:
    """The partitions that exist, and those that a run refreshes."""

    partitioning: Partitioning
    all_partitions: list[Partition]
    partitions: list[Partition]
    unchanged: tuple[Partition, ...] = ()
    """Partitions of the run's range that stay as they are."""

    @property
    def last(self) -> Partition:
        """The partition of the run's range whose materialization is the last of its asset, which the UI shows."""
        return max((*self.partitions, *self.unchanged), key=lambda partition: partition.key)


def run_time(context: dg.AssetExecutionContext) -> dt.datetime:
    """Return when the run was created: the one clock of all its steps, which may go on beyond midnight."""
    run = context.instance.get_run_record_by_id(context.run.run_id)
    return run.create_timestamp.astimezone(dt.UTC) if run else dt.datetime.now(dt.UTC)


def select_partitions(context: dg.AssetExecutionContext, settings: Settings) -> PartitionSelection:
    """Return the partitions that a run is to refresh: those of its partitions, or the one that is all.

    A run has a range of partitions. Where the tag `PARTITIONS_TAG` names some of them, the others are left as they are,
    except those that are not complete: never made, damaged, or not made from the archive that is there.
    """
    partitioning = Partitioning.of(settings)
    all_partitions = partitioning.partitions(run_time(context))
    if not partitioning.partitioned:
        return PartitionSelection(partitioning, all_partitions, all_partitions)
    if not (context.has_partition_key or context.has_partition_key_range):
        raise dg.Failure(
            description=f"CALLVIZ_PARTITIONS={settings.partitions}: name the partitions to refresh, for example with "
            f"dagster's option --partition-range {all_partitions[0].key}...{all_partitions[-1].key}."
            if all_partitions
            else f"CALLVIZ_PARTITIONS_START ({settings.partitions_start}) lies in the future."
        )
    in_range = [partitioning.partition(key) for key in context.partition_keys]
    tag = context.run.tags.get(PARTITIONS_TAG)
    named = parse_keys(tag, in_range) if tag else in_range
    incomplete = [p for p in in_range if p not in named and not is_complete(p, settings.data_dir)]
    if incomplete:
        context.log.info(
            "Refreshed too, because their files are missing, damaged, of another version of callviz or not made from "
            f"each other: {format_keys(incomplete, in_range)}."
        )
    wanted = [partition for partition in in_range if partition in named or partition in incomplete]
    return PartitionSelection(
        partitioning, all_partitions, wanted, tuple(partition for partition in in_range if partition not in wanted)
    )


def add_partition_metadata(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, partition: Partition, metadata: Mapping[str, Any]
) -> None:
    """Add metadata to the materialization of a partition.

    Metadata of a `MaterializeResult` or an `Output` would be stored twice: in the event STEP_OUTPUT, too.
    """
    context.add_asset_metadata(metadata, asset_key=asset, partition_key=partition.key or None)


def mark_unchanged(context: dg.AssetExecutionContext, selection: PartitionSelection, *assets: dg.AssetKey) -> None:
    """Say on the partitions of a run's range that are left as they are that they were."""
    for partition in selection.unchanged:
        for asset in assets:
            add_partition_metadata(
                context, asset, partition, {"refreshed": "left as it was: nothing in it had changed"}
            )


def record(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, partitions: Sequence[tuple[Partition, Mapping[str, Any]]]
) -> None:
    """Record the partitions that a run published before it failed; a failed step records nothing by itself."""
    for partition, metadata in partitions:
        context.log_event(dg.AssetMaterialization(asset, partition=partition.key or None, metadata=metadata))


def require_partitions(settings: Settings, now: dt.datetime) -> dict[Partition, TableFooter]:
    """Return all partitions of `calls` that exist at `now`, in time order, with what their files say.

    Raises:
        dg.Failure: a partition that has documents was not made yet, or was made for another time zone or partitioning.
    """
    partitioning = Partitioning.of(settings)
    all_partitions = partitioning.partitions(now)
    footers = existing_partitions(all_partitions, settings.data_dir)
    problem = (
        _unfit_partitions(partitioning, all_partitions, footers, settings)
        if partitioning.partitioned
        else _unfit_table(footers, settings)
    )
    if problem:
        raise dg.Failure(description=problem)
    return footers


def _unfit_table(footers: Mapping[Partition, TableFooter], settings: Settings) -> str | None:
    """Return why the one `calls` file cannot be published, and what to do; None where it can."""
    path = require(WHOLE.calls(settings.data_dir), "calls")
    if not footers:
        return f"{place(path)} {UNREADABLE}: materialize calls again."
    if any(footer.timezone != settings.timezone for footer in footers.values()):
        return "CALLVIZ_TIMEZONE has changed since calls was made: materialize calls again."
    return None


def _unfit_partitions(
    partitioning: Partitioning,
    all_partitions: Sequence[Partition],
    footers: Mapping[Partition, TableFooter],
    settings: Settings,
) -> str | None:
    """Return why the partitions of `calls` cannot be published, and what to do; None where they can."""
    coverage = published_coverage(settings.data_dir)
    missing = {*all_partitions}
    if coverage is None:
        why = "It is not known which partitions have documents"
    elif coverage.partitioning != str(partitioning):
        why = "The collection was divided into other partitions before"
    else:
        why = "Partitions that have documents are missing, damaged or made for another time zone"
        with_documents = {partition for keys in coverage.waiting for partition in parse_keys(keys, all_partitions)}
        missing = with_documents - footers.keys() | _to_be_made_again(all_partitions, footers, settings)
    if not missing and footers:
        return None
    keys = format_keys(missing or all_partitions, all_partitions)
    return (
        f"{why}: refresh {keys} first (in the UI, with `callviz refresh --partition {shlex.quote(keys)}`, or with "
        "dagster's own commands and --partition-range). Nothing was published."
    )


def _to_be_made_again(
    partitions: Iterable[Partition], footers: Mapping[Partition, TableFooter], settings: Settings
) -> set[Partition]:
    """Return the partitions whose `calls` file cannot be read, or is made for another time zone."""
    unreadable = {p for p in partitions if p not in footers and p.calls(settings.data_dir).exists()}
    return unreadable | {p for p, footer in footers.items() if footer.timezone != settings.timezone}


def calls_inputs(calls: Mapping[Path, TableFooter], digests: Iterable[str]) -> dict[str, InputFile]:
    """Return `calls` files, with their digests, as the record of what is published names them."""
    return {
        f"{path.parent.name}/{path.name}": InputFile(
            digest, cluster_time(footer.cluster_time), footer.span, footer.snapshot_time
        )
        for (path, footer), digest in zip(calls.items(), digests, strict=True)
    }


def latest_snapshot(calls: Mapping[Path, TableFooter], coverage: Coverage | None = None) -> Snapshot:
    """Return the latest instant at which the documents in these files were read.

    With partitions, `coverage` has the number of documents in the whole collection.
    """
    footer = max(calls.values(), key=lambda known: known.snapshot_time)
    documents = coverage.documents if coverage else sum(known.documents for known in calls.values())
    return Snapshot(cluster_time(footer.cluster_time), footer.snapshot_time, footer.source, documents)


def run_metadata(files: Sequence[PublishedFile], *, documents: int, seconds: float) -> dict[str, Any]:
    """Return what a run has written, where, and how fast; with several partitions it stands at the last one, once."""
    path = files[0].path if len(files) == 1 else files[0].path.parent
    return {
        "dagster/uri": uri_of(path),
        "bytes": sum(file.bytes for file in files),
        **({"sha256": files[0].sha256} if len(files) == 1 else {}),
        "seconds": round(seconds, 3),
        "documents per second": round(documents / seconds) if seconds else 0,
    }


def data_version(contents: Sequence[str]) -> dg.DataVersion | None:
    """Return the version of what a run has made, from a digest of the content of each file; None where it made nothing.

    The content is what the file says beside the snapshot that it is of: the same calls have the same version, whenever
    they were read. Dagster gives all partitions of a run one version.
    """
    return dg.DataVersion(contents[0] if len(contents) == 1 else digest_of(*contents)) if contents else None


def digest_of(*parts: bytes | str) -> str:
    """Return one digest of several parts."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(content)} ".encode() + content)
    return digest.hexdigest()


def rows_held(recent: RecentCalls) -> RowsHeld:
    """Return which calls a file with the rows of recent calls holds, as the record of what is published names them."""
    return RowsHeld(recent.first_day, recent.older_calls)


def held_metadata(held: RowsHeld) -> dict[str, Any]:
    """Return the first day of the calls in a file, and how many are older; nothing where it holds all calls."""
    return {"calls since": held.calls_since, "older calls left out": held.older_calls} if held.calls_since else {}


def snapshot_metadata(snapshot_time: str) -> dict[str, Any]:
    """Return when the documents were read."""
    return {"snapshot time": dg.MetadataValue.timestamp(dt.datetime.fromisoformat(snapshot_time))}


def require(path: Path, asset: str) -> Path:
    """Return a path that must exist.

    Raises:
        dg.Failure: it does not; says which asset makes it.
    """
    if not path.exists():
        raise dg.Failure(description=f"{place(path)} is not there: materialize {asset} first.")
    return path


def column_lineage(names: Names, deps: Mapping[str, Sequence[tuple[str, str]]]) -> dg.TableColumnLineage:
    """Return column lineage from column → (asset, column) pairs."""
    return dg.TableColumnLineage(
        deps_by_column={
            column: [dg.TableColumnDep(asset_key=names.key(asset), column_name=name) for asset, name in pairs]
            for column, pairs in deps.items()
        }
    )
