"""How a setting is declared: a field of a dataclass with its environment variable, meaning, default and validation.

What belongs elsewhere: which settings there are (`settings.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

from callviz_dagster.setting_values import simple

PREFIX = "CALLVIZ_"


def setting(
    name: str,
    meaning: str,
    *,
    default: Any,
    parse: Callable[[str], Any] = simple.text,
    shown_default: str | None = None,
    secret: bool = False,
) -> Any:
    """Return the field of a setting.

    Args:
        name: of the environment variable, without the prefix.
        meaning: as the table of settings shows it.
        default: the value where the variable is not set.
        parse: returns the value of a text, or raises ValueError with what is allowed.
        shown_default: the default as the table shows it; the value without it.
        secret: whether no message and no `repr` may show the value.
    """
    shown = shown_default if shown_default is not None else f"`{default}`"
    return field(
        default=default,
        repr=not secret,
        metadata={
            "name": PREFIX + name,
            "meaning": meaning,
            "parse": parse,
            "default": shown,
            "secret": secret,
        },
    )


def role_setting(role: str, meaning: str) -> Any:
    """Return the field of the setting that names the document field of a role."""
    more = "; `none` where the records have none" if role != "start_time" else ""
    if role.endswith("_time"):
        more += "; two fields joined by `+`: a date and a time of day"
    return setting(
        f"FIELD_{role.upper()}",
        f"the document field (dotted path) that holds {meaning}{more}",
        default=None,
        shown_default="recognized",
    )
