"""Which field plays which role, and which columns there are; expected plans are written out by hand."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Any

import bson
import pytest
from bson import Decimal128

from callviz_dagster.assets.common import table_options
from callviz_dagster.contract import ROLES, Kind
from callviz_dagster.documents import profile as profiles
from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.values import dotted
from callviz_dagster.documents.walker import Walker
from callviz_dagster.settings import Settings
from callviz_dagster.table.options import PlanError
from callviz_dagster.table.plan import FieldColumn, Plan, make_plan
from callviz_dagster_tests.helpers.raw_bson import raw_document, text, value

NOW = dt.datetime(2024, 3, 1, 10)
SETTINGS = Settings()


def profile_of(*batches: Sequence[Any]) -> Profile:
    profile, walker = Profile(), Walker()
    for batch in batches:
        profile.add(walker.walk(b"".join(d if isinstance(d, bytes) else bson.encode(d) for d in batch)))
    return profile


def plan_of(documents: Sequence[Any], settings: Settings = SETTINGS, **options: Any) -> Plan:
    return make_plan(profile_of(documents), table_options(settings), **options)


def roles(plan: Plan) -> dict[str, list[str]]:
    return {role: [dotted(path) for path in paths] for role, paths in plan.roles.items() if paths}


def columns(plan: Plan) -> dict[str, Kind | None]:
    return {column.name: column.kind for column in plan.fields}


# Roles


@pytest.mark.parametrize(
    ("service", "document", "expected"),
    [
        (
            "the collection first described",
            {"call_type": "x", "status": "y", "start_time": NOW, "end_time": NOW, "duration_sec": 1},
            ["call_type", "status", "start_time", "end_time", "duration_sec"],
        ),
        (
            "an application in camel case",
            {"type": "x", "status": "y", "startedAt": NOW, "endedAt": NOW, "duration": 1, "createdAt": NOW},
            ["type", "status", "startedAt", "endedAt", "duration"],
        ),
        (
            "Twilio",
            {"direction": "x", "status": "y", "start_time": "t", "end_time": "t", "duration": "1"},
            ["direction", "status", "start_time", "end_time", "duration"],
        ),
        (
            "Asterisk",
            {"calldate": NOW, "disposition": "y", "billsec": 5, "duration": 7},
            [None, "disposition", "calldate", None, "duration"],
        ),
        (
            "FreeSWITCH",
            {"variables": {"start_stamp": "t", "end_stamp": "t", "billsec": "1", "hangup_cause": "y"}},
            [None, "variables.hangup_cause", "variables.start_stamp", "variables.end_stamp", "variables.billsec"],
        ),
        (
            "Genesys Cloud",
            {"conversationStart": "t", "conversationEnd": "t", "originatingDirection": "x"},
            ["originatingDirection", None, "conversationStart", "conversationEnd", None],
        ),
        ("Aircall", {"data": {"started_at": 1, "ended_at": 2, "direction": "x", "status": "y", "duration": 1}}, [
            *("data.direction", "data.status", "data.started_at", "data.ended_at", "data.duration"),
        ]),
        (
            "Amazon Connect",
            {"InitiationTimestamp": "t", "DisconnectTimestamp": "t", "InitiationMethod": "x", "DisconnectReason": "y"},
            ["InitiationMethod", "DisconnectReason", "InitiationTimestamp", "DisconnectTimestamp", None],
        ),
        (
            "Retell",
            {"call_type": "x", "call_status": "y", "start_timestamp": 1, "end_timestamp": 2, "duration_ms": 3},
            ["call_type", "call_status", "start_timestamp", "end_timestamp", "duration_ms"],
        ),
        ("Android", {"date": 1, "duration": 2, "type": 1}, ["type", None, "date", None, "duration"]),
        ("a CDR", {"callStartTime": NOW, "callEndTime": NOW, "callDuration": 0.783, "@timestamp": NOW}, [
            *(None, None, "callStartTime", "callEndTime", "callDuration"),
        ]),
    ],
)  # fmt: skip
def test_roles_are_recognized_by_the_names_of_services(
    service: str, document: dict[str, Any], expected: list[str | None]
) -> None:
    plan = plan_of([document])
    assert [roles(plan).get(role, [None])[0] for role in ROLES] == expected


def test_several_names_of_a_role_are_tried_in_the_documented_order() -> None:
    document = {"createdAt": NOW, "date": NOW, "startTime": NOW, "Start-Time": NOW, "start_time": NOW, "timestamp": NOW}
    plan = plan_of([document])
    assert roles(plan)["start_time"] == ["start_time", "startTime", "Start-Time", "timestamp", "date", "createdAt"]


def test_a_field_of_a_role_that_another_field_plays_stays_a_column() -> None:
    plan = plan_of([{"start_time": NOW, "createdAt": NOW, "direction": "in", "type": "video"}])
    assert columns(plan) == {"createdAt": Kind.DATETIME, "direction": Kind.TEXT}


def test_a_stronger_name_comes_before_the_top_level_and_names_of_record_keeping_last() -> None:
    plan = plan_of([{"createdAt": NOW, "date": NOW, "call": {"startTime": NOW, "createdAt": NOW, "date": NOW}}])
    assert roles(plan)["start_time"] == ["call.startTime", "call.date", "date", "createdAt", "call.createdAt"]


def test_one_odd_document_does_not_take_a_role_from_the_nested_field_of_all_others() -> None:
    usual = [{"call": {"startTime": NOW, "type": "in"}} for _ in range(20)]
    plan = plan_of([*usual, {"date": "not a call", "event": {"startTime": NOW}}])
    assert roles(plan)["start_time"] == ["call.startTime", "event.startTime", "date"]
    assert dotted(plan.usual["start_time"]) == "call.startTime"


def test_nested_fields_that_could_both_be_meant_are_an_error_that_names_them_and_the_setting() -> None:
    documents = [{"call": {"startTime": NOW}}, {"event": {"start_time": NOW}}]
    with pytest.raises(
        PlanError, match=r"could be the start time: call\.startTime, event\.start_time.*FIELD_START_TIME"
    ):
        plan_of(documents)
    plan = plan_of(documents, Settings(field_start_time="event.start_time"))
    assert roles(plan)["start_time"] == ["event.start_time"]
    # Where the top level mostly has the role, the doubt does not matter.
    assert roles(plan_of([*documents, *2 * [{"startedAt": NOW}]]))["start_time"][0] == "startedAt"


def test_a_name_of_a_role_whose_values_are_mostly_documents_or_lists_comes_last() -> None:
    documents = [{"start": {"place": "x"}, "status": ["a"], "createdAt": NOW, "state": "busy"}] * 3
    for odd in ({}, {"start": "now", "status": "done"}):
        plan = plan_of([*documents, {"createdAt": NOW, **odd}])
        assert roles(plan) == {"start_time": ["createdAt", "start"], "status": ["state", "status"]}
    mostly = plan_of([*documents, *4 * [{"start": NOW}]])
    assert roles(mostly)["start_time"] == ["start", "createdAt"]
    inside = plan_of([{"start": {"at": NOW, "place": "x"}, "createdAt": NOW}])
    assert roles(inside)["start_time"] == ["start.at", "createdAt", "start"]


def test_the_usual_field_is_the_one_that_plays_the_role_in_most_documents() -> None:
    some = [{"startedAt": NOW, "createdAt": NOW}] * 6 + [{"createdAt": NOW}] * 4
    assert dotted(plan_of(some).usual["start_time"]) == "startedAt"
    few = [{"startedAt": NOW, "createdAt": NOW}] * 4 + [{"createdAt": NOW}] * 6
    assert dotted(plan_of(few).usual["start_time"]) == "createdAt"
    empty = [{"startedAt": None, "createdAt": NOW}] * 6
    assert dotted(plan_of(empty).usual["start_time"]) == "createdAt"


def test_no_start_time_names_the_candidates_with_their_counts_and_the_setting() -> None:
    with pytest.raises(PlanError, match=r"The documents' fields are: _id, x\."):
        plan_of([{"_id": 1, "x": 1}])


def test_an_empty_collection_has_a_plan() -> None:
    assert roles(make_plan(Profile(), table_options(SETTINGS))) == {}
    assert roles(make_plan(Profile(), table_options(Settings(field_start_time="a.b")))) == {"start_time": ["a.b"]}


@pytest.mark.parametrize("role", ROLES)
def test_a_setting_takes_the_place_of_recognition(role: str) -> None:
    settings = Settings.load({f"CALLVIZ_FIELD_{role.upper()}": "info.chosen"})
    plan = plan_of(
        [{"start_time": NOW, "end_time": NOW, "type": 1, "status": 1, "duration": 1, "info": {"chosen": 1}}], settings
    )
    assert roles(plan)[role] == ["info.chosen"]
    with pytest.raises(PlanError, match=f"CALLVIZ_FIELD_{role.upper()} names info.chosen, which no document has"):
        plan_of([{"start_time": NOW}], settings)


def test_a_setting_names_nested_fields_and_names_with_dots_alike() -> None:
    settings = Settings(field_start_time="call.start")
    both = [{"call": {"start": NOW}}, raw_document([("call.start", value(NOW))])]
    assert plan_of(both, settings).roles["start_time"] == ((b"call.start",), (b"call", b"start"))
    assert plan_of(both[:1], settings).roles["start_time"] == ((b"call", b"start"),)
    assert plan_of(both[1:], settings).roles["start_time"] == ((b"call.start",),)


def test_the_second_of_two_fields_with_one_name_plays_no_role() -> None:
    plan = plan_of([raw_document([("start_time", value(NOW)), ("start_time", value(1))])])
    assert roles(plan) == {"start_time": ["start_time"]}
    assert columns(plan) == {"start_time_2": Kind.INTEGER}


@pytest.mark.parametrize(
    ("name", "unit"),
    [("duration", "s"), ("duration_ms", "ms"), ("durationMs", "ms"), ("durationMillis", "ms"), ("duration_msec", "ms")],
)
def test_the_unit_of_durations_is_told_by_the_name_unless_a_setting_tells_it(name: str, unit: str) -> None:
    path = (name.encode(),)
    document = {"start_time": NOW, name: 1}
    assert plan_of([document]).duration_unit(path) == unit
    assert plan_of([document], Settings(field_duration_unit="min")).duration_unit(path) == "min"


# Kinds


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], Kind.INTEGER),
        ([1, bson.Int64(2**63 - 1)], Kind.INTEGER),
        ([1, 2.5], Kind.NUMBER),
        ([bson.Int64(2**53), 2.5], Kind.NUMBER),
        ([bson.Int64(2**53 + 1), 2.5], Kind.TEXT),
        ([bson.Int64(-(2**53) - 1), 2.5], Kind.TEXT),
        ([True, False], Kind.BOOLEAN),
        ([True, 1], Kind.TEXT),
        ([NOW], Kind.DATETIME),
        ([NOW, bson.DatetimeMS(253_402_300_800_000)], Kind.DATETIME),
        ([bson.DatetimeMS(-62_135_596_800_001)], Kind.TEXT),
        ([bson.DatetimeMS(-62_135_510_400_000)], Kind.DATETIME),
        ([NOW, 1], Kind.TEXT),
        ([Decimal128("1")], Kind.TEXT),
        ([Decimal128("1"), 1], Kind.TEXT),
        (["a"], Kind.TEXT),
        (["a", 1], Kind.TEXT),
        ([None], None),
        ([None, 1], Kind.INTEGER),
        ([{"a": 1}, 5], Kind.INTEGER),
        ([{}], Kind.TEXT),
        ([[1]], Kind.TEXT),
        ([bson.Timestamp(1, 1)], Kind.TEXT),
    ],
)
def test_a_column_has_the_narrowest_kind_that_holds_every_value_exactly(values: list[Any], kind: Kind | None) -> None:
    plan = plan_of([{"start_time": NOW, "x": observed} for observed in values])
    assert columns(plan)["x"] == kind


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        (Kind.INTEGER, [], Kind.INTEGER),
        (Kind.INTEGER, [1], Kind.INTEGER),
        (Kind.INTEGER, [2.5], Kind.NUMBER),
        (Kind.INTEGER, ["a"], Kind.TEXT),
        (Kind.NUMBER, [1], Kind.NUMBER),
        (Kind.NUMBER, [bson.Int64(2**53 + 1)], Kind.TEXT),
        (Kind.NUMBER, [True], Kind.TEXT),
        (Kind.BOOLEAN, [1], Kind.TEXT),
        (Kind.DATETIME, [NOW], Kind.DATETIME),
        (Kind.DATETIME, [1], Kind.TEXT),
        (Kind.DATETIME, [bson.DatetimeMS(2**60)], Kind.TEXT),
        (Kind.TEXT, [1], Kind.TEXT),
        (Kind.TEXT, [], Kind.TEXT),
        (None, [1], Kind.INTEGER),
        (None, [], None),
    ],
)
def test_a_published_kind_widens_and_never_narrows(before: Kind | None, values: list[Any], after: Kind | None) -> None:
    documents = [{"start_time": NOW}, *({"start_time": NOW, "x": observed} for observed in values)]
    plan = plan_of(documents, published=[FieldColumn("x", (b"x",), before)])
    assert columns(plan) == {"x": after}


# Names and places


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        (["queue", "Queue", "QUEUE"], ["queue", "Queue_2", "QUEUE_3"]),
        (["a_b", {"a": "b"}], ["a_b", "a_b_2"]),
        (["a.b", {"a": "b"}], ["a.b", "a_b"]),
        (["call_date", "Repairs", "other_fields"], ["call_date_2", "Repairs_2", "other_fields_2"]),
        (["", " ", "a b", "a/b", "+1", "1st"], ["unnamed", " ", "a b", "a/b", "+1", "1st"]),
        (["$price", "名前", "a\nb"], ["$price", "名前", "a\nb"]),
        (["=cmd", "'=cmd"], ["=cmd", "'=cmd_2"]),
        (["straße", "STRASSE"], ["straße", "STRASSE_2"]),
        (["x_2", b"x", b"x"], ["x_2", "x", "x_2_2"]),
        ([b"\xff"], ["\\xff"]),
    ],
)  # fmt: skip
def test_columns_are_named_after_their_fields_and_numbered_where_names_clash(
    fields: list[Any], names: list[str]
) -> None:
    elements: list[tuple[str | bytes, Any]] = [("start_time", value(NOW))]
    for name in fields:
        if isinstance(name, dict):
            ((outer, inner),) = name.items()
            elements.append((outer, value({inner: "v"})))
        else:
            elements.append((name, text("v")))
    assert list(columns(plan_of([raw_document(elements)]))) == names


def test_new_columns_come_in_the_order_of_their_first_appearance_behind_those_published() -> None:
    published = [FieldColumn("gone", (b"gone",), Kind.TEXT), FieldColumn("b", (b"b",), Kind.TEXT)]
    plan = plan_of([{"start_time": NOW, "z": 1, "b": 1}, {"a": 1, "z": 1}], published=published)
    assert list(columns(plan)) == ["gone", "b", "z", "a"]
    assert [column.name for column in plan.columns][-5:] == ["gone", "b", "z", "a", "repairs"]


def test_the_rarest_fields_beyond_the_limit_are_grouped() -> None:
    documents = [{"start_time": NOW, f"once{n}": 1, "often": 1, "always": 1} for n in range(5)]
    plan = plan_of(documents, Settings(max_columns=3))
    assert list(columns(plan)) == ["once0", "often", "always"]
    assert plan.grouped == ("once1", "once2", "once3", "once4")
    assert [column.name for column in plan.columns][-2:] == ["other_fields", "repairs"]


def test_published_columns_stay_whatever_the_limit_and_new_ones_find_no_room() -> None:
    published = [FieldColumn(name, (name.encode(),), Kind.TEXT) for name in "abc"]
    plan = plan_of([{"start_time": NOW, "new": 1}], Settings(max_columns=2), published=published)
    assert (list(columns(plan)), plan.grouped) == (["a", "b", "c"], ("new",))


def test_other_fields_stays_once_it_was_published() -> None:
    assert not plan_of([{"start_time": NOW}]).other_fields
    assert plan_of([{"start_time": NOW}], grouped_before=True).other_fields


# Secrets


KEY = "k" * 32


def test_dropped_fields_have_no_column_and_play_no_role() -> None:
    documents = [{"start_time": NOW, "createdAt": NOW, "customer": {"phone": "1", "name": "A"}, "status": "s"}]
    plan = plan_of(documents, Settings(drop_fields=("customer.phone", "status", "createdAt")))
    assert columns(plan) == {"customer_name": Kind.TEXT}
    assert roles(plan) == {"start_time": ["start_time"]}
    published = [FieldColumn("customer_phone", (b"customer", b"phone"), Kind.TEXT)]
    assert list(columns(plan_of(documents, Settings(drop_fields=("customer",)), published=published))) == ["createdAt"]


def test_pseudonymized_fields_are_text() -> None:
    settings = Settings(pseudonymize=("caller", "customer"), pseudonym_key=KEY)
    plan = plan_of([{"start_time": NOW, "caller": 5, "customer": {"vip": True}}], settings)
    assert columns(plan) == {"caller": Kind.TEXT, "customer_vip": Kind.TEXT}


@pytest.mark.parametrize(
    ("document", "hidden", "role"),
    [
        ({"start_time": NOW, "status": "s"}, "status", "status"),
        ({"start_time": NOW}, "start_time", "start time"),
        ({"call": {"startTime": NOW}}, "call", "start time"),
        ({"start_time": NOW, "call": {"duration": 1}}, "call.duration", "duration"),
    ],
)
def test_a_field_that_plays_a_role_cannot_be_pseudonymized(document: dict[str, Any], hidden: str, role: str) -> None:
    settings = Settings(pseudonymize=(hidden,), pseudonym_key=KEY)
    with pytest.raises(PlanError, match=f"CALLVIZ_PSEUDONYMIZE names .*, which is the {role} of the calls"):
        plan_of([document], settings)


def test_a_pseudonymized_field_that_would_only_come_second_plays_no_role() -> None:
    settings = Settings(pseudonymize=("direction", "details"), pseudonym_key=KEY)
    plan = plan_of([{"start_time": NOW, "type": "in", "direction": "x", "details": {"type": "y"}}], settings)
    assert roles(plan)["call_type"] == ["type"]


@pytest.mark.parametrize(
    ("named", "unseen"),
    [
        ("caller", False),
        ("customer", False),
        ("customer.phone", False),
        ("parties.phone", False),
        ("caler", True),
        ("customer.fone", True),
        ("caller.phone", True),
    ],
)
def test_a_name_in_the_settings_that_no_document_has_is_told(named: str, unseen: bool) -> None:
    document = {"start_time": NOW, "caller": "1", "customer": {"phone": "1"}, "parties": [{"phone": "1"}]}
    plan = plan_of([document], Settings(drop_fields=(named,)))
    assert plan.unseen == ((named,) if unseen else ())


# Profiles


def test_a_profile_is_the_same_whatever_the_batches_and_through_json() -> None:
    documents: list[Any] = [
        {
            "_id": n,
            "start_time": NOW,
            "x": n if n % 2 else n / 2,
            "y": {"z": bson.Int64(2**60)},
            **({"late": 1} if n > 7 else {}),
        }
        for n in range(10)
    ]
    documents.append(raw_document([(b"\xff", value(None)), ("x", value(1)), ("x", value({}))]))
    whole = profile_of(documents)
    assert profile_of(documents[:3], documents[3:4], documents[4:]) == whole
    assert Profile.from_json(json.loads(json.dumps(whole.to_json()))) == whole
    merged = profile_of(documents[:4])
    merged.merge(profile_of(documents[4:]))
    assert merged == whole


def _map(keys: Iterable[int], value_of_each: Any = 1) -> dict[str, Any]:
    return {"start_time": NOW, "seen": {f"user{key}": value_of_each for key in keys}, "note": "n"}


@pytest.fixture
def few_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "MOST_FIELDS", 50)


@pytest.mark.usefixtures("few_fields")
def test_fields_of_a_map_are_forgotten_before_any_other() -> None:
    rare = {"start_time": NOW, "rare": 1, "inner": {"rare": 1}}
    observed = profile_of([rare], *([_map(range(n * 20, n * 20 + 30))] for n in range(20)))
    assert len(observed.fields) <= 50
    assert {(b"rare",), (b"inner", b"rare"), (b"start_time",), (b"note",)} <= set(observed.fields)
    assert list(observed.forgotten) == [(b"seen",)]
    plan = make_plan(observed, table_options(Settings(max_columns=5)))
    assert (plan.other_fields, plan.grouped[0]) == (True, "seen.*")
    assert Profile.from_json(json.loads(json.dumps(observed.to_json()))) == observed


@pytest.mark.usefixtures("few_fields")
def test_what_is_below_a_forgotten_field_is_forgotten_with_it() -> None:
    observed = profile_of(*([_map(range(n * 20, n * 20 + 20), {"calls": 1, "name": "x"})] for n in range(5)))
    flattened = {path[1] for path in observed.fields if len(path) == 2}
    assert {path[1] for path in observed.fields if len(path) == 3} == flattened


@pytest.mark.usefixtures("few_fields")
def test_a_field_that_may_have_been_forgotten_is_text_for_it_may_have_had_other_types() -> None:
    observed = profile_of([*2 * [_map(range(2, 90))], _map([1], "text")], *3 * [[_map([1])]])
    assert observed.fields[b"seen", b"user1"].partial
    assert columns(make_plan(observed, table_options(Settings(max_columns=10))))["seen_user1"] is Kind.TEXT
    later = profile_of([_map([500])])
    assert not later.fields[b"seen", b"user500"].partial
    observed.merge(later)
    assert observed.fields[b"seen", b"user500"].partial
    first = profile_of(5 * [{**_map([700]), "other": 1}])
    first.merge(observed)
    assert first.fields[b"seen", b"user700"].partial
    assert not first.fields[(b"other",)].partial
