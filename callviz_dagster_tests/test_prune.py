"""Removing old runs: this deployment's alone, and none that made the newest state of an asset or a partition."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from callviz_dagster.automation.prune import LOCATION, prune_runs
from callviz_dagster.automation.runs import deployment_tags
from callviz_dagster.settings import Settings

pytestmark = pytest.mark.slow

LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=31)
DAYS = dg.DailyPartitionsDefinition("2024-03-01", end_date="2024-03-04")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def calls() -> None:
    """Stands for an asset with partitions."""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Give an instance with files, as users have."""
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield instance


def run(instance: dg.DagsterInstance, settings: Settings, *days: str) -> str:
    tags = deployment_tags(settings) | {
        "dagster/asset_partition_range_start": days[0],
        "dagster/asset_partition_range_end": days[-1],
    }
    job = dg.Definitions([calls], jobs=[dg.define_asset_job("refresh_calls", [calls])]).resolve_job_def("refresh_calls")
    return job.execute_in_process(instance=instance, tags=tags).run_id


def by_hand(
    instance: dg.DagsterInstance, location: str, status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS
) -> str:
    repository = RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("127.0.0.1", 1, location_name=location), "r")
    job = dg.Definitions([calls]).resolve_implicit_global_asset_job_def()
    return instance.create_run_for_job(
        job,
        status=status,
        asset_selection=frozenset({calls.key}),
        remote_job_origin=RemoteJobOrigin(repository, job.name),
    ).run_id


def remaining(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


@pytest.fixture
def deployment(tmp_path: Path) -> Settings:
    """Return the settings of a deployment that reads nothing."""
    return Settings(data_dir=tmp_path / "data", publish_dir=tmp_path / "publish")


def test_the_runs_that_made_the_newest_state_of_a_partition_stay(
    instance: dg.DagsterInstance, deployment: Settings
) -> None:
    first = run(instance, deployment, "2024-03-01", "2024-03-02")
    second = run(instance, deployment, "2024-03-02", "2024-03-03")
    third = run(instance, deployment, "2024-03-02", "2024-03-03")
    assert prune_runs(instance, deployment, LATER) == [second]
    assert remaining(instance) == {first, third}
    assert instance.get_materialized_partitions(calls.key) == {"2024-03-01", "2024-03-02", "2024-03-03"}
    assert instance.all_logs(first)


def test_nothing_is_left_of_a_removed_run(instance: dg.DagsterInstance, deployment: Settings, tmp_path: Path) -> None:
    old = run(instance, deployment, "2024-03-01")
    run(instance, deployment, "2024-03-01")
    assert [path for path in tmp_path.rglob("*") if old in path.name]
    assert prune_runs(instance, deployment, LATER) == [old]
    assert not [path for path in tmp_path.rglob("*") if old in path.name]


def test_younger_runs_and_those_that_have_not_ended_stay(instance: dg.DagsterInstance, deployment: Settings) -> None:
    for status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.QUEUED):
        by_hand(instance, LOCATION, status)
    assert prune_runs(instance, deployment, LATER) == []
    run(instance, deployment, "2024-03-01")
    run(instance, deployment, "2024-03-01")
    assert prune_runs(instance, deployment, dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)) == []


def test_runs_of_others_stay(instance: dg.DagsterInstance, deployment: Settings, tmp_path: Path) -> None:
    another = dataclasses.replace(deployment, data_dir=tmp_path / "another")
    runs_kept = {
        run(instance, another, "2024-03-01"),
        run(instance, another, "2024-03-01"),
        by_hand(instance, "elsewhere"),
    }
    own = by_hand(instance, LOCATION)
    assert prune_runs(instance, deployment, LATER) == [own]
    assert remaining(instance) == runs_kept
