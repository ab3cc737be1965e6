"""The calls as a pandas DataFrame, for notebooks and scripts."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from callviz_dagster.contract import arrow_schema, pandera_schema, to_frame
from callviz_dagster.manifest import made_windows, merged
from callviz_dagster.settings import Settings
from callviz_dagster.windows import Partitioning

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
        pandera.errors.SchemaErrors: the file does not hold to the contract.
    """
    import pyarrow as pa

    from callviz_dagster.tables import columns_of, rows

    settings = settings or Settings.load()
    made = made_windows(Partitioning.of(settings).windows(dt.datetime.now(dt.UTC)), settings.data_dir)
    facts = merged(made.values())
    if facts is None:
        folder = (settings.data_dir / "calls").absolute()
        raise FileNotFoundError(f"There are no calls in {folder}: materialize calls first.")
    columns = columns_of(facts)
    paths = [window.calls(settings.data_dir) for window in made]
    table = pa.Table.from_batches(rows(paths, columns, settings.timezone), schema=arrow_schema(columns))
    return pandera_schema(columns).validate(to_frame(table), lazy=True)
