"""`media-gateway agentdb`, run as a user does."""

import json
import sqlite3
from pathlib import Path

import pytest

from media_gateway.agentdb.lock import writer_lock
from tests.acceptance.command import Command, assert_refused
from tests.unit.agentdb.samples import contents, copy_of_fixture


@pytest.fixture
def file(command: Command) -> Path:
    return copy_of_fixture(command.folder)


def test_info_check_nightly_and_reembed(command: Command, file: Path) -> None:
    before = file.read_bytes()
    facts = command("agentdb", "info", "application.db", "--json").json()
    named = ("patterns", "episodes", "sessions", "skills", "links", "edges", "variant", "bytes")
    assert {name: facts[name] for name in named} == {
        "patterns": 0,
        "episodes": 2,
        "sessions": 2,
        "skills": 1,
        "links": 0,
        "edges": 0,
        "variant": "complete",
        "bytes": 405_504,
    }
    assert facts["embeddings"]["episodes"] == {
        "maker": "npm's hash stand-in",
        "rows": 2,
        "embedded": 2,
        "unusable": 0,
        "is_comparable": False,
    }
    told = command.inside("agentdb", "info", "application.db")
    assert "2 by npm's hash stand-in" in told.out
    assert "media-gateway agentdb reembed application.db" in told.err
    assert command.inside("agentdb", "check", "application.db").out == "application.db is sound\n"
    assert command.inside("agentdb", "check", "application.db", "--json").json() == {
        "path": "application.db",
        "ok": True,
        "problems": [],
    }
    dry = command.inside("agentdb", "nightly", "application.db", "--dry-run", "--json").json()
    assert (dry["dry_run"], dry["edges_discovered"]) == (True, 0)
    assert file.read_bytes() == before
    assert [path.name for path in command.folder.iterdir()] == ["application.db"]
    done = command.inside("agentdb", "reembed", "application.db", "--json").json()
    assert (done["episodes"], done["skills"], done["model"]) == (2, 1, "all-MiniLM-L6-v2-int8")
    facts = command.inside("agentdb", "info", "application.db", "--json").json()
    assert facts["embeddings"]["skills"]["is_comparable"]
    report = command.inside("agentdb", "nightly", "application.db", "--json").json()
    assert report.pop("path") == "application.db"
    assert report == {name: value for name, value in dry.items() if name != "path"} | {"dry_run": False}
    assert "edges discovered  0" in command.inside("agentdb", "nightly", "application.db").out


def test_what_is_not_sound_is_told_with_exit_code_1(command: Command, file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("INSERT INTO episodes (session_id, task) VALUES ('u', 't')")
    connection.commit()
    connection.close()
    assert_refused(command.inside("agentdb", "check", "application.db"), "1 episodes without a vector", "(3)")
    done = command.inside("agentdb", "check", "application.db", "--json")
    assert done.code == 1
    assert [problem["rows"] for problem in json.loads(done.out)["problems"]] == [[3]]


@pytest.mark.parametrize("name", ["info", "check", "nightly", "reembed"])
def test_files_that_are_not_there_or_of_another_kind(command: Command, name: str) -> None:
    assert_refused(command.inside("agentdb", name, "none.db"), "there is no file none.db")
    (command.folder / "notes.txt").write_text("hello")
    assert_refused(command.inside("agentdb", name, "notes.txt"), "notes.txt is no SQLite file")
    assert [path.name for path in command.folder.iterdir()] == ["notes.txt"]


def test_a_file_that_is_held_can_be_read_and_not_written(command: Command, file: Path) -> None:
    before = contents(file)
    lock = writer_lock(file)
    assert command.inside("agentdb", "info", "application.db", "--json").json()["episodes"] == 2
    assert_refused(command("agentdb", "nightly", "application.db"), "is held by process")
    lock.release()
    assert contents(file) == before
