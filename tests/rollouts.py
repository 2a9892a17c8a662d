"""A live move between a memory file and a database, for tests: its files, its states, its stores."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from media_gateway.contracts import VectorStore
from media_gateway.models import ContentVector, VectorSpace
from media_gateway.models.digests import CollectionDigest, row_hash
from media_gateway.rollout import Mode, RolloutParts, RolloutState, RolloutStore, open_rollout
from media_gateway.rollout.guard import GuardRules
from media_gateway.rollout.keeper import StateKeeper
from media_gateway.rollout.opening import RolloutFiles
from media_gateway.rollout.table import RolloutTable
from media_gateway.stores.memory import MemoryStore, open_memory_store
from media_gateway.stores.postgres import PostgresStore
from tests.postgres import TestServer

SPACE = VectorSpace(model="test", dimension=32)


class Move:
    """A memory file in *folder* and a database on *server*; made by `new_move`."""

    def __init__(self, folder: Path, server: TestServer, conninfo: dict[str, Any]) -> None:
        self.path = folder / "memory.snap"
        self.server = server
        self.conninfo = conninfo
        self.rules = GuardRules()

    def parts(self) -> RolloutParts:
        async def conninfo() -> dict[str, Any]:
            return self.conninfo

        return RolloutParts(
            open_memory=self.memory,
            open_postgres=self.postgres,
            table=RolloutTable(conninfo, server="the test server"),
            files=RolloutFiles(path=self.path),
            rules=self.rules,
        )

    async def memory(self) -> MemoryStore:
        return await open_memory_store(self.path, space=SPACE)

    async def postgres(self) -> PostgresStore:
        return await self.server.open_store(SPACE, self.conninfo, pool_min=1)

    async def fill_memory(self, items: list[ContentVector]) -> None:
        store = await self.memory()
        await store.upsert(items)
        await store.aclose()

    async def set(self, mode: Mode, percent: float = 0, *, follows: bool = True) -> RolloutState:
        """Set the state from beside, as the command does."""
        parts = self.parts()
        parts.table.patience = 1.0
        keeper = StateKeeper(parts.files.state, parts.table)
        state, _ = await keeper.set(mode, percent, who="operator", why="a test", follows=follows)
        await parts.table.aclose()
        return state

    async def open(self) -> RolloutStore:
        store = await open_rollout(self.parts(), writable=True)
        assert isinstance(store, RolloutStore)
        return store

    async def completed(self) -> RolloutStore:
        """Open the rollout and wait until both stores have everything."""
        store = await self.open()
        await until(lambda: store.live.is_complete)
        return store

    def sql(self, statement: str) -> None:
        """Write to PostgreSQL by another hand."""
        with psycopg.connect(**self.conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    def kill_server(self) -> None:
        pid = self.server.embedded.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)


async def new_move(folder: Path, server: TestServer) -> Move:
    """Return a move between an empty memory file in *folder* and an empty database on *server*."""
    return Move(folder, server, server.new_database(await server._template(SPACE)))


async def until(holds: Callable[[], bool], *, seconds: float = 20) -> float:
    """Wait until *holds* and return after how many seconds it did."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, "it did not come about in time"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


async def digest(store: VectorStore) -> CollectionDigest:
    """Return the digest of *store*, computed here from every record."""
    found = CollectionDigest()
    async for page in store.scan():
        found = found.plus(row_hash(record) for record in page)
    return found


async def digests_of(move: Move) -> tuple[CollectionDigest, CollectionDigest]:
    """Return the digests of the memory file and of the database, while nobody serves them."""
    found: list[CollectionDigest] = []
    for store in (await move.memory(), await move.postgres()):
        found.append(await digest(store))
        await store.aclose()
    return found[0], found[1]
