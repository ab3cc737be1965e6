"""Dagster's code server, webserver and daemon as processes of their own, and what a client asks of the webserver.

What belongs elsewhere: what is refreshed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callviz_dagster.demo.child import Child
from callviz_dagster.demo.mongod import free_port
from callviz_dagster_tests.helpers.processes import listens, wait_for

_WORKSPACE = Path(__file__).resolve().parents[2] / "deploy" / "workspace.yaml"
_BACKFILL = """mutation ($keys: [AssetKeyInput!]!, $names: [String!]!) {
  launchPartitionBackfill(backfillParams: {assetSelection: $keys, partitionNames: $names}) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}"""
_STATE = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
  __typename ... on PartitionBackfill { status } } }"""
_RUNS = "{ runsOrError { ... on Runs { results { runId status tags { key value } } } } }"
_TERMINATE = """mutation ($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunFailure { message } } }"""


@dataclass(frozen=True)
class Webserver:
    """A client of the webserver's GraphQL, as the UI is."""

    port: int

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the data of an answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            data = json.load(answer)
        assert "errors" not in data, data
        return data["data"]

    def launch_backfill(self, assets: Sequence[str], partitions: Sequence[str]) -> str:
        """Launch a backfill and return its identifier."""
        keys = [{"path": [name]} for name in assets]
        launched = self.ask(_BACKFILL, keys=keys, names=[*partitions])["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def wait_for_backfill(self, identifier: str) -> str:
        """Wait until a backfill has ended; return its status."""

        def ended() -> str:
            status = str(self.ask(_STATE, id=identifier)["partitionBackfillOrError"]["status"])
            return "" if status in ("REQUESTED", "COMPLETING", "CANCELING", "FAILING") else status

        return str(wait_for("the end of the backfill", ended))

    def runs(self, backfill: str = "") -> dict[str, str]:
        """Return the status of each run, or of each run of a backfill, by the run's identifier; the newest first."""
        return {
            run["runId"]: run["status"]
            for run in self.ask(_RUNS)["runsOrError"]["results"]
            if not backfill or {"key": "dagster/backfill", "value": backfill} in run["tags"]
        }

    def terminate(self, run: str) -> None:
        """Terminate a run, as the button does."""
        terminated = self.ask(_TERMINATE, id=run)["terminateRun"]
        assert terminated["__typename"] == "TerminateRunSuccess", terminated


@contextlib.contextmanager
def dagster_services(folder: Path, instance: Path, environment: Mapping[str, str]) -> Iterator[Webserver]:
    """Run the services that `deploy/` runs, with this `dagster.yaml` and these variables; logs are in the folder."""
    home = folder / "home"
    home.mkdir()
    shutil.copy(instance, home / "dagster.yaml")
    code, webserver = free_port(), free_port()
    workspace = _WORKSPACE.read_text(encoding="utf-8").replace("host: code", "host: 127.0.0.1")
    (home / "workspace.yaml").write_text(workspace.replace("port: 4000", f"port: {code}"), encoding="utf-8")
    services = {
        "code": ["dagster", "code-server", "start", "-h", "127.0.0.1", "-p", str(code)],
        "webserver": ["dagster_webserver", "-h", "127.0.0.1", "-p", str(webserver), "-w", str(home / "workspace.yaml")],
        "daemon": ["dagster._daemon", "run", "-w", str(home / "workspace.yaml")],
    }
    services["code"] += ["-m", "callviz_dagster.definitions", "--location-name", "callviz_dagster"]
    whole = {**os.environ, "DAGSTER_HOME": str(home), **environment}
    with contextlib.ExitStack() as stack:
        for name, command in services.items():
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            child = Child([sys.executable, "-m", *command], env=whole, cwd=home, stdout=log, stderr=log)
            stack.callback(child.end)
            if name == "code":
                wait_for("the code server", lambda: listens(code))
        wait_for("the webserver", lambda: listens(webserver))
        yield Webserver(webserver)
