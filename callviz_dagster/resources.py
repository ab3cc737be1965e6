"""The Dagster resource that connects to the collection: what the UI shows of it, and what can be replaced in a test.

What belongs elsewhere: connecting and reading (`mongodb/`).
"""

from __future__ import annotations

import dataclasses

import dagster as dg
from pydantic import Field

from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.settings import Settings


def build_mongo(settings: Settings, uri: str | None = None) -> dg.ConfigurableResource[MongoDB]:
    """Return the resource of a collection.

    Args:
        settings: those of the collection. Their connection string is not among the resource's values: Dagster would
            keep it, unencrypted, with the definition of each job.
        uri: `dg.EnvVar` with the name of a variable that holds another connection string.
    """

    class CallsCollection(dg.ConfigurableResource[MongoDB]):
        """The MongoDB collection that holds the calls; it is read, and never written to."""

        uri: str | None = Field(
            default=None,
            description="Connection string; without it, that of the settings.",
            json_schema_extra={"dagster__is_secret": True},
        )
        database: str = Field(default=settings.database, description="Database that holds the calls.")
        collection: str = Field(default=settings.mongo_collection, description="Collection that holds the calls.")

        def create_resource(self, context: dg.InitResourceContext) -> MongoDB:
            return MongoDB(
                dataclasses.replace(
                    settings,
                    mongo_uri=(self.uri or "").strip() or settings.mongo_uri,
                    mongo_database=self.database,
                    mongo_collection=self.collection,
                )
            )

    return CallsCollection(uri=uri)
