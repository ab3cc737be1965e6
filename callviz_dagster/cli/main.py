"""The command `callviz`: its arguments, its exit codes, and its errors in one sentence.

What belongs elsewhere: what a subcommand looks up and prints (a module each).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from callviz_dagster.cli.collection import ChosenCollection, chosen_collection, dagster_instance
from callviz_dagster.cli.exit_codes import ExitCode
from callviz_dagster.mongodb.errors import MongoError
from callviz_dagster.settings import SettingsError
from callviz_dagster.storage.files import FileError

_PORT = 3000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code, see `ExitCode`; 130 after Ctrl-C."""
    try:
        return int(callviz.main(arguments, prog_name="callviz", standalone_mode=False) or ExitCode.DONE)
    except click.ClickException as error:
        error.show()
        return ExitCode.SETTINGS
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.SETTINGS
    except MongoError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.FAILED
    except FileError as error:
        sys.stderr.write(f"{error.strerror or error}\n")
        return ExitCode.FAILED
    except (click.Abort, KeyboardInterrupt):
        return 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--name", default="", help="A callviz component of the dg project in this folder, e.g. support_calls.")
@click.pass_context
def callviz(context: click.Context, name: str) -> None:
    """Phone calls from a MongoDB collection as a Tableau source.

    The collection is that of CALLVIZ_MONGO_URI, in the environment or in .env. Exit codes: 0 done, 1 failed, 2 a
    setting or an argument, 3 busy, 4 refused by a check.
    """
    context.obj = name


def _chosen(context: click.Context) -> ChosenCollection:
    return chosen_collection(context.obj)


@callviz.command()
@click.option("--partition", default="", help="2024-05-01, or a range 2024-05-01...2024-05-31. Default: all.")
@click.option(
    "--accept-drop", type=click.IntRange(min=0), metavar="DOCUMENTS", help="Accept once that only this many are left."
)
@click.option("--json", "as_json", is_flag=True, help="Print how it went as JSON, and nothing else.")
@click.option("--quiet", is_flag=True, help="Print nothing but the sentence of a failure.")
@click.pass_context
def refresh(context: click.Context, partition: str, accept_drop: int | None, as_json: bool, quiet: bool) -> int:
    """Read the collection and publish everything that is made from it."""
    from callviz_dagster.cli import refresh as command

    collection = _chosen(context)
    with dagster_instance(quiet=quiet) as instance:
        return command.refresh(
            collection, instance, partition=partition, accept_drop=accept_drop, as_json=as_json, quiet=quiet
        )


@callviz.command()
@click.pass_context
def fields(context: click.Context) -> int:
    """Show which field plays which role, and the settings to paste.

    Reads a sample of the collection; writes nothing. Exit code 4: a refresh would be refused.
    """
    from callviz_dagster.cli.fields import read_fields_report, text
    from callviz_dagster.table.options import PlanError

    try:
        findings = read_fields_report(_chosen(context).settings)
    except PlanError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.FAILED
    sys.stdout.write(text(findings, in_component=bool(context.obj)))
    return ExitCode.REFUSED if findings.refused else ExitCode.DONE


@callviz.command()
@click.pass_context
def check(context: click.Context) -> int:
    """Try the connection, the collection, the folders and the time zone."""
    from callviz_dagster.cli.check import findings, text

    passed = True
    for finding in findings(_chosen(context)):
        click.echo(text(finding))
        passed = passed and finding[0]
    return ExitCode.DONE if passed else ExitCode.FAILED


@callviz.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def status(context: click.Context, as_json: bool) -> int:
    """Show what is published, whether it is fresh, and how the last refreshes ended."""
    import datetime as dt

    from callviz_dagster.cli import status as command

    collection = _chosen(context)
    with dagster_instance() as instance:
        known = command.read_status(collection, instance, dt.datetime.now(dt.UTC))
    if as_json:
        click.echo(json.dumps(command.as_json(known), indent=1))
    else:
        click.echo("\n".join(command.text(known)))
    good = known.published and known.fresh is not False and not known.changed_files
    return ExitCode.DONE if good else ExitCode.FAILED


@callviz.command()
@click.option("--days", type=click.FloatRange(min=0, min_open=True), required=True, help="Older runs are removed.")
@click.option("--location", default="", help="Name of the code location. Default: callviz_dagster.")
@click.pass_context
def prune(context: click.Context, days: float, location: str) -> None:
    """Remove callviz's own old runs from the Dagster instance."""
    import datetime as dt

    from callviz_dagster.automation.prune import LOCATION, prune_runs

    collection = _chosen(context)
    with dagster_instance() as instance:
        before = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
        removed = prune_runs(instance, collection.settings, before, location or LOCATION, collection.names)
    click.echo(f"Removed {len(removed):,} runs.")


@callviz.command()
@click.option("--port", default=_PORT, show_default=True, help="Port of the UI.")
def dev(port: int) -> None:
    """Run the Dagster UI and daemon on this machine until Ctrl-C."""
    from callviz_dagster.cli.dev import dev as become_dagster

    become_dagster(port)


@callviz.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: Sequence[str]) -> int:
    """Try it on sample calls: callviz demo refresh, or callviz demo serve."""
    from callviz_dagster.demo.__main__ import main as demo_main

    return demo_main(arguments or ("refresh",), "callviz demo")
