"""Shared by tests: assert_same_cell, csv_of, normalized."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from callviz_dagster.assets.common import table_options
from callviz_dagster.calls_csv.format import csv_lines, header_line
from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.walker import Walker
from callviz_dagster.settings import Settings
from callviz_dagster.table.normalize import normalize
from callviz_dagster.table.plan import Plan, make_plan
from callviz_dagster.table.tally import Tally

ZONE, SOURCE_ZONE = "America/New_York", "Asia/Kathmandu"
SETTINGS = Settings(timezone=ZONE, source_timezone=SOURCE_ZONE)
NOW = 1_709_287_200_000_000


def normalized(
    documents: Sequence[bytes], settings: Settings = SETTINGS, sizes: Sequence[int] = ()
) -> tuple[Plan, pa.Table, pa.Table, Tally]:
    """Normalize documents in batches of these sizes, the rest in one."""
    profile, batches, walker = Profile(), [], Walker()
    remaining = list(documents)
    for size in (*sizes, len(remaining)):
        batches.append(walker.walk(b"".join(remaining[:size])))
        remaining = remaining[size:]
        profile.add(batches[-1])
    plan = make_plan(profile, table_options(settings))
    parts = [normalize(batch, plan, now=NOW) for batch in batches]
    tally = Tally()
    for part in parts:
        tally.add(part.tally)
    calls, rejected = (pa.concat_tables([getattr(part, name) for part in parts]) for name in ("calls", "rejected"))
    return plan, calls, rejected, tally


def csv_of(plan: Plan, calls: pa.Table, zone: str = ZONE) -> bytes:
    lines = [bytes(csv_lines(batch, plan.columns, zone)[0]) for batch in calls.combine_chunks().to_batches()]
    return header_line(plan.columns) + b"".join(lines)


def assert_same_cell(column: str, actual: Any, expected: Any) -> None:
    if isinstance(expected, float) and isinstance(actual, float):
        same = struct.pack("<d", expected) == struct.pack("<d", actual) or (math.isnan(expected) and math.isnan(actual))
    else:
        same = type(actual) is type(expected) and actual == expected
    assert same, f"{column}: {actual!r}, not {expected!r}"
