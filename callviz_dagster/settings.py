"""Every CALLVIZ_* setting: name, meaning, default, validation. The only reader of the environment.

Nothing is read at import: `Settings.load()` reads the environment and a `.env` file when it is called.
What belongs elsewhere: what a setting does.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callviz_dagster.contract import ROLES
from callviz_dagster.documents.outcomes import COMPLETED_LABELS, MISSED_LABELS
from callviz_dagster.setting_values import declaration, demands, simple
from callviz_dagster.setting_values.bucket_uri import folder, local_path, placed, shared_folder
from callviz_dagster.setting_values.connection_string import ConnectionStringError, parse_connection_string
from callviz_dagster.setting_values.declaration import role_setting, setting
from callviz_dagster.setting_values.engine_address import LOCAL, engine_address
from callviz_dagster.setting_values.smtp import MailServer, addresses, mail_server
from callviz_dagster.setting_values.tableau_address import luids, object_name, server_address, site_content_url

PREFIX = declaration.PREFIX
PRECEDENCE = "The environment wins over .env; restart a running `dagster dev` after a change of either."
TEST_PREFIX = "CALLVIZ_TEST_"
"""Names for the test suite alone; they are no settings and are passed over."""


class SettingsError(ValueError):
    """A setting has an unknown name or a value that is not allowed. The message says which, and what is."""


class MissingSettingError(SettingsError):
    """A setting without which the work cannot start is not set. The message says how to set it."""


def _with_env_file(path: Path) -> dict[str, str]:
    """Return the process's environment, above the variables of a `.env` file."""
    from dotenv import dotenv_values

    stored = {name: value for name, value in dotenv_values(path).items() if value is not None}
    return {**stored, **os.environ}


def _parsed(declared: dataclasses.Field[Any], value: str) -> Any:
    try:
        return declared.metadata["parse"](value)
    except ValueError as error:
        # An address may have a password before its @.
        shown = "its value" if declared.metadata["secret"] or "@" in value else repr(value)
        raise SettingsError(f"{declared.metadata['name']}: {shown} is not allowed; it takes {error}.") from None


@dataclass(frozen=True)
class Settings:
    """All settings, validated. `repr` leaves the secrets out.

    Raises:
        SettingsError: from `load`, for an unknown `CALLVIZ_*` name or a value that is not allowed.
    """

    mongo_uri: str | None = setting(
        "MONGO_URI",
        "connection string of the MongoDB deployment; a secret, redacted everywhere",
        default=None,
        shown_default="none: set it, or run the demo",
        secret=True,
    )
    mongo_database: str | None = setting(
        "MONGO_DATABASE",
        "database that holds the calls",
        default=None,
        parse=simple.database_name,
        shown_default="the connection string's database, else `callviz`",
    )
    mongo_collection: str = setting(
        "MONGO_COLLECTION", "collection that holds the calls", default="calls", parse=simple.collection_name
    )
    timezone: str = setting(
        "TIMEZONE",
        "IANA time zone of dates, weekdays, hours and of the times in `calls.csv`",
        default="UTC",
        parse=simple.time_zone,
    )
    source_timezone: str = setting(
        "SOURCE_TIMEZONE",
        "IANA time zone of times that are stored without one: text without an offset, and dates too where "
        "`CALLVIZ_SOURCE_DATES` is `local`",
        default="UTC",
        parse=simple.time_zone,
    )
    source_dates: str = setting(
        "SOURCE_DATES",
        "what the collection's BSON dates are: `utc`, instants as MongoDB defines them, or `local`, a local clock "
        "that was stored as if it were UTC",
        default="utc",
        parse=simple.one_of("utc", "local"),
    )
    date_order: str | None = setting(
        "DATE_ORDER",
        "how to read text dates such as 03/04/2024: `dmy` or `mdy`; without it they are rejected where both "
        "readings are possible",
        default=None,
        parse=simple.one_of("dmy", "mdy"),
        shown_default="none: never guessed",
    )
    field_call_type: str | None = role_setting("call_type", "the type")
    field_status: str | None = role_setting("status", "the status")
    field_start_time: str | None = role_setting("start_time", "the start time")
    field_end_time: str | None = role_setting("end_time", "the end time")
    field_duration: str | None = role_setting("duration", "the duration")
    field_duration_unit: str | None = setting(
        "FIELD_DURATION_UNIT",
        "unit of stored durations: `s`, `ms`, `us`, `ns`, `min` or `h`",
        default=None,
        parse=simple.one_of("s", "ms", "us", "ns", "min", "h"),
        shown_default="by the field's name, else by the data, else `s`",
    )
    max_rejected: float = setting(
        "MAX_REJECTED",
        "share of documents that may be rejected before a refresh fails and the last good output stays",
        default=0.05,
        parse=simple.share,
    )
    max_drop: float = setting(
        "MAX_DROP",
        "share of the collection's documents that may be missing since the last published refresh before a refresh is "
        "refused and the last good output stays; a drop to zero is always refused. The run tag `callviz/accept_drop` "
        "accepts a refused number of documents once",
        default=0.5,
        parse=simple.share,
    )
    max_columns: int = setting(
        "MAX_COLUMNS",
        "columns that the documents' other fields may take; beyond it the rarest go together into `other_fields`",
        default=200,
        parse=simple.count,
    )
    pseudonymize: tuple[str, ...] = setting(
        "PSEUDONYMIZE",
        "fields (dotted paths, comma-separated) whose values are replaced by keyed tokens",
        default=(),
        parse=simple.names,
        shown_default="none",
    )
    pseudonym_key: str | None = setting(
        "PSEUDONYM_KEY",
        "key of the tokens, at least 32 bytes; a secret, required where `CALLVIZ_PSEUDONYMIZE` is set",
        default=None,
        shown_default="none",
        secret=True,
    )
    drop_fields: tuple[str, ...] = setting(
        "DROP_FIELDS",
        "fields (dotted paths, comma-separated) that are left out of everything but the raw archive",
        default=(),
        parse=simple.names,
        shown_default="none",
    )
    keep_raw: bool = setting(
        "KEEP_RAW",
        "whether the raw archive stays after a refresh; `false` deletes it once `calls` is written",
        default=True,
        parse=simple.switch,
        shown_default="`true`",
    )
    csv_bom: bool = setting(
        "CSV_BOM",
        "whether `calls.csv` begins with a byte order mark, by which Excel knows UTF-8",
        default=False,
        parse=simple.switch,
        shown_default="`false`",
    )
    csv_months: int | None = setting(
        "CSV_MONTHS",
        "number of most recent calendar months, that of the newest call included, whose calls `calls.csv`, the "
        "workbook and the extract hold; the page and the Parquet files hold all calls",
        default=None,
        parse=simple.count,
        shown_default="none: all calls",
    )
    workbook: Path | None = setting(
        "WORKBOOK",
        "your own Tableau workbook (.twb) to pack instead of the one that comes with callviz",
        default=None,
        parse=local_path,
        shown_default="the workbook of callviz",
    )
    workbook_source: str = setting(
        "WORKBOOK_SOURCE",
        "what `callviz.twbx` carries: `csv`, or `hyper`, a Tableau extract (needs the extra `hyper`)",
        default="csv",
        parse=simple.one_of("csv", "hyper"),
    )
    tableau_lineage: bool = setting(
        "TABLEAU_LINEAGE",
        "whether the graph shows the workbook's data source, sheets and dashboard; `false` where dagster-tableau does",
        default=True,
        parse=simple.switch,
        shown_default="`true`",
    )
    tableau_server: str | None = setting(
        "TABLEAU_SERVER",
        "https address of the Tableau Server or Tableau Cloud to publish to; http only for this machine",
        default=None,
        parse=server_address,
        shown_default="none: nothing is published there",
    )
    tableau_site: str = setting(
        "TABLEAU_SITE",
        "the site: the part of its address after `/site/`",
        default="",
        parse=site_content_url,
        shown_default="the default site",
    )
    tableau_project: str | None = setting(
        "TABLEAU_PROJECT",
        "path of the project to publish in, for example `Operations/Calls`; it must exist",
        default=None,
        shown_default="required with `CALLVIZ_TABLEAU_SERVER`",
    )
    tableau_token_name: str | None = setting(
        "TABLEAU_TOKEN_NAME",
        "name of the personal access token",
        default=None,
        shown_default="required with `CALLVIZ_TABLEAU_SERVER`",
    )
    tableau_token_secret: str | None = setting(
        "TABLEAU_TOKEN_SECRET",
        "secret of the personal access token",
        default=None,
        shown_default="required with `CALLVIZ_TABLEAU_SERVER`",
        secret=True,
    )
    tableau_publish: str = setting(
        "TABLEAU_PUBLISH",
        "what is published: `workbook`, `datasource` (needs the extra `hyper`) or `both`",
        default="workbook",
        parse=simple.one_of("workbook", "datasource", "both"),
    )
    tableau_name: str = setting(
        "TABLEAU_NAME",
        "name of the published workbook; the published data source has `calls` after it, as in `callviz calls`",
        default="callviz",
        parse=object_name,
    )
    tableau_adopt: tuple[str, ...] = setting(
        "TABLEAU_ADOPT",
        "LUID (comma-separated: both) of a workbook or data source of that name that callviz did not make and may "
        "overwrite; needed once",
        default=(),
        parse=luids,
        shown_default="none",
    )
    tableau_timeout_seconds: int = setting(
        "TABLEAU_TIMEOUT_SECONDS",
        "number of seconds to wait for an answer of the Tableau server; for the job that publishes, ten times as long",
        default=300,
        parse=simple.count,
    )
    dashboard_labels: int = setting(
        "DASHBOARD_LABELS",
        "call types and statuses that `call_dashboard.html` shows each; the rarest beyond it are grouped as other",
        default=12,
        parse=simple.count,
    )
    dashboard_fields: tuple[str, ...] = setting(
        "DASHBOARD_FIELDS",
        "columns of `calls.csv` (comma-separated, at most three) by which the page has a table and a filter each",
        default=(),
        parse=simple.three_names,
        shown_default="none: names of agents are personal data",
    )
    completed_labels: tuple[str, ...] = setting(
        "COMPLETED_LABELS",
        "statuses that page and workbook count as completed",
        default=COMPLETED_LABELS,
        parse=simple.names,
        shown_default="`completed`, `answered` and others",
    )
    missed_labels: tuple[str, ...] = setting(
        "MISSED_LABELS",
        "statuses and call types that the page counts as missed",
        default=MISSED_LABELS,
        parse=simple.names,
        shown_default="`missed`, `no-answer` and others",
    )
    target_missed: float | None = setting(
        "TARGET_MISSED",
        "share of missed calls not to exceed",
        default=None,
        parse=simple.share,
        shown_default="none",
    )
    partitions: str = setting(
        "PARTITIONS",
        "how the intermediate files are cut by start time: `none`, `daily`, `weekly` (from Monday) or `monthly`; "
        "anything but `none` needs `CALLVIZ_PARTITIONS_START` and `CALLVIZ_FIELD_START_TIME`",
        default="none",
        parse=simple.one_of("none", "daily", "weekly", "monthly"),
    )
    partitions_start: dt.date | None = setting(
        "PARTITIONS_START",
        "first date that is covered; moved back to its Monday or to the first of its month",
        default=None,
        parse=simple.first_date,
        shown_default="none",
    )
    engine: str = setting(
        "ENGINE",
        "where partitions are worked on: `local`, or by the workers of a Dask cluster, `dask://127.0.0.1:8786` or "
        "`tls://host:port`",
        default=LOCAL,
        parse=engine_address,
    )
    watch: bool = setting(
        "WATCH",
        "whether the sensor `calls_changed` is on from the start; it can be switched in the UI either way",
        default=False,
        parse=simple.switch,
        shown_default="`false`",
    )
    min_refresh_seconds: int = setting(
        "MIN_REFRESH_SECONDS",
        "number of seconds after a refresh before the sensor may start the next one",
        default=60,
        parse=simple.count,
    )
    nightly: str | None = setting(
        "NIGHTLY",
        "time of day, in `CALLVIZ_TIMEZONE`, at which the schedule `nightly_refresh` refreshes everything; where it is "
        "not set the schedule is off and can be switched on in the UI for 03:00",
        default=None,
        parse=simple.clock,
        shown_default="none: off",
    )
    fresh_within: dt.timedelta | None = setting(
        "FRESH_WITHIN",
        "how old `calls.csv` may be before the UI shows it as not fresh, for example `90m`, `24h` or `2d`",
        default=None,
        parse=simple.span,
        shown_default="none: not watched",
    )
    owners: tuple[str, ...] = setting(
        "OWNERS",
        "owners of the assets in Dagster's catalog (comma-separated): e-mail addresses, or teams as `team:analytics`",
        default=(),
        parse=simple.owners,
        shown_default="none",
    )
    tags: tuple[str, ...] = setting(
        "TAGS",
        "tags of the assets in Dagster's catalog (comma-separated), for example `domain=support,tier=gold`",
        default=(),
        parse=simple.tags,
        shown_default="none",
    )
    alert_to: tuple[str, ...] = setting(
        "ALERT_TO",
        "e-mail addresses (comma-separated) that get a mail when a refresh fails or `CALLVIZ_FRESH_WITHIN` is missed",
        default=(),
        parse=addresses,
        shown_default="none",
    )
    alert_from: str | None = setting(
        "ALERT_FROM", "e-mail address of the sender", default=None, shown_default="the user of `CALLVIZ_ALERT_SMTP`"
    )
    alert_smtp: MailServer | None = setting(
        "ALERT_SMTP",
        "the mail server: `smtps://user:password@mail.example.com`, or `smtp://…` for STARTTLS; a secret",
        default=None,
        parse=mail_server,
        shown_default="required with `CALLVIZ_ALERT_TO`",
        secret=True,
    )
    ui_url: str | None = setting(
        "UI_URL",
        "address of the Dagster UI, for links in mails",
        default=None,
        shown_default="none: no links",
    )
    data_dir: Path = setting(
        "DATA_DIR",
        "folder of the intermediate files, also in object storage (needs the extra `cloud`): `s3://bucket/calls`, "
        "`gs://…`, `az://…`",
        default=Path(".callviz"),
        parse=folder,
    )
    publish_dir: Path = setting(
        "PUBLISH_DIR", "folder of the published files, also in object storage", default=Path("tableau"), parse=folder
    )
    scratch_dir: Path = setting(
        "SCRATCH_DIR",
        "local folder for the working copies of folders in object storage; it may be empty at the start of a refresh",
        default=Path(".callviz/scratch"),
        parse=local_path,
    )

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, *, env_file: Path | None = None) -> Settings:
        """Read the settings from `environ` (default: the process's), above a `.env` file in the current folder.

        A variable that is set to nothing counts as not set.
        """
        if environ is not None:
            return cls._of(environ)
        try:
            return cls._of(_with_env_file(env_file or Path(".env")))
        except SettingsError as error:
            raise type(error)(f"{error} {PRECEDENCE}") from None

    @classmethod
    def _of(cls, environ: Mapping[str, str]) -> Settings:
        given = {
            name: value.strip()
            for name, value in environ.items()
            if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and value.strip()
        }
        known = {f.metadata["name"]: f for f in dataclasses.fields(cls)}
        if unknown := sorted(given.keys() - known.keys()):
            near = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise SettingsError(
                f"{unknown[0]} is not a setting of callviz.{hint} The settings are: {', '.join(sorted(known))}."
            )
        return cls(**{known[name].name: _parsed(known[name], value) for name, value in given.items()})

    def __post_init__(self) -> None:
        """Check the connection string, and what one setting asks of another; place working copies."""
        if self.mongo_uri:
            try:
                parse_connection_string(self.mongo_uri)
            except ConnectionStringError as error:
                raise SettingsError(str(error)) from None
        for name in ("data_dir", "publish_dir"):
            object.__setattr__(self, name, placed(getattr(self, name), self.scratch_dir))
        if shared := shared_folder(self.data_dir, self.publish_dir):
            raise SettingsError(shared)
        self._check_pseudonym_key()
        self._check_partitions()
        self._check_hidden_fields()
        self._check_tableau_server()
        self._check_start_time()
        if self.alert_to and not self.alert_smtp:
            raise MissingSettingError(demands.ALERT_SMTP)

    def _check_pseudonym_key(self) -> None:
        if self.pseudonymize and len((self.pseudonym_key or "").encode()) < 32:
            raise MissingSettingError(demands.PSEUDONYM_KEY)

    def _check_partitions(self) -> None:
        if self.partitions == "none":
            return
        for name, value, example in (
            ("CALLVIZ_PARTITIONS_START", self.partitions_start, "2024-01-01, the first date that is covered"),
            ("CALLVIZ_FIELD_START_TIME", self.field_start_time, "start_time, the field that partitions are cut by"),
        ):
            if not value:
                raise MissingSettingError(f"CALLVIZ_PARTITIONS={self.partitions} needs {name}, for example {example}.")

    def _check_hidden_fields(self) -> None:
        roles = {path for role in ROLES if (path := self.role_field(role))}
        for name, paths in (
            ("CALLVIZ_PSEUDONYMIZE", self.pseudonymize),
            ("CALLVIZ_DROP_FIELDS", self.drop_fields),
        ):
            clash = sorted(roles.intersection(paths) | ({"_id"} & set(paths)))
            if clash:
                raise SettingsError(f"{name} names {clash[0]}, which the calls table is built from; leave it out.")

    def _check_tableau_server(self) -> None:
        required = {
            "CALLVIZ_TABLEAU_PROJECT": self.tableau_project,
            "CALLVIZ_TABLEAU_TOKEN_NAME": self.tableau_token_name,
            "CALLVIZ_TABLEAU_TOKEN_SECRET": self.tableau_token_secret,
        }
        if self.tableau_server and (missing := [name for name, value in required.items() if not value]):
            raise MissingSettingError(demands.tableau_server(missing))

    @property
    def tableau_content(self) -> frozenset[str]:
        """What is published to a Tableau server: `workbook`, `datasource`, both or nothing."""
        if not self.tableau_server:
            return frozenset()
        return frozenset({"workbook", "datasource"} if self.tableau_publish == "both" else {self.tableau_publish})

    def _check_start_time(self) -> None:
        start = self.field_start_time
        if start == "none":
            raise SettingsError(
                "CALLVIZ_FIELD_START_TIME: every call needs a start time; name the field that holds it."
            )
        if start and "+" in start and self.partitions != "none":
            raise SettingsError(
                f"CALLVIZ_PARTITIONS={self.partitions} cuts the collection by one field that holds dates, and "
                f"CALLVIZ_FIELD_START_TIME={start} joins two; refresh with CALLVIZ_PARTITIONS=none."
            )

    def role_field(self, role: str) -> str | None:
        """Return the document field that was set for a role of `ROLES`, if one was."""
        value: str | None = getattr(self, f"field_{role}")
        return value

    def require_mongo_uri(self) -> str:
        """Return the connection string.

        Raises:
            MissingSettingError: it is not set.
        """
        if not self.mongo_uri:
            raise MissingSettingError(demands.MONGO_URI)
        return self.mongo_uri

    @property
    def database(self) -> str:
        """The database that holds the calls."""
        in_uri = parse_connection_string(self.mongo_uri).database if self.mongo_uri else None
        return self.mongo_database or in_uri or "callviz"


def is_in_environment(variable: str) -> bool:
    """Return whether a variable is set in the process's environment itself, and not just in a `.env` file."""
    return bool(os.environ.get(variable, "").strip())
