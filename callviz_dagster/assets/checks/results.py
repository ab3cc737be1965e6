"""What all checks share: specs, results described in one sentence, and the results of several partitions as one.

Pure. What belongs elsewhere: what a check compares (the module of its asset).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

EXAMPLES = 10


def spec(asset: str, name: str, description: str) -> dg.AssetCheckSpec:
    """Return what the UI shows of a check before it has run."""
    return dg.AssetCheckSpec(name, asset=asset, description=description)


def blocking(results: Iterable[dg.AssetCheckResult]) -> list[dg.AssetCheckResult]:
    """Return the results that forbid publishing: failed, and not just warnings."""
    return [r for r in results if not r.passed and r.severity is dg.AssetCheckSeverity.ERROR]


def result(
    name: str,
    passed: bool,
    description: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    warn: bool = False,
) -> dg.AssetCheckResult:
    """Return a check's result, described in a sentence; its asset is the one that is being materialized."""
    return dg.AssetCheckResult(
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=description,
        metadata=dict(metadata or {}),
    )


def nothing_to_do(name: str) -> dg.AssetCheckResult:
    """Return the result of a check where there was nothing to check."""
    return result(name, True, "Nothing had changed.")


def combine_partitions(results: Sequence[tuple[str, dg.AssetCheckResult]]) -> dg.AssetCheckResult:
    """Return the results of one check in several partitions as one; counts are added up."""
    if len(results) == 1:
        return results[0][1]
    failed = [(key, one) for key, one in results if not one.passed]
    worst = next((one for _, one in failed if one.severity is dg.AssetCheckSeverity.ERROR), None)
    shown = failed[:EXAMPLES] or results[-1:]
    description = (
        f"{len(failed):,} of {len(results):,} partitions: " if failed else f"All {len(results):,} partitions; "
    )
    description += " ".join(f"{key}: {one.description}" for key, one in shown)
    if len(failed) > EXAMPLES:
        description += f" And {len(failed) - EXAMPLES:,} more."
    first = (worst or shown[0][1]).metadata if failed else {}
    base = results[0][1]
    return dg.AssetCheckResult(
        check_name=base.check_name,
        passed=not failed,
        severity=(worst or (failed or results)[0][1]).severity,
        description=description,
        metadata={**first, **_totals(one for _, one in results)},
    )


def _totals(results: Iterable[dg.AssetCheckResult]) -> dict[str, Any]:
    totals: dict[str, Any] = {}
    for one in results:
        for name, value in one.metadata.items():
            if isinstance(value, dg.IntMetadataValue):
                totals[name] = totals.get(name, 0) + (value.value or 0)
    return totals
