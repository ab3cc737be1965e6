"""The packed workbook on Tableau Server or Tableau Cloud; absent unless `CALLVIZ_TABLEAU_SERVER` is set.

What belongs elsewhere: publishing itself (`tableau_server/`), what it shares with `published_datasource`
(`tableau_server.py`), the nodes of the sheets (`tableau.py`).
"""

from collections.abc import Iterator
from typing import IO, Any

import dagster as dg

from callviz_dagster.assets.callviz_workbook import TWBX_NAME
from callviz_dagster.assets.checks.tableau_server import (
    PUBLISHED_WORKBOOK_CHECKS,
    published_matches,
    workbook_valid_on_server,
)
from callviz_dagster.assets.common import data_version, digest_of, run_settings
from callviz_dagster.assets.tableau import node_keys
from callviz_dagster.assets.tableau_server import (
    OP_TAGS,
    POOL,
    observation,
    published_file,
    server_metadata,
    tableau_session,
    taking_turns,
)
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings
from callviz_dagster.storage.published import CALLS_CSV, PublishedRecord
from callviz_dagster.tableau.model import Workbook, read
from callviz_dagster.tableau.pack import packed_workbook, without_snapshot
from callviz_dagster.tableau_server.errors import TableauServerError
from callviz_dagster.tableau_server.publish import Publication, PublishedItem, publish, remember
from callviz_dagster.tableau_server.session import TableauSession
from callviz_dagster.tableau_server.validation import Verdict, validate


def build_published_workbook(names: Names = STAND_ALONE) -> dg.AssetsDefinition:
    """Return the asset `published_workbook`."""

    @dg.asset(
        key=names.key("published_workbook"),
        deps=[names.key("callviz_workbook")],
        group_name=names.group("tableau"),
        kinds={"tableau"},
        pool=POOL,
        op_tags=OP_TAGS,
        check_specs=names.check_specs(PUBLISHED_WORKBOOK_CHECKS),
        required_resource_keys={names.settings},
    )
    def published_workbook(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """The workbook on Tableau Server or Tableau Cloud, with the current calls in it.

        Made the first time, overwritten later, and left as it is while rows, columns and workbook are the same. A
        workbook that callviz did not make is never overwritten, unless `CALLVIZ_TABLEAU_ADOPT` names it. Read back
        afterwards.
        """
        yield from _publish(context, names, run_settings(context, names))

    return published_workbook


def _publish(
    context: dg.AssetExecutionContext, names: Names, settings: Settings
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Publish the workbook, read it back, and report it."""
    with (
        taking_turns(settings, context.log),
        published_file(settings, TWBX_NAME, "callviz_workbook", context.log, content_digest) as opened,
    ):
        workbook_xml = packed_workbook(opened.file)
        workbook = read(workbook_xml)
        publication = Publication("workbook", settings.tableau_name, opened.file, opened.bytes, opened.digest)
        with tableau_session(settings, context.log) as session:
            published = publish(session, publication)
            matches = _matches(settings, published, workbook)
            remember(session, published, opened.digest if matches.passed else "")
            verdict = _verdict(session, workbook_xml) if published.uploaded else None
    if settings.tableau_lineage:
        for event in observations(settings, names, published, workbook):
            context.log_event(event)
    yield dg.MaterializeResult(
        metadata=server_metadata(settings, published, opened.bytes),
        check_results=[matches, workbook_valid_on_server(verdict, uploaded=published.uploaded)],
        data_version=data_version([opened.digest]),
    )


def content_digest(file: IO[bytes], record: PublishedRecord) -> str:
    """Return a digest of a package's workbook, but for the snapshot that it names, and of the rows of `calls.csv`."""
    return digest_of(without_snapshot(packed_workbook(file)), record.inputs(TWBX_NAME)[CALLS_CSV].sha256)


def _verdict(session: TableauSession, workbook_xml: bytes) -> Verdict | None:
    """Return what the server's validation says; None where it says nothing, which is no reason to fail."""
    try:
        return validate(session, workbook_xml)
    except TableauServerError as error:
        session.log.info(str(error))
        return None


def _matches(settings: Settings, published: PublishedItem, workbook: Workbook) -> dg.AssetCheckResult:
    shown = [sheet.name for sheet in workbook.sheets if not sheet.hidden]
    shown += [dashboard.name for dashboard in workbook.dashboards]
    hidden = [sheet.name for sheet in workbook.sheets if sheet.hidden]
    return published_matches(published, settings.tableau_name, shown, hidden)


def observations(
    settings: Settings, names: Names, published: PublishedItem, workbook: Workbook
) -> Iterator[dg.AssetObservation]:
    """Yield what the server shows of the workbook's data sources, sheets and dashboards."""
    item = published.item
    extracts = {name for name, source in workbook.sources.items() if source.extract}
    views = {view.name: view for view in published.views}
    of_workbook = {"workbook_id": item.luid, "dagster-tableau/workbook_id": item.luid}
    for (kind, name), key in node_keys(workbook, settings.tableau_name, names).items():
        if kind == "embedded_datasource":
            source = {"dagster-tableau/is_published": False, "dagster-tableau/has_extracts": name in extracts}
            yield observation(key, item, of_workbook | source)
        elif view := views.get(name):
            yield observation(
                key,
                view,
                {
                    **of_workbook,
                    "dagster-tableau/id": view.luid,
                    "dagster-tableau/project_name": item.project_name,
                    "dagster-tableau/project_id": item.project_luid,
                    "url": dg.MetadataValue.url(view.url(settings)),
                },
            )
