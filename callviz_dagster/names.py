"""The names that the definitions of one collection have in Dagster, all from one place.

A project may have callviz for several collections, each with a name and a key prefix of its own. What belongs
elsewhere: the definitions themselves (`assets/`, `automation/`, `definitions.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dagster as dg

ASSETS = (
    "raw_calls",
    "calls",
    "rejected_calls",
    "calls_csv",
    "calls_hyper",
    "callviz_workbook",
    "call_dashboard",
    "published_workbook",
    "published_datasource",
)
"""The assets that callviz materializes."""


@dataclass(frozen=True)
class Names:
    """The names of one collection's definitions; without a name, those of a code location that has one collection.

    Raises:
        ValueError: the name is not one that Dagster allows for a job.
    """

    name: str = ""
    """Of the collection in its project, for example `support_calls`."""
    key_prefix: tuple[str, ...] = ()
    """Of all asset keys."""

    def __post_init__(self) -> None:
        """Check the name."""
        if not re.fullmatch(r"\w*", self.name, re.ASCII):
            raise ValueError(f"{self.name!r} is no name for a collection's definitions: use letters, digits and _.")

    def key(self, *parts: str) -> dg.AssetKey:
        """Return the key of an asset."""
        return dg.AssetKey([*self.key_prefix, *parts])

    def op(self, asset: str) -> str:
        """Return the name of the op that makes an asset; ops of one code location need different ones."""
        return "__".join([*self.key_prefix, asset])

    def group(self, stage: str) -> str:
        """Return the group of the assets of a stage; with a name, all stages are one group."""
        return self.name or stage

    def check_specs(self, specs: Iterable[dg.AssetCheckSpec]) -> list[dg.AssetCheckSpec]:
        """Return specs of checks on the assets with the prefix."""
        return [spec.replace_key(spec.key.replace_asset_key(self.key(*spec.asset_key.path))) for spec in specs]

    def owns_any(self, keys: Iterable[dg.AssetKey]) -> bool:
        """Return whether one of these assets is materialized here."""
        return not {self.key(asset) for asset in ASSETS}.isdisjoint(keys)

    @property
    def job(self) -> str:
        """The job that refreshes everything."""
        return f"refresh_{self.name or 'calls'}"

    @property
    def sensor(self) -> str:
        """The sensor that watches the collection."""
        return f"{self.name or 'calls'}_changed"

    @property
    def schedule(self) -> str:
        """The schedule of the nightly refresh."""
        return f"nightly_refresh_{self.name}" if self.name else "nightly_refresh"

    @property
    def pool(self) -> str:
        """Dagster's concurrency pool of the assets that write the intermediate and the published files."""
        return f"callviz_{self.name}" if self.name else "callviz"

    @property
    def mongo(self) -> str:
        """The resource that connects to the collection."""
        return f"{self.name or 'callviz'}_mongo"

    @property
    def settings(self) -> str:
        """The resource that gives a run its settings."""
        return f"{self.name or 'callviz'}_settings"


STAND_ALONE = Names()


def names_of(name: str, key_prefix: str | Sequence[str] | None) -> Names:
    """Return the names for arguments as Dagster's users give them; a text is a prefix of one part."""
    prefix = (key_prefix,) if isinstance(key_prefix, str) else tuple(key_prefix or ())
    return Names(name, prefix)
