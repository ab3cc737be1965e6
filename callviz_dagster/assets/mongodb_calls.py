"""The collection itself: an external asset that callviz reads and never writes."""

from __future__ import annotations

import dagster as dg

from callviz_dagster.settings import Settings


def mongodb_calls(settings: Settings) -> dg.AssetSpec:
    """Return the spec of the collection."""
    return dg.AssetSpec(
        "mongodb_calls",
        group_name="mongodb",
        kinds={"mongodb"},
        description=(
            f"The calls as the application keeps them: the MongoDB collection "
            f"`{settings.database}.{settings.mongo_collection}`. callviz reads it and never writes to it. Each "
            "refresh notes here how many documents it found and at which instant, and the sensor calls_changed how "
            "many calls were inserted, updated and deleted since it last looked."
        ),
    )
