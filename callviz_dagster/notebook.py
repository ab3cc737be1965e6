"""The calls as a pandas DataFrame, for notebooks and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callviz_dagster.contract import pandera_schema, table_columns, to_frame
from callviz_dagster.manifest import published_facts
from callviz_dagster.settings import Settings
from callviz_dagster.windows import WHOLE

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
    import pyarrow.parquet as pq

    settings = settings or Settings.load()
    path = WHOLE.calls(settings.data_dir)
    facts = published_facts(path)
    if facts is None:
        raise FileNotFoundError(f"{path.absolute()} is not there: materialize calls first.")
    columns = table_columns([field.column for field in facts.fields], other_fields=facts.other_fields)
    return pandera_schema(columns).validate(to_frame(pq.read_table(path)), lazy=True)
