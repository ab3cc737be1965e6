"""The extract as a data source on Tableau Server or Tableau Cloud; absent unless the settings ask for it.

What belongs elsewhere: publishing itself (`tableau_server/`), what it shares with `published_workbook`
(`tableau_server.py`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from callviz_dagster.assets.checks.tableau_server import PUBLISHED_DATASOURCE_CHECKS, published_matches
from callviz_dagster.assets.common import data_version, digest_of, run_settings
from callviz_dagster.assets.tableau_server import (
    OP_TAGS,
    POOL,
    datasource_name,
    datasource_spec,
    observation,
    published_file,
    server_metadata,
    tableau_session,
    taking_turns,
)
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings
from callviz_dagster.storage.published import CALLS_CSV, PublishedRecord
from callviz_dagster.tableau.extract import extract_columns
from callviz_dagster.tableau.model import HYPER_NAME
from callviz_dagster.tableau_server.publish import Publication, PublishedItem, publish, remember


def build_published_datasource(names: Names = STAND_ALONE) -> dg.AssetsDefinition:
    """Return the asset `published_datasource`."""

    @dg.asset(
        key=names.key("published_datasource"),
        deps=[names.key("calls_hyper")],
        group_name=names.group("tableau"),
        kinds={"tableau", "hyper"},
        pool=POOL,
        op_tags=OP_TAGS,
        check_specs=names.check_specs(PUBLISHED_DATASOURCE_CHECKS),
        required_resource_keys={names.settings},
    )
    def published_datasource(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """The calls as a data source on Tableau Server or Tableau Cloud, for other workbooks and for Tableau Pulse.

        Made the first time, overwritten later, and left as it is while rows and columns are the same: two extracts of
        the same rows differ in their bytes, so the rows decide. One that callviz did not make is never overwritten,
        unless `CALLVIZ_TABLEAU_ADOPT` names it.
        """
        yield from _publish(context, names, run_settings(context, names))

    return published_datasource


def _publish(
    context: dg.AssetExecutionContext, names: Names, settings: Settings
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Publish the data source, and report it."""
    name = datasource_name(settings)
    path = settings.publish_dir / HYPER_NAME
    with (
        taking_turns(settings, context.log),
        published_file(
            settings, HYPER_NAME, "calls_hyper", context.log, lambda _file, record: rows_digest(path, record)
        ) as opened,
    ):
        publication = Publication("datasource", name, opened.file, opened.bytes, opened.digest)
        with tableau_session(settings, context.log) as session:
            published = publish(session, publication)
            matches = published_matches(published, name)
            remember(session, published, opened.digest if matches.passed else "")
    if settings.tableau_lineage:
        context.log_event(_observation(settings, names, published))
    yield dg.MaterializeResult(
        metadata=server_metadata(settings, published, opened.bytes),
        check_results=[matches],
        data_version=data_version([opened.digest]),
    )


def rows_digest(path: Path, record: PublishedRecord) -> str:
    """Return a digest of the extract's rows and columns: of `calls.csv`, which has the same rows, and of the types.

    Raises:
        dg.Failure: `calls.csv` was made from other calls.
    """
    if not record.same_calls(HYPER_NAME):
        raise dg.Failure(
            description=f"{HYPER_NAME} was made from other calls than {CALLS_CSV}: materialize calls_csv and "
            "calls_hyper again."
        )
    return digest_of(record.files[CALLS_CSV].sha256, *extract_columns(path))


def _observation(settings: Settings, names: Names, published: PublishedItem) -> dg.AssetObservation:
    item = published.item
    return observation(
        datasource_spec(settings, names).key,
        item,
        {
            "id": item.luid,
            "dagster-tableau/id": item.luid,
            "dagster-tableau/has_extracts": True,
            "dagster-tableau/is_published": True,
            **({"url": dg.MetadataValue.url(item.url)} if item.url else {}),
        },
    )
