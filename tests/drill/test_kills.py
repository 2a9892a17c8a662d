"""Kills at random moments, many times over: nothing acknowledged is lost, nothing is half-written."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from media_gateway.errors import OutcomeUnknownError, StoreUnavailableError
from media_gateway.models import ContentVector, SearchRequest, VectorSpace
from media_gateway.stores.memory import open_memory_store
from tests.postgres import TestServer
from tests.samples import records

pytestmark = [pytest.mark.anyio, pytest.mark.drill, pytest.mark.timeout(1800)]
SPACE = VectorSpace(model="test", dimension=32)
ROUNDS = 25


def renamed(items: list[ContentVector], prefix: str) -> list[ContentVector]:
    return [ContentVector(key=f"{prefix}-{item.key}", vector=item.vector, metadata=item.metadata) for item in items]


async def test_the_server_killed_at_random_moments_of_upserts(tmp_path: Path) -> None:
    generator = random.Random(1)
    server = TestServer(tmp_path)
    store = await server.open_store(SPACE)
    items = records(2_000)
    whole = 0
    try:
        for number in range(ROUNDS):
            write = asyncio.create_task(store.upsert(renamed(items, str(number))))
            await asyncio.sleep(generator.uniform(0, 1.5))
            pid = server.embedded.status().pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            outcome = (await asyncio.gather(write, return_exceptions=True))[0]
            assert isinstance(outcome, StoreUnavailableError | OutcomeUnknownError | None)
            server.embedded.start()
            count = (await store.stats()).count
            assert count - whole in ((2_000,) if outcome is None else (0, 2_000))
            whole = count
            result = await store.search(SearchRequest(vector=items[number].vector))
            assert len(result.hits) == min(10, count)
    finally:
        await store.aclose()
        server.stop()


WRITER = """
import asyncio, sys
from pathlib import Path
from media_gateway.models import VectorSpace
from media_gateway.stores.memory import open_memory_store
from tests.drill.test_kills import renamed
from tests.samples import records

async def main():
    store = await open_memory_store(Path(sys.argv[1]), space=VectorSpace(model="test", dimension=32))
    items = records(20)
    for number in range(100_000):
        await store.upsert(renamed(items, f"{sys.argv[2]}.{number}"))
        print(number, flush=True)

asyncio.run(main())
"""


async def test_the_process_of_the_memory_store_killed_at_random_moments(tmp_path: Path) -> None:
    generator = random.Random(2)
    path = tmp_path / "memory.snap"
    acknowledged: set[str] = set()
    for number in range(ROUNDS):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(number)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            await asyncio.sleep(generator.uniform(0, 1))
            writer.kill()
            lines = ["0", *(line.strip() for line in writer.stdout if line.endswith("\n"))]
        acknowledged |= {f"{number}.{line}" for line in lines}
        store = await open_memory_store(path, space=SPACE)
        keys = [record.key async for batch in store.scan() for record in batch]
        await store.aclose()
        written = {key.split("-")[0] for key in keys}
        assert acknowledged <= written
        assert len(keys) == 20 * len(written)
