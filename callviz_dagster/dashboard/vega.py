"""The JavaScript library that draws the page's charts, Vega-Embed with Vega and Vega-Lite, as the package brings it.

Making it takes two seconds of the processor, which no refresh spends: it stands in `vega.json`, and a test compares
that with what the package for the pictures makes. What belongs elsewhere: what is drawn (`dashboard/charts.py`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources

VEGA_LITE = "6.4"
"""The version of Vega-Lite that draws, of those that vl-convert carries."""
FILE = "vega.json"
"""File name of the library in this package."""
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

    @property
    def script(self) -> str:
        """The script itself."""
        return zlib.decompress(base64.b64decode(self.deflated), -zlib.MAX_WBITS).decode()

    def to_json(self) -> str:
        """Return it as JSON text."""
        return json.dumps(asdict(self), indent=1) + "\n"


def digest(script: str) -> str:
    """Return the digest of a script as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@cache
def library() -> Library:
    """Return the library."""
    return Library(**json.loads(resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")))


def bundled() -> Library:
    """Make the library anew with the package that draws the pictures, as `vega.json` holds it."""
    import vl_convert

    return Library.of(vl_convert.javascript_bundle(_EXPORT, vl_version=VEGA_LITE))
