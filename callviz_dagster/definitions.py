"""The one place where assets, checks, jobs and resources meet.

What belongs elsewhere: everything that they do.
"""

from __future__ import annotations

import dagster as dg

from callviz_dagster.assets.call_dashboard import call_dashboard
from callviz_dagster.assets.calls import calls
from callviz_dagster.assets.calls_csv import calls_csv
from callviz_dagster.assets.calls_hyper import hyper_assets
from callviz_dagster.assets.callviz_workbook import build_callviz_workbook
from callviz_dagster.assets.mongodb_calls import mongodb_calls
from callviz_dagster.assets.raw_calls import raw_calls
from callviz_dagster.assets.tableau import workbook_specs
from callviz_dagster.mongo import MongoDB
from callviz_dagster.refresh import refresh_calls
from callviz_dagster.settings import Settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Return the code location for these settings."""
    return dg.Definitions(
        assets=[
            mongodb_calls(settings),
            raw_calls,
            calls,
            calls_csv,
            *hyper_assets(settings),
            build_callviz_workbook(settings.workbook_source),
            call_dashboard,
            *workbook_specs(settings),
        ],
        jobs=[refresh_calls],
        executor=dg.in_process_executor,
        resources={"mongo": MongoDB(settings), "settings": settings},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the code location for the settings in the environment."""
    return build_definitions(Settings.load())
