"""Text made fit for display: in a chart, XML, HTML, Markdown or a header.

What belongs elsewhere: escaping, which each of those formats does for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_REPLACEMENT = 0xFFFD
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_SUBSTITUTES = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}


def display_text(text: str) -> str:
    """Return a text without the characters that XML 1.0 forbids, each replaced by a visible one.

    Control characters become the symbols that Unicode has for them (NUL becomes `␀`); lone surrogates and the two
    noncharacters U+FFFE and U+FFFF become `�`. Tab, line feed and carriage return stay. Such a character in a label
    aborts the process in the library that draws the charts, and makes a workbook unreadable.
    """
    return _UNSHOWABLE.sub(lambda match: chr(_SUBSTITUTES.get(ord(match[0]), _REPLACEMENT)), text)


def display_content(content: Any) -> Any:
    """Return plain JSON data in which `display_text` was applied to every text, keys included."""
    if isinstance(content, str):
        return display_text(content)
    if isinstance(content, Mapping):
        return {display_text(name): display_content(value) for name, value in content.items()}
    return [display_content(value) for value in content] if isinstance(content, list | tuple) else content
