"""The one place where assets, checks, jobs, the sensor, the schedule and resources meet.

What belongs elsewhere: everything that they do.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import dagster as dg

from callviz_dagster.assets.call_dashboard import build_call_dashboard
from callviz_dagster.assets.calls import build_calls
from callviz_dagster.assets.calls_csv import build_calls_csv
from callviz_dagster.assets.calls_hyper import hyper_assets
from callviz_dagster.assets.callviz_workbook import build_callviz_workbook
from callviz_dagster.assets.mongodb_calls import mongodb_calls
from callviz_dagster.assets.published_together import build_published_together
from callviz_dagster.assets.raw_calls import build_raw_calls
from callviz_dagster.assets.tableau import workbook_specs
from callviz_dagster.automation.alerts import build_alerts
from callviz_dagster.automation.jobs import build_nightly_refresh, build_refresh_calls
from callviz_dagster.automation.sensor import build_calls_changed
from callviz_dagster.names import Names, names_of
from callviz_dagster.partitions import Partitioning
from callviz_dagster.resources import build_mongo
from callviz_dagster.settings import Settings, SettingsError, is_in_environment
from callviz_dagster.storage.run_file import run_file

_log = logging.getLogger(__name__)


def build_definitions(
    settings: Settings,
    *,
    key_prefix: str | Sequence[str] | None = None,
    name: str = "",
    mongo_uri: str | None = None,
) -> dg.Definitions:
    """Return the definitions for one collection, to be merged with any others by `dg.Definitions.merge`.

    They set no executor: the job `refresh_calls` brings its own, and runs of single assets take that of the code
    location.

    Args:
        settings: those of the collection.
        key_prefix: of all asset keys; needed where a code location holds more than one collection.
        name: of the collection in its code location, for example `support_calls`; the job, the sensor, the schedule,
            the group, the resources and the pool are named after it.

        mongo_uri: the connection string as the resource shows it, for example `dg.EnvVar("SUPPORT_MONGO_URI")`; without
            it, that of the settings, which the UI does not show.

    Raises:
        SettingsError: an extra that the settings need is not installed, or two nodes of the graph would have one key.
        ValueError: the name has a character that Dagster does not allow.
    """
    names = names_of(name, key_prefix)
    tables = [build_raw_calls(names), build_calls(names)]
    published = [
        build_calls_csv(names),
        *hyper_assets(settings, names),
        build_callviz_workbook(settings.workbook_source, names),
        build_call_dashboard(names),
    ]
    on_server, server_specs = _on_tableau_server(settings, names) if settings.tableau_content else ([], [])
    specs = [mongodb_calls(settings, names), *workbook_specs(settings, names), *server_specs]
    assets = [*tables, *published, *on_server]
    _refuse_shared_keys(assets, specs)
    refresh_calls = build_refresh_calls(settings, assets, names)
    together = build_published_together([key for asset in published for key in asset.keys], names)
    return dg.Definitions(
        asset_checks=[together],
        assets=[*(_as_set(asset, settings, names) for asset in assets), *specs],
        jobs=[refresh_calls],
        sensors=[build_calls_changed(settings, refresh_calls, names), *build_alerts(settings, refresh_calls, names)],
        schedules=[build_nightly_refresh(settings, refresh_calls, names)],
        resources={names.mongo: build_mongo(settings, mongo_uri), names.settings: _settings_resource(settings)},
    )


def _on_tableau_server(settings: Settings, names: Names) -> tuple[list[dg.AssetsDefinition], list[dg.AssetSpec]]:
    """Return the assets that publish to a Tableau server, and the nodes there; loaded only where they are wanted."""
    from callviz_dagster.assets.published_datasource import build_published_datasource
    from callviz_dagster.assets.published_workbook import build_published_workbook
    from callviz_dagster.assets.tableau_server import INSTALL, datasource_spec
    from callviz_dagster.tableau_server import installed

    if not installed():
        _log.warning(INSTALL)
    datasource = "datasource" in settings.tableau_content
    return (
        [
            *([build_published_workbook(names)] if "workbook" in settings.tableau_content else []),
            *([build_published_datasource(names)] if datasource else []),
        ],
        [datasource_spec(settings, names)] if datasource and settings.tableau_lineage else [],
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


def _as_set(asset: dg.AssetsDefinition, settings: Settings, names: Names) -> dg.AssetsDefinition:
    """Return an asset with the partitions, the freshness, the owners and the tags that the settings ask for.

    A range of partitions is refreshed in one run, with what is made from all of them, so each asset says so.
    """
    partitioning = Partitioning.of(settings)
    partitions = partitioning.definition()
    freshness = dg.FreshnessPolicy.time_window(settings.fresh_within) if settings.fresh_within else None
    partitioned = {names.key(part) for part in ("raw_calls", "calls", "rejected_calls")}
    tags = dict(tag.split("=", 1) for tag in settings.tags)

    def placed(spec: dg.AssetSpec) -> dg.AssetSpec:
        cataloged = spec.replace_attributes(
            owners=settings.owners, tags={**spec.tags, **tags}, code_version=version("callviz-dagster")
        )
        if spec.key in partitioned:
            # Dagster has no descriptions of partitions.
            described = {"partitions": str(partitioning)} if partitions else {}
            return cataloged.replace_attributes(partitions_def=partitions).merge_attributes(metadata=described)
        return (
            cataloged.replace_attributes(freshness_policy=freshness)
            if spec.key == names.key("calls_csv")
            else cataloged
        )

    return asset.with_attributes(backfill_policy=dg.BackfillPolicy.single_run()).map_asset_specs(placed)


@dg.definitions
def defs() -> dg.Definitions:
    """Return the code location for the settings in the environment, whose runs work in one process."""
    uri = dg.EnvVar("CALLVIZ_MONGO_URI") if is_in_environment("CALLVIZ_MONGO_URI") else None
    return _code_location(Settings.load(), uri)


@functools.lru_cache(maxsize=1)
def _code_location(settings: Settings, uri: str | None) -> dg.Definitions:
    """Return the code location for these settings; Dagster's command asks for it six times."""
    own = build_definitions(settings, mongo_uri=uri)
    return dg.Definitions.merge(own, dg.Definitions(executor=dg.in_process_executor))
