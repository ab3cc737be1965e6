"""Folders on disk: nothing of a bucket is loaded for them, and both kinds of folder are settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.storage.files import FileError, write_text
from callviz_dagster.storage.refreshing import place, uri_of

_ON_DISK = """
import logging, pathlib, sys
from callviz_dagster.storage import refreshing, state_file
data, publish = (pathlib.Path(sys.argv[1]) / name for name in ("data", "publish"))
with refreshing.refreshing(data, publish, logging.getLogger(), lambda name: True) as copies:
    assert copies == (None, None)
refreshing.update_working_copy(data, lambda name: True)
refreshing.read_published(publish), refreshing.published_places(publish), refreshing.refreshing_process(data)
refreshing.changed_published(publish, refreshing.read_published(publish)), refreshing.require_reachable(publish)
state_file.write_state(data / "state.json", "{}"), state_file.read_state(data / "state.json")
print({"botocore", "obstore"} & sys.modules.keys())
"""


def test_a_folder_on_disk_loads_no_client_of_a_store(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _ON_DISK, str(tmp_path)], text=True, capture_output=True)
    assert done.stdout == "set()\n", done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*.json")) == ["state.json"]


def test_addresses_in_object_storage_are_folders(tmp_path: Path) -> None:
    settings = Settings.load({"CALLVIZ_DATA_DIR": "s3://bucket/calls/data/", "CALLVIZ_SCRATCH_DIR": str(tmp_path)})
    assert settings.data_dir.parent == tmp_path
    assert settings.publish_dir == Path("tableau")
    assert place(settings.data_dir) == "s3://bucket/calls/data"
    assert place(settings.data_dir / "calls/all.parquet") == "s3://bucket/calls/data/calls/all.parquet"
    assert uri_of(settings.data_dir / "calls") == "s3://bucket/calls/data/calls"
    assert place(tmp_path) == str(tmp_path)
    assert uri_of(tmp_path) == f"file://{tmp_path}"
    assert Settings.load({"CALLVIZ_DATA_DIR": "az://container"}).data_dir == Path(
        ".callviz/scratch/az%3A%2F%2Fcontainer"
    )


@pytest.mark.parametrize(
    "address",
    [
        "s3://",
        "s3://user:secret@bucket/calls",
        "s3://bucket/calls?versionId=1",
        "s3://bucket/../calls",
        "https://example.com/calls",
        "s3://bucket//calls",
        f"gs://bucket/{'long/' * 40}",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(
        SettingsError, match=r"CALLVIZ_DATA_DIR: .* is not allowed; it takes a folder, or an"
    ) as refused:
        Settings.load({"CALLVIZ_DATA_DIR": address})
    assert "secret" not in str(refused.value)


def test_a_scratch_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings.load({"CALLVIZ_DATA_DIR": "s3://bucket/calls", "CALLVIZ_SCRATCH_DIR": str(tmp_path / "file")})
    with pytest.raises(FileError, match="choose another folder with CALLVIZ_SCRATCH_DIR"):
        write_text(settings.data_dir / "calls/all.parquet", "")


@pytest.mark.parametrize("publish", ["s3://bucket/calls", "s3://bucket", "s3://bucket/calls/published"])
def test_two_folders_in_one_are_refused(publish: str) -> None:
    with pytest.raises(SettingsError, match="share a folder in the bucket: give each its own"):
        Settings.load({"CALLVIZ_DATA_DIR": "s3://bucket/calls", "CALLVIZ_PUBLISH_DIR": publish})
    Settings.load({"CALLVIZ_DATA_DIR": "s3://bucket/calls-data", "CALLVIZ_PUBLISH_DIR": "s3://bucket/calls"})
