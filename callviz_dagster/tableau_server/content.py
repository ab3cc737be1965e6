"""What is on the Tableau server: projects by path, the workbook or data source of a name, and its views. Only read.

Lists are read with `TSC.Pager`, never with `.filter()`, which takes a refusal for an empty list. What belongs
elsewhere: publishing (`upload.py`, `publish.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from callviz_dagster.settings import Settings
from callviz_dagster.tableau_server.errors import TableauServerError, site_name
from callviz_dagster.tableau_server.session import TableauSession

if TYPE_CHECKING:
    import tableauserverclient as TSC

Kind = Literal["workbook", "datasource"]
"""What is published."""

TITLES: Mapping[Kind, str] = {"workbook": "workbook", "datasource": "data source"}
_PAGE = 1000
_MOST_SHOWN = 20
_ROLES = "Creator, or Explorer (can publish)"


@dataclass(frozen=True)
class Project:
    """A project on the site."""

    luid: str
    path: str
    """Its name after those of its parents: `Operations/Calls`."""
    writeable: bool | None
    """Whether the token's owner may publish there; None where the server does not say."""


@dataclass(frozen=True)
class Item:
    """A workbook or a data source, as the server describes it."""

    kind: Kind
    luid: str
    name: str
    project_luid: str
    project_name: str
    content_url: str
    url: str
    """Address of its page."""
    owner_luid: str
    created_at: dt.datetime | None
    updated_at: dt.datetime | None


@dataclass(frozen=True)
class View:
    """A sheet or a dashboard of a published workbook."""

    luid: str
    name: str
    content_url: str
    """As in `callviz/sheets/CallsbyType`."""
    owner_luid: str
    created_at: dt.datetime | None
    updated_at: dt.datetime | None

    def url(self, settings: Settings) -> str:
        """Return the address of its page."""
        site = f"site/{settings.tableau_site}/" if settings.tableau_site else ""
        return f"{settings.tableau_server}/#/{site}views/{self.content_url.replace('/sheets/', '/')}"


def endpoint(session: TableauSession, kind: Kind) -> TSC.server.endpoint.Workbooks | TSC.server.endpoint.Datasources:
    """Return the part of tableauserverclient for workbooks or for data sources."""
    return session.server.workbooks if kind == "workbook" else session.server.datasources


def find_project(session: TableauSession) -> Project:
    """Return the project that the settings name, in which the token's owner may publish.

    Raises:
        TableauServerError: there is none of that path, it lists those that the owner sees; or publishing there is not
            allowed.
    """
    import tableauserverclient as TSC

    options = TSC.RequestOptions(pagesize=_PAGE)
    options.fields = {"_default_", "topLevelProject", "writeable"}
    items = session.call("list projects", lambda: list(TSC.Pager(session.server.projects, options)))
    projects = project_paths(items)
    wanted = _normalized(session.settings.tableau_project or "")
    matching = [known for known in projects if known.path == wanted]
    project = next(iter(matching), None)
    token = session.settings.tableau_token_name
    if project is None:
        raise TableauServerError(
            f"There is no project {wanted} for the owner of the token {token} on {site_name(session.settings)}. The "
            f"owner sees {_listed([known.path for known in projects])}. Set CALLVIZ_TABLEAU_PROJECT to the path of one "
            "of them, or have the project created and the owner given the capability View."
        )
    if len(matching) > 1:
        raise TableauServerError(
            f"{len(matching)} projects are {wanted} for the owner of the token {token}: "
            f"{_listed([known.luid for known in matching])}. In the wrong one, others could see the calls: nothing is "
            "published. Rename one, or give the owner the capability View on the projects that they are in."
        )
    if project.writeable is False:
        raise TableauServerError(
            f"The owner of the token {token} may not publish in the project {project.path}, but may in "
            f"{_listed([known.path for known in projects if known.writeable])}. The owner needs the site role "
            f"{_ROLES}, and the capability Publish on the project."
        )
    return project


def project_paths(items: Sequence[TSC.ProjectItem]) -> list[Project]:
    """Return projects with their paths, in the order of the paths. A parent that is not seen leaves no trace."""
    by_luid = {str(item.id): item for item in items}

    def path(item: TSC.ProjectItem, below: frozenset[str] = frozenset()) -> str:
        parent = by_luid.get(str(item.parent_id))
        if parent is None or parent.id in below:
            return str(item.name)
        return f"{path(parent, below | {str(item.id)})}/{item.name}"

    projects = [Project(luid, path(item), item.writeable) for luid, item in by_luid.items()]
    return sorted(projects, key=lambda project: project.path)


def _normalized(path: str) -> str:
    return "/".join(part.strip() for part in path.split("/") if part.strip())


def _listed(paths: Sequence[str]) -> str:
    if not paths:
        return "no project at all"
    more = f" and {len(paths) - _MOST_SHOWN:,} more" if len(paths) > _MOST_SHOWN else ""
    return ", ".join(paths[:_MOST_SHOWN]) + more


def find_item(session: TableauSession, kind: Kind, name: str, project: Project) -> Item | None:
    """Return the workbook or data source of a name in a project; None where there is none."""
    import tableauserverclient as TSC

    options = TSC.RequestOptions(pagesize=_PAGE)
    options.filter.add(TSC.Filter(TSC.RequestOptions.Field.Name, TSC.RequestOptions.Operator.Equals, name))
    get: Any = endpoint(session, kind).get
    items: list[Any] = session.call(f"list {TITLES[kind]}s named {name}", lambda: list(TSC.Pager(get, options)))
    same = [one for one in items if one.project_id == project.luid and one.name.casefold() == name.casefold()]
    return _item(kind, same[0]) if same else None


def read_item(session: TableauSession, kind: Kind, luid: str) -> Item | None:
    """Return a workbook or data source by its LUID; None where there is none."""
    item = session.look_up(f"show the {TITLES[kind]} {luid}", lambda: endpoint(session, kind).get_by_id(luid))
    return _item(kind, item) if item else None


def _item(kind: Kind, item: Any) -> Item:
    return Item(
        kind=kind,
        luid=item.id,
        name=item.name,
        project_luid=item.project_id,
        project_name=item.project_name or "",
        content_url=item.content_url or "",
        url=item.webpage_url or "",
        owner_luid=item.owner_id or "",
        created_at=item.created_at,
        updated_at=item.updated_at,
    )


def read_views(session: TableauSession, workbook_luid: str) -> list[View]:
    """Return the sheets and dashboards that the server shows of a workbook."""
    import tableauserverclient as TSC

    def request() -> list[TSC.ViewItem]:
        item = TSC.WorkbookItem()
        item._id = workbook_luid  # the library sets an identifier only on what it has read itself
        session.server.workbooks.populate_views(item)
        return list(item.views)

    return [
        View(
            luid=str(view.id),
            name=str(view.name),
            content_url=view.content_url or "",
            owner_luid=view.owner_id or "",
            created_at=view.created_at,
            updated_at=view.updated_at,
        )
        for view in session.call("list the views of the workbook", request)
    ]
