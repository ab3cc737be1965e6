"""The published calls as a pandas DataFrame, for notebooks and scripts."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from callviz_dagster.contract import arrow_schema, pandera_schema, to_frame
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import FileError
from callviz_dagster.storage.refreshing import published_calls
from callviz_dagster.table.manifest import merged, read_footer

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from callviz_dagster.table.manifest import TableFooter


def load_calls(settings: Settings | None = None) -> pd.DataFrame:
    """Return the calls that were published last, one row a call, validated by the schema of the calls contract.

    They are the calls that `calls.csv` was made from, including those that `CALLVIZ_CSV_MONTHS` leaves out of it.
    Where the publish folder is in a bucket, nothing else is read, and no other setting is needed. Where it is on disk,
    their Parquet files are in the data folder.

    Args:
        settings: the settings; by default those of the environment and the `.env` file.

    Returns:
        The contract's columns, the documents' other fields, `repairs`; start and end in UTC, date, weekday and hour in
        the time zone of the refresh. See `contract.to_frame` for the types.

    Raises:
        FileNotFoundError: nothing has been published yet.
        FileError: the data folder holds other calls than those that were published, or a file is damaged or of another
            version of callviz.
        BucketError: the store cannot be read, or an object is missing or damaged.
        pandera.errors.SchemaErrors: a file does not keep the contract.
    """
    import pyarrow as pa

    from callviz_dagster.table.read import published_columns, rows

    settings = settings or Settings.load()
    with published_calls(settings.data_dir, settings.publish_dir) as paths:
        footer = _merged_footer(paths)
        columns = published_columns(footer)
        table = pa.Table.from_batches(rows(paths, columns, footer.timezone), schema=arrow_schema(columns))
    return pandera_schema(columns, footer.timezone).validate(to_frame(table), lazy=True)


def _merged_footer(paths: list[Path]) -> TableFooter:
    footers = {path: read_footer(path) for path in paths}
    unreadable = [path.name for path, footer in footers.items() if footer is None]
    footer = merged(footer for footer in footers.values() if footer)
    if unreadable or footer is None:
        raise FileError(
            errno.EINVAL,
            f"Published calls were written by another version of callviz ({', '.join(unreadable[:3])}): use that "
            "version, or refresh everything with this one.",
        )
    return footer
