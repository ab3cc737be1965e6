"""The commands behind `make demo` and `make dev`: `python -m callviz_dagster.demo refresh | serve`.

What belongs elsewhere: what the commands do (`commands.py`), and what a refresh does (`assets/`).
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from callviz_dagster.demo.commands import DemoError, refresh, serve
from callviz_dagster.demo.mongod import MongodError
from callviz_dagster.demo.source import say
from callviz_dagster.settings import SettingsError
from callviz_dagster.storage.files import FileError

MODULE = "python -m callviz_dagster.demo"


def main(arguments: Sequence[str] | None = None, program: str = MODULE) -> int:
    """Run a command and return its exit code; `program` is what the user calls, which help and advice name."""
    given = _parser(program).parse_args(arguments)
    # `kill` and a closed terminal end the command as Ctrl-C does: through every `finally`. Ctrl-C itself is set too,
    # for a script's background job ignores it, and so would every process that it starts.
    for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        signal.signal(number, _interrupt)
    try:
        if given.documents < 0:
            raise DemoError("--documents takes a whole number from 0.")
        if given.command == "refresh":
            refresh(given.documents, serve_command="make dev" if program == MODULE else f"{program} serve")
        else:
            serve(given.documents, given.port, given.per_second)
    except FileError as error:
        sys.stderr.write(f"\n{error.strerror}\n")
        return 1
    except (DemoError, MongodError, SettingsError) as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    except KeyboardInterrupt:
        say("\nStopped.")
        return 0 if given.command == "serve" else 130
    return 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Refresh or serve: on sample calls in an embedded MongoDB, or on your own collection where "
        "CALLVIZ_MONGO_URI is set.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    refresh_parser = commands.add_parser("refresh", help="materialize every asset once and list what was published")
    serve_parser = commands.add_parser("serve", help="run the Dagster UI until Ctrl-C")
    for command in (refresh_parser, serve_parser):
        command.add_argument("--documents", type=int, default=50_000, help="number of sample calls (default: 50000)")
    serve_parser.add_argument("--port", type=int, default=3000, help="port of the UI (default: 3000)")
    serve_parser.add_argument("--per-second", type=float, default=0.2, help="new sample calls a second (default: 0.2)")
    return parser


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
