"""Fixtures: a Tableau server of the tests, settings that publish to it, and something that publishes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.tableau import published_settings
from callviz_dagster_tests.helpers.tableau_publisher import Publisher, on_server
from callviz_dagster_tests.helpers.tableau_server import TableauServer, server_settings, tableau_server


@pytest.fixture
def server() -> Iterator[TableauServer]:
    """Run a Tableau server."""
    with tableau_server() as running:
        yield running


@pytest.fixture
def settings(server: TableauServer, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Return settings that publish to the server; their folders hold published calls where the module says so."""
    if getattr(request.module, "WITH_CALLS", False):
        return on_server(published_settings(tmp_path), server)
    return server_settings(server, tmp_path)


@pytest.fixture
def publisher() -> Publisher:
    """Give what publishes bytes without waiting."""
    return Publisher()
