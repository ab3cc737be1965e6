"""Choices made from documents without a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bson

from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.recognition.candidates import Fields
from callviz_dagster.documents.recognition.choice import Wishes, choose
from callviz_dagster.documents.recognition.decision import Choice
from callviz_dagster.documents.recognition.evidence import Evidence, Gatherer
from callviz_dagster.documents.recognition.facts import Facts
from callviz_dagster.documents.recognition.report import shown
from callviz_dagster.documents.values import Secrets
from callviz_dagster.documents.walker import Walker


def gathered(*batches: Sequence[Any], secrets: Secrets | None = None) -> Evidence:
    """Return the sample of documents that come in batches."""
    gatherer, walker = Gatherer(secrets), Walker()
    for batch in batches:
        gatherer.add(walker.walk(b"".join(bson.encode(document) for document in batch)))
    return gatherer.evidence()


def fields_of(documents: Sequence[Any]) -> Fields:
    """Return the fields of documents with what is known of them."""
    profile = Profile()
    profile.add(Walker().walk(b"".join(bson.encode(document) for document in documents)))
    return Fields(dict(profile.ordered()), profile.documents, Facts(gathered(documents)))


def chosen(documents: Sequence[Any], wishes: Wishes | None = None) -> dict[str, str]:
    """Return the field that is chosen for each role, in words."""
    return first_fields(choose(fields_of(documents), wishes))


def first_fields(choice: Choice) -> dict[str, str]:
    """Return what each role is tried with first."""
    return {role: shown(some[0]) for role, some in choice.roles.items() if some}
