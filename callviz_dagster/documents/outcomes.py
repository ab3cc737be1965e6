"""Which labels count as completed and which as missed, the same for the page and the workbook.

What belongs elsewhere: how a value becomes a label (`documents/labels.py`), and who counts.
"""

from __future__ import annotations

from collections.abc import Iterable

COMPLETED_LABELS = (
    *("completed", "complete", "answered", "answer", "connected", "success", "successful", "ok", "normal clearing"),
    *("abgeschlossen", "angenommen", "beantwortet", "erfolgreich", "verbunden"),
    *("abouti", "décroché", "répondu", "repondu", "terminé"),
    *("atendida", "completada", "contestada", "respondida", "completata", "risposta", "beantwoord"),
    *("concluída", "odebrane", "отвечен", "принят", "مكتملة", "تم الرد", "مجاب", "נענתה", "接通", "已接通", "已接"),
    *("応答", "通話完了"),
)
"""Statuses of calls that reached their purpose, in several languages."""
MISSED_LABELS = (
    *("missed", "no-answer", "unanswered", "not-answered", "abandoned", "timeout", "no reply"),
    *("verpasst", "entgangen", "nicht angenommen", "keine antwort", "unbeantwortet", "aufgelegt vor annahme"),
    *("manqué", "manque", "sans réponse", "perdida", "no contestada", "sin respuesta", "persa", "gemist"),
    *("não atendida", "nieodebrane", "пропущен", "пропущенный", "فائتة", "لم يتم الرد", "שלא נענתה", "未接", "未接通"),
    *("不在着信", "無応答"),
)
"""Statuses and call types of calls that nobody took, in several languages."""
_IGNORED = str.maketrans("", "", "-_ ")


def label_key(label: str) -> str:
    """Return a label as it is compared: in lower case, without hyphens, underscores and spaces."""
    return label.lower().translate(_IGNORED)


def positions(labels: Iterable[str], counted: Iterable[str]) -> list[int]:
    """Return the positions of those `labels` that are among `counted`, however they are written."""
    keys = set(map(label_key, counted))
    return [position for position, label in enumerate(labels) if label_key(label) in keys]


def completed_formula(labels: Iterable[str]) -> str:
    """Return Tableau's formula of whether the field `status` is one of `labels`, however it is written."""
    keys = ", ".join(f'"{key}"' for key in dict.fromkeys(map(label_key, labels)) if '"' not in key)
    return f"{COMPLETED_FORMULA_START}({keys})"


COMPLETED_FORMULA_START = 'REPLACE(REPLACE(REPLACE(LOWER([status]), "-", ""), "_", ""), " ", "") IN '
