"""Fixtures: an object store for the session, a bucket for each test, and a proxy in front that makes faults."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from callviz_dagster.storage.bucket import Bucket
from callviz_dagster_tests.helpers.object_store import (
    AZURITE_VARIABLES,
    Faults,
    azurite,
    azurite_command,
    faulty,
    make_azure_container,
    make_s3_bucket,
    s3_server,
    s3_variables,
)


@contextlib.contextmanager
def azure_container(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run Azurite; give the address of an empty container. Skip where it is not installed: pip does not have it."""
    if not (command := azurite_command()):
        pytest.skip("Azurite is not installed: `npm install azurite`, and name azurite-blob in CALLVIZ_TEST_AZURITE.")
    with azurite(command, folder) as port:
        variables = {**AZURITE_VARIABLES, "AZURE_ENDPOINT": f"http://127.0.0.1:{port}/devstoreaccount1"}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield f"az://{make_azure_container(port, f'test-{uuid.uuid4().hex[:12]}')}"


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """Run an S3 server; give its port."""
    with s3_server() as port:
        yield port


@pytest.fixture
def uri(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of an empty bucket."""
    for name, value in s3_variables(s3_port).items():
        monkeypatch.setenv(name, value)
    return f"s3://{make_s3_bucket(s3_port, f'test-{uuid.uuid4().hex[:12]}')}"


@pytest.fixture
def bucket(uri: str) -> Bucket:
    """A folder in an empty bucket."""
    return Bucket(f"{uri}/calls/data")


@pytest.fixture
def faults(uri: str, s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """What a proxy between the test and the server does; the environment names the proxy."""
    faults = Faults()
    with faulty(s3_port, faults) as port:
        for name, value in s3_variables(port).items():
            monkeypatch.setenv(name, value)
        yield faults
