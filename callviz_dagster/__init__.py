"""callviz: phone calls in a MongoDB collection, carried to a Tableau source that can be trusted.

Import the modules directly: this package re-exports `CallvizComponent` alone, which Dagster looks up by this name, and
loads it when it is asked for. It stays free of import-time work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callviz_dagster.component import CallvizComponent as CallvizComponent


def __getattr__(name: str) -> Any:
    if name != "CallvizComponent":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from callviz_dagster.component import CallvizComponent

    return CallvizComponent


def __dir__() -> list[str]:
    return sorted({*globals(), "CallvizComponent"})
