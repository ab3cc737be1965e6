"""No part of a password is ever shown, whatever characters it has and wherever the connection string is cut."""

from __future__ import annotations

import itertools
import os
import re
import socket
import string
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pymongo import MongoClient

from callviz_dagster.assets.mongodb_calls import mongodb_calls
from callviz_dagster.demo.mongod import running_mongod
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import MongoError
from callviz_dagster.setting_values.connection_string import ConnectionStringError, parse_connection_string, redact
from callviz_dagster.settings import Settings, SettingsError

PASSWORDS = (("Sup3r", "Secret9"), ("Qx7wz", "Zebra4t"))
FULL_WIDTH = "／＠：？＃［］％＆，．　"
CHARACTERS = [character for character in string.printable if character.isprintable()] + [*FULL_WIDTH]
QUICKLY = "serverSelectionTimeoutMS=1000&connectTimeoutMS=1000"


def connection_string(place: str, character: str, password: tuple[str, str]) -> str:
    """Return a connection string with a character at a place, as somebody would write it who encodes nothing."""
    parts = {"user": ("rea", "der"), "password": password, "host": ("127.0.0", ".1:9"), "database": ("sh", "op")}
    texts = {name: (character if name == place else "").join(halves) for name, halves in parts.items()}
    if place == "encoded password":
        texts["password"] = quote(character, safe="").join(password)
    return "mongodb://{user}:{password}@{host}/{database}?".format(**texts) + QUICKLY


def shown(uri: str, folder: Path) -> str:
    """Return all that callviz shows of a connection string: the settings, a description, errors with tracebacks."""
    words = []
    try:
        settings = Settings.load({"CALLVIZ_MONGO_URI": uri, "CALLVIZ_DATA_DIR": str(folder)})
        words += [repr(settings), mongodb_calls(settings).description or ""]
        with MongoDB(settings).collection():
            words += ["connected"]
    except (SettingsError, MongoError):
        words += [traceback.format_exc()]
    return "\n".join(words)


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize(
    "place",
    [
        "password",
        "host",
        "database",
        *(pytest.param(place, marks=pytest.mark.long) for place in ("user", "encoded password")),
    ],
)
def test_what_is_shown_is_the_same_with_another_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def resolve(host: str, *given: Any, **named: Any) -> Any:
        """Answer at once, for a name server takes its time to say that a host does not exist."""
        if host != "127.0.0.1":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return good(host, *given, **named)

    good = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    trials = [connection_string(place, character, password) for character in CHARACTERS for password in PASSWORDS]
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(40) as pool:
        warnings.simplefilter("always")
        texts = [*pool.map(shown, trials, itertools.repeat(tmp_path))]
    assert texts[::2] == texts[1::2]
    assert not [text for text in texts if "During handling" in text or "direct cause" in text]
    assert not caught


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://reader:{}/{}@127.0.0.1/shop",
        "mongodb://reader:12/{}{}@127.0.0.1/shop",
        "mongodb://reader:{}?{}@127.0.0.1/shop",
        "mongodb://reader:12?{}={}@127.0.0.1/shop",
        "mongodb://reader:{}@x/{}@127.0.0.1/shop",
        "mongodb://reader:{}@x?{}=1@127.0.0.1/shop",
        "mongodb+srv://reader:{}/{}@example.invalid/shop",
        "mongodb://{}:{}:27017@127.0.0.1/shop",
        "mongodb//reader:{}{}@127.0.0.1/shop",
        "reader:{}{}@127.0.0.1",
    ],
)
def test_a_connection_string_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, uri: str) -> None:
    first, second = (shown(uri.format(*password), tmp_path) for password in PASSWORDS)
    assert first == second
    assert "SettingsError" in first


@pytest.mark.parametrize(
    ("uri", "database"),
    [
        ("mongodb://h", None),
        ("mongodb://h/?replicaSet=r", None),
        ("mongodb://h/calls_db", "calls_db"),
        ("mongodb://u:p%40ss@h1:1,h2:2/sh%6Fp?replicaSet=r", "shop"),
        ("mongodb://u:p#x@h/shop", "shop"),
        ("mongodb://u:p[bc]@h/shop", "shop"),
        ("mongodb://[::1]:27017/shop", "shop"),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/shop", "shop"),
        ("mongodb+srv://u:p@cluster.example.net/shop?retryWrites=true&srvMaxHosts=2", "shop"),
        ("mongodb://me:pw==@me.example.net:10255/shop?ssl=true&retrywrites=false&appName=@me@", "shop"),
    ],
)
def test_the_database_is_the_one_that_pymongo_reads(uri: str, database: str | None) -> None:
    assert parse_connection_string(uri).database == database


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("mongodb://h/shop.calls", "set CALLVIZ_MONGO_COLLECTION"),
        ("mongodb://h/my%20shop", "the name of the database"),
        ("mongodb://h:99999/", "the ports"),
        ("mongodb://h/?connectTimeoutMS=soon", "The option connectTimeoutMS"),
        ("mongodb://h/?readPreference=second", "The option readPreference"),
        ("mongodb://u:p@h/?tlsCAFil=x", "the option tlsCAFil, which pymongo does not know"),
        ("mongodb://h1,h2/?directConnection=true", "options that do not go together"),
        ("mongodb://h/?&tls=true", "a & too many"),
        ("mongodb://h/?tls=true&", "a & too many"),
        ("postgres://u:p@h/", "it starts with mongodb:// or mongodb+srv://"),
    ],
)
def test_what_is_wrong_with_a_connection_string_is_said_in_a_sentence(uri: str, words: str) -> None:
    with pytest.raises(ConnectionStringError) as caught:
        parse_connection_string(uri)
    assert words in str(caught.value)
    assert str(caught.value).startswith(("CALLVIZ_MONGO_URI", "The option"))


@pytest.mark.parametrize(
    "text",
    [
        "failed to reach mongodb://bob:s3cret@h:1/db?authSource=admin",
        "mongodb+srv://bob:s3cret@h/db",
        "mongodb://bob:s3c/s3cret@h/db",
        "mongodb://bob:s3@s3cret@h/db",
        "mongodb://h/db?tlsCertificateKeyFilePassword=s3cret",
        "it says mongodb://bob:a s3cret@h/db here",
    ],
)
def test_redaction_takes_credentials_out(text: str) -> None:
    assert "s3cret" not in redact(text, "mongodb://bob:a s3cret@h/db")


@pytest.mark.parametrize("password", ["a", "e", "MongoDB", "27017"])
def test_redaction_leaves_words_alone_that_a_short_password_is_part_of(password: str) -> None:
    words = "127.0.0.1:27017: MongoDB refused the connection"
    assert redact(words, f"mongodb://bob:{password}@h") == words


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give host and port of a server that lets only users in."""
    with running_mongod(tmp_path_factory.mktemp("auth"), user=("root", "another password")) as server:
        with MongoClient[dict[str, Any]](server.uri) as client:
            client.shop.calls.insert_one({"_id": 1})
        yield server.address


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "form", ["{}#{}", *(pytest.param(form, marks=pytest.mark.long) for form in ("{}{}", "{}%2F{}", "{}/{}"))]
)
def test_a_refresh_leaves_no_part_of_the_password_anywhere(guarded: str, tmp_path: Path, form: str) -> None:
    """Not in its output, its errors, Dagster's event log or any file."""
    uri = f"mongodb://root:{form.format(*PASSWORDS[0])}@{guarded}/shop?authSource=admin"
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "callviz_dagster.definitions"]
    done = subprocess.run(
        [*command, "-j", "refresh_calls"],
        cwd=tmp_path,
        env={**os.environ, "DAGSTER_HOME": str(home), "CALLVIZ_MONGO_URI": uri, "PYTHONWARNINGS": "always"},
        capture_output=True,
    )
    assert done.returncode != 0
    texts = {"stdout": done.stdout, "stderr": done.stderr}
    texts |= {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(b"CALLVIZ_MONGO_URI" in text for text in texts.values()), "it said what is wrong"
    pieces = [piece for half in PASSWORDS[0] for piece in (half, half[:4], half[-4:])]
    found = {name for name, text in texts.items() if re.search("|".join(pieces).encode(), text)}
    assert not found
