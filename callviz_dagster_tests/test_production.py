"""A server as the page "In production" sets it up: Postgres, code server, daemon and webserver as processes."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymongo.collection import Collection

from callviz_dagster.demo.child import Child
from callviz_dagster.demo.mongod import free_port
from callviz_dagster.settings import Settings
from callviz_dagster_tests.conftest import unavailable
from callviz_dagster_tests.helpers.dagster_services import dagster_services
from callviz_dagster_tests.helpers.processes import listens, wait_for
from callviz_dagster_tests.helpers.refresh import START, some_calls
from callviz_dagster_tests.helpers.users import NOBODY, folder_for_everybody

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """Give the address of a Postgres server of the test's own; as root it runs as another user, for it refuses root."""
    program = shutil.which("postgres")
    if not program:
        unavailable("The tests of a server need Postgres.")
    options: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    port = free_port()
    with folder_for_everybody() as folder:
        folder.chmod(0o777)
        data = folder / "data"
        initdb = Path(program).resolve().parent / "initdb"
        made = [str(initdb), "--pgdata", str(data), "--username", "dagster", "--auth", "trust", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **options)
        command = [program, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
        with (folder / "log").open("wb") as log:
            child = Child(command, stdout=log, stderr=log, cwd=folder, **options)
        try:
            wait_for("Postgres", lambda: listens(port))
            yield f"postgresql+psycopg2://dagster@127.0.0.1:{port}/postgres"
        finally:
            child.end()


@pytest.mark.long
def test_postgres_with_sensor_and_backfill_in_processes_of_their_own(
    settings: Settings, collection: Collection[dict[str, Any]], postgres_url: str, tmp_path: Path
) -> None:
    pytest.importorskip("dagster_postgres")
    some_calls(collection, 5)
    collection.create_index("start_time")
    environment = {
        "DAGSTER_POSTGRES_URL": postgres_url,
        "CALLVIZ_MONGO_URI": settings.mongo_uri or "",
        "CALLVIZ_MONGO_DATABASE": settings.database,
        "CALLVIZ_DATA_DIR": str(settings.data_dir),
        "CALLVIZ_PUBLISH_DIR": str(settings.publish_dir),
        "CALLVIZ_FIELD_START_TIME": "start_time",
        "CALLVIZ_PARTITIONS": "monthly",
        "CALLVIZ_PARTITIONS_START": "2024-03-01",
        "CALLVIZ_MIN_REFRESH_SECONDS": "1",
        "CALLVIZ_WATCH": "true",
    }
    csv = settings.publish_dir / "calls.csv"
    with dagster_services(tmp_path, DEPLOY / "dagster.yaml", environment) as webserver:
        wait_for("the refresh that the sensor asks for", csv.is_file)
        collection.insert_one({"_id": 100, "start_time": START})
        wait_for("the next refresh", lambda: len(csv.read_text(encoding="utf-8").splitlines()) == 7)
        months = ["2024-03-01", "2024-04-01"]
        backfill = webserver.launch_backfill(("raw_calls", "calls", "rejected_calls"), months)
        assert webserver.wait_for_backfill(backfill) == "COMPLETED_SUCCESS"
        statuses = [*webserver.runs().values()]
    assert statuses.count("SUCCESS") >= 3
    assert "FAILURE" not in statuses
    assert not (tmp_path / "home" / "history").exists(), "runs and events are in Postgres"


@pytest.mark.parametrize("unit", ["code", "daemon", "webserver"])
def test_systemd_finds_nothing_wrong_with_a_unit(unit: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is not installed.")
    name = f"callviz-{unit}.service"
    text = (DEPLOY / "systemd" / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(text.replace("/opt/callviz/bin", str(Path(sys.executable).parent)), encoding="utf-8")
    done = subprocess.run([analyze, "verify", "--man=no", str(tmp_path / name)], text=True, capture_output=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if name in line]) == (0, [])


def test_a_unit_and_the_compose_file_start_what_the_test_starts() -> None:
    """The commands in `deploy/` are those that are tried here, so that a change of one is noticed."""
    workspace = "-w /var/lib/callviz/dagster/workspace.yaml"
    code = "code-server start -h {host} -p 4000 -m callviz_dagster.definitions --location-name callviz_dagster"
    units = {path.stem: path.read_text(encoding="utf-8") for path in (DEPLOY / "systemd").glob("*.service")}
    assert f"/dagster {code.format(host='127.0.0.1')}\n" in units["callviz-code"]
    assert f"/dagster-webserver -h 127.0.0.1 -p 3000 {workspace}\n" in units["callviz-webserver"]
    assert f"/dagster-daemon run {workspace}\n" in units["callviz-daemon"]
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    command = image[image.index("CMD [") :].removeprefix("CMD [")
    assert " ".join(part.strip(' \\\n"]') for part in command.split(",")) == f"dagster {code.format(host='0.0.0.0')}"
    compose = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert '"127.0.0.1:3000:3000"' in compose, "the UI has no login"


def loaded(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def test_deployments_name_settings_that_exist() -> None:
    settings = {field.metadata["name"] for field in dataclasses.fields(Settings)}
    texts = [path.read_text(encoding="utf-8") for path in (DEPLOY / "Dockerfile", *DEPLOY.rglob("*.yaml"))]
    named = {name for text in texts for name in re.findall(r"\bCALLVIZ_[A-Z_]+[A-Z]\b", text)}
    assert "CALLVIZ_ENGINE" in named
    assert named <= settings


@pytest.mark.parametrize("role", ["scheduler", "worker"])
def test_dask_is_started_in_the_same_way_by_compose_and_on_kubernetes(role: str) -> None:
    [compose] = loaded("compose.dask.yaml")
    service = compose["services"][role]
    [container] = [
        container
        for manifest in loaded("dask-cluster.yaml")
        if manifest["metadata"]["name"] == f"dask-{role}" and manifest["kind"] == "Deployment"
        for container in manifest["spec"]["template"]["spec"]["containers"]
    ]
    folders = {"/run/secrets": "/tls", "/tmp": "/scratch", "tls://scheduler:": "tls://dask-scheduler:"}

    def on_kubernetes(text: str) -> str:
        for folder, other in folders.items():
            text = text.replace(folder, other)
        return text

    assert container["args"] == [on_kubernetes(text) for text in service["command"]]
    assert service["command"][-1].startswith("127.0.0.1:"), "the HTTP pages have no TLS"
    of_dask = {item["name"]: item["value"] for item in container["env"] if item["name"].startswith("DASK_")}
    environment = service["environment"].items()
    assert of_dask == {name: on_kubernetes(value) for name, value in environment if name.startswith("DASK_")}
    assert of_dask["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true"


@pytest.mark.parametrize("name", ["helm-values.yaml", "dask-values.yaml"])
def test_no_service_on_kubernetes_makes_variables_that_look_like_settings(name: str) -> None:
    """For a service `callviz-x`, Kubernetes sets CALLVIZ_X_PORT in each pod, and callviz refuses unknown settings."""
    [values] = loaded(name)
    deployments = values["dagster-user-deployments"]["deployments"]
    services = [manifest for manifest in loaded("dask-cluster.yaml") if manifest["kind"] == "Service"]
    names = [deployment["name"] for deployment in deployments] + [each["metadata"]["name"] for each in services]
    assert not [each for each in names if each.startswith("callviz")]
