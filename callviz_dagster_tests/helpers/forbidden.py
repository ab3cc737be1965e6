"""Characters that XML 1.0 forbids, which any label, field name or value may hold."""

from __future__ import annotations

import sys

FORBIDDEN = tuple(chr(code) for code in (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0xFFFE, 0xFFFF))
"""All but the surrogates, which no text in UTF-8 has."""
SURROGATES = ("\ud800", "\udbff", "\udc00", "\udfff", "\udc80")
"""Some lone surrogates."""


def allowed_in_xml(character: str) -> bool:
    """Tell whether XML 1.0 (production 2) allows a character."""
    code = ord(character)
    return (
        code in (0x09, 0x0A, 0x0D)
        or 0x20 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or 0x10000 <= code <= sys.maxunicode
    )
