"""When and how the assets are refreshed: the job.

What belongs elsewhere: what an asset does (`assets/`).
"""

from __future__ import annotations

import dagster as dg

refresh_calls = dg.define_asset_job(
    "refresh_calls",
    selection=dg.AssetSelection.all().materializable(),
    description="Read the collection and publish everything that is made from it.",
    executor_def=dg.in_process_executor,
)
