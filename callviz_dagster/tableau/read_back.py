"""A package read back from the disk: whether it is what was written.

What belongs elsewhere: writing it (`tableau/pack.py`), and whether its values fit the workbook (`tableau/audit.py`).
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from callviz_dagster.tableau.deflate import END
from callviz_dagster.tableau.pack import PackedData

_LOCAL_HEADER = struct.Struct("<14xL8xHH")
"""Of what stands before a member: its checksum, and the lengths of its name and of what else follows."""
_UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError)
"""What zipfile raises where a package is damaged, depending on whether it is data, a flag, a length or an offset."""


def is_whole(package: Path, packed: PackedData) -> bool:
    """Return whether a package on the disk holds a workbook and the data that were packed, and nothing else.

    The data are not inflated again, and nothing is less certain for that. When a piece was deflated, in this refresh or
    in an earlier one, zlib inflated it, the result was compared with its bytes, and the digest of what it had inflated
    was taken. So bytes on the disk that have this digest inflate to the piece; and a piece is kept under the digest of
    its own bytes. The pieces make up the member from its first byte to its last, in the order in which the data were
    read, and the checksum and the size that readers compare are those of the data.

    Where zipfile has no place for a compressor, there are no pieces, and it reads the whole package.
    """
    try:
        with package.open("rb") as file, zipfile.ZipFile(file) as archive:
            workbook, data = archive.infolist()
            archive.read(workbook)
            if not packed.pieces:
                return archive.testzip() is None
            with archive.open(data) as member:
                member.read(1)
            return (
                (data.compress_type, data.CRC, data.file_size) == (zipfile.ZIP_DEFLATED, packed.crc, packed.bytes)
                and _follow_each_other(file, (workbook, data), archive.start_dir)
                and _local_header(file, data)[1] == packed.start
                and _has_pieces(file, packed, data.compress_size)
            )
    except _UNREADABLE:
        return False


def _follow_each_other(file: IO[bytes], members: Sequence[zipfile.ZipInfo], end: int) -> bool:
    """Return whether members take up a file up to an offset, each with its checksum before it."""
    offset = 0
    for member in members:
        crc, start = _local_header(file, member)
        if (member.header_offset, member.CRC) != (offset, crc):
            return False
        offset = start + member.compress_size
    return offset == end


def _has_pieces(file: IO[bytes], packed: PackedData, deflated_bytes: int) -> bool:
    """Return whether this many bytes, from where the data begin, are its deflated pieces end to end."""
    file.seek(packed.start)
    for piece in packed.pieces:
        if hashlib.sha256(file.read(piece.deflated_bytes)).hexdigest() != piece.deflated_sha256:
            return False
    return file.read(len(END)) == END and file.tell() == packed.start + deflated_bytes


def _local_header(file: IO[bytes], member: zipfile.ZipInfo) -> tuple[int, int]:
    """Return the checksum that stands before a member, and the offset at which its compressed bytes begin."""
    file.seek(member.header_offset)
    crc, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return crc, member.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
