"""The first round: the documents of each partition, all of one instant, into its archive.

What belongs elsewhere: sessions and reading (`mongodb/`), the checks and what is reported (`assets/raw_calls.py`).
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from callviz_dagster.concurrency import prefetch
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import MongoError, ReadLostError
from callviz_dagster.mongodb.snapshot import Rereads, SnapshotSession
from callviz_dagster.partitions import Partition
from callviz_dagster.progress import Progress
from callviz_dagster.storage.archive import BsonArchiveWriter, digest_of_archive
from callviz_dagster.storage.files import PublishedFile, staged, stat_and_hash, write_text
from callviz_dagster.table.manifest import Manifest

if TYPE_CHECKING:
    from callviz_dagster.documents.values import Secrets


@dataclass(frozen=True)
class ArchiveCounts:
    """What the server counted, and what the archive, read back, holds."""

    counted: int
    archived: int
    same_bytes: bool
    """Whether the archive reads back as it was written."""
    no_snapshot: str = ""
    """Why there was no snapshot, so that documents could come and go between counting and reading."""

    @property
    def complete(self) -> bool:
        """Whether the archive holds every document that the server counted."""
        return self.same_bytes and (self.archived == self.counted or bool(self.no_snapshot))


class IncompleteArchiveError(Exception):
    """An archive does not hold what the server counted, so it is not published."""

    def __init__(self, counts: ArchiveCounts) -> None:
        super().__init__(counts)
        self.counts = counts


@dataclass(frozen=True)
class Archived:
    """A partition that was read."""

    partition: Partition
    manifest: Manifest
    seconds: float
    file: PublishedFile

    @property
    def counts(self) -> ArchiveCounts:
        """What was compared before the archive was published."""
        manifest = self.manifest
        return ArchiveCounts(manifest.counted, manifest.documents, same_bytes=True, no_snapshot=manifest.no_snapshot)


def archive_partitions(
    mongo: MongoDB,
    partitions: Sequence[Partition],
    data_dir: Path,
    log: logging.Logger,
    require_volume: Callable[[int], None] | None = None,
    secrets: Secrets | None = None,
) -> Iterator[Archived]:
    """Read partitions into their archives, all of one instant while the server keeps it; yield each when it is there.

    `require_volume` is given the number of documents read before an archive is replaced, and may refuse it.

    Raises:
        MongoError: the collection cannot be read, or a snapshot was lost again and again.
        IncompleteArchiveError: an archive does not hold what the server counted.
        FileError: an archive cannot be written.
    """
    waiting = list(partitions)
    rereads = Rereads(log, "The read starts again from the first document.")
    identity = ""
    while waiting:
        try:
            with mongo.snapshot_session(log) as session:
                if len(waiting) < len(partitions) and session.server.identity != identity:
                    raise MongoError(
                        f"{session.source} was replaced by another collection while it was read. Refresh again: "
                        "the partitions that have been read are those of the collection before."
                    )
                identity = session.server.identity
                session.warn_of_short_history(waiting)
                if waiting[0].key:
                    log.info(f"Reading {len(waiting):,} partitions of {session.source} ({session.server.description}).")
                while waiting:
                    archived = archive_partition(session, waiting[0], data_dir, log, require_volume, secrets)
                    waiting.pop(0)
                    rereads.reset()
                    yield archived
        except ReadLostError as error:
            rereads.count(error)


def archive_partition(
    session: SnapshotSession,
    partition: Partition,
    data_dir: Path,
    log: logging.Logger,
    require_volume: Callable[[int], None] | None = None,
    secrets: Secrets | None = None,
) -> Archived:
    """Read one partition into its archive, with a manifest beside it.

    Raises:
        IncompleteArchiveError: the archive does not hold what the server counted.
        ReadLostError: the read was interrupted and cannot continue.
        FileError: the archive cannot be written.
    """
    from callviz_dagster.documents.profile import Profile
    from callviz_dagster.documents.recognition.evidence import Gatherer
    from callviz_dagster.documents.walker import Walker

    path = partition.archive(data_dir)
    profile, walker, gatherer = Profile(), Walker(), Gatherer(secrets)
    with staged(path, private=True) as temporary:
        with BsonArchiveWriter(temporary) as archive, ThreadPoolExecutor(1, "archive") as beside:
            read = session.read(partition)
            if not partition.key:
                log.info(f"Reading about {read.expected:,} documents of {read.source} ({read.server}).")
            progress = Progress(log, "Reading", read.expected)
            for documents in prefetch(read):
                writing = beside.submit(archive.write, documents)
                batch = walker.walk(documents)
                profile.add(batch)
                gatherer.add(batch)
                writing.result()
                progress.add(len(batch))
        with ThreadPoolExecutor(1, "archive") as beside:
            reading_back = beside.submit(digest_of_archive, temporary)
            evidence = gatherer.evidence()
            same_bytes = reading_back.result() == archive.sha256
        counts = ArchiveCounts(read.documents, profile.documents, same_bytes, read.no_snapshot)
        session.require_same_collection()
        if not counts.complete:
            raise IncompleteArchiveError(counts)
        if require_volume:
            require_volume(profile.documents)
        seconds = progress.seconds
    manifest = Manifest(
        partition=partition.name,
        source=read.source,
        server=read.server,
        point_in_time=read.point_in_time,
        snapshot_time=read.instant.astimezone(dt.UTC).isoformat(),
        cluster_time=str(read.cluster_time or ""),
        no_snapshot=read.no_snapshot,
        counted=read.documents,
        documents=profile.documents,
        bytes=archive.bytes,
        documents_sha256=archive.sha256,
        resumed=read.resumed,
        profile=profile,
        span=partition.span,
        evidence=evidence,
    )
    write_text(partition.manifest(data_dir), manifest.to_json(), private=True)
    return Archived(partition, manifest, seconds, stat_and_hash(path))
