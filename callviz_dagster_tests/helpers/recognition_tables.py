"""What the documentation says of recognition, made from what the code does with the records of services.

What belongs elsewhere: the records and what is right for them (`helpers/services.py`).
"""

from __future__ import annotations

import datetime as dt

import bson

from callviz_dagster.cli.fields import FieldsReport, fields_report, text
from callviz_dagster.documents.recognition.doubts import Kind
from callviz_dagster.documents.recognition.report import sentence
from callviz_dagster.mongodb.sample import CollectionSample
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.services import KNOWN, OTHER, outcome, report_of


def summary_table() -> str:
    """Return how many services come out how, as a Markdown table."""
    lines = [
        "| services | documents | right | of these, with a warning | wrong, reported | refused | wrong in silence |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, services in (("with which it was made", KNOWN), ("further ones", OTHER)):
        for form, mongoose in (("as they come", False), ("with mongoose's `createdAt`, `updatedAt`", True)):
            outcomes = [outcome(service, mongoose=mongoose) for service in services.values()]
            counts = (
                sum(one.is_right for one in outcomes),
                sum(one.is_right and bool(one.reported) for one in outcomes),
                sum(bool(one.wrong) and not one.refused and not one.silent for one in outcomes),
                sum(one.refused for one in outcomes),
                sum(bool(one.silent) for one in outcomes),
            )
            first = f"{counts[0]} of {len(outcomes)} ({counts[0] / len(outcomes):.0%})"
            lines.append(f"| {title} | {form} | {' | '.join([first, *map(str, counts[1:])])} |")
    return "\n".join(lines)


def services_table() -> str:
    """Return what is recognized of each service without a setting, as a Markdown table."""
    lines = ["| records | start time | duration | result |", "|---|---|---|---|"]
    for service in sorted((*KNOWN.values(), *OTHER.values()), key=lambda one: one.expected["source"].casefold()):
        result = outcome(service)
        start, duration = (f"`{field}`" if field else "" for field in result.fields)
        lines.append(f"| {service.expected['source']} | {start} | {duration} | {result.word} |")
    return "\n".join(lines)


def examples_table() -> str:
    """Return fields that were taken, taken with a warning and refused, in the words of the program."""
    examples = [
        (
            "taken",
            "JustCall, with `createdAt` in each document",
            _row(report_of(KNOWN["justcall_v2"], mongoose=True), 0),
        ),
        ("taken", "Sendbird Calls", _row(report_of(KNOWN["sendbird_calls"]), 2)),
        ("warning", "sipgate", _doubt(report_of(OTHER["sipgate_history"]), Kind.RECORD)),
        ("warning", "Zadarma", _doubt(report_of(OTHER["zadarma_statistics"]), Kind.TALK)),
        ("refused", "start and end in each other's place", _doubt(_swapped(), Kind.END_BEFORE_START)),
        ("refused", "the day in one field, the moment in another", _doubt(_at_midnight(), Kind.MIDNIGHT)),
    ]
    lines = ["| result | records | what the refresh says |", "|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| {result} | {records} | {text_shown} |" for result, records, text_shown in examples)]
    )


def _row(findings: FieldsReport, number: int) -> str:
    return findings.plan.recognized.rows[number].line


def _doubt(findings: FieldsReport, kind: Kind) -> str:
    choice, facts = findings.plan.recognized.choice, findings.plan.recognized.fields.facts
    return next(sentence(doubt, choice, facts) for doubt in findings.plan.recognized.doubts if doubt.kind is kind)


def _swapped() -> FieldsReport:
    return _report_of({"call_start": dt.timedelta(minutes=5), "call_end": dt.timedelta()})


def _at_midnight() -> FieldsReport:
    return _report_of({"startedAt": None, "seen": dt.timedelta()})


def _report_of(times: dict[str, dt.timedelta | None]) -> FieldsReport:
    """Return what is found in calls with these times: so long after the call began, or on its day at midnight."""
    documents = []
    for number in range(40):
        began = dt.datetime(2024, 3, 1, 8) + dt.timedelta(hours=7 * number, seconds=11 * number)
        document = {
            name: dt.datetime.combine(began.date(), dt.time()) if after is None else began + after
            for name, after in times.items()
        }
        documents.append({"_id": number, **document, "direction": "inbound", "status": "answered"})
    return fields_report(CollectionSample("shop.calls", 40, b"".join(map(bson.encode, documents))), Settings())


def fields_output() -> str:
    """Return what the command `fields` prints for the records of a service, as a code block."""
    return f"```text\n$ callviz fields\n{text(report_of(KNOWN['hubspot_calls'], mongoose=True))}```"
