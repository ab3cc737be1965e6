"""A new version of an object of which the store copies what the last one has, too: unchanged bytes do not travel.

For S3 alone, by a multipart upload in which some parts are copies (`UploadPartCopy`). obstore copies whole objects
only, so these requests are botocore's. What belongs elsewhere: which parts there are (`shared_ranges.py`), and uploads
of whole files (`bucket.py`), which take the place of one that fails here.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callviz_dagster.concurrency import parallel_map
from callviz_dagster.storage.bucket import Bucket, StoredFile, object_name
from callviz_dagster.storage.files import stat_and_hash
from callviz_dagster.storage.shared_ranges import ObjectPart, SharedRange, parts_of

_ENCRYPTION = ("AWS_SERVER_SIDE_ENCRYPTION", "AWS_SSE_KMS_KEY_ID", "AWS_SSE_CUSTOMER_KEY_BASE64")
_VARIABLES = {
    # As obstore finds them: by itself botocore reads the profiles of the `aws` command, and no AWS_REGION.
    "region": (None, ["AWS_REGION", "AWS_DEFAULT_REGION"], "us-east-1", None),
    "endpoint": (None, ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"], None, None),
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "encryption": (None, [*_ENCRYPTION], None, None),
}
"""Of botocore's variables: key in a configuration file, names in the environment, default, conversion."""
_SHOWN = ("ETag", "ChecksumSHA256")
"""What a store says of a part, if it does, is given back when the object is completed."""


class RangeCopyError(Exception):
    """The file has to be uploaded whole. The message says why."""


@dataclass(frozen=True)
class SharedUpload:
    """What was uploaded."""

    stored: StoredFile
    sent: int
    """Bytes that were sent; the store has copied the rest."""


def upload_shared(
    bucket: Bucket, path: Path, name: str, last: StoredFile, shared: Sequence[SharedRange]
) -> SharedUpload | None:
    """Upload a file as a new object, and let the store copy the ranges that the last one has, too.

    A copy is taken from the object as it is at the start, and counts only where the store's digest of it is that of the
    file's own bytes. An upload that ends with an error is aborted.

    Returns:
        What was uploaded; None where no range is long enough to be copied.

    Raises:
        RangeCopyError: the store copies no ranges, or other bytes than the file's, or the last object is gone.
    """
    file = stat_and_hash(path)
    parts = parts_of(file.bytes, shared)
    if all(part.source is None for part in parts):
        return None
    if not bucket.uri.startswith("s3://"):
        raise RangeCopyError("ranges of an object are copied on S3 alone")
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError:
        raise RangeCopyError("botocore is not installed, which the extra `cloud` brings") from None
    stored = StoredFile(object_name(name, file.sha256), file.sha256, file.bytes)
    try:
        with _MultipartUpload(bucket, stored, last) as upload:
            upload.send(path, parts)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "an error")
        raise RangeCopyError(f"the store answers {error.operation_name} with {code}") from None
    except BotoCoreError as error:
        raise RangeCopyError(f"the store could not be asked for copies ({type(error).__name__})") from None
    return SharedUpload(stored, sum(part.bytes for part in parts if part.source is None))


def _client() -> Any:
    """Return a client of S3 that finds server and credentials as obstore does."""
    import botocore.session
    from botocore.config import Config

    session = botocore.session.Session(_VARIABLES)
    if session.get_config_variable("encryption"):
        raise RangeCopyError(f"copies would not have the encryption of the environment ({', '.join(_ENCRYPTION)})")
    config = Config(
        s3={"addressing_style": "path"}, retries={"mode": "standard"}, request_checksum_calculation="when_required"
    )
    return session.create_client("s3", endpoint_url=session.get_config_variable("endpoint"), config=config)


class _MultipartUpload(contextlib.AbstractContextManager["_MultipartUpload"]):
    """A multipart upload, which is aborted where the `with` block ends with an error."""

    def __init__(self, bucket: Bucket, stored: StoredFile, last: StoredFile) -> None:
        container, _, folder = bucket.uri.removeprefix("s3://").partition("/")
        keys = [f"{folder}/{each.object}".lstrip("/") for each in (stored, last)]
        self._client = _client()
        self._target, self._source = ({"Bucket": container, "Key": key} for key in keys)
        head = self._client.head_object(**self._source)
        if head["ContentLength"] != last.bytes:
            raise RangeCopyError(f"{bucket.uri_of(last.object)} is not what its record says")
        self._e_tag = head["ETag"]
        created = self._client.create_multipart_upload(**self._target, ChecksumAlgorithm="SHA256")
        self._target["UploadId"] = created["UploadId"]

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        if kind:
            with contextlib.suppress(ClientError, BotoCoreError):
                self._client.abort_multipart_upload(**self._target)

    def send(self, path: Path, parts: Sequence[ObjectPart]) -> None:
        """Let the store copy the parts that it has, upload the others, and complete the object."""

        def sent(work: Callable[[Path, int, ObjectPart], Any], numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
            answers = zip(
                numbers, parallel_map(lambda number: work(path, number, parts[number - 1]), numbers), strict=True
            )
            return {number: {key: answer[key] for key in _SHOWN if key in answer} for number, answer in answers}

        copied = [number for number, part in enumerate(parts, 1) if part.source is not None]
        uploaded = [number for number, part in enumerate(parts, 1) if part.source is None]
        # Nothing is sent before the store has copied all that it has.
        answers = sent(self._copy, copied) | sent(self._upload, uploaded)
        listed = [{"PartNumber": number, **answers[number]} for number in sorted(answers)]
        self._client.complete_multipart_upload(**self._target, MultipartUpload={"Parts": listed})

    def _upload(self, path: Path, number: int, part: ObjectPart) -> Any:
        content = b"".join(_chunks(path, part))
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        return self._client.upload_part(**self._target, PartNumber=number, Body=content, ChecksumSHA256=checksum)

    def _copy(self, path: Path, number: int, part: ObjectPart) -> Any:
        """Let the store copy a part.

        Raises:
            RangeCopyError: it has copied other bytes, or does not show which.
        """
        assert part.source is not None
        copied = self._client.upload_part_copy(
            **self._target,
            PartNumber=number,
            CopySource=self._source,
            CopySourceIfMatch=self._e_tag,
            CopySourceRange=f"bytes={part.source}-{part.source + part.bytes - 1}",
        ).get("CopyPartResult", {})
        # Without a SHA-256 the tag of a part is its MD5, unless the store encrypts with a key of its owner.
        in_base64 = copied.get("ChecksumSHA256")
        digest = hashlib.sha256() if in_base64 else hashlib.md5(usedforsecurity=False)
        for chunk in _chunks(path, part):
            digest.update(chunk)
        expected = base64.b64encode(digest.digest()).decode() if in_base64 else digest.hexdigest()
        if expected != (in_base64 or copied.get("ETag", "").strip('"')):
            raise RangeCopyError("the store does not show that it has copied the bytes of the file")
        return copied


def _chunks(path: Path, part: ObjectPart) -> Iterator[bytes]:
    """Yield the bytes of a part of a file."""
    with path.open("rb") as file:
        file.seek(part.start)
        unread = part.bytes
        while unread and (chunk := file.read(min(unread, 1 << 20))):
            unread -= len(chunk)
            yield chunk
