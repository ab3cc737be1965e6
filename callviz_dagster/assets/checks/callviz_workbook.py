"""The check of `callviz_workbook`: its spec, and the pure function that decides it."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from callviz_dagster.assets.checks.results import result, spec
from callviz_dagster.tableau.audit import Problem
from callviz_dagster.tableau.model import CSV_NAME

_MOST_SHOWN = 20

CALLVIZ_WORKBOOK_CHECKS = (
    spec(
        "callviz_workbook",
        "workbook_fits_calls_csv",
        "Every column that the workbook uses is in `calls.csv`, and every value there, read back from the package, "
        "reads as the type that the workbook pins; every sheet, field, filter and action that the workbook names "
        "exists. Checked before the new file takes the place of the last one.",
    ),
)


def workbook_fits_calls_csv(problems: Sequence[Problem]) -> dg.AssetCheckResult:
    """Report what is wrong with a workbook, or that nothing is."""
    shown = "; ".join(str(problem) for problem in problems[:_MOST_SHOWN])
    more = f"; and {len(problems) - _MOST_SHOWN:,} more" if len(problems) > _MOST_SHOWN else ""
    return result(
        "workbook_fits_calls_csv",
        not problems,
        f"The workbook does not fit {CSV_NAME}: {shown}{more}." if problems else f"The workbook fits {CSV_NAME}.",
        {"problems": dg.MetadataValue.md("\n".join(f"- {problem}" for problem in problems) or "none")},
    )
