"""Settings: what is read, what is refused, and that secrets stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from callviz_dagster.settings import MissingSettingError, Settings, SettingsError


def test_defaults_need_nothing() -> None:
    settings = Settings.load({})
    assert (settings.database, settings.mongo_collection, settings.timezone) == ("callviz", "calls", "UTC")
    assert settings.max_rejected == 0.05


def test_environment_is_above_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("CALLVIZ_TIMEZONE=Europe/Paris\nCALLVIZ_MONGO_COLLECTION=calls_2024\n", encoding="utf-8")
    monkeypatch.setenv("CALLVIZ_TIMEZONE", "Asia/Kolkata")
    settings = Settings.load()
    assert (settings.timezone, settings.mongo_collection) == ("Asia/Kolkata", "calls_2024")
    monkeypatch.setenv("CALLVIZ_TIMEZONE", "Berlin")
    with pytest.raises(SettingsError, match=r"The environment wins over \.env; restart a running `dagster dev` after"):
        Settings.load()


@pytest.mark.parametrize(
    ("uri", "database"),
    [
        ("mongodb://h/calls_db", "calls_db"),
        ("mongodb://u:p@h1:1,h2:2/calls%5Fdb?replicaSet=r", "calls_db"),
        ("mongodb://h", "callviz"),
        ("mongodb://h/?replicaSet=r", "callviz"),
    ],
)
def test_database_is_that_of_the_connection_string(uri: str, database: str) -> None:
    assert Settings.load({"CALLVIZ_MONGO_URI": uri}).database == database


def test_database_setting_is_above_the_connection_string() -> None:
    settings = Settings.load({"CALLVIZ_MONGO_URI": "mongodb://h/one", "CALLVIZ_MONGO_DATABASE": "two"})
    assert settings.database == "two"


def test_misspelt_name_is_told_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"CALLVIZ_TIMEZON is not a setting.*mean CALLVIZ_TIMEZONE\?"):
        Settings.load({"CALLVIZ_TIMEZON": "UTC"})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CALLVIZ_TIMEZONE", "Europe/Berlinn", "'Europe/Berlinn' is not allowed; it takes an IANA time zone"),
        ("CALLVIZ_TIMEZONE", "../etc/passwd", "an IANA time zone"),
        ("CALLVIZ_MAX_REJECTED", "5%", "a share from 0"),
        ("CALLVIZ_MAX_REJECTED", "1.5", "a share from 0"),
        ("CALLVIZ_MAX_COLUMNS", "0", "a whole number from 1"),
        ("CALLVIZ_DATE_ORDER", "ymd", "one of dmy, mdy"),
        ("CALLVIZ_KEEP_RAW", "maybe", "true or false"),
        ("CALLVIZ_TIMEZONE", "localtime", "an IANA time zone"),
        ("CALLVIZ_SOURCE_TIMEZONE", "posix/Europe/Berlin", "an IANA time zone"),
        ("CALLVIZ_FRESH_WITHIN", "9999999999d", "at most 3650d"),
        ("CALLVIZ_FRESH_WITHIN", "0h", "a number of minutes"),
        ("CALLVIZ_PARTITIONS_START", "0001-01-01", "a date from 1970-01-01 until today"),
        ("CALLVIZ_PARTITIONS_START", "2999-01-01", "a date from 1970-01-01 until today"),
        ("CALLVIZ_MONGO_DATABASE", "shop.calls", "the name of a database"),
        ("CALLVIZ_MONGO_DATABASE", "my shop", "the name of a database"),
        ("CALLVIZ_MONGO_COLLECTION", "calls..2024", "the name of a collection"),
        ("CALLVIZ_MONGO_COLLECTION", ".calls", "the name of a collection"),
        ("CALLVIZ_FIELD_DURATION_UNIT", "weeks", "one of s, ms"),
        ("CALLVIZ_DASHBOARD_FIELDS", "a,b,c,d", "at most three names of columns"),
        ("CALLVIZ_TARGET_MISSED", "5", "a share from 0"),
        ("CALLVIZ_SCRATCH_DIR", "s3://bucket/scratch", "a path on this machine"),
        ("CALLVIZ_SCRATCH_DIR", "gs://bucket/scratch", "a path on this machine"),
        ("CALLVIZ_SCRATCH_DIR", "az://container/scratch", "a path on this machine"),
        ("CALLVIZ_WORKBOOK", "s3://bucket/calls.twb", "a path on this machine"),
        ("CALLVIZ_CSV_MONTHS", "\N{ARABIC-INDIC DIGIT THREE}", "a whole number from 1"),
        ("CALLVIZ_MAX_DROP", "\N{ARABIC-INDIC DIGIT ONE}", "a share from 0"),
        ("CALLVIZ_FRESH_WITHIN", "\N{ARABIC-INDIC DIGIT THREE}h", "a number of minutes"),
        ("CALLVIZ_NIGHTLY", "0\N{ARABIC-INDIC DIGIT THREE}:00", "a time of day"),
    ],
)
def test_bad_value_is_told_with_what_is_allowed(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        Settings.load({name: value})
    assert message in str(caught.value)


def test_bad_connection_string_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match="CALLVIZ_MONGO_URI") as caught:
        Settings.load({"CALLVIZ_MONGO_URI": "postgres://bob:hunter22@h"})
    assert "hunter22" not in str(caught.value)


def test_missing_connection_string_says_how_to_set_it() -> None:
    with pytest.raises(MissingSettingError, match=r"CALLVIZ_MONGO_URI is not set.*callviz demo"):
        Settings.load({}).require_mongo_uri()


def test_repr_shows_no_secret() -> None:
    settings = Settings.load({"CALLVIZ_MONGO_URI": "mongodb://u:hunter22@h", "CALLVIZ_PSEUDONYM_KEY": "k" * 40})
    assert "hunter22" not in repr(settings)
    assert "kkkk" not in repr(settings)


def test_pseudonyms_need_a_long_key() -> None:
    with pytest.raises(MissingSettingError, match="CALLVIZ_PSEUDONYM_KEY"):
        Settings.load({"CALLVIZ_PSEUDONYMIZE": "caller", "CALLVIZ_PSEUDONYM_KEY": "short"})


def test_fields_that_the_table_is_built_from_cannot_be_dropped() -> None:
    with pytest.raises(SettingsError, match="CALLVIZ_DROP_FIELDS names began"):
        Settings.load({"CALLVIZ_FIELD_START_TIME": "began", "CALLVIZ_DROP_FIELDS": "x,began"})


def test_numbers_tags_and_names_are_taken_as_they_are_given() -> None:
    given = {"MAX_COLUMNS": "5", "TAGS": "domain=support,tier=", "TABLEAU_SITE": "marketing"}
    settings = Settings.load({f"CALLVIZ_{name}": value for name, value in given.items()})
    assert settings.max_columns == 5
    assert settings.tags == ("domain=support", "tier=")
    assert settings.tableau_site == "marketing"


def test_an_address_that_cannot_be_taken_apart_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match="CALLVIZ_ALERT_SMTP") as caught:
        Settings.load({"CALLVIZ_ALERT_SMTP": "smtps://user:hunter2@[mail:465", "CALLVIZ_ALERT_TO": "a@example.com"})
    assert "hunter2" not in str(caught.value)
