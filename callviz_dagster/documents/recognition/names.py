"""What the name of a field says: taken apart into words, how strongly it speaks of each role, and in which unit.

Names only propose; the data decide (`recognition/choice.py`). What belongs elsewhere: the words themselves
(`recognition/vocabulary.py`) and reading values (`documents/times.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from callviz_dagster.documents.labels import folded
from callviz_dagster.documents.recognition.vocabulary import (
    FIELD_NAMES,
    MEANINGS,
    NAMED_UNITS,
    RECORD_NAMES,
    UNIT_OF,
    WEAK_NAMES,
    WRAPPERS,
    Word,
)
from callviz_dagster.documents.values import field_name
from callviz_dagster.documents.walker import REPEAT, Path

_BOUNDARIES = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ENDINGS = frozenset({"at", "on", "ts", "ms", "id", "by", "dt"})
"""Words of two letters that may end a compound; elsewhere in one they would be found by chance."""
_SHORTEST_MISSPELT = 5
"""Letters of the shortest word that is recognized with one letter wrong: shorter ones resemble too many others."""
_SPELT_WRONGLY = (Word.START, Word.END, Word.ANSWER, Word.DURATION, Word.STATUS, Word.DIRECTION, Word.TIME)
_LASTING = frozenset({"time", "times", "tm", "tiempo", "temps", "tempo", "tijd", "zeit"})
"""Words for a time that can be a length of time: `talk_time`, and no `call_date`."""
_TALKING = frozenset({"talk", "talked", "talking", "speak", "speaking", "spoken", "billed"})
"""Words that, alone, name how long people talked."""
_IDENTIFIERS = frozenset({"id", "sid", "uid", "uuid", "guid"})
_OF_A_CALL = frozenset({"call", "phonecall", "cdr", "conversation", "interaction", "unique"})
"""Words that may stand beside those for an identifier where it is the call's."""
_TIMES = frozenset({Word.TIME, Word.CALL, Word.FILLER})
_GENERIC = frozenset({Word.TIME, Word.FILLER, Word.CODE, Word.TOTAL, Word.CAUSE})


class Strength(IntEnum):
    """How strongly a name speaks of a role."""

    NONE = 0
    RECORD = 1
    """It names the record's own life: `createdAt`."""
    WEAK = 2
    """It could be the role's, or anything's: `timestamp`, `date`, `mode`."""
    WORDS = 3
    """It has the role's words: `legStartedAt`."""
    EXACT = 4
    """It is one of the role's known names."""


@dataclass(frozen=True)
class Name:
    """What the name of a field says."""

    strengths: Mapping[str, Strength]
    ranks: Mapping[str, float]
    """Place among the known names of a role, for those that are one of them, however they are spelled."""
    meanings: frozenset[Word]
    unit: str | None
    """The unit of a duration that the name says: `s`, `ms`, `us`, `ns`, `min` or `h`."""
    order: int
    """Place among names of one strength, where one is preferred."""
    unknown: int
    """How many of its words are not known."""
    foreign: bool
    """Whether it stands in a document that is not the call's: a customer, a recording, an appointment."""
    depth: float
    """How deep it stands; a document that commonly wraps calls counts half."""

    def says(self, *any_of: Word) -> bool:
        """Return whether the name has one of these meanings."""
        return not self.meanings.isdisjoint(any_of)

    @property
    def answer(self) -> bool:
        """Whether it names the moment at which the call was answered."""
        return self.says(Word.ANSWER) and "start_time" not in self.ranks and "end_time" not in self.ranks

    @property
    def changed(self) -> bool:
        """Whether it names a moment at which the record was changed, sent or stored."""
        return self.says(Word.CHANGED) and not self.says(Word.START)

    @property
    def talk(self) -> bool:
        """Whether it names the part of a call in which two people talk, or that is charged."""
        return self.says(Word.TALK, Word.ANSWER)


_RANKS: dict[str, dict[str, float]] = {}
for _role, _names in FIELD_NAMES.items():
    _first = {folded(name): place for place, name in reversed(list(enumerate(_names)))}
    # Spellings of one name stand side by side: those of the list in its order, then any other.
    _RANKS[_role] = {name: place + 0.9 for name, place in _first.items()}
    _RANKS[_role] |= {name: _first[folded(name)] + place / 1_000 for place, name in enumerate(_names)}
_ORDER = {folded(name): place for names in (WEAK_NAMES, RECORD_NAMES) for place, name in enumerate(names)}


@lru_cache(maxsize=16_384)
def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in small letters: `callStartedAt` → call, started, at.

    Boundaries are capitals, digits and everything that is no letter. Words that run together are taken apart where all
    parts are known (`callduration`), and a long word with one letter wrong is read as the known one (`duraction`).
    """
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    tokens = [
        part.casefold()
        for run in _BOUNDARIES.findall(plain)
        for part in (_CAMEL.split(run) if run != run.upper() else [run])
    ]
    joined = "".join(tokens)
    if len(tokens) > 1 and any(not _known(token) for token in tokens) and _known(joined):
        return (joined,)
    parts: list[str] = []
    for token in tokens:
        parts += _parts(token, alone=len(tokens) == 1)
    return tuple(parts)


def _known(word: str) -> bool:
    return word in MEANINGS or word in UNIT_OF


def _parts(token: str, *, alone: bool) -> list[str]:
    """Return the known words that a token is made of; the token itself where it is none."""
    if _known(token) or len(token) < 4:
        return [token]
    compound = _compound(token)
    if compound:
        return compound
    if (corrected := _corrected(token)) and (not alone or len(token) > _SHORTEST_MISSPELT):
        return [corrected]
    for cut in range(len(token) - 3, 2, -1):
        first, rest = token[:cut], token[cut:]
        if _known(first) and len(rest) >= 4 and (second := _corrected(rest)):
            return [first, second]
        if _known(rest) and len(first) >= 4 and (second := _corrected(first)):
            return [second, rest]
    return [token]


def _compound(token: str) -> list[str] | None:
    """Return the fewest known words that a token is made of."""
    best: dict[int, list[str]] = {0: []}
    for end in range(2, len(token) + 1):
        for start in sorted(best):
            part = token[start:end]
            short = len(part) == 2 and end == len(token) and part in _ENDINGS
            if start in best and (short or (len(part) > 2 and _known(part))):
                parts = [*best[start], part]
                if end not in best or len(parts) < len(best[end]):
                    best[end] = parts
    return best.get(len(token))


@lru_cache(maxsize=1)
def _spellable() -> dict[str, str]:
    """Return each known word with one letter left out, and the word itself, with the word that is meant."""
    spellings: dict[str, str] = {}
    for word, meanings in MEANINGS.items():
        if len(word) >= _SHORTEST_MISSPELT and not meanings.isdisjoint(_SPELT_WRONGLY):
            for place in range(len(word)):
                spellings.setdefault(word[:place] + word[place + 1 :], word)
            spellings[word] = word
    return spellings


def _corrected(token: str) -> str | None:
    """Return the known word from which a token differs by one letter."""
    spellings = _spellable()
    if token in spellings:
        return spellings[token]
    for place in range(len(token)):
        known_word = spellings.get(token[:place] + token[place + 1 :])
        if known_word and len(known_word) >= _SHORTEST_MISSPELT and len(token) >= _SHORTEST_MISSPELT:
            return known_word
    return None


@lru_cache(maxsize=32_768)
def name_of(path: Path) -> Name:
    """Return what the name of the field at a path says."""
    own = words(field_name(path[-1]))
    meanings = _meanings(own)
    parents = path[:-1]
    generic = own and meanings <= _GENERIC and all(_known(word) for word in own)
    if parents and generic and not _ranks(field_name(path[-1])):
        own = (*words(field_name(parents[-1])), *own)
        meanings, parents = _meanings(own), parents[:-1]
    wrapped = [folded(field_name(parent)) in WRAPPERS for parent in path[:-1]]
    foreign = any(
        not wrapper and _meanings(words(field_name(parent))) & {Word.OTHER, Word.PERSONAL, Word.PART, Word.PLANNED}
        for parent, wrapper in zip(parents, wrapped, strict=False)
    )
    ranks = {} if REPEAT in path[-1] else _ranks(field_name(path[-1]))
    strengths = {role: _STRENGTHS[role](meanings, own) for role in FIELD_NAMES} | dict.fromkeys(ranks, Strength.EXACT)
    units = [UNIT_OF[word] for word in own if word in UNIT_OF and len(word) > (len(own) > 1 and word != own[-1])]
    return Name(
        strengths,
        ranks,
        meanings,
        NAMED_UNITS.get(folded(field_name(path[-1])), units[-1] if units else None),
        _ORDER.get(folded(field_name(path[-1])), len(_ORDER)),
        sum(not _known(word) for word in own),
        foreign,
        sum(0.5 if wrapper else 1.0 for wrapper in wrapped),
    )


def identifies_a_call(path: Path) -> bool:
    """Return whether a field is called like the identifier of a call, such as `call_id`, `callSid` or `uuid`.

    Identifiers of anything else, such as `agent_id` or `parent_call_id`, are none, and neither is an `id` in a nested
    document that does not commonly wrap calls.
    """
    own = frozenset(words(field_name(path[-1])))
    of_what = own - _IDENTIFIERS
    if REPEAT in path[-1] or of_what == own or not of_what <= _OF_A_CALL or name_of(path).foreign:
        return False
    return bool(of_what) or all(folded(field_name(parent)) in WRAPPERS for parent in path[:-1])


def _ranks(name: str) -> dict[str, float]:
    return {
        role: known[spelling]
        for role, known in _RANKS.items()
        for spelling in (folded(name), name)
        if spelling in known
    }


def _meanings(own: tuple[str, ...]) -> frozenset[Word]:
    return frozenset().union(*(MEANINGS.get(word, frozenset()) for word in own))


def _start(meanings: frozenset[Word], _: tuple[str, ...]) -> Strength:
    if Word.PLANNED in meanings:
        return Strength.NONE
    if Word.START in meanings:
        return Strength.WORDS
    if Word.END in meanings:
        return Strength.NONE
    if Word.ANSWER in meanings:
        return Strength.WORDS
    if Word.CHANGED in meanings or Word.MADE in meanings:
        return Strength.RECORD
    if Word.MAYBE_START in meanings:
        return Strength.WORDS if Word.CALL in meanings else Strength.WEAK
    if Word.TIME in meanings and meanings <= _TIMES:
        return Strength.WORDS if Word.CALL in meanings else Strength.WEAK
    return Strength.NONE


def _end(meanings: frozenset[Word], _: tuple[str, ...]) -> Strength:
    other = Word.START in meanings or Word.PLANNED in meanings
    return Strength.WORDS if Word.END in meanings and not other else Strength.NONE


def _duration(meanings: frozenset[Word], own: tuple[str, ...]) -> Strength:
    if Word.DURATION in meanings:
        return Strength.WORDS
    of_call = not meanings.isdisjoint((Word.CALL, Word.TALK, Word.TOTAL, Word.ANSWER))
    if any(word in UNIT_OF for word in own):
        return Strength.WORDS if of_call else Strength.WEAK
    if own and meanings <= {Word.TALK, Word.FILLER} and not _TALKING.isdisjoint(own):
        return Strength.WEAK
    lasts = not _LASTING.isdisjoint(own) and Word.START not in meanings
    return Strength.WORDS if of_call and lasts else Strength.NONE


def _call_type(meanings: frozenset[Word], _: tuple[str, ...]) -> Strength:
    if Word.DIRECTION in meanings or {Word.TYPE, Word.CALL} <= meanings:
        return Strength.WORDS
    return Strength.WEAK if Word.TYPE in meanings else Strength.NONE


def _status(meanings: frozenset[Word], _: tuple[str, ...]) -> Strength:
    if not meanings.isdisjoint((Word.STATUS, Word.OUTCOME)) or {Word.CAUSE, Word.END} <= meanings:
        return Strength.WORDS
    return Strength.WEAK if Word.CAUSE in meanings else Strength.NONE


_STRENGTHS = {"start_time": _start, "end_time": _end, "duration": _duration, "call_type": _call_type, "status": _status}
