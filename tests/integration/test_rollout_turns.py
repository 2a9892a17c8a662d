"""The moment in which the truth changes, and closing: nothing that others or late copies do then is lost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from media_gateway.models import ContentVector
from media_gateway.rollout import Mode, RolloutStore
from media_gateway.rollout.state import Side
from tests.postgres import TestServer
from tests.rollouts import Move, digests_of, new_move, until
from tests.samples import records

pytestmark = pytest.mark.anyio


@pytest.fixture
async def move(tmp_path: Path, postgres: TestServer) -> Move:
    move = await new_move(tmp_path, postgres)
    await move.fill_memory(records(20))
    await move.set("off")
    return move


@asynccontextmanager
async def opened(move: Move) -> AsyncGenerator[RolloutStore]:
    store = await move.completed()
    try:
        yield store
    finally:
        await store.aclose()


async def assert_equal(move: Move, count: int) -> None:
    memory, postgres = await digests_of(move)
    assert memory == postgres
    assert memory.count == count


async def test_what_others_removed_from_postgres_before_the_cut_over_is_undone_by_it(move: Move) -> None:
    async with opened(move) as store:
        (kept,) = await store.get(["movie-3"])
        move.sql("DELETE FROM content_vectors WHERE id = 'movie-3'")
        assert await store.live.aim("postgres")
        assert await store.new.get(["movie-3"]) == [kept]
    await assert_equal(move, 20)


@pytest.mark.parametrize(("mode", "truth", "count"), [("off", "memory", 20), ("on", "postgres", 19)])
async def test_closing_brings_over_what_others_changed_last(move: Move, mode: Mode, truth: Side, count: int) -> None:
    async with opened(move) as store:
        await move.set(mode)
        await until(lambda: store.state.mode == mode and store.live.truth == truth)
        move.sql("DELETE FROM content_vectors WHERE id = 'movie-3'")
    await assert_equal(move, count)


async def test_a_copy_that_was_late_never_overwrites_what_the_new_truth_got(move: Move) -> None:
    newer = ContentVector(key="movie-3", vector=records(4)[3].vector, metadata={"is": "newer"})
    locker = await move.postgres()
    async with opened(move) as store:
        await move.set("on")
        await until(lambda: store.live.truth == "postgres")
        async with locker.serving_connection() as connection, connection.transaction():
            await connection.execute("LOCK TABLE content_vectors IN ACCESS EXCLUSIVE MODE")
            # The copy that this asks for waits for the lock while the truth changes.
            store.live.applier.mark(["movie-3"], "postgres")
            await asyncio.sleep(0.05)
            await move.set("off")
            await until(lambda: store.live.truth == "memory")
            await store.upsert([newer])
        await locker.aclose()
        await until(lambda: store.live.is_complete and not store.live.applier.waiting)
        assert await store.get(["movie-3"]) == [newer]
    await assert_equal(move, 20)
