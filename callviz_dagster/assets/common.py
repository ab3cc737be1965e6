"""What the asset modules share: errors told in one sentence, and the metadata that every file carries.

What belongs elsewhere: anything that one asset alone needs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from callviz_dagster.checks import blocking
from callviz_dagster.files import FileError, FileFacts
from callviz_dagster.mongo import MongoError
from callviz_dagster.plan import PlanError
from callviz_dagster.settings import SettingsError

if TYPE_CHECKING:
    import pyarrow as pa

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
    try:
        yield
    except (SettingsError, PlanError, MongoError, FileError) as error:
        message = error.strerror if isinstance(error, FileError) else str(error)
        raise dg.Failure(description=message or str(error), allow_retries=isinstance(error, MongoError)) from None


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
