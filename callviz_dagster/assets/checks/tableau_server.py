"""The checks of `published_workbook` and `published_datasource`: their specs, and the pure functions that decide them.

They compare what the Tableau server shows afterwards with what was sent.
"""

from __future__ import annotations

from collections.abc import Collection

import dagster as dg

from callviz_dagster.assets.checks.results import EXAMPLES, nothing_to_do, result, spec
from callviz_dagster.tableau_server.content import TITLES
from callviz_dagster.tableau_server.publish import PublishedItem
from callviz_dagster.tableau_server.validation import Verdict

_MATCHES = (
    "What the Tableau server shows, read back: the {title} of that name in the project, the same one as before, newer "
    "than before{more}."
)
PUBLISHED_WORKBOOK_CHECKS = (
    spec(
        "published_workbook",
        "published_matches",
        _MATCHES.format(title="workbook", more=", with the workbook's visible sheets and dashboards as its views"),
    ),
    spec(
        "published_workbook",
        "workbook_valid_on_server",
        "Tableau's own validation finds no error in the workbook; servers have it since REST API 3.29.",
    ),
)
PUBLISHED_DATASOURCE_CHECKS = (
    spec("published_datasource", "published_matches", _MATCHES.format(title="data source", more="")),
)


def published_matches(
    published: PublishedItem, name: str, shown: Collection[str] = (), hidden: Collection[str] = ()
) -> dg.AssetCheckResult:
    """Compare what the server shows with what was published.

    Args:
        published: what the server shows, and what it showed before.
        name: the name under which it was published.
        shown: names of the workbook's visible sheets and dashboards.
        hidden: names of its hidden sheets, which the server may show or not.
    """
    item, before = published.item, published.before
    views = {view.name for view in published.views}
    differences = [f"it is named {item.name}"] if item.name.casefold() != name.casefold() else []
    if item.project_luid != published.project.luid:
        differences.append(f"it is in the project {item.project_name}")
    if before and before.luid != item.luid:
        differences.append(f"it is another one than before, {before.luid}")
    if published.uploaded and before and not (item.updated_at and before.updated_at and _newer(published)):
        differences.append("it is not newer than before")
    if missing := sorted(set(shown) - views):
        differences.append(f"it has no view {', '.join(missing)}")
    if unknown := sorted(views - set(shown) - set(hidden)):
        differences.append(f"it has views that the workbook does not have: {', '.join(unknown)}")
    title = TITLES[item.kind]
    sentence = f"The {title} {name} on the Tableau server is not what was published: {'; '.join(differences)}."
    if not differences:
        with_views = f" with {len(published.views)} views" if published.views else ""
        sentence = f"The Tableau server shows the {title} {name}{with_views} in {published.project.path}."
    return result("published_matches", not differences, sentence, {"LUID": item.luid, "views": len(views)})


def _newer(published: PublishedItem) -> bool:
    after, before = published.item.updated_at, published.before.updated_at if published.before else None
    return after is not None and before is not None and after > before


def workbook_valid_on_server(verdict: Verdict | None, *, uploaded: bool) -> dg.AssetCheckResult:
    """Report what the server's validation has against the workbook; it only warns, for the server decides at last."""
    name = "workbook_valid_on_server"
    if not uploaded:
        return nothing_to_do(name)
    if verdict is None:
        return result(name, True, "Not validated: the Tableau server has no validation, or gave no result.")
    findings = [*verdict.errors, *verdict.warnings]
    more = f"; and {len(findings) - EXAMPLES:,} more" if len(findings) > EXAMPLES else ""
    sentence = (
        f"Tableau's validation finds {len(verdict.errors):,} errors and {len(verdict.warnings):,} warnings: "
        f"{'; '.join(findings[:EXAMPLES])}{more}."
        if findings
        else "Tableau's validation finds nothing wrong with the workbook."
    )
    counts = {"errors": len(verdict.errors), "warnings": len(verdict.warnings)}
    return result(name, not verdict.errors, sentence, counts, warn=True)
