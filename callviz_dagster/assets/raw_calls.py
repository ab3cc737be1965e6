"""The archive: every document of the collection, byte for byte, as it was at one instant."""

import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from callviz_dagster import checks
from callviz_dagster.assets.common import Refused, column_lineage, file_metadata, snapshot_metadata, told_in_a_sentence
from callviz_dagster.elements import FLATTENED, NULL, TYPE_NAMES, Batch, Walker
from callviz_dagster.files import BsonArchiveWriter, digest_of_archive, facts, staged, write_text
from callviz_dagster.manifest import Manifest
from callviz_dagster.mongo import MongoDB, SnapshotTooOldError
from callviz_dagster.pipeline import ahead
from callviz_dagster.profile import Profile
from callviz_dagster.progress import Progress
from callviz_dagster.settings import Settings
from callviz_dagster.values import dotted
from callviz_dagster.windows import WHOLE, Window

_READS = 3
"""How often a read starts again because its snapshot became too old."""
_MOST_FIELDS_SHOWN = 200


@dg.asset(
    deps=["mongodb_calls"],
    group_name="calls",
    kinds={"mongodb", "bson"},
    check_specs=checks.RAW_CALLS_CHECKS,
)
def raw_calls(
    context: dg.AssetExecutionContext, mongo: dg.ResourceParam[MongoDB], settings: dg.ResourceParam[Settings]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Every document of the collection, byte for byte, ordered by `_id`.

    On a replica set all documents are of one instant, the snapshot time. Nothing is interpreted here: this is the
    evidence that the other tables can be checked against. The file, decompressed with zstd, is a BSON stream that
    `mongorestore` and `bsondump` read. The columns are the documents' fields, with their BSON types and how many
    documents have them.
    """
    try:
        with told_in_a_sentence():
            manifest, seconds = archive_window(mongo, WHOLE, settings.data_dir, context.log)
            file = facts(WHOLE.archive(settings.data_dir))
    except Refused as refused:
        yield from refused.results
        raise refused.failure("The last good archive") from None
    fields = [
        (dotted(path), known) for path, known in manifest.profile.ordered() if set(known.types) - {FLATTENED, NULL}
    ][:_MOST_FIELDS_SHOWN]
    context.log_event(
        dg.AssetObservation(
            asset_key="mongodb_calls",
            metadata={
                "documents": manifest.documents,
                "server": manifest.server,
                **snapshot_metadata(manifest.snapshot_time, manifest.source),
            },
        )
    )
    yield dg.MaterializeResult(
        metadata={
            **file_metadata(file, rows=manifest.documents, documents=manifest.documents, seconds=seconds),
            **snapshot_metadata(manifest.snapshot_time, manifest.source),
            "server": manifest.server,
            "all documents of one instant": manifest.point_in_time,
            "bytes uncompressed": manifest.bytes,
            "interruptions survived": manifest.resumed,
            "dagster/column_schema": dg.TableSchema(
                columns=[
                    dg.TableColumn(
                        name,
                        type="|".join(sorted({TYPE_NAMES[kind] for kind in known.types})),
                        description=f"In {known.present:,} of {manifest.documents:,} documents.",
                    )
                    for name, known in fields
                ]
            ),
            "dagster/column_lineage": column_lineage({name: [("mongodb_calls", name)] for name, _ in fields}),
        },
        check_results=[
            checks.archive_complete(
                counted=manifest.counted,
                archived=manifest.documents,
                same_bytes=True,
                point_in_time=manifest.point_in_time,
            ),
            checks.collection_not_empty(manifest.documents, manifest.source),
        ],
    )


def archive_window(mongo: MongoDB, window: Window, data_dir: Path, log: logging.Logger) -> tuple[Manifest, float]:
    """Read a window into its archive and manifest; return the manifest and the seconds that the read took.

    Raises:
        MongoError: the collection cannot be read, or its snapshot was lost again and again.
        FileError: the archive cannot be written.
    """
    for attempt in range(1, _READS + 1):
        try:
            return _archive_once(mongo, window, data_dir, log)
        except SnapshotTooOldError as error:
            if attempt == _READS:
                raise
            log.warning(f"{error} The read starts again from the first document.")
    raise AssertionError("the loop returns or raises")


def _archive_once(mongo: MongoDB, window: Window, data_dir: Path, log: logging.Logger) -> tuple[Manifest, float]:
    path = window.archive(data_dir)
    profile, walker = Profile(), Walker()
    with staged(path, mode=0o600) as temporary:
        with mongo.snapshot(window, log) as read, BsonArchiveWriter(temporary) as archive:
            log.info(f"Reading {read.documents:,} documents of {read.source} ({read.server}).")
            progress = Progress(log, "Reading", read.documents)
            for documents in ahead(read):
                batch: Batch = walker.walk(documents)
                archive.write(documents, len(batch))
                profile.add(batch)
                progress.add(len(batch))
        complete = checks.archive_complete(
            counted=read.documents,
            archived=archive.documents,
            same_bytes=digest_of_archive(temporary) == archive.sha256,
            point_in_time=read.point_in_time,
        )
        if not complete.passed:
            raise Refused([complete])
        seconds = progress.seconds
    manifest = Manifest(
        window=window.name,
        source=read.source,
        server=read.server,
        point_in_time=read.point_in_time,
        snapshot_time=read.instant.astimezone(dt.UTC).isoformat(),
        cluster_time=str(read.cluster_time or ""),
        counted=read.documents,
        documents=archive.documents,
        bytes=archive.bytes,
        documents_sha256=archive.sha256,
        resumed=read.resumed,
        profile=profile,
    )
    write_text(window.manifest(data_dir), manifest.to_json())
    return manifest, seconds
