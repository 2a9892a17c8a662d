"""A long move: writers go on while the state changes, the server is killed and the process is restarted."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from media_gateway.errors import StoreError
from media_gateway.models import ContentVector
from media_gateway.rollout import RolloutStore
from tests.postgres import TestServer
from tests.rollouts import Move, digests_of, new_move, until
from tests.samples import records

pytestmark = [pytest.mark.anyio, pytest.mark.drill, pytest.mark.timeout(1800)]
SECONDS = 150
RATE = 200
TASKS = 8


class Soak:
    """Writers that survive errors and exchanged stores; a key whose write failed may hold either value."""

    def __init__(self, store: RolloutStore) -> None:
        self.store: RolloutStore | None = store
        self.possible: dict[str, list[ContentVector | None]] = {}
        self.count = 0
        self.failed = 0
        self.is_over = False

    async def write(self, number: int) -> None:
        items = records(200, seed=number, prefix=f"w{number}")
        turn = 0
        while not self.is_over:
            await asyncio.sleep(TASKS / RATE)
            store = self.store
            if store is None:
                continue
            item = items[turn % len(items)]
            changed = ContentVector(key=item.key, vector=item.vector, metadata={**item.metadata, "turn": turn})
            value = None if turn % 5 == 4 else changed
            self.possible.setdefault(item.key, [None]).append(value)
            try:
                await (store.delete([item.key]) if value is None else store.upsert([changed]))
            except StoreError:
                self.failed += 1
            else:
                self.possible[item.key] = [value]
                self.count += 1
            turn += 1


async def test_whatever_happens_both_stores_end_with_one_digest(tmp_path: Path) -> None:
    generator = random.Random(5)
    server = TestServer(tmp_path / "server")
    move = await new_move(tmp_path, server)
    try:
        await move.fill_memory(records(20_000, prefix="film"))
        await move.set("off")
        soak = Soak(await move.open())
        writers = [asyncio.create_task(soak.write(number)) for number in range(TASKS)]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            await asyncio.sleep(generator.uniform(0.5, 4))
            await _happening(generator.choice(["set", "set", "kill", "restart", "by hand"]), soak, move, generator)
        await move.set("on")
        assert soak.store is not None
        await until(lambda: soak.store is not None and soak.store.live.truth == "postgres", seconds=120)
        soak.is_over = True
        await asyncio.gather(*writers)
        keys = list(soak.possible)
        for key, found in zip(keys, await soak.store.get(keys), strict=True):
            assert found in soak.possible[key], key
        # Closing takes a moment only: after an outage in the very end that is not enough.
        async with asyncio.timeout(120):
            while not await soak.store.live.settle(5):
                await asyncio.sleep(0.1)
        await soak.store.aclose()
        memory, postgres = await digests_of(move)
        assert memory == postgres
        assert soak.count > SECONDS * RATE / 4
    finally:
        server.stop()


async def _happening(name: str, soak: Soak, move: Move, generator: random.Random) -> None:
    if name == "set":
        mode = generator.choice(["off", "shadow", "canary", "on"])
        await move.set(mode, 30 if mode == "canary" else 0)  # type: ignore[arg-type]
    elif name == "kill":
        move.kill_server()
        await asyncio.sleep(generator.uniform(0, 3))
        await asyncio.to_thread(move.server.embedded.start)
    elif name == "restart" and soak.store is not None:
        former, soak.store = soak.store, None
        await asyncio.sleep(0.1)
        await former.aclose()
        soak.store = await move.open()
    elif name == "by hand":
        move.sql(f"DELETE FROM content_vectors WHERE id = 'film-{generator.randrange(20_000)}'")
