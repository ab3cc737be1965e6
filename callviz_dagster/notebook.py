"""The calls as a pandas DataFrame, for notebooks and scripts."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from callviz_dagster.contract import arrow_schema, pandera_schema, to_frame
from callviz_dagster.partitions import Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage.refreshing import place, update_working_copy
from callviz_dagster.table.manifest import existing_partitions, merged

if TYPE_CHECKING:
    import pandas as pd


def load_calls(settings: Settings | None = None) -> pd.DataFrame:
    """Return the calls that were refreshed last, one row a call, validated by the schema of the calls contract.

    Args:
        settings: the settings; by default those of the environment and the `.env` file.

    Returns:
        The contract's columns, the documents' other fields, `repairs`; start and end in UTC. See `contract.to_frame`
        for the types.

    Raises:
        FileNotFoundError: calls has not been materialized yet.
        pandera.errors.SchemaErrors: the file does not keep the contract.
    """
    import pyarrow as pa

    from callviz_dagster.table.read import published_columns, rows

    settings = settings or Settings.load()
    partitions = Partitioning.of(settings).partitions(dt.datetime.now(dt.UTC))
    update_working_copy(settings.data_dir, lambda name: name.startswith("calls/"))
    footers = existing_partitions(partitions, settings.data_dir)
    footer = merged(footers.values())
    if footer is None:
        folder = place(settings.data_dir / "calls")
        raise FileNotFoundError(f"There are no calls in {folder}: materialize calls first.")
    columns = published_columns(footer)
    paths = [partition.calls(settings.data_dir) for partition in footers]
    table = pa.Table.from_batches(rows(paths, columns, settings.timezone), schema=arrow_schema(columns))
    return pandera_schema(columns, settings.timezone).validate(to_frame(table), lazy=True)
