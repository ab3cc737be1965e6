"""Call records as services deliver them, with nothing set: each column is right, or a check says what to set."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from pymongo.collection import Collection

from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.refresh import Document, checks, failure, refresh
from callviz_dagster_tests.helpers.services import KNOWN, OTHER, Service, outcome, outcome_with_lines_pasted

BOTH = pytest.mark.parametrize("mongoose", [False, True], ids=["plain", "mongoose"])
EVERY = [pytest.param(service, id=service.name) for service in (*KNOWN.values(), *OTHER.values())]


@BOTH
@pytest.mark.parametrize("service", EVERY)
def test_every_column_is_right_or_reported(service: Service, mongoose: bool) -> None:
    result = outcome(service, mongoose=mongoose)
    assert not result.silent, result.messages


@BOTH
def test_most_services_are_all_right_without_a_setting(mongoose: bool) -> None:
    results = {service.name: outcome(service, mongoose=mongoose) for service in KNOWN.values()}
    right = {name for name, result in results.items() if result.is_right}
    assert len(right) >= 20, sorted(KNOWN.keys() - right)
    warned = {
        name
        for name, result in results.items()
        if any(KNOWN[name].expected["roles"][column] for column in result.reported - result.wrong)
    }
    assert len(warned) <= 4, sorted(warned)


@BOTH
@pytest.mark.parametrize("service", KNOWN.values(), ids=KNOWN)
def test_the_printed_lines_settle_what_is_wrong(service: Service, mongoose: bool) -> None:
    assert outcome_with_lines_pasted(service, mongoose=mongoose).is_right


def test_of_further_services_most_are_right_too() -> None:
    results = {service.name: outcome(service) for service in OTHER.values()}
    wrong = sorted(name for name, result in results.items() if not result.is_right)
    assert len(wrong) <= len(OTHER) // 5, wrong


def test_a_wrong_column_that_nothing_speaks_of_is_noticed() -> None:
    """The comparison itself finds a role that is lost: the same records, with the status left out by a setting."""
    service = KNOWN["ringcentral"]
    result = outcome(service, settings=Settings(field_status="none"))
    assert result.wrong == result.silent == {"status"}


@pytest.mark.long
@BOTH
@pytest.mark.parametrize("service", KNOWN.values(), ids=KNOWN)
def test_through_the_assets_every_column_is_right_or_a_check_speaks_of_it(
    service: Service, mongoose: bool, settings: Settings, collection: Collection[Document]
) -> None:
    _refreshed(service, mongoose, settings, collection)


@pytest.mark.parametrize("name", ["aircall_webhook", "justcall_v2", "salesforce_task", "sendbird_calls"])
def test_through_the_assets_some_services_are_as_without_a_server(
    name: str, settings: Settings, collection: Collection[Document]
) -> None:
    """An envelope, a date and a time of day, a doubt, and milliseconds under a plain name."""
    _refreshed(KNOWN[name], True, settings, collection)


def _refreshed(service: Service, mongoose: bool, settings: Settings, collection: Collection[Document]) -> None:
    collection.insert_many(service.documents(mongoose=mongoose))
    result = refresh(settings, "raw_calls", "calls", "rejected_calls")
    without_server = outcome(service, mongoose=mongoose)
    assert result.success is not without_server.refused
    if without_server.refused:
        assert all(message in failure(result) for message in without_server.messages)
        return
    rows = pq.read_table(settings.data_dir / "calls" / "all.parquet").to_pylist()
    assert service.wrong_columns({row["_id"]: row for row in rows}) == without_server.wrong
    reported = checks(result)["roles_recognized"]
    assert reported.passed is not bool(without_server.messages)
    assert all(message in (reported.description or "") for message in without_server.messages)
