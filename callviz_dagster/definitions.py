"""The one place where assets, checks, jobs, the sensor, the schedule and resources meet.

What belongs elsewhere: everything that they do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import dagster as dg

from callviz_dagster.assets.call_dashboard import call_dashboard
from callviz_dagster.assets.calls import calls
from callviz_dagster.assets.calls_csv import calls_csv
from callviz_dagster.assets.calls_hyper import hyper_assets
from callviz_dagster.assets.callviz_workbook import build_callviz_workbook
from callviz_dagster.assets.mongodb_calls import mongodb_calls
from callviz_dagster.assets.published_together import build_published_together
from callviz_dagster.assets.raw_calls import raw_calls
from callviz_dagster.assets.tableau import workbook_specs
from callviz_dagster.automation.jobs import build_nightly_refresh, build_refresh_calls
from callviz_dagster.automation.sensor import build_calls_changed
from callviz_dagster.mongodb.resource import MongoDB
from callviz_dagster.partitions import Partitioning
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.storage.run_file import run_file

_log = logging.getLogger(__name__)


def build_definitions(settings: Settings) -> dg.Definitions:
    """Return the code location for these settings."""
    assets = [
        raw_calls,
        calls,
        calls_csv,
        *hyper_assets(settings),
        build_callviz_workbook(settings.workbook_source),
        call_dashboard,
    ]
    published = [key for asset in assets for key in asset.keys if key not in (raw_calls.key, *calls.keys)]
    specs = [mongodb_calls(settings), *workbook_specs(settings)]
    if settings.tableau_content:
        on_server, server_specs = _on_tableau_server(settings)
        assets += on_server
        specs += server_specs
        _refuse_shared_keys(assets, specs)
    refresh_calls = build_refresh_calls(settings)
    return dg.Definitions(
        asset_checks=[build_published_together(published)],
        assets=[*(_as_set(asset, settings) for asset in assets), *specs],
        jobs=[refresh_calls],
        sensors=[build_calls_changed(settings, refresh_calls)],
        schedules=[build_nightly_refresh(settings, refresh_calls)],
        executor=dg.in_process_executor,
        resources={"mongo": MongoDB(settings), "settings": _settings_resource(settings)},
    )


def _on_tableau_server(settings: Settings) -> tuple[list[dg.AssetsDefinition], list[dg.AssetSpec]]:
    """Return the assets that publish to a Tableau server, and the nodes there; loaded only where they are wanted."""
    from callviz_dagster.assets.published_datasource import published_datasource
    from callviz_dagster.assets.published_workbook import published_workbook
    from callviz_dagster.assets.tableau_server import INSTALL, datasource_spec
    from callviz_dagster.tableau_server import installed

    if not installed():
        _log.warning(INSTALL)
    datasource = "datasource" in settings.tableau_content
    return (
        [
            *([published_workbook] if "workbook" in settings.tableau_content else []),
            *([published_datasource] if datasource else []),
        ],
        [datasource_spec(settings)] if datasource and settings.tableau_lineage else [],
    )


def _refuse_shared_keys(assets: Sequence[dg.AssetsDefinition], specs: Sequence[dg.AssetSpec]) -> None:
    """Refuse a name on the Tableau server that would give two nodes of the graph one key.

    Raises:
        SettingsError: it would.
    """
    keys = [*(key for asset in assets for key in asset.keys), *(spec.key for spec in specs)]
    if shared := sorted({key.to_user_string() for key in keys if keys.count(key) > 1}):
        raise SettingsError(
            f"CALLVIZ_TABLEAU_NAME gives something on the Tableau server the key of another asset, {shared[0]}: set "
            "another name, for example callviz."
        )


def _settings_resource(settings: Settings) -> dg.ResourceDefinition:
    """Return the resource that gives a run its settings, and shows while it works that its process is alive."""

    @dg.resource
    def settings_of_run(context: dg.InitResourceContext) -> Iterator[Settings]:
        with run_file(settings.data_dir, context.run.run_id if context.run else ""):
            yield settings

    return settings_of_run


def _as_set(asset: dg.AssetsDefinition, settings: Settings) -> dg.AssetsDefinition:
    """Return an asset with the partitions and the freshness that the settings ask for.

    A range of partitions is refreshed in one run, with what is made from all of them, so each asset says so.
    """
    partitions = Partitioning.of(settings).definition()
    freshness = dg.FreshnessPolicy.time_window(settings.fresh_within) if settings.fresh_within else None

    def placed(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key in (raw_calls.key, *calls.keys):
            return spec.replace_attributes(partitions_def=partitions)
        return spec.replace_attributes(freshness_policy=freshness) if spec.key == calls_csv.key else spec

    return asset.with_attributes(backfill_policy=dg.BackfillPolicy.single_run()).map_asset_specs(placed)


@dg.definitions
def defs() -> dg.Definitions:
    """Return the code location for the settings in the environment."""
    return build_definitions(Settings.load())
