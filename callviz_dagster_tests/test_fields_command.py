"""`python -m callviz_dagster fields`: what it says of a collection, and that it writes nothing."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest
import yaml
from pymongo.collection import Collection

from callviz_dagster.cli.fields import read_fields_report, text
from callviz_dagster.cli.main import main
from callviz_dagster.documents.recognition.evidence import SAMPLE, Gatherer
from callviz_dagster.documents.walker import Walker
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.sample import read_sample
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.refresh import refresh

Document = dict[str, Any]
Command = Callable[..., tuple[int, str, str]]
START = dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC)


def call(number: int, **changed: Any) -> Document:
    start = START + dt.timedelta(minutes=number)
    seconds = 60 + number % 50
    document = {
        "_id": bson.ObjectId(f"{number:024x}"),
        "direction": "inbound",
        "outcome": "completed" if number % 3 else "no-answer",
        "startedAt": start,
        "endedAt": start + dt.timedelta(seconds=seconds),
        "duration": seconds * 1000,
        "caller": f"+4930{number:07d}",
        "createdAt": start + dt.timedelta(hours=1),
    }
    return {name: value for name, value in (document | changed).items() if value is not None}


@pytest.fixture
def fields(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Give the command in an empty folder, with settings of the environment: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(**more: str) -> tuple[int, str, str]:
        names = {
            "MONGO_URI": settings.mongo_uri,
            "MONGO_DATABASE": settings.mongo_database,
            "MONGO_COLLECTION": settings.mongo_collection,
        }
        for name, value in (names | more).items():
            monkeypatch.setenv(f"CALLVIZ_{name}", str(value))
        code = main(["fields"])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_it_shows_each_role_and_the_settings_to_paste(fields: Command, collection: Collection[Document]) -> None:
    collection.insert_many(call(number) for number in range(300))
    code, output, errors = fields()
    assert (code, errors) == (0, "")
    assert f"{SAMPLE} of 300 documents were read" in output
    assert "start time: startedAt\n    in 100% of the documents, recognized by name and data\n" in output
    assert "    not taken:\n      - createdAt (for example 2024-03-0" in output
    assert "Z): names the record's own life" in output
    assert "duration: duration, ms (by data)" in output
    pasted = output.split("Settings that keep this choice:\n")[1].splitlines()
    assert pasted == [
        "CALLVIZ_FIELD_START_TIME=startedAt",
        "CALLVIZ_FIELD_END_TIME=endedAt",
        "CALLVIZ_FIELD_DURATION=duration",
        "CALLVIZ_FIELD_DURATION_UNIT=ms",
        "CALLVIZ_FIELD_CALL_TYPE=direction",
        "CALLVIZ_FIELD_STATUS=outcome",
    ]
    again = fields(**{line.split("=")[0].removeprefix("CALLVIZ_"): line.split("=")[1] for line in pasted})
    assert again[1].split("Settings that keep this choice:\n")[1].splitlines() == pasted


def test_of_a_component_it_shows_yaml_to_paste(settings: Settings, collection: Collection[Document]) -> None:
    collection.insert_many(call(number) for number in range(30))
    shown = text(read_fields_report(settings), in_component=True)
    assert "CALLVIZ_" not in shown
    (keeping,) = yaml.safe_load(shown.partition("Settings that keep this choice:")[2]).values()
    assert (keeping["start_time"], keeping["duration"], keeping["duration_unit"]) == ("startedAt", "duration", "ms")


def test_what_was_published_stands_as_in_the_next_refresh(
    fields: Command, settings: Settings, collection: Collection[Document], tmp_path: Path
) -> None:
    def stored(number: int) -> Document:
        document = call(number)
        return document | {"begin": document.pop("startedAt")}

    collection.insert_many(stored(number) for number in range(20))
    assert refresh(settings, "raw_calls", "calls", "rejected_calls").success
    collection.update_many({}, [{"$set": {"startedAt": "$begin"}}])
    assert "start time: startedAt" in fields(DATA_DIR=str(tmp_path / "nothing"))[1]
    assert "start time: begin" in fields(DATA_DIR=str(settings.data_dir))[1]


def test_a_choice_that_the_data_contradict_is_refused(fields: Command, collection: Collection[Document]) -> None:
    documents = [call(number, endedAt=START - dt.timedelta(days=number + 1)) for number in range(30)]
    collection.insert_many(documents)
    code, output, _ = fields(FIELD_START_TIME="startedAt", FIELD_DURATION="none")
    assert code == 4
    assert "Contradicted by the data:\n  - 100% of the calls end before they start" in output
    assert fields(FIELD_START_TIME="startedAt", FIELD_END_TIME="endedAt")[0] == 0


def test_documents_without_a_usable_start_are_counted_by_reason(
    fields: Command, collection: Collection[Document]
) -> None:
    collection.insert_many(call(number, **({"startedAt": "soon"} if number % 3 else {})) for number in range(30))
    code, output, _ = fields()
    assert code == 4
    assert "  - 20 start_unreadable: The start time cannot be read as a time." in output
    assert "a refresh would be refused" in output


def test_without_a_start_time_it_names_the_fields_that_there_are(
    fields: Command, collection: Collection[Document]
) -> None:
    collection.insert_many({"_id": number, "caller": "x", "note": f"y{number}"} for number in range(20))
    code, output, errors = fields()
    assert (code, output) == (1, "")
    assert errors.startswith("No field was recognized as the start time of the calls.")
    assert errors.count("\n") == 1


def test_values_of_hidden_fields_and_control_characters_are_not_shown(
    fields: Command, collection: Collection[Document]
) -> None:
    collection.insert_many(
        call(number, outcome=f"secret {number % 7}", direction="in\x1b[2Jbound\n", duration="x" * 50)
        for number in range(50)
    )
    for name in ("DROP_FIELDS", "PSEUDONYMIZE"):
        _, output, errors = fields(**{name: "outcome", "PSEUDONYM_KEY": "k" * 32})
        assert "secret" not in output + errors
        assert "\x1b" not in output
        assert "in␛[2Jbound" in output
        assert "x" * 61 not in output


def test_an_empty_collection_says_so(fields: Command, collection: Collection[Document]) -> None:
    collection.insert_one({"_id": 1})
    collection.delete_one({"_id": 1})
    code, output, _ = fields()
    assert (code, output.splitlines()[0].split(" ", 1)[1]) == (4, "has no documents, so no field can be recognized.")


def test_the_sample_is_that_of_a_refresh(settings: Settings, collection: Collection[Document]) -> None:
    documents = [call(number) for number in range(1000)]
    collection.insert_many(documents)
    gatherer = Gatherer()
    gatherer.add(Walker().walk(b"".join(map(bson.encode, documents))))
    sample = read_sample(MongoDB(settings))
    looked = Gatherer()
    looked.add(Walker().walk(sample.documents))
    assert sample.total == 1000
    assert looked.evidence() == gatherer.evidence()


def test_a_view_without_identifiers_gives_its_first_documents(
    settings: Settings, collection: Collection[Document]
) -> None:
    collection.insert_many(call(number) for number in range(SAMPLE + 50))
    collection.database.command("create", "seen", viewOn="calls", pipeline=[{"$project": {"_id": 0}}])
    sample = read_sample(MongoDB(Settings(**{**vars(settings), "mongo_collection": "seen"})))
    assert (sample.total, len(Walker().walk(sample.documents))) == (SAMPLE + 50, SAMPLE)


def test_errors_are_one_sentence_without_credentials(fields: Command, settings: Settings) -> None:
    code, output, errors = fields(MONGO_COLLECTION="no_such_one")
    assert (code, output) == (1, "")
    assert errors.count("\n") == 1
    wrong = str(settings.mongo_uri).replace("mongodb://", "mongodb://someone:hunter2@")
    code, output, errors = fields(MONGO_URI=wrong)
    assert (code, output) == (1, "")
    assert "hunter2" not in errors
    assert errors.count("\n") == 1


def test_nothing_is_written(settings: Settings, collection: Collection[Document], tmp_path: Path) -> None:
    """The command as a process, in a folder that stays empty, leaves the database as it was."""
    collection.insert_many(call(number) for number in range(20))
    before = collection.database.command("dbHash")["md5"], collection.database.list_collection_names()
    environment = {
        "PATH": "/usr/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "CALLVIZ_MONGO_URI": str(settings.mongo_uri),
        "CALLVIZ_MONGO_DATABASE": settings.database,
    }
    done = subprocess.run(
        [sys.executable, "-m", "callviz_dagster", "fields"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "start time: startedAt" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert (collection.database.command("dbHash")["md5"], collection.database.list_collection_names()) == before
