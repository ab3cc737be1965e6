"""The JavaScript library that draws the page's charts (Vega-Embed with Vega and Vega-Lite), and its cache on the disk.

What belongs elsewhere: what is drawn (`dashboard/charts.py`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import zlib
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from callviz_dagster.storage.files import FileError, write_text

_log = logging.getLogger(__name__)

VEGA_LITE = "6.4"
"""The version of Vega-Lite that draws, of those that vl-convert carries."""
CACHE = "vega.json"
"""File name of the cache in the data folder."""
_FORMAT_VERSION = 1
"""Raised by hand whenever the JSON text changes its meaning; a cache of another version is replaced."""
_EXPORT = "window.vegaEmbed = vegaEmbed;"


@dataclass(frozen=True)
class Library:
    """A script as the page holds it."""

    deflated: str
    """The script, deflated, as base64."""
    digest: str
    """As a content security policy names a script."""

    @classmethod
    def of(cls, script: str) -> Library:
        """Return a script as the page holds it."""
        deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        deflated = deflate.compress(script.encode()) + deflate.flush()
        return cls(base64.b64encode(deflated).decode(), digest(script))

    def to_json(self) -> str:
        """Return it as JSON text, with the versions that it was made from."""
        data = {"format_version": _FORMAT_VERSION, "made_from": _versions()}
        return json.dumps(data | {"digest": self.digest, "deflated": self.deflated})

    @classmethod
    def from_json(cls, text: str) -> Library | None:
        """Return what `to_json` described; None where it is of other versions, or is damaged."""
        try:
            data = json.loads(text)
            script = zlib.decompress(base64.b64decode(data["deflated"]), -zlib.MAX_WBITS).decode()
            current = data["format_version"] == _FORMAT_VERSION and data["made_from"] == _versions()
            return cls(data["deflated"], data["digest"]) if current and data["digest"] == digest(script) else None
        except (ValueError, KeyError, TypeError, zlib.error):
            return None


def digest(script: str) -> str:
    """Return the digest of a script as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@cache
def bundled() -> Library:
    """Return the library from the package that draws the pictures too, which takes a second to make."""
    import vl_convert

    return Library.of(vl_convert.javascript_bundle(_EXPORT, vl_version=VEGA_LITE))


def cached(path: Path) -> Library:
    """Return the library that an earlier refresh left in a file; else make it and leave it there.

    A file that cannot be read or written costs a second, and a warning.
    """
    try:
        library = Library.from_json(path.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        _log.warning(f"{path.absolute()} cannot be read, so the library of the charts is built again: {error}")
        library = None
    if library is not None:
        return library
    library = bundled()
    try:
        write_text(path, library.to_json())
    except FileError as error:
        _log.warning(f"The next refresh makes the library of the charts anew: {error.strerror or error}")
    return library


def _versions() -> list[str]:
    return [metadata.version("vl-convert-python"), VEGA_LITE, _EXPORT]
