"""A whole move by the installed commands, beside a process that serves."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from media_gateway.database.server import EmbeddedServer
from tests.acceptance.command import Command, assert_refused
from tests.postgres import TestServer

SERVICE = """
import asyncio, signal
from media_gateway import open_gateway

async def main():
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with open_gateway() as gateway:
        print("ready", flush=True)
        number = 0
        while not stopping.is_set():
            result = await gateway.search("a heist in space", user=f"user-{number}")
            assert result.hits
            number += 1
            await asyncio.sleep(0.02)

asyncio.run(main())
"""


@pytest.fixture
def moving(memory: Command, postgres: TestServer, tmp_path: Path) -> Command:
    """The sample catalogue in memory, and an empty database."""
    shutil.copytree(memory.folder / "data", tmp_path / "data")
    conninfo = postgres.new_database()
    return Command(
        folder=tmp_path,
        variables={
            "RUVECTOR_BACKEND": "postgres",
            "POSTGRES_HOST": conninfo["host"],
            "POSTGRES_PORT": str(conninfo["port"]),
            "POSTGRES_DB": conninfo["dbname"],
            "POSTGRES_USER": conninfo["user"],
        },
    )


@pytest.fixture
def service(moving: Command) -> Iterator[subprocess.Popen[str]]:
    """A process that serves, started once the first state is set."""
    first = moving.inside("rollout", "set", "off", "--reason", "the move begins", "--json").json()
    assert (first["from"], first["to"], first["epoch"], first["recorded"]) == (None, "off", 1, True)
    with _serving(moving) as process:
        yield process


@contextmanager
def _serving(command: Command) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE],
        cwd=command.folder,
        env=command._environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, "Traceback" in err) == (0, False), err


def test_over_and_back(moving: Command, service: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while not moving.inside("rollout", "status", "--json").json()["service"]["is_complete"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    status = moving.inside("rollout", "status", "--json").json()
    assert (status["mode"], status["postgres"], status["tripped"]) == ("off", "answers", False)
    assert status["service"]["pid"] == service.pid

    for arguments in (["shadow"], ["canary", "25"], ["on"]):
        done = moving.inside("rollout", "set", *arguments, "--json").json()
        assert done["seconds"] < 1, done
    status = moving.inside("rollout", "status", "--json").json()["service"]
    assert (status["truth"], status["reads"]) == ("postgres", "postgres")

    # Another hand writes to PostgreSQL, and the way back brings it along.
    with psycopg.connect(**_conninfo(moving), autocommit=True) as connection:
        connection.execute("DELETE FROM content_vectors WHERE id = 'movie-603'")
    back = moving.inside("rollback", "--reason", "slow answers", "--json").json()
    assert back["seconds"] < 1
    assert back["verified"]["differing"] == 0
    assert back["verified"]["compared"] == 613
    history = moving.inside("rollout", "history", "--json").json()
    assert [entry["to"] for entry in history] == ["off", "on", "canary 25 %", "shadow", "off"]
    assert [entry["from"] for entry in history] == ["on", "canary 25 %", "shadow", "off", None]
    assert (history[0]["why"], history[-1]["why"]) == ("slow answers", "the move begins")
    assert "slow answers" in moving.inside("rollout", "history").out
    assert "no process serves" not in moving.inside("rollout", "status").out
    # Beside the process that serves nobody writes, and everybody reads.
    assert_refused(moving.inside("load", "sample"), "one service process")
    assert moving.inside("search", "a heist", "--json").json()


def test_without_a_process_that_serves(moving: Command) -> None:
    assert_refused(moving.inside("rollout", "set", "canary"), "canary was given no percent")
    assert_refused(moving.inside("rollout", "set", "half"), "expected off, shadow, canary or on")
    assert_refused(moving.inside("rollout", "set", "off", "10"), "only canary takes one")
    assert_refused(moving.inside("rollback"), "there is no rollout to go back from")
    assert "PostgreSQL alone" in moving.inside("rollout", "status").out
    assert moving.inside("rollout", "set", "off", "--json").json()["seconds"] is None
    assert_refused(moving.inside("rollout", "set", "on", "--alone"), "the move is not over yet")
    # A command that writes is a process that serves, for as long as it runs.
    loaded = moving.inside("load", "sample", "--json").json()
    assert loaded["unchanged"] == 614
    assert "no process serves" in moving.inside("rollout", "status").out
    assert "nothing was compared yet" in moving.inside("rollout", "shadow").err
    assert moving.inside("rollback", "--json").json()["verified"] is not None


def test_two_different_collections_are_not_moved_over_one_another(moving: Command, memory: Command) -> None:
    (moving.folder / "films.jsonl").write_text(
        '{"id": 1, "media_type": "movie", "title": "Alone", "overview": "One."}\n'
    )
    assert moving.inside("load", "films.jsonl").code == 0
    assert_refused(
        moving.inside("rollout", "set", "off"), "memory holds 614 records and PostgreSQL 1; 1 of", "--discard"
    )
    assert_refused(moving.inside("rollout", "set", "on"), "614 of those in memory", "would be lost")
    assert moving.inside("rollout", "set", "off", "--discard", "--json").json()["to"] == "off"


def test_status_and_rollback_with_postgres_down(moving: Command) -> None:
    assert moving.inside("rollout", "set", "off").code == 0
    assert moving.inside("rollout", "set", "on").code == 0
    down = {"POSTGRES_PORT": "1"}
    status = moving.inside("rollout", "status", "--json", **down).json()
    assert (status["mode"], status["unrecorded"]) == ("on", 0)
    assert "cannot reach" in status["postgres"]
    assert_refused(moving.inside("rollout", "set", "canary", "5", **down), "cannot reach")
    back = moving.inside("rollback", "--json", **down).json()
    assert (back["to"], back["recorded"]) == ("off", False)
    assert any("PostgreSQL" in remark for remark in back["remarks"])
    assert moving.inside("rollout", "status", "--json", **down).json()["unrecorded"] == 1
    assert moving.inside("rollout", "history", "--json").json()[0]["to"] == "off"
    assert moving.inside("rollout", "status", "--json").json()["unrecorded"] == 0


def test_a_copy_that_the_truth_has_outgrown_may_follow(moving: Command) -> None:
    memory = {"RUVECTOR_BACKEND": "memory"}
    ends = ["--from", "memory:data/memory.snap", "--to", "postgres"]
    assert moving.inside("transfer", "run", *ends).code == 0
    (moving.folder / "film.jsonl").write_text(
        '{"id": 1, "media_type": "movie", "title": "Later", "overview": "One."}\n'
    )
    assert moving.inside("load", "film.jsonl", **memory).code == 0
    assert moving.inside("rollout", "set", "off").code == 0
    with psycopg.connect(**_conninfo(moving), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM content_vectors").fetchone() == (614,)


@pytest.mark.full
def test_status_tells_that_the_guard_tripped(memory: Command, tmp_path: Path) -> None:
    shutil.copytree(memory.folder / "data", tmp_path / "data")
    command = Command(folder=tmp_path, variables={"RUVECTOR_BACKEND": "postgres"})
    server = EmbeddedServer(tmp_path / "data" / "embedded")
    try:
        assert command.inside("rollout", "set", "off").code == 0
        with _serving(command) as service:
            _wait_until(lambda: _service(command)["is_complete"])
            assert command.inside("rollout", "set", "canary", "25").code == 0
            _wait_until(lambda: _service(command)["guard"]["overlap"] is not None)
            assert "guard            quiet; PostgreSQL lately: " in command.inside("rollout", "status").out
            assert command.inside("rollout", "shadow", "--json").json()[0]["compared"] > 0
            pid = server.status().pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            _wait_until(lambda: command.inside("rollout", "status", "--json").json()["tripped"])
            assert time.monotonic() - killed < 5
            said = command.inside("rollout", "status").out
            assert "state            canary 25 %, tripped" in said
            assert "memory answers until you set a state again" in said
            assert "postgres         cannot reach" in said
            assert _service(command)["reads"] == "memory"
            assert service.poll() is None
            server.start()
            _wait_until(lambda: command.inside("rollout", "status", "--json").json()["postgres"] == "answers")
            assert command.inside("rollout", "status", "--json").json()["tripped"] is True
            assert command.inside("rollout", "set", "canary", "25").code == 0
            assert command.inside("rollout", "status", "--json").json()["guard"] == "quiet"
    finally:
        server.stop()


def _service(command: Command) -> dict[str, Any]:
    return command.inside("rollout", "status", "--json").json()["service"]


def _wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _conninfo(command: Command) -> dict[str, str]:
    names = {"host": "POSTGRES_HOST", "port": "POSTGRES_PORT", "dbname": "POSTGRES_DB", "user": "POSTGRES_USER"}
    return {name: command.variables[variable] for name, variable in names.items()}
