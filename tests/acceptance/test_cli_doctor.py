"""`doctor` as a user runs it: on nothing, on a collection, on a server that is not there, and mending."""

import json
from pathlib import Path

import psycopg
import pytest

from media_gateway.database.server import EmbeddedServer
from tests.acceptance.command import Command

pytestmark = pytest.mark.full


def test_an_empty_folder_has_nothing_wrong(command: Command) -> None:
    done = command.inside("doctor")
    assert done.code == 0, done.err
    assert "INFO  memory_missing" in done.out
    assert "media-gateway load sample" in done.out
    assert "checked: memory files, rollout, disk, backups" in done.out
    assert not (command.folder / "data").exists()


def test_a_loaded_collection_lacks_a_backup_and_nothing_else(embedded: Command) -> None:
    seen = embedded.inside("doctor", "--json", RUVECTOR_BACKUP_PATH="nowhere").json()
    # How full the disk of this machine is, nobody knows here.
    codes = {finding["code"] for finding in seen["findings"]} - {"disk_nearly_full"}
    assert codes == {"backup_missing"}
    assert seen["skipped"] == []
    assert seen["place"].startswith("the embedded PostgreSQL in ")


@pytest.mark.parametrize("loaded", ["memory"], indirect=True)
def test_warnings_count_where_they_are_asked_to(loaded: Command) -> None:
    missing = {"RUVECTOR_BACKUP_PATH": "nowhere"}
    assert loaded.inside("doctor", **missing).code == 0
    strict = loaded.inside("doctor", "--strict", "--json", **missing)
    assert strict.code == 1
    (finding,) = [one for one in json.loads(strict.out)["findings"] if one["code"] == "backup_missing"]
    assert finding["help"] == "docs/howto/doctor.md#backup_missing"
    assert (finding["severity"], finding["fixable"]) == ("warning", False)


def test_a_server_that_is_not_there(command: Command) -> None:
    nobody = {"RUVECTOR_BACKEND": "postgres", "DATABASE_URL": "postgresql://films:secret-word@127.0.0.1:1/films"}
    done = command.inside("doctor", **nobody)
    assert done.code == 1
    assert done.out.startswith("ERROR  connection_refused")
    assert "not checked, because of the above: connections," in done.out
    assert "1 error" in done.out
    assert "secret-word" not in done.out + done.err
    fixed = command.inside("doctor", "--fix", "--json", **nobody)
    assert (fixed.code, json.loads(fixed.out)["mended"]) == (1, [])


def test_what_is_broken_is_mended(embedded: Command) -> None:
    server = EmbeddedServer(embedded.folder / "data" / "embedded")
    with psycopg.connect(**server.conninfo(), autocommit=True) as connection:
        connection.execute("DROP INDEX content_vectors_hnsw_idx")
    looked = embedded.inside("doctor")
    assert "WARNING  index_missing" in looked.out
    assert "media-gateway index build --kind vector --backend postgres  (doctor --fix does it)" in " ".join(
        looked.out.split()
    ).replace(" (doctor", "  (doctor")
    mended = embedded.inside("doctor", "--fix")
    assert mended.code == 0, mended.out
    assert "index_missing: built content_vectors_hnsw_idx in" in mended.err
    assert "index_missing" not in mended.out


def test_where_no_embedded_server_was_made_none_is_begun(command: Command) -> None:
    folder = Path(command.folder, "data", "embedded")
    settings = {"RUVECTOR_BACKEND": "postgres"}
    done = command.inside("doctor", "--fix", **settings)
    assert done.code == 1
    assert "ERROR  embedded_missing" in done.out
    assert not folder.exists()
