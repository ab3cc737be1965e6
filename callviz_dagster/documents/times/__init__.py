"""Times as documents hold them → instants; and instants → what clocks show.

Pure. All instants are microseconds since 1970-01-01T00:00:00Z. Nothing ambiguous is guessed: it is refused, or settled
by other times of the same document. What belongs elsewhere: which field holds a time (`documents/recognition/`) and
what becomes of a value that is not a time (`table/`).
"""

from callviz_dagster.documents.times.joined import join_date_and_clock
from callviz_dagster.documents.times.numbers import read_number, read_numbers
from callviz_dagster.documents.times.reading import (
    AMBIGUOUS,
    EARLIEST,
    LATEST,
    OUT_OF_RANGE,
    UNREADABLE,
    Reading,
    in_range,
)
from callviz_dagster.documents.times.subdocuments import read_subdocument
from callviz_dagster.documents.times.text import read_text, read_texts
from callviz_dagster.documents.times.zones import from_local_clock, local_clock, local_datetime_text

__all__ = [
    "AMBIGUOUS",
    "EARLIEST",
    "LATEST",
    "OUT_OF_RANGE",
    "UNREADABLE",
    "Reading",
    "from_local_clock",
    "in_range",
    "join_date_and_clock",
    "local_clock",
    "local_datetime_text",
    "read_number",
    "read_numbers",
    "read_subdocument",
    "read_text",
    "read_texts",
]
