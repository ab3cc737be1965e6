"""The demo's two commands: refresh everything once, and serve the Dagster UI.

What belongs elsewhere: where the calls come from (`source.py`), and a refresh in words (`local/summary.py`).
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from callviz_dagster.demo.child import Child
from callviz_dagster.demo.mongod import HOST
from callviz_dagster.demo.source import opened_source, sample_calls_coming_in, say
from callviz_dagster.local.summary import summary
from callviz_dagster.progress import PROGRESS_LINE

_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_STEP_DONE = re.compile(r'STEP_SUCCESS - Finished execution of step "(\w+)" in (\S+?)\.?$')
_CHECK_FAILED = re.compile(r"Asset check '(\w+)' on '[^']+' did not pass\.(?: Description: '(.*?)'?)?$")
_FAILURE = re.compile(r"^(?:[\w.]+\.Failure|[\w.]+Error): (.+)$")
_TAIL_LINES = 30


class DemoError(RuntimeError):
    """The command cannot continue. The message says why and what to do."""


def refresh(documents: int, serve_command: str) -> None:
    """Materialize every asset through Dagster's command line and print what was published, and how to serve the UI.

    Raises:
        DemoError: the refresh failed.
    """
    began = time.time()
    with opened_source(documents) as source:
        say("Refreshing every asset through Dagster ...")
        log = source.settings.data_dir / "refresh.log"
        command = [sys.executable, "-m", "dagster", "asset", "materialize"]
        code = _run([*command, "-m", "callviz_dagster.definitions", "--select", "*"], source.environment, log)
    if code != 0:
        raise DemoError(_explain_failure(log, code))
    more = (serve_command, "the Dagster UI, with calls coming in")
    say(summary(source.settings, began, time.time() - began, more))


def serve(documents: int, port: int, per_second: float) -> None:
    """Run the Dagster UI, with sample calls coming in, until the command is interrupted.

    Raises:
        DemoError: the port is taken, or Dagster ended by itself.
    """
    if listens(port):
        raise DemoError(
            f"Port {port} is taken: stop what listens on {HOST}:{port}, or take another port, for example "
            f"with `make dev PORT={port + 1}` or `callviz demo serve --port {port + 1}`."
        )
    with opened_source(documents) as source, sample_calls_coming_in(source, per_second):
        log = source.settings.data_dir / "dagster.log"
        with log.open("wb") as output:
            child = Child(
                [sys.executable, "-m", "dagster", "dev", "-h", HOST, "-p", str(port)],
                env=source.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            say("Starting Dagster, which takes about 15 seconds ...")
            while child.process.poll() is None and not _answers(port):
                time.sleep(0.2)
            if child.process.poll() is None:
                say(f"\nThe Dagster UI is at http://{HOST}:{port} and its log in {log}.")
                if source.embedded:
                    say(f"The sample calls are in {source.environment['CALLVIZ_MONGO_URI']}")
                say("Ctrl-C stops everything.")
            child.process.wait()
            raise DemoError(f"Dagster ended by itself; its log, {log}, ends with:\n{_tail(log)}")
        finally:
            child.end(timeout=15)


def listens(port: int) -> bool:
    """Return whether something listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _answers(port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"http://{HOST}:{port}/server_info", timeout=5) as response,
    ):
        return bool(response.status == 200)
    return False


def _run(command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """Run a command of Dagster's with its output in `log`, print how it proceeds, and return its exit code."""
    with log.open("w", encoding="utf-8") as file:
        child = Child(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            for line in child.process.stdout or ():
                plain = _COLORS.sub("", line.rstrip())
                file.write(plain + "\n")
                if progress := _progress(plain):
                    say(progress)
            return child.process.wait()
        finally:
            child.end()


def _progress(line: str) -> str:
    """Return what a line of Dagster's output says to a user; an empty text where it is of no interest."""
    if match := _STEP_DONE.search(line):
        return f"  {match[1]} ({match[2]})"
    if match := _CHECK_FAILED.search(line):
        return f"    ! {match[1]}: {match[2] or 'did not pass'}"
    match = PROGRESS_LINE.search(line)
    return f"    {match[0].strip()}" if match else ""


def _explain_failure(log: Path, code: int) -> str:
    lines = log.read_text(encoding="utf-8").splitlines()
    causes = [match[1] for line in lines if (match := _FAILURE.match(line.strip()))]
    return (
        f"{causes[-1] if causes else _tail(log)}\n\n"
        f"The refresh failed (exit code {code}). No published file is incomplete: each is a new one or the last good "
        f"one. Dagster's whole output is in {log}."
    )


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  | {_COLORS.sub('', line)}" for line in lines[-_TAIL_LINES:])
