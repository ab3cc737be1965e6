"""What planning and normalizing need to know from outside: the options of the table, and the error that asks for one.

Plain data. What belongs elsewhere: the environment (`settings.py`); `assets/common.py` makes options of settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from callviz_dagster.documents.values import Secrets


class PlanError(ValueError):
    """The table cannot be planned. The message names the fields seen and the setting that would settle it."""


@dataclass(frozen=True)
class TableOptions:
    """The options of a table. The settings of the same names explain them."""

    timezone: str = "UTC"
    """IANA zone of dates, weekdays and hours."""
    source_timezone: str = "UTC"
    """IANA zone of times that are stored without one."""
    source_dates: str = "utc"
    """What BSON dates are: `utc`, or `local`, a clock in `source_timezone` that was stored as if it were UTC."""
    date_order: str | None = None
    """`dmy` or `mdy`: how ambiguous text dates are read. None: they are not."""
    role_fields: Mapping[str, str] = field(default_factory=dict)
    """The document field (dotted path) of each role of `contract.ROLES` that was set by hand."""
    duration_unit: str | None = None
    """Unit of stored durations: `s`, `ms`, `us`, `ns`, `min` or `h`. None: the field's name decides, then the data."""
    max_columns: int = 200
    """How many columns the documents' other fields may take."""
    secrets: Secrets = field(default_factory=Secrets)
    """The fields that are left out or replaced by tokens."""
