"""`fields`: which field of the collection plays which role, from a sample; nothing is written.

The choice is made from the same documents as in a refresh, and what was published before stands in both. What belongs
elsewhere: reading the sample (`mongodb/sample.py`), choosing and its words (`documents/recognition/`).
"""

from __future__ import annotations

import datetime as dt
import json
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from callviz_dagster.assets.checks import calls as checks
from callviz_dagster.assets.checks.results import blocking
from callviz_dagster.assets.common import table_options
from callviz_dagster.documents.display import display_text
from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.recognition.decision import Standing
from callviz_dagster.documents.recognition.doubts import IMPLAUSIBLE
from callviz_dagster.documents.recognition.evidence import Gatherer
from callviz_dagster.documents.recognition.report import ROLE_NAMES, RoleRow, sentence
from callviz_dagster.documents.walker import Walker
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.sample import CollectionSample, read_sample
from callviz_dagster.partitions import Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.table.manifest import TableFooter, existing_partitions, merged
from callviz_dagster.table.normalize import Normalized, normalize
from callviz_dagster.table.plan import Plan, make_plan
from callviz_dagster.table.tally import PROBLEMS, Tally

_WIDTH = 110
_MOST_EXAMPLES = 160
"""Characters of example values."""
_LINE_ENDS = {ord("\n"): "␊", ord("\r"): "␍"}
_FIELD = "CALLVIZ_FIELD_"
_UNIT = f"{_FIELD}DURATION_UNIT"
_HEADING = "Settings that keep this choice:"


@dataclass(frozen=True)
class FieldsReport:
    """What the sample says."""

    sample: CollectionSample
    plan: Plan
    normalized: Normalized
    """The documents of the sample as a refresh would take them."""
    max_rejected: float

    @property
    def tally(self) -> Tally:
        """What was counted while the sample became rows."""
        return self.normalized.tally

    @property
    def refused(self) -> bool:
        """Whether a refresh of these documents would publish nothing."""
        plausible = checks.roles_plausible(self.plan.recognized)
        return not self.tally.documents or bool(blocking([plausible])) or self.too_many_rejected

    @property
    def too_many_rejected(self) -> bool:
        """Whether more documents have no usable start time than may be rejected."""
        return bool(blocking([checks.rejected_within_limit(self.tally, self.max_rejected)]))


def read_fields_report(settings: Settings) -> FieldsReport:
    """Read a sample of the collection and choose the fields of all roles; write nothing.

    Raises:
        SettingsError: no connection string is set.
        MongoError: the collection cannot be read.
        PlanError: no field is recognized as the start time, several could be meant, or a setting names a field that
            no document has.
    """
    sample = read_sample(MongoDB(settings))
    partitions = Partitioning.of(settings).partitions(dt.datetime.now(dt.UTC))
    return fields_report(sample, settings, merged(existing_partitions(partitions, settings.data_dir).values()))


def fields_report(sample: CollectionSample, settings: Settings, before: TableFooter | None = None) -> FieldsReport:
    """Choose the fields of all roles from a sample, and from what was published before, as the next refresh does.

    Raises:
        PlanError: see `read_fields_report`.
    """
    options = table_options(settings)
    profile, gatherer = Profile(), Gatherer(options.secrets)
    batch = Walker().walk(sample.documents)
    profile.add(batch)
    gatherer.add(batch)
    plan = make_plan(
        profile,
        options,
        before.fields if before else (),
        evidence=gatherer.evidence(),
        standing=Standing.from_json(before.choice if before else None),
    )
    normalized = normalize(batch, plan, now=time.time_ns() // 1000)
    return FieldsReport(sample, plan, normalized, settings.max_rejected)


def text(findings: FieldsReport, *, in_component: bool = False) -> str:
    """Return the findings as text for a terminal, with settings as a component's YAML has them or the environment."""
    lines = [*_lines(findings), *_setting_lines(findings)]
    if in_component:
        from callviz_dagster.component import in_yaml_keys

        lines = [in_yaml_keys(line) for line in (*_lines(findings), *_yaml_lines(findings))]
    return "".join(display_text(line).translate(_LINE_ENDS) + "\n" for line in lines)


def _setting_lines(findings: FieldsReport) -> Iterator[str]:
    """Yield the lines of `.env` that keep the choice."""
    if not findings.tally.documents:
        return
    yield ""
    yield _HEADING
    for row in findings.plan.recognized.rows:
        yield row.setting
        if row.unit and not row.setting.startswith("#"):
            yield f"{_UNIT}={row.unit.split()[0]}"


def _yaml_lines(findings: FieldsReport) -> Iterator[str]:
    """Yield the lines of a `defs.yaml` that keep the choice."""
    for line in _setting_lines(findings):
        name, _, value = line.partition("=")
        if name.startswith(_FIELD):
            yield f"  {name.removeprefix(_FIELD).lower()}: {json.dumps(value, ensure_ascii=False)}"
        else:
            yield f"  {line}" if line.startswith("#") else line
        if line == _HEADING:
            yield "fields:"


def _lines(findings: FieldsReport) -> Iterator[str]:
    sample, tally = findings.sample, findings.tally
    if not tally.documents:
        yield f"{sample.source} has no documents, so no field can be recognized."
        return
    yield f"{sample.source}: {tally.documents:,} of {sample.total:,} documents were read."
    yield ""
    recognized = findings.plan.recognized
    has_end = bool(recognized.choice.roles["end_time"])
    for row in findings.plan.recognized.rows:
        yield from _role_lines(row, derived=row.role == "duration" and has_end)
    yield ""
    yield from _rejected_lines(tally, findings.too_many_rejected)
    facts = recognized.fields.facts
    sentences = [(one.kind in IMPLAUSIBLE, sentence(one, recognized.choice, facts)) for one in recognized.doubts]
    yield from _list("Contradicted by the data:", [text_of_doubt for refused, text_of_doubt in sentences if refused])
    yield from _list("Doubtful:", [text_of_doubt for refused, text_of_doubt in sentences if not refused])


def _role_lines(row: RoleRow, derived: bool) -> Iterator[str]:
    unit = f", {row.unit}" if row.unit else ""
    no_field = "no field" + (", so end − start" if derived else "")
    yield f"{ROLE_NAMES[row.role]}: {row.field or no_field}{unit}"
    if row.field:
        yield f"    in {row.share} of the documents, recognized {row.known_by}"
    if row.examples:
        cut = row.examples if len(row.examples) <= _MOST_EXAMPLES else row.examples[: _MOST_EXAMPLES - 1] + "…"
        yield f"    for example {cut}"
    if row.not_taken:
        yield "    not taken:"
    for other in row.not_taken:
        yield from _wrapped(str(other), "      - ", "        ")


def _rejected_lines(tally: Tally, too_many: bool) -> Iterator[str]:
    yield f"{tally.calls:,} of these documents would be calls, and {tally.rejected:,} rejected."
    for reason, count in tally.reasons.most_common():
        yield f"  - {count:,} {reason}: {PROBLEMS[reason]}"
    if too_many:
        yield "  More than CALLVIZ_MAX_REJECTED allows: a refresh would be refused."


def _list(heading: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield ""
        yield heading
    for sentence_text in sentences:
        yield from _wrapped(sentence_text, "  - ", "    ")


def _wrapped(sentence_text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        sentence_text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
