"""What people see in Tableau, as nodes of the lineage graph: the data source, its sheets and its dashboards.

Read from the workbook when definitions are built, so that a sheet that an analyst adds shows up. Keys, kinds and tags
are those that dagster-tableau gives to the published workbook.
What belongs elsewhere: reading the workbook (`tableau/model.py`), packing it (`callviz_workbook.py`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings
from callviz_dagster.tableau.model import Dashboard, Sheet, Source, Workbook, WorkbookError, locate, read

_log = logging.getLogger(__name__)

WORKBOOK = "callviz"
"""Name of the workbook: that of `callviz.twbx`."""
_PARAMETERS = "Parameters"

_Keys = dict[tuple[str, str], dg.AssetKey]
_Lineage = dict[str, list[tuple[dg.AssetKey, str]]]


def workbook_specs(settings: Settings, names: Names = STAND_ALONE) -> list[dg.AssetSpec]:
    """Return the specs of the workbook that the settings name; none where they are not wanted.

    A workbook that cannot be read is no reason not to load: `callviz_workbook` fails and says what is wrong with it.
    """
    if not settings.tableau_lineage:
        return []
    published = "workbook" in settings.tableau_content
    try:
        return tableau_specs(
            locate(settings.workbook).read_bytes(),
            source=settings.workbook_source,
            name=settings.tableau_name if published else WORKBOOK,
            upstream="published_workbook" if published else None,
            names=names,
        )
    except (WorkbookError, OSError) as error:
        _log.warning("The graph shows no sheets. %s", error)
        return []


def tableau_specs(
    workbook_xml: bytes,
    *,
    source: str = "csv",
    name: str = WORKBOOK,
    upstream: str | None = None,
    names: Names = STAND_ALONE,
) -> list[dg.AssetSpec]:
    """Return the specs of a workbook's data sources, visible sheets and dashboards.

    A dashboard depends on its sheets, and for a hidden sheet on that sheet's data sources, for hidden sheets are not
    published.

    Args:
        workbook_xml: the workbook.
        source: `csv` or `hyper`, whichever the packed workbook reads.
        name: the workbook's name on the Tableau server.
        upstream: the asset that brings the workbook there; the file that it reads where there is none.
        names: those of the collection.

    Raises:
        WorkbookError: it is not a Tableau workbook.
    """
    workbook = read(workbook_xml)
    keys = node_keys(workbook, name, names)
    specs = [
        *(_source_spec(workbook, keys, one, source, upstream, names) for one in _sources(workbook)),
        *(_sheet_spec(workbook, keys, sheet) for sheet in workbook.sheets if not sheet.hidden),
        *(_dashboard_spec(workbook, keys, dashboard) for dashboard in workbook.dashboards),
    ]
    return [spec.replace_attributes(group_name=names.group("tableau")) for spec in specs]


def _sources(workbook: Workbook) -> list[Source]:
    return [source for source in workbook.sources.values() if source.name != _PARAMETERS]


def clean_name(name: str) -> str:
    """Return a name as it stands in an asset key, as dagster-tableau writes it."""
    return re.sub(r"[^a-zA-Z0-9_]+", "_", name).lower()


def node_keys(workbook: Workbook, workbook_name: str = WORKBOOK, names: Names = STAND_ALONE) -> _Keys:
    """Return the key of every data source, sheet and dashboard; names that become alike are numbered.

    Returns:
        Keys by kind (`embedded_datasource`, `sheet`, `dashboard`) and name.
    """
    shown = [
        *(("embedded_datasource", source.name, source.caption) for source in _sources(workbook)),
        *(("sheet", sheet.name, sheet.name) for sheet in workbook.sheets if not sheet.hidden),
        *(("dashboard", dashboard.name, dashboard.name) for dashboard in workbook.dashboards),
    ]
    keys: _Keys = {}
    taken: set[str] = set()
    for kind, name, caption in shown:
        clean = clean_name(caption)
        number, unique = 2, clean
        while f"{kind}/{unique}" in taken:
            unique, number = f"{clean}_{number}", number + 1
        taken.add(f"{kind}/{unique}")
        keys[kind, name] = names.key(clean_name(workbook_name), kind, unique)
    return keys


def _source_spec(
    workbook: Workbook, keys: _Keys, source: Source, packed: str, published_by: str | None, names: Names
) -> dg.AssetSpec:
    ours = source is workbook.calls
    upstream = names.key(f"calls_{packed}")
    deps = [names.key(published_by)] if published_by else [upstream] if ours else []
    columns = [name for name in source.pinned if name in source.columns] if ours else []
    what = f"`calls.{packed}`, as Tableau reads it" if ours else f"the data source {source.caption} of the workbook"
    return _spec(
        keys["embedded_datasource", source.name],
        deps,
        kind="data_source",
        kinds={"extract" if packed == "hyper" and ours else "live", "embedded datasource"},
        description=f"In Tableau: {what}, with each column's type, name and format.",
        lineage={source.captions.get(name, name): [(upstream, name)] for name in columns},
        columns=_table_columns(source, columns),
    )


def _sheet_spec(workbook: Workbook, keys: _Keys, sheet: Sheet) -> dg.AssetSpec:
    lineage: _Lineage = {}
    columns: list[str] = []
    shown: list[str] = []
    calls = workbook.calls
    for owner, field in sheet.fields:
        if calls is None or owner != calls.name:
            continue
        needed = workbook.columns((owner, field))
        key = keys["embedded_datasource", owner]
        lineage[calls.captions.get(field, field)] = [(key, calls.captions.get(name, name)) for name in needed]
        columns += [name for name in needed if name not in columns]
        shown.append(field)
    uses = f" Uses {_listed([f'`{name}`' for name in columns])} of `calls.csv`." if columns else ""
    return _spec(
        keys["sheet", sheet.name],
        _source_keys(keys, sheet),
        kind="sheet",
        kinds={"sheet"},
        description=f"In Tableau, a chart: {sheet.title}.{uses}",
        lineage=lineage,
        columns=_table_columns(calls, dict.fromkeys(shown)) if calls else [],
    )


def _source_keys(keys: _Keys, sheet: Sheet) -> list[dg.AssetKey]:
    named = (("embedded_datasource", name) for name in sheet.sources)
    return [keys[name] for name in named if name in keys]


def _dashboard_spec(workbook: Workbook, keys: _Keys, dashboard: Dashboard) -> dg.AssetSpec:
    shown = [sheet for sheet in workbook.sheets if sheet.name in dashboard.sheets]
    deps = [
        *(keys["sheet", sheet.name] for sheet in shown if not sheet.hidden),
        *(key for sheet in shown if sheet.hidden for key in _source_keys(keys, sheet)),
    ]
    return _spec(
        keys["dashboard", dashboard.name],
        list(dict.fromkeys(deps)),
        kind="dashboard",
        kinds={"dashboard"},
        description=f"In Tableau, the dashboard {dashboard.name}: "
        f"{_listed([sheet.name for sheet in shown if not sheet.hidden])}.",
        lineage={},
    )


def _table_columns(source: Source, fields: Iterable[str]) -> list[dg.TableColumn]:
    """Return fields as the UI lists columns: by their captions, with type and comment."""
    return [
        dg.TableColumn(
            source.captions.get(field, field),
            type=source.datatypes.get(field) or "string",
            description=source.descriptions.get(field),
        )
        for field in fields
    ]


def packed_events(settings: Settings, names: Names, workbook: Workbook) -> list[dg.AssetMaterialization]:
    """Return an event for each node of the graph that a packed workbook holds: it shows these calls from now on."""
    if not settings.tableau_lineage or "workbook" in settings.tableau_content:
        return []
    return [dg.AssetMaterialization(key) for key in node_keys(workbook, WORKBOOK, names).values()]


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def _spec(
    key: dg.AssetKey,
    deps: list[dg.AssetKey],
    *,
    kind: str,
    kinds: set[str],
    description: str,
    lineage: _Lineage,
    columns: Sequence[dg.TableColumn] = (),
) -> dg.AssetSpec:
    metadata: dict[str, Any] = {"dagster/storage_kind": "tableau"}
    if lineage:
        metadata["dagster/column_schema"] = dg.TableSchema(columns=columns)
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(
            deps_by_column={
                column: [dg.TableColumnDep(asset_key=asset, column_name=name) for asset, name in needed]
                for column, needed in lineage.items()
            }
        )
    return dg.AssetSpec(
        key,
        deps=deps,
        kinds={"tableau", *kinds},
        tags={"dagster-tableau/asset_type": kind},
        description=description,
        metadata=metadata,
    )
