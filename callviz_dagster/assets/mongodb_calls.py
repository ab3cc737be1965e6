"""The collection itself: an external asset that callviz reads and never writes."""

from __future__ import annotations

import dagster as dg

from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings


def mongodb_calls(settings: Settings, names: Names = STAND_ALONE) -> dg.AssetSpec:
    """Return the spec of the collection."""
    return dg.AssetSpec(
        names.key("mongodb_calls"),
        group_name=names.group("mongodb"),
        kinds={"mongodb"},
        description=(
            f"The calls as the application keeps them: the MongoDB collection "
            f"`{settings.database}.{settings.mongo_collection}`. callviz reads it and never writes to it. Each "
            f"refresh notes here how many documents it found and at which instant, and the sensor {names.sensor} how "
            "many calls were inserted, updated and deleted since it last looked."
        ),
    )
