"""What the asset modules share: errors told in one sentence, and the metadata that every file carries.

What belongs elsewhere: anything that one asset alone needs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from callviz_dagster.checks import blocking
from callviz_dagster.files import FileError, FileFacts
from callviz_dagster.lock import BusyError
from callviz_dagster.manifest import Facts, made_windows, published_coverage
from callviz_dagster.mongo import MongoError
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.windows import WHOLE, WINDOWS_TAG, Partitioning, Window, chosen, told

if TYPE_CHECKING:
    import pyarrow as pa

POOL = "callviz"
"""Dagster's concurrency pool of the assets that write the intermediate files."""

PREVIEW_ROWS = 5
_MOST_PREVIEWED = 80


class Refused(Exception):  # noqa: N818  # a verdict, no error of the program
    """The audit of a staged file forbids to publish it; carries the checks' results."""

    def __init__(self, results: list[dg.AssetCheckResult]) -> None:
        super().__init__()
        self.results = results

    def failure(self, kept: str) -> dg.Failure:
        """Return the failure that says which checks forbid to publish, and what was kept."""
        failed = blocking(self.results)
        return dg.Failure(
            description=f"{' '.join(result.description or '' for result in failed)} {kept} stayed in place.",
            metadata={"failed checks": ", ".join(str(result.check_name) for result in failed)},
            allow_retries=False,
        )


@contextlib.contextmanager
def told_in_a_sentence() -> Iterator[None]:
    """Turn the errors that a user can mend into a failure whose description is the sentence that says how."""
    from callviz_dagster.plan import PlanError

    try:
        yield
    except (SettingsError, PlanError, MongoError, FileError, BusyError) as error:
        message = error.strerror if isinstance(error, FileError) else str(error)
        raise dg.Failure(
            description=message or str(error), allow_retries=isinstance(error, MongoError | BusyError)
        ) from None


@dataclass(frozen=True)
class Run:
    """What windows there are, and which of them a run refreshes."""

    partitioning: Partitioning
    every: list[Window]
    windows: list[Window]
    kept: tuple[Window, ...] = ()
    """Windows of the run's range that are left as they are."""


def windows_of_run(context: dg.AssetExecutionContext, settings: Settings) -> Run:
    """Return the windows that a run is to refresh: those of its partitions, or the one that is all.

    A run has a range of partitions. Where the tag `WINDOWS_TAG` names some of them, the others are left as they are,
    but for those that were never made.
    """
    partitioning = Partitioning.of(settings)
    every = partitioning.windows(dt.datetime.now(dt.UTC))
    if not partitioning.partitioned:
        return Run(partitioning, every, every)
    if not (context.has_partition_key or context.has_partition_key_range):
        raise dg.Failure(
            description=f"CALLVIZ_PARTITIONS={settings.partitions}: name the partitions to refresh, for example with "
            f"--partition-range {every[0].key}...{every[-1].key}."
            if every
            else f"CALLVIZ_PARTITIONS_START ({settings.partitions_start}) lies in the future.",
            allow_retries=False,
        )
    windows = [partitioning.window(key) for key in context.partition_keys]
    named = context.run.tags.get(WINDOWS_TAG)
    some = chosen(named, windows) if named else windows
    wanted = [window for window in windows if window in some or not window.calls(settings.data_dir).exists()]
    return Run(partitioning, every, wanted, tuple(window for window in windows if window not in wanted))


def tell(context: dg.AssetExecutionContext, asset: str, window: Window, metadata: Mapping[str, Any]) -> None:
    """Add metadata to the materialization of a window."""
    context.add_asset_metadata(metadata, asset_key=asset, partition_key=window.key or None)


def tell_kept(context: dg.AssetExecutionContext, run: Run, *assets: str) -> None:
    """Say on the windows of a run's range that are left as they are that they were."""
    for window in run.kept:
        for asset in assets:
            tell(context, asset, window, {"refreshed": "left as it was: nothing in it had changed"})


def record(context: dg.AssetExecutionContext, asset: str, made: Sequence[tuple[Window, Mapping[str, Any]]]) -> None:
    """Record windows that a run has published before it fails, for a failed step records nothing by itself."""
    for window, metadata in made:
        context.log_event(dg.AssetMaterialization(asset, partition=window.key or None, metadata=metadata))


def require_windows(settings: Settings) -> dict[Window, Facts]:
    """Return all windows of `calls` that there are, in time order, with what their files say.

    Raises:
        dg.Failure: a window that has documents was not made yet, or was made for another time zone or partitioning.
    """
    partitioning = Partitioning.of(settings)
    every = partitioning.windows(dt.datetime.now(dt.UTC))
    made = made_windows(every, settings.data_dir)
    if not partitioning.partitioned:
        path = require(WHOLE.calls(settings.data_dir), "calls")
        if not made:
            raise dg.Failure(
                description=f"{path.absolute()} does not say what it holds: materialize calls again.",
                allow_retries=False,
            )
        if any(facts.timezone != settings.timezone for facts in made.values()):
            raise dg.Failure(
                description="CALLVIZ_TIMEZONE has changed since calls was made: materialize calls again.",
                allow_retries=False,
            )
        return made
    coverage = published_coverage(settings.data_dir)
    if coverage is None or coverage.partitioning != str(partitioning):
        waiting = told(every, every)
        why = "The collection is cut into partitions otherwise than before"
    else:
        still = {w for part in coverage.waiting for w in chosen(part, every)} - made.keys()
        gone = {w for w in made if made[w].timezone != settings.timezone}
        waiting, why = told(still | gone, every), "Partitions that have documents are not there"
    if waiting or not made:
        raise dg.Failure(
            description=f"{why}: refresh {waiting or told(every, every)} first (in the UI, or with --partition-range). "
            "What is published was left as it was.",
            allow_retries=False,
        )
    return made


def file_metadata(file: FileFacts, *, rows: int, documents: int, seconds: float) -> dict[str, Any]:
    """Return what every file's materialization tells."""
    return {
        "dagster/row_count": rows,
        "dagster/uri": file.path.as_uri(),
        "path": dg.MetadataValue.path(str(file.path)),
        "bytes": file.bytes,
        "sha256": file.sha256,
        "seconds": round(seconds, 3),
        "documents per second": round(documents / seconds) if seconds else 0,
    }


def snapshot_metadata(snapshot_time: str, source: str) -> dict[str, Any]:
    """Return when and where the documents were read."""
    return {"snapshot time": dg.MetadataValue.timestamp(dt.datetime.fromisoformat(snapshot_time)), "source": source}


def preview(table: pa.Table) -> dg.MetadataValue:
    """Return the first rows as a table."""
    rows = table.slice(0, PREVIEW_ROWS).to_pylist()
    if not rows:
        return dg.MetadataValue.text("no rows")
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _shown(value) for name, value in row.items()}) for row in rows]
    )


def _shown(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= _MOST_PREVIEWED else text[: _MOST_PREVIEWED - 1] + "…"


def require(path: Path, asset: str) -> Path:
    """Return a path that must exist.

    Raises:
        dg.Failure: it does not; says which asset makes it.
    """
    if not path.exists():
        raise dg.Failure(description=f"{path.absolute()} is not there: materialize {asset} first.", allow_retries=False)
    return path


def column_lineage(deps: Mapping[str, list[tuple[str, str]]]) -> dg.TableColumnLineage:
    """Return column lineage from column → (asset, column) pairs."""
    return dg.TableColumnLineage(
        deps_by_column={
            column: [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=name) for asset, name in pairs]
            for column, pairs in deps.items()
        }
    )
