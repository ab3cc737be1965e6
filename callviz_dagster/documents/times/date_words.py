"""Names of months and weekdays in the languages in which call records have them. Data alone.

The languages are those of `recognition/vocabulary.py`; no name means different months in two of them. What belongs
elsewhere: the forms of dates (`documents/times/forms.py`).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar janner janvier janv enero ene gennaio gen janeiro januari",
            "february feb februar fevrier fevr fev febrero febbraio fevereiro februari",
            "march mar marz maerz mrz mars marzo marco maart mrt",
            "april apr avril avr abril abr aprile",
            "may mai mayo maggio mag maio mei",
            "june jun juni juin junio giugno giu junho",
            "july jul juli juillet juil julio luglio lug julho",
            "august aug aout agosto ago augustus",
            "september sept sep septembre septiembre setiembre settembre set setembro",
            "october oct oktober okt octobre octubre ottobre ott outubro out",
            "november nov novembre noviembre novembro",
            "december dec dezember dez decembre diciembre dic dicembre dezembro",
        ),
        start=1,
    )
    for name in names.split()
}
_WEEKDAYS = (
    *("mon", "tue", "tues", "wed", "thu", "thur", "thurs", "fri", "sat", "sun"),
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    *("mo", "di", "mi", "do", "fr", "sa", "so"),
    *("montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonnabend", "sonntag"),
    *("lun", "mar", "mer", "jeu", "ven", "sam", "dim"),
    *("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
    *("mie", "jue", "vie", "sab", "dom", "lunes", "martes", "miercoles", "jueves", "viernes", "sabado", "domingo"),
    *("gio", "lunedi", "martedi", "mercoledi", "giovedi", "venerdi", "domenica"),
    *("seg", "ter", "qua", "qui", "sex", "segunda", "terca", "quarta", "quinta", "sexta"),
    *("ma", "wo", "za", "zo"),
    *("maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag", "zondag"),
)


def month_number(text: str) -> int:
    """Return the number that a month has, written as a number or a name; 0 where it is none."""
    return int(text) if text.isdecimal() else _MONTHS.get(_plain(text), 0)


def is_weekday(text: str | None) -> bool:
    """Return whether a text is the name of a weekday, or nothing."""
    return text is None or _plain(text) in _WEEKDAYS


@lru_cache(maxsize=1024)
def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
