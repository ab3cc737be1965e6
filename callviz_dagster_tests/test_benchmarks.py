"""The benchmarks run and print what they say they print; how fast they are is no test."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection

from benchmarks import command, dashboard, partitions, peers, refresh, startup, threads, workers
from benchmarks.collection import FIELDS, document, fill, name_of
from benchmarks.processes import Ran, run
from callviz_dagster.dashboard.page import totals

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

Document = dict[str, Any]
Measuring = Callable[..., dict[str, Any]]


@pytest.fixture
def measured(
    mongo_uri: str, collection: Collection[Document], capsys: pytest.CaptureFixture[str]
) -> Iterator[Measuring]:
    """Give a function that runs a benchmark on 2,000 documents and returns its line of JSON."""

    def measure(benchmark: Any, *options: str) -> dict[str, Any]:
        where = ["--uri", mongo_uri, "--database", collection.database.name]
        benchmark.main(["--documents", "2000", *where, *options])
        report: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return report

    yield measure


def test_a_refresh_is_timed_step_by_step(measured: Measuring) -> None:
    report = measured(refresh)
    assert [step["name"] for step in report["steps"]] == ["raw_calls", "calls", "calls_csv", "together"]
    assert all(step["documents"] == 2000 and step["seconds"] > 0 for step in report["steps"])
    assert all(step["documents_per_second"] == round(2000 / step["seconds"]) for step in report["steps"])
    assert report["peak_mb"] > 10
    assert report["peak_together_mb"] > 10


@pytest.mark.long
def test_the_whole_command_is_timed_step_by_step(measured: Measuring) -> None:
    report = measured(command, "--rounds", "1")
    steps = {"raw_calls", "calls", "calls_csv", "call_dashboard", "callviz_workbook", command.OUTSIDE}
    assert steps <= report["seconds"].keys()
    inside = sum(some for name, some in report["seconds"].items() if name not in (command.COMMAND, command.EXPORT))
    assert inside == pytest.approx(report["seconds"][command.COMMAND], abs=0.1)
    assert report["processor_seconds"][command.COMMAND] > 0


def test_a_line_that_dagster_lost_in_one_round_costs_that_round_alone() -> None:
    lines = [f'Finished execution of step "{name}" in 500ms.' for name in ("calls", "calls_csv")]
    ran = {command.COMMAND: [Ran(2, 1, 500, None, lines[0]), Ran(2, 1, 500, None, "\n".join(lines))]}
    timings = command.timings_of(ran)
    assert (timings["calls"], timings["calls_csv"]) == ([0.5, 0.5], [0.5])
    assert timings[command.OUTSIDE] == [1.5, 1.0]


def test_steps_of_minutes_and_of_milliseconds_are_read() -> None:
    log = 'Finished execution of step "{}" in {}.\n'
    output = log.format("raw_calls", "1m54s") + log.format("calls", "23.5s") + log.format("calls_csv", "593ms")
    steps = command.steps_of(Ran(200, 30, 500, None, output))
    assert steps == {command.OUTSIDE: pytest.approx(61.907), "raw_calls": 114, "calls": 23.5, "calls_csv": 0.593}


@pytest.mark.long
def test_what_partitions_cost_is_timed_against_the_same_without_calls(measured: Measuring) -> None:
    report = measured(partitions)
    names = {partitions.ALL, partitions.ONE, partitions.WHOLE, partitions.EMPTY}
    assert names == report["seconds"].keys() - {command.EXPORT}
    assert {partitions.ALL, partitions.ONE, partitions.WHOLE} == report["five_steps"].keys()
    assert report["event_log_bytes"][partitions.ALL] > report["event_log_bytes"][partitions.EMPTY] > 0
    assert f"{partitions.ALL} / ({partitions.EMPTY} + {partitions.WHOLE})" in report["ratios"]


def test_tidy_and_untidy_documents_lie_side_by_side(measured: Measuring, collection: Collection[Document]) -> None:
    measured(refresh)
    assert measured(refresh, "--untidy", "0.3")["steps"][0]["documents"] == 2000
    names = {"calls_2000", "calls_2000_untidy_0_3"}
    assert {name: collection.database[name].count_documents({}) for name in names} == dict.fromkeys(names, 2000)
    untidy = collection.database["calls_2000_untidy_0_3"]
    assert 50 < untidy.count_documents({"start_time": {"$type": "string"}}) < 250


def test_one_changed_partition_is_timed_against_all(measured: Measuring, collection: Collection[Document]) -> None:
    report = measured(refresh, "--partitions", "monthly")
    again = report["one_partition"]
    assert report["steps"][0]["documents"] == 2000
    assert 60 < again["steps"][0]["documents"] < 100
    assert again["ratio"] == pytest.approx(again["steps"][-1]["seconds"] / report["steps"][-1]["seconds"])
    measured_calls = collection.database[name_of(2000)]
    assert measured_calls.count_documents({"status": "cancelled"}) == 0, "the changed call is changed back"


def test_a_collection_of_yours_is_never_changed(mongo_uri: str, collection: Collection[Document]) -> None:
    collection.insert_one({"start_time": document(0, 1, random.Random(), 0)["start_time"]})
    where = ["--uri", mongo_uri, "--database", collection.database.name, "--collection", collection.name]
    refresh.main(where)
    assert collection.count_documents({}) == 1
    with pytest.raises(SystemExit):
        refresh.main([*where, "--partitions", "monthly"])


def test_documents_are_made_once(collection: Collection[Document]) -> None:
    fill(collection, 10)
    assert tuple(collection.find_one() or ()) == FIELDS
    collection.update_one({}, {"$set": {"mark": 1}})
    fill(collection, 10)
    assert collection.count_documents({"mark": 1}) == 1
    fill(collection, 20)
    assert (collection.count_documents({}), collection.count_documents({"mark": 1})) == (20, 0)


def test_peers_are_derived_where_they_are_away(measured: Measuring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    report = measured(peers, "--rounds", "1", "--untidy", "0.3")
    assert {*report["seconds"]} == {"plain script", "raw batches", "refresh", "refresh, inside the assets"}
    ratios = report["ratios"]
    assert ratios["refresh / mongoexport, derived"] == pytest.approx(1.9 * ratios["refresh / plain script"], abs=0.01)
    assert report["peak_together_mb"]["raw batches"] < report["peak_together_mb"]["refresh"]


@pytest.mark.long
def test_peers_are_run_where_they_are_on_the_path(
    measured: Measuring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("mongoexport", "mongodump"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/{name}.said\n', encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    report = measured(peers, "--rounds", "2")
    assert {"refresh / mongoexport", "raw_calls / mongodump"} < {*report["ratios"]}
    exported = (tmp_path / "mongoexport.said").read_text(encoding="utf-8").splitlines()
    assert len(exported) == 2
    assert "--collection calls_2000 --type csv --fields _id,call_id,caller" in exported[0]


def test_memory_is_that_of_all_processes_together() -> None:
    child = "import sys; held = bytearray(100 << 20); print(flush=True); sys.stdin.read()"
    script = (
        "import subprocess, sys, time\n"
        "from subprocess import PIPE\n"
        f"command = [sys.executable, '-c', {child!r}]\n"
        "children = [subprocess.Popen(command, stdin=PIPE, stdout=PIPE) for _ in range(2)]\n"
        "for child in children: child.stdout.readline()\n"
        "time.sleep(1)\n"
        "for child in children: child.communicate()"
    )
    ran = run([sys.executable, "-c", script])
    assert ran.peak_mb > 100
    assert ran.together_mb is not None
    assert 200 < ran.together_mb < 300
    assert ran.seconds > 1


@pytest.mark.long
def test_start_up_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    startup.main(["--rounds", "1"])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(report["ratios"]) == len(startup.COMPARED)
    assert all(value > 0 for value in report["ratios"].values())


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system keeps no process on some cores")
def test_a_refresh_is_timed_with_threads_and_without(measured: Measuring) -> None:
    report = measured(threads, "--rounds", "1")
    assert {*report["seconds"]} == {*threads.CASES}
    assert {*report["ratios"]} == {f"{name} / {other}" for name, other in threads.COMPARED}


def test_a_worker_is_idle_where_it_has_no_task() -> None:
    tasks: list[dict[str, Any]] = [
        {"worker": worker, "startstops": [{"start": start, "stop": stop} for start, stop in steps]}
        for worker, steps in (("a", [(10, 12), (12, 14)]), ("b", [(11, 15)]), ("a", [(13, 14), (18, 20)]))
    ]
    assert workers.idle_seconds(tasks, 2) == ([4, 6], 3)
    assert workers.idle_seconds(tasks, 3) == ([4, 6, 10], 3)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="this system does not say what a process has spent")
def test_two_workers_of_a_cluster_are_measured_against_one(measured: Measuring) -> None:
    report = measured(workers, "--rounds", "1")
    for spent in ("workers", "idle"):
        assert {number: len(ran[0][spent]) for number, ran in report["workers"].items()} == {"1": 1, "2": 2}
    assert report["efficiency"] > 0
    assert report["ratio"] > 0


def test_without_threads_none_is_started() -> None:
    script = (
        "import threading\n"
        "from benchmarks import threads\n"
        "from callviz_dagster.calls_csv import encode, publish\n"
        "from callviz_dagster.engine import archive\n"
        "from callviz_dagster.table import write\n"
        "threads.without_threads()\n"
        "def refused(self): raise AssertionError('a thread was started')\n"
        "threading.Thread.start = refused\n"
        "with write.ThreadPoolExecutor(2) as beside:\n"
        "    assert beside.submit(divmod, 7, 2).result() == (3, 1)\n"
        "assert [*encode.parallel_map(abs, archive.prefetch([-1, 2]))] == [1, 2]\n"
        "assert publish.ThreadPoolExecutor(1).submit(int, 'x').exception() is not None\n"
    )
    run([sys.executable, "-c", script])


@pytest.mark.long
def test_the_page_of_the_benchmark_counts_all_its_calls() -> None:
    sums = totals(dashboard.page_of(1))
    assert [one.calls for one in sums] == [dashboard.ROWS] * len(sums)
    assert len(sums) > len(dashboard.FIELDS)
