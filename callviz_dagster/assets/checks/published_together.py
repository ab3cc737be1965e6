"""The check `published_together`: whether all published files were made from the same calls. Pure."""

from __future__ import annotations

from collections.abc import Collection

import dagster as dg

from callviz_dagster.storage.published import CALLS_CSV, PublishedRecord

NAME = "published_together"
DESCRIPTION = (
    "All published files are those that published.json names, and were made from the same calls as calls.csv. A file "
    "that could not be replaced is named."
)


def together(record: PublishedRecord, changed: Collection[str] = ()) -> tuple[bool, str]:
    """Return whether the published files belong together, and that as a sentence.

    Args:
        record: what is published.
        changed: files that are not there, or have another digest than the record says.
    """
    reference = record.files.get(CALLS_CSV)
    others = [name for name in record.files if name != CALLS_CSV]
    differing = [f"{name} (of {_clock(record.files[name].time)})" for name in record.differing() if name not in changed]
    sentences = []
    if changed:
        sentences.append(
            f"{', '.join(changed)}: not what published.json says, because a refresh was interrupted or the file was "
            "changed by hand; the next refresh replaces it."
        )
    if differing and reference:
        sentences.append(
            f"calls.csv is of the snapshot of {_clock(reference.time)}; made from other calls: {', '.join(differing)}."
        )
    if sentences:
        return False, " ".join(sentences)
    if not reference:
        return True, "Nothing is published yet." if not others else "calls.csv is not published yet."
    return True, f"All files are of the snapshot of {_clock(reference.time)}."


def published_together(asset: dg.AssetKey, record: PublishedRecord, changed: Collection[str]) -> dg.AssetCheckResult:
    """Return the result of the check for one of the published assets."""
    passed, description = together(record, changed)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=NAME,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
    )


def _clock(time: str) -> str:
    return f"{time[:19].replace('T', ' ')} UTC" if time else "an unknown time"
