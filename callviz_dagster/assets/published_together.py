"""The check that runs after everything that a run publishes: whether the published files belong together.

What belongs elsewhere: what is compared (`assets/checks/published_together.py`), the record of what is published
(`storage/published.py`).
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from callviz_dagster.assets.checks.published_together import DESCRIPTION, NAME, published_together
from callviz_dagster.assets.common import run_settings
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.storage.refreshing import changed_published, read_published


def build_published_together(assets: Sequence[dg.AssetKey], names: Names = STAND_ALONE) -> dg.AssetChecksDefinition:
    """Return the check on each of the assets that publish a file.

    It waits for all of them that are in the same run, and runs with each that is materialized alone.
    """

    @dg.multi_asset_check(
        name=names.op(NAME),
        specs=[
            dg.AssetCheckSpec(
                NAME,
                asset=asset,
                description=DESCRIPTION,
                additional_deps=[other for other in assets if other != asset],
            )
            for asset in assets
        ],
        can_subset=True,
        required_resource_keys={names.settings},
    )
    def check_published_together(
        context: dg.AssetCheckExecutionContext,
    ) -> Iterator[dg.AssetCheckResult]:
        settings = run_settings(context, names)
        record = read_published(settings.publish_dir, pending=True)
        changed = changed_published(settings.publish_dir, record)
        results = [
            published_together(key.asset_key, record, changed)
            for key in sorted(context.selected_asset_check_keys, key=str)
        ]
        passed, description = results[0].passed, results[0].description or ""
        (context.log.info if passed else context.log.warning)(description)
        yield from results

    return check_published_together
