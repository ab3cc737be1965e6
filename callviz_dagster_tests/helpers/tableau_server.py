"""A Tableau server over loopback: the part of the REST API that publishing uses, as its documentation describes it.

It keeps LUIDs on overwrite and names unique in a project, lists in pages and with filters, publishes in jobs, keeps one
session for each token, and can be given faults. It is driven by the real tableauserverclient.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import ipaddress
import json
import re
import ssl
import threading
import uuid
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from callviz_dagster.settings import Settings
from callviz_dagster.tableau.model import read

SECRET = "qlE1g9MMh9vbrjjg==:rZTHhPpP2tUW1kfn4tjg8"
TOKEN = "callviz"
SITE = "11111111-0000-4000-8000-000000000001"
OWNER = "22222222-0000-4000-8000-000000000001"
_NAMESPACE = "http://tableau.com/api"
_START = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


@dataclass
class Answer:
    """What the server answers."""

    status: int
    body: bytes = b""
    content_type: str = "application/xml;charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, code: str, summary: str = "Refused", detail: str = "No.", **headers: str) -> Answer:
    """Return an error in Tableau's form."""
    error = ET.Element("error", code=code)
    ET.SubElement(error, "summary").text = summary
    ET.SubElement(error, "detail").text = detail
    return Answer(status, _response(error), headers={name.replace("_", "-"): value for name, value in headers.items()})


PROXY_PAGE = Answer(200, b"<!DOCTYPE html><html><body>Please log in<br></body></html>", "text/html")
RESET = "the connection is closed before anything is done"
LOST = "it is done, and the connection is closed without an answer"
HANG = "no answer until the server ends"


@dataclass
class Fault:
    """What happens to some requests in place of what they ask for."""

    request: str
    """A regular expression for method and path, such as `POST .*/workbooks$`."""
    action: Answer | str
    times: int = 1
    after: int = 0
    """How many such requests go well before."""


@dataclass
class Content:
    """A published workbook or data source."""

    luid: str
    name: str
    project: str
    content: bytes
    owner: str
    created: str
    updated: str
    revision: int = 1
    show_tabs: bool = False


@dataclass
class Job:
    luid: str
    waits: int
    """Requests of any kind until it ends."""
    apply: Callable[[], None]
    outcome: str
    done: bool = False


@dataclass
class Project:
    luid: str
    name: str
    parent: str | None = None
    writeable: bool | None = True


def _response(*elements: ET.Element) -> bytes:
    root = ET.Element("tsResponse", xmlns=_NAMESPACE)
    root.extend(elements)
    return b"<?xml version='1.0' encoding='UTF-8'?>" + ET.tostring(root)


def _luid(number: int, kind: int) -> str:
    return str(uuid.UUID(int=(kind << 96) + (4 << 76) + (8 << 60) + number))


class TableauServer:
    """The server's state, and what it does with each request."""

    def __init__(self, address: str = "") -> None:
        self.address = address
        self.version, self.product = "3.29", "2026.2.0"
        self.tokens = {TOKEN: SECRET}
        self.sessions: dict[str, str] = {}
        self.projects = [
            Project(_luid(1, 3), "Default"),
            Project(_luid(2, 3), "Operations"),
            Project(_luid(3, 3), "Calls", _luid(2, 3)),
            Project(_luid(4, 3), "Calls", writeable=False),
        ]
        self.contents: dict[str, dict[str, Content]] = {"workbook": {}, "datasource": {}}
        self.uploads: dict[str, list[bytes]] = {}
        self.jobs: dict[str, Job] = {}
        self.job_waits, self.job_outcome = 0, "success"
        self.verdict: dict[str, Any] = {"timestamp": "2026-06-10T14:32:18.456Z"}
        self.most_bytes = 1 << 40
        self.hidden_views = False
        self.signed_in_as = OWNER
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self._numbers = iter(range(1, 1_000_000))

    # What tests ask.

    def items(self, kind: str = "workbook") -> list[Content]:
        return list(self.contents[kind].values())

    def count(self, request: str) -> int:
        return sum(bool(re.fullmatch(request, line)) for line in self.requests)

    def add(self, kind: str, name: str, project: str, content: bytes = b"", owner: str = "somebody else") -> Content:
        now = self._now()
        item = Content(_luid(next(self._numbers), 5), name, project, content, owner, now, now)
        self.contents[kind][item.luid] = item
        return item

    # What it does.

    def _now(self) -> str:
        return (_START + dt.timedelta(seconds=next(self._numbers))).strftime("%Y-%m-%dT%H:%M:%SZ")

    def fault(self, line: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and re.search(fault.request, line):
                if fault.after:
                    fault.after -= 1
                    return None
                fault.times -= 1
                return fault
        return None

    def tick(self) -> None:
        """Let the jobs go on."""
        for job in self.jobs.values():
            if not job.done and job.outcome != "never":
                job.waits -= 1
                if job.waits < 0:
                    job.done = True
                    if job.outcome == "success":
                        job.apply()

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answer:
        parts = urlsplit(target)
        match = re.fullmatch(r"/api/[\d.]+/(.*)", parts.path)
        if not match:
            return Answer(404, b"<html>not here</html>", "text/html")
        path, query = match[1], {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.tick()
        if (method, path) == ("GET", "serverInfo"):
            info = ET.Element("serverInfo")
            ET.SubElement(info, "productVersion", build="20262.26.0601.1200").text = self.product
            ET.SubElement(info, "restApiVersion").text = self.version
            return Answer(200, _response(info))
        if (method, path) == ("POST", "auth/signin"):
            return self._sign_in(body)
        if headers.get("X-Tableau-Auth") not in self.sessions:
            return refusal(401, "401002", "Unauthorized Access", "Invalid authentication credentials were provided.")
        if (method, path) == ("POST", "auth/signout"):
            del self.sessions[headers["X-Tableau-Auth"]]
            return Answer(204)
        site, _, rest = path.removeprefix("sites/").partition("/")
        if site != SITE:
            return refusal(404, "404000", "Resource Not Found", "Site not found.")
        return self._on_site(method, rest, query, headers, body)

    def _on_site(self, method: str, path: str, query: dict[str, str], headers: Any, body: bytes) -> Answer:
        routes: dict[str, Callable[..., Answer]] = {
            r"GET projects": lambda: self._projects(query),
            r"POST fileUploads": self._begin_upload,
            r"PUT fileUploads/(.+)": lambda luid: self._append(luid, _parts(headers, body)),
            r"POST workbooks/validateWorkbook": lambda: self._validate(_parts(headers, body)),
            r"POST (workbook|datasource)s": lambda kind: self._publish(kind, query, _parts(headers, body)),
            r"GET (workbook|datasource)s": lambda kind: self._query(kind, query),
            r"GET (workbook|datasource)s/([^/]+)": self._get,
            r"GET (workbook|datasource)s/([^/]+)/content": self._download,
            r"GET workbooks/([^/]+)/views": self._views,
            r"GET jobs/(.+)": self._job,
        }
        for route, handler in routes.items():
            if match := re.fullmatch(route, f"{method} {path}"):
                return handler(*match.groups())
        return refusal(404, "404003", "Resource Not Found", f"No {method} {path}.")

    def _sign_in(self, body: bytes) -> Answer:
        credentials = ET.fromstring(body)[0]
        name = credentials.get("personalAccessTokenName", "")
        if self.tokens.get(name) != credentials.get("personalAccessTokenSecret"):
            return refusal(401, "401001", "Signin Error", "The personal access token you provided is invalid.")
        site = credentials[0].get("contentUrl", "")
        if site not in ("", "marketing"):
            return refusal(401, "401001", "Signin Error", "Error signing in to Tableau Server")
        # One session a token.
        self.sessions = {session: token for session, token in self.sessions.items() if token != name}
        session = f"session-{next(self._numbers)}"
        self.sessions[session] = name
        answer = ET.Element("credentials", token=session)
        ET.SubElement(answer, "site", id=SITE, contentUrl=site)
        ET.SubElement(answer, "user", id=self.signed_in_as)
        return Answer(200, _response(answer))

    def _list(self, elements: list[ET.Element], query: dict[str, str], tag: str) -> Answer:
        size, number = int(query.get("pageSize", 100)), int(query.get("pageNumber", 1))
        total = str(len(elements))
        pagination = ET.Element("pagination", pageNumber=str(number), pageSize=str(size), totalAvailable=total)
        page = ET.Element(tag)
        page.extend(elements[(number - 1) * size : number * size])
        return Answer(200, _response(pagination, page))

    def _projects(self, query: dict[str, str]) -> Answer:
        return self._list([self._project(one, query) for one in self.projects], query, "projects")

    def _project(self, project: Project, query: dict[str, str]) -> ET.Element:
        element = ET.Element("project", id=project.luid, name=project.name)
        if project.parent:
            element.set("parentProjectId", project.parent)
        if "writeable" in query.get("fields", "") and project.writeable is not None:
            element.set("writeable", str(project.writeable).lower())
        return element

    def _element(self, kind: str, item: Content) -> ET.Element:
        url = re.sub(r"\W", "", item.name)
        element = ET.Element(
            kind,
            id=item.luid,
            name=item.name,
            contentUrl=url,
            webpageUrl=f"{self.address}/#/{kind}s/{item.luid[-4:]}",
            createdAt=item.created,
            updatedAt=item.updated,
        )
        project = next(project for project in self.projects if project.luid == item.project)
        ET.SubElement(element, "project", id=project.luid, name=project.name)
        ET.SubElement(element, "owner", id=item.owner)
        return element

    def _query(self, kind: str, query: dict[str, str]) -> Answer:
        items = self.items(kind)
        if "filter" in query:
            name, operator, value = query["filter"].split(":", 2)
            assert (name, operator) == ("name", "eq"), query["filter"]
            items = [item for item in items if item.name == value]
        return self._list([self._element(kind, item) for item in items], query, f"{kind}s")

    def _get(self, kind: str, luid: str) -> Answer:
        if luid not in self.contents[kind]:
            return refusal(404, "404006", "Resource Not Found", f"{kind} {luid} could not be found.")
        return Answer(200, _response(self._element(kind, self.contents[kind][luid])))

    def _download(self, kind: str, luid: str) -> Answer:
        item = self.contents[kind][luid]
        name = f'name="tableau_{kind}"; filename="{item.name}.{"twbx" if kind == "workbook" else "hyper"}"'
        return Answer(200, item.content, "application/octet-stream", {"Content-Disposition": name})

    def _views(self, luid: str) -> Answer:
        item = self.contents["workbook"][luid]
        url = re.sub(r"\W", "", item.name)
        views = ET.Element("views")
        for number, name in enumerate(view_names(item.content, hidden=self.hidden_views)):
            view = ET.SubElement(
                views,
                "view",
                id=_luid(number, 6),
                name=name,
                contentUrl=f"{url}/sheets/{re.sub(r'[^A-Za-z0-9]', '', name)}",
                createdAt=item.created,
                updatedAt=item.updated,
            )
            ET.SubElement(view, "owner", id=item.owner)
            ET.SubElement(view, "workbook", id=luid)
        return Answer(200, _response(views))

    def _begin_upload(self) -> Answer:
        luid = f"{next(self._numbers)}:upload"
        self.uploads[luid] = []
        return Answer(201, _response(ET.Element("fileUpload", uploadSessionId=luid)))

    def _append(self, luid: str, parts: dict[str, bytes]) -> Answer:
        if luid not in self.uploads:
            return refusal(404, "404013", "Resource Not Found", "The upload session does not exist.")
        self.uploads[luid].append(parts["tableau_file"])
        megabytes = sum(map(len, self.uploads[luid])) >> 20
        return Answer(200, _response(ET.Element("fileUpload", uploadSessionId=luid, fileSize=str(megabytes))))

    def _publish(self, kind: str, query: dict[str, str], parts: dict[str, bytes]) -> Answer:
        request = ET.fromstring(parts["request_payload"])[0]
        name, luid = request.get("name", ""), request[0].get("id", "")
        project = next((one for one in self.projects if one.luid == luid), None)
        if project is None:
            return refusal(404, "404005", "Resource Not Found", "Project not found.")
        if project.writeable is False:
            return refusal(403, "403004", "Forbidden", "You do not have permission to publish here.")
        upload = query.get("uploadSessionId")
        content = b"".join(self.uploads.pop(upload)) if upload else parts[f"tableau_{kind}"]
        if len(content) > self.most_bytes:
            return refusal(413, "413000", "Payload Too Large", "The file is too large.")
        same = [item for item in self.items(kind) if item.name == name and item.project == luid]
        if same and query.get("overwrite") != "true":
            return refusal(409, "409004", "Resource Conflict", f"{name} already exists in the project.")

        def apply() -> None:
            if same:
                same[0].content, same[0].updated = content, self._now()
                same[0].revision += 1
            else:
                self.add(kind, name, luid, content, self.signed_in_as).show_tabs = request.get("showTabs") == "true"

        assert query.get("asJob") == "true"
        job = Job(_luid(next(self._numbers), 7), self.job_waits, apply, self.job_outcome)
        self.jobs[job.luid] = job
        return Answer(202, _response(ET.Element("job", id=job.luid, mode="Asynchronous", createdAt=self._now())))

    def _job(self, luid: str) -> Answer:
        job = self.jobs[luid]
        codes = {"success": "0", "failed": "1", "cancelled": "2"}
        element = ET.Element("job", id=luid, mode="Asynchronous", createdAt=self._now())
        if job.done:
            element.attrib |= {"completedAt": self._now(), "finishCode": codes[job.outcome], "progress": "100"}
            if job.outcome == "failed":
                notes = ET.SubElement(element, "statusNotes")
                ET.SubElement(notes, "statusNote", type="Error", text="The extract could not be read.")
        return Answer(200, _response(element))

    def _validate(self, parts: dict[str, bytes]) -> Answer:
        ET.fromstring(parts["tableau_workbook"])
        status = 422 if self.verdict.get("errors") else 200
        return Answer(status, json.dumps(self.verdict).encode(), "application/json")


def view_names(content: bytes, *, hidden: bool = False) -> list[str]:
    """Return the sheets and dashboards of a packed workbook; none of anything else."""
    if not content.startswith(b"PK"):
        return []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        workbook = read(archive.read(next(name for name in archive.namelist() if name.endswith(".twb"))))
    sheets = [sheet.name for sheet in workbook.sheets if hidden or not sheet.hidden]
    return sheets + [dashboard.name for dashboard in workbook.dashboards]


def _parts(headers: Any, body: bytes) -> dict[str, bytes]:
    """Return the parts of a multipart body by name."""
    boundary = b"--" + headers["Content-Type"].partition("boundary=")[2].encode()
    parts = {}
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        match = re.search(rb'name="([^"]*)"', head)
        assert match, head
        parts[match[1].decode()] = content[:-2]
    return parts


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet an answer: a second one would wait for the receipt of the first.
    wbufsize = -1
    disable_nagle_algorithm = True
    tableau: TableauServer

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        line = f"{self.command} {urlsplit(self.path).path}"
        tableau = self.tableau
        with tableau.lock:
            tableau.requests.append(line)
            fault = tableau.fault(line)
            if fault is None:
                answer = tableau.answer(self.command, self.path, self.headers, body)
            elif isinstance(fault.action, Answer):
                answer = fault.action
            elif fault.action == LOST:
                tableau.answer(self.command, self.path, self.headers, body)
        if fault and not isinstance(fault.action, Answer):
            if fault.action == HANG:
                tableau.ending.wait(60)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in {"Content-Type": answer.content_type, **answer.headers}.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = _handle  # noqa: N815  # names that http.server calls


@contextlib.contextmanager
def tableau_server(certificate: Path | None = None) -> Iterator[TableauServer]:
    """Run a server on a free port of this machine; over TLS where there is a file with certificate and key."""
    tableau = TableauServer()
    handler = type("Handler", (_Handler,), {"tableau": tableau})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        http.socket = context.wrap_socket(http.socket, server_side=True)
    tableau.address = f"{'https' if certificate else 'http'}://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield tableau
    finally:
        tableau.ending.set()
        http.shutdown()
        http.server_close()
        thread.join()


def server_settings(tableau: TableauServer, folder: Path, **given: Any) -> Settings:
    """Return settings that publish to a server."""
    return Settings(
        **{
            "data_dir": folder / "data",
            "publish_dir": folder / "publish",
            "tableau_server": tableau.address,
            "tableau_project": "Operations/Calls",
            "tableau_token_name": TOKEN,
            "tableau_token_secret": SECRET,
            **given,
        }
    )


def certificate(folder: Path) -> Path:
    """Write a certificate for this machine that nobody has signed, with its key; return the file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(1))
        .not_valid_after(now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(signed.public_bytes(encoding) + private)
    return path
