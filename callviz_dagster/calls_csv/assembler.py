"""The lines of `calls.csv` assembled partition by partition: copied from the last file, or encoded and compared.

What belongs elsewhere: the lines of one partition (`calls_csv/encode.py`), where the file goes
(`calls_csv/publish.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from callviz_dagster.calls_csv.audit import header_difference
from callviz_dagster.calls_csv.encode import CsvFormat, EncodedPart, encode_part
from callviz_dagster.calls_csv.format import header_line
from callviz_dagster.calls_csv.reuse import Part
from callviz_dagster.progress import Progress
from callviz_dagster.storage.files import append_range
from callviz_dagster.storage.shared_ranges import SharedRange

_CHUNK = 1 << 20


@dataclass(frozen=True)
class AssembledCsv:
    """What was written."""

    header: bytes
    parts: Sequence[Part]
    copied: Mapping[int, Part]
    """Of parts that were copied, by their number, the part of the last file."""
    differences: Sequence[str]
    """Sentences about how lines differ from the rows that they were made from."""

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return len(self.header) + sum(part.bytes for part in self.parts)

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return sum(part.rows for part in self.parts)

    @property
    def shared_ranges(self) -> list[SharedRange]:
        """What the last file has, too: the lines of each part that was copied, and the header before the first."""
        ranges = [
            SharedRange(before.start, self.parts[number].start, before.bytes) for number, before in self.copied.items()
        ]
        size = len(self.header)
        # Lines are copied only where the columns are the same, so headers differ by a byte order mark at most.
        if ranges and ranges[0].old_start == ranges[0].new_start == size:
            ranges[0] = SharedRange(0, 0, size + ranges[0].bytes)
        return ranges


class CsvAssembler:
    """Assembles files of one form; with `bom` after a byte order mark."""

    def __init__(self, form: CsvFormat, progress: Progress, *, bom: bool = False) -> None:
        self._form, self._progress, self._bom = form, progress, bom

    def assemble(
        self,
        file: BinaryIO,
        sources: Mapping[Path, str],
        last: Path,
        reusable: Mapping[str, Part],
        encoded: Mapping[str, EncodedPart],
    ) -> AssembledCsv:
        """Write the header and the lines of all partitions.

        Args:
            file: where they are written.
            sources: the partitions' `calls` files in time order, with what their parts are known by.
            last: the `calls.csv` that is there.
            reusable: parts of it by their source; they are copied where one of the sources is the same.
            encoded: parts that were encoded elsewhere, likewise.
        """
        header = header_line(self._form.columns, bom=self._bom)
        file.write(header)
        parts: list[Part] = []
        copied: dict[int, Part] = {}
        differences = [wrong_header] if (wrong_header := header_difference(header, self._form.columns)) else []
        start, rows = len(header), 0
        for path, source in sources.items():
            if source in reusable:
                copied[len(parts)] = reusable[source]
                part = self._copy(file, last, reusable[source], start)
            elif source in encoded:
                part = self._copy(file, encoded[source].path, encoded[source].part, start)
                differences += encoded[source].differences
            else:
                part, found_differences = encode_part(
                    path, source, self._form, file, self._progress, start=start, rows_before=rows
                )
                differences += found_differences
            parts.append(part)
            start, rows = start + part.bytes, rows + part.rows
        return AssembledCsv(header, parts, copied, differences)

    def _copy(self, file: BinaryIO, source: Path, part: Part, start: int) -> Part:
        """Copy a part of another file; that it is what it was shows when the new file is read back."""
        append_range(source, part.start, part.bytes, file)
        self._progress.add(part.rows)
        return dataclasses.replace(part, start=start)


def read_back(path: Path, assembled: AssembledCsv, beside: Executor) -> tuple[str, set[int]]:
    """Read the file; return its digest, and the numbers of the parts that are not what they should be.

    -1 stands for the header, and for bytes after the last part.
    """
    whole = hashlib.sha256()
    hashing: Future[None] | None = None
    damaged: set[int] = set()
    pieces = [(len(assembled.header), hashlib.sha256(assembled.header).hexdigest())]
    pieces += [(part.bytes, part.sha256) for part in assembled.parts]
    with path.open("rb") as file:
        for number, (unread, digest) in enumerate(pieces, -1):
            own = hashlib.sha256()
            while text := file.read(min(unread, _CHUNK)):
                if hashing:
                    hashing.result()
                hashing = beside.submit(whole.update, text)
                own.update(text)
                unread -= len(text)
            if own.hexdigest() != digest:
                damaged.add(number)
        if file.read(1):
            damaged.add(-1)
    if hashing:
        hashing.result()
    return whole.hexdigest(), damaged
