"""The arguments of `python -m callviz_dagster`, its exit codes, and its errors in one sentence.

What belongs elsewhere: what a subcommand looks up and prints (`cli/fields.py`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from callviz_dagster.mongodb.errors import MongoError
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.table.options import PlanError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code: 0, 1 where it says no or cannot be done, 130 after Ctrl-C."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(Settings.load()))
    except (SettingsError, MongoError, PlanError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m callviz_dagster", description="Phone calls from a MongoDB collection as a Tableau source."
    )
    commands = parser.add_subparsers(metavar="command", required=True)
    fields = commands.add_parser(
        "fields",
        help="show which field plays which role, and the settings to paste; writes nothing",
        description="Read a sample of the collection that CALLVIZ_MONGO_URI names, and show which field is the start "
        "time, the end time, the duration, the call type and the status, how that is known, what is doubtful, and the "
        "settings to paste. Nothing is written. Exit code 1: a refresh would be refused.",
    )
    fields.set_defaults(run=_fields)
    return parser


def _fields(settings: Settings) -> int:
    from callviz_dagster.cli.fields import read_fields_report, text

    findings = read_fields_report(settings)
    sys.stdout.write(text(findings))
    return 1 if findings.refused else 0
