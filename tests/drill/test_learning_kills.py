"""Learners that are killed at random moments: what is learned is what an undisturbed one learns."""

import asyncio
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from media_gateway.cli.addresses import url_of
from tests.acceptance.command import PROGRAM, Command
from tests.learning import SPACE, counted, desk_of, ratings
from tests.postgres import TestServer
from tests.samples import records

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1800), pytest.mark.anyio]
KILLS = 25
EVENTS = ratings(users=60, items=200, count=6_000)


def command_of(folder: Path, conninfo: dict[str, Any]) -> Command:
    return Command(folder=folder, variables={"RUVECTOR_BACKEND": "postgres", "DATABASE_URL": url_of(conninfo)})


async def prepared(postgres: TestServer) -> Any:
    store = await postgres.open_store(SPACE)
    await store.upsert(records(200))
    async with desk_of(store) as desk:
        await desk.events.write(EVENTS)
    return store


@pytest.mark.parametrize("whom", ["learner", "session"])
async def test_killed_learners_lose_nothing_and_apply_nothing_twice(
    tmp_path: Path, postgres: TestServer, whom: str
) -> None:
    whole = await prepared(postgres)
    async with desk_of(whole) as desk:
        assert (await desk.learner.run()).events == len(EVENTS)
    expected = await counted(whole)
    await whole.aclose()
    store = await prepared(postgres)
    conninfo = dict(store.endpoint.conninfo)
    command = command_of(tmp_path, conninfo)
    chance = random.Random(5)
    for _ in range(KILLS):
        process = subprocess.Popen(
            [PROGRAM, "learn", "run"],
            cwd=tmp_path,
            env={**os.environ, **command.variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        await asyncio.sleep(0.5 + 3 * chance.random())
        if whom == "session":
            async with store.serving_connection() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            process.wait(timeout=60)
        else:
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=60)
    deadline = time.monotonic() + 600
    while command("learn", "run", "--json", timeout=500).json()["events"] and time.monotonic() < deadline:
        continue
    assert await counted(store) == expected
    await store.aclose()
