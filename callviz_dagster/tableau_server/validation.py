"""Tableau's own verdict on a workbook: `validateWorkbook`, which servers with REST API 3.29 and newer have.

tableauserverclient has no method for it, so it is a plain request with the session's token. What belongs elsewhere:
callviz's own rules for workbooks (`tableau/audit.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from callviz_dagster.settings import Settings
from callviz_dagster.tableau_server.errors import redact
from callviz_dagster.tableau_server.session import VALIDATION_VERSION, TableauSession

_ANSWERS = (200, 422)


@dataclass(frozen=True)
class Verdict:
    """What the server has against a workbook."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def validate(session: TableauSession, workbook_xml: bytes) -> Verdict | None:
    """Let the server validate a workbook (.twb); return None where it has no validation, or gave no verdict.

    The server sees the workbook alone, without the data packed with it, so a finding about a missing file is none.

    Raises:
        TableauServerError: the connection failed.
    """
    if session.version < VALIDATION_VERSION:
        return None
    return session.look_up("validate the workbook", lambda: _request(session, workbook_xml))


def _request(session: TableauSession, workbook_xml: bytes) -> Verdict | None:
    from urllib3 import encode_multipart_formdata
    from urllib3.fields import RequestField

    part = RequestField("tableau_workbook", workbook_xml, filename="callviz.twb")
    part.make_multipart(content_type="application/octet-stream")
    body, form = encode_multipart_formdata([part])
    server = session.server
    response = server.session.post(
        f"{server.workbooks.baseurl}/validateWorkbook",
        data=body,
        headers={
            "X-Tableau-Auth": server.auth_token,
            "Accept": "application/json",
            "Content-Type": form.replace("form-data", "mixed"),
        },
        timeout=server.http_options["timeout"],
        allow_redirects=False,
    )
    if response.status_code not in _ANSWERS:
        return None
    try:
        answer = response.json()
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return None
    return Verdict(_findings(answer, "errors", session.settings), _findings(answer, "warnings", session.settings))


def _findings(body: dict[str, Any], name: str, settings: Settings) -> tuple[str, ...]:
    findings = body.get(name) or []
    return tuple(
        redact(f"line {one.get('line', '?')}, <{one.get('elementName', '?')}>: {one.get('message', '')}", settings)
        for one in findings
    )
