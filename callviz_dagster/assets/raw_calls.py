"""The archive: every document of the collection, byte for byte, as it was at one instant."""

import contextlib
import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from callviz_dagster.assets.checks import raw_calls as checks
from callviz_dagster.assets.checks.results import blocking, combine_partitions, nothing_to_do
from callviz_dagster.assets.common import (
    AuditFailed,
    PartitionSelection,
    add_partition_metadata,
    data_version,
    mark_unchanged,
    record,
    run_metadata,
    run_settings,
    select_partitions,
    snapshot_metadata,
    table_options,
    working_files,
)
from callviz_dagster.concurrency import loading
from callviz_dagster.engine.archive import Archived, IncompleteArchiveError, archive_partitions
from callviz_dagster.engine.cluster import opened_cluster
from callviz_dagster.engine.fan_out import archive_on
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.coverage import count_coverage
from callviz_dagster.mongodb.errors import ReadLostError
from callviz_dagster.mongodb.snapshot import Rereads
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.partitions import COVERAGE, Partition
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import require_writable, write_text
from callviz_dagster.storage.published import CALLS_CSV, read_record
from callviz_dagster.storage.working_copy import WorkingCopy
from callviz_dagster.table.manifest import Coverage, existing_partitions
from callviz_dagster.table.volume import (
    ACCEPT_DROP_TAG,
    RefusedDrop,
    accepted_documents,
    record_refused_drop,
)

_MOST_FIELDS_SHOWN = 200


def build_raw_calls(names: Names = STAND_ALONE) -> dg.AssetsDefinition:
    """Return the asset `raw_calls`."""

    @dg.asset(
        key=names.key("raw_calls"),
        deps=[names.key("mongodb_calls")],
        group_name=names.group("calls"),
        kinds={"mongodb", "bson"},
        check_specs=names.check_specs(checks.RAW_CALLS_CHECKS),
        pool=names.pool,
        required_resource_keys={names.mongo, names.settings},
    )
    def raw_calls(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """Every document of the collection, byte for byte, ordered by `_id`.

        On a replica set all documents are of one instant, the snapshot time. Nothing is interpreted here: this is the
        evidence that the other tables can be checked against. The file, decompressed with zstd, is a BSON stream that
        `mongorestore` and `bsondump` read. The columns are the documents' fields with their BSON types, and how many
        documents have them where not all do.
        """
        mongo: MongoDB = getattr(context.resources, names.mongo)
        yield from _read_and_archive(context, names, mongo, run_settings(context, names))

    return raw_calls


def _read_and_archive(
    context: dg.AssetExecutionContext, names: Names, mongo: MongoDB, settings: Settings
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Read the partitions of a run into their archives, and report them."""
    raw_calls = names.key("raw_calls")
    archived: list[Archived] = []
    with _loading_libraries_of_calls(context, names), working_files(settings, context.log) as copies:
        selection = select_partitions(context, settings)
        require_writable(settings.publish_dir)
        try:
            volume = VolumeGuard.of(settings, context.run.tags)
            coverage = check_coverage(mongo, selection, settings, context.log, volume.require)
            on_read = None if coverage else volume.require
            for partition_archive in _archives(
                mongo, selection.partitions, settings, context.log, on_read, copies.data
            ):
                archived.append(partition_archive)
                add_partition_metadata(
                    context, raw_calls, partition_archive.partition, _partition_metadata(partition_archive)
                )
        except AuditFailed as refused:
            yield from refused.results
            record(
                context,
                raw_calls,
                [
                    (partition_archive.partition, _partition_metadata(partition_archive))
                    for partition_archive in archived
                ],
            )
            raise refused.failure(
                *(partition.archive(settings.data_dir) for partition in selection.partitions[:1])
            ) from None
    mark_unchanged(context, selection, raw_calls)
    if archived:
        add_partition_metadata(context, raw_calls, selection.last, _run_metadata(archived))
        documents = sum(partition_archive.manifest.documents for partition_archive in archived)
        context.log_event(
            dg.AssetObservation(
                asset_key=names.key("mongodb_calls"),
                metadata={
                    "documents": coverage.documents if coverage else documents,
                    **({"documents read": documents} if coverage else {}),
                    **snapshot_metadata(archived[-1].manifest.snapshot_time),
                    "source": archived[-1].manifest.source,
                },
            )
        )
    yield dg.MaterializeResult(
        check_results=_results(archived, coverage, volume),
        data_version=data_version([partition_archive.manifest.documents_sha256 for partition_archive in archived]),
    )


def _loading_libraries_of_calls(
    context: dg.AssetExecutionContext, names: Names
) -> contextlib.AbstractContextManager[None]:
    """Load pandas and pandera while MongoDB is read, in a run that normalizes the calls next."""
    selected = context.run.asset_selection
    wanted = selected is None or names.key("calls") in selected
    return loading("callviz_dagster.table.write") if wanted else contextlib.nullcontext()


def _archives(
    mongo: MongoDB,
    partitions: Sequence[Partition],
    settings: Settings,
    log: logging.Logger,
    require_volume: Callable[[int], None] | None,
    data_files: WorkingCopy | None,
) -> Iterator[Archived]:
    """Read the partitions; yield each when its archive is there.

    Raises:
        AuditFailed: an archive does not hold what the server counted, or `require_volume` refuses it.
    """
    secrets, data_dir = table_options(settings).secrets, settings.data_dir
    try:
        with opened_cluster(settings, log) as cluster:
            if cluster:
                yield from archive_on(
                    cluster, mongo, partitions, data_dir, log, require_volume, secrets=secrets, data_files=data_files
                )
            else:
                yield from archive_partitions(mongo, partitions, data_dir, log, require_volume, secrets)
    except IncompleteArchiveError as incomplete:
        raise AuditFailed([checks.archive_complete(incomplete.counts)]) from None


def _results(
    archived: Sequence[Archived], coverage: Coverage | None, volume: "VolumeGuard"
) -> list[dg.AssetCheckResult]:
    """Return the results of all checks, once every archive is in its place."""
    return [
        combine_partitions(
            [
                (partition_archive.partition.key, checks.archive_complete(partition_archive.counts))
                for partition_archive in archived
            ]
        )
        if archived
        else nothing_to_do("archive_complete"),
        checks.collection_not_empty(
            coverage.documents
            if coverage
            else sum(partition_archive.manifest.documents for partition_archive in archived),
            archived[-1].manifest.source if archived else "The collection",
        ),
        checks.documents_covered(coverage, volume.settings.max_rejected),
        checks.start_time_indexed(coverage),
        volume.result(
            coverage.documents
            if coverage
            else sum(partition_archive.manifest.documents for partition_archive in archived)
        ),
        checks.one_instant([partition_archive.manifest for partition_archive in archived]),
    ]


@dataclass(frozen=True)
class VolumeGuard:
    """What decides whether a collection with fewer documents than before is published."""

    settings: Settings
    before: int
    """Documents of the whole collection at the last published refresh."""
    accepted: int | None

    @classmethod
    def of(cls, settings: Settings, tags: Mapping[str, str]) -> "VolumeGuard":
        """Return the guard of a run with these tags."""
        entry = read_record(settings.publish_dir).files.get(CALLS_CSV)
        return cls(settings, entry.documents if entry else 0, accepted_documents(tags.get(ACCEPT_DROP_TAG)))

    def result(self, documents: int) -> dg.AssetCheckResult:
        """Return the result of `volume_stable`."""
        return checks.volume_stable(self.before, documents, max_drop=self.settings.max_drop, accepted=self.accepted)

    def require(self, documents: int) -> None:
        """Let a number of documents pass, or keep in mind that it was refused.

        Raises:
            AuditFailed: it is refused.
        """
        result = self.result(documents)
        data_dir = self.settings.data_dir
        record_refused_drop(data_dir, None if result.passed else RefusedDrop(self.before, documents))
        if not result.passed:
            raise AuditFailed([result])


def _partition_metadata(partition_archive: Archived) -> dict[str, Any]:
    manifest = partition_archive.manifest
    return {
        "dagster/row_count": manifest.documents,
        **snapshot_metadata(manifest.snapshot_time),
        **({"no snapshot": manifest.no_snapshot} if manifest.no_snapshot else {}),
        **({"interruptions survived": manifest.resumed} if manifest.resumed else {}),
    }


def _run_metadata(archived: Sequence[Archived]) -> dict[str, Any]:
    """Return what the last materialization of a run says beyond its own partition."""
    from callviz_dagster.documents.values import TYPE_NAMES, dotted
    from callviz_dagster.documents.walker import FLATTENED, NULL

    manifest = archived[-1].manifest
    documents = sum(partition_archive.manifest.documents for partition_archive in archived)
    fields = [
        (dotted(path), known) for path, known in manifest.profile.ordered() if set(known.types) - {FLATTENED, NULL}
    ][:_MOST_FIELDS_SHOWN]
    return {
        **run_metadata(
            [partition_archive.file for partition_archive in archived],
            documents=documents,
            seconds=sum(partition_archive.seconds for partition_archive in archived),
        ),
        "source": manifest.source,
        "server": manifest.server,
        "all documents of one instant": manifest.point_in_time,
        "bytes uncompressed": sum(partition_archive.manifest.bytes for partition_archive in archived),
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    name,
                    type="|".join(sorted({TYPE_NAMES[kind] for kind in known.types})),
                    description=None if known.present == manifest.documents else f"In {known.present:,} documents.",
                )
                for name, known in fields
            ]
        ),
    }


def check_coverage(
    mongo: MongoDB,
    selection: PartitionSelection,
    settings: Settings,
    log: logging.Logger,
    require_volume: Callable[[int], None] | None = None,
) -> Coverage | None:
    """Count the documents that no partition has, and keep the counts; None where one partition is the whole collection.

    `require_volume` is given the number of documents in the collection, and may refuse it.

    Raises:
        AuditFailed: more documents have no usable start time than may be rejected.
    """
    if not selection.partitioning.partitioned:
        return None
    coverage = dataclasses.replace(
        _count_coverage(mongo, selection, settings, log), snapshot_time=dt.datetime.now(dt.UTC).isoformat()
    )
    if coverage.create_index:
        log.warning(
            f"No index finds the start times, so each partition is searched for in the whole collection. Create "
            f"one: {coverage.create_index}"
        )
    result = checks.documents_covered(coverage, settings.max_rejected)
    if blocking([result]):
        raise AuditFailed([result])
    if require_volume:
        require_volume(coverage.documents)
    write_text(settings.data_dir / "raw_calls" / COVERAGE, coverage.to_json())
    return coverage


def _count_coverage(mongo: MongoDB, selection: PartitionSelection, settings: Settings, log: logging.Logger) -> Coverage:
    existing = {*existing_partitions(selection.all_partitions, settings.data_dir), *selection.partitions}
    rereads = Rereads(log, "The documents are counted again.")
    while True:
        try:
            with mongo.snapshot_session(log) as session:
                coverage = count_coverage(session, selection.partitioning, selection.all_partitions, existing)
                session.require_same_collection()
                return coverage
        except ReadLostError as error:
            rereads.count(error)
