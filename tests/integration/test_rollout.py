"""Live moves on real stores: nothing is lost by moving over, by going back, by crashes and outages."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import pytest

from media_gateway.contracts import VectorStore
from media_gateway.errors import StoreError, StoreLockedError, StoreUnavailableError, UnsupportedError
from media_gateway.models import ContentVector, SearchRequest
from media_gateway.rollout import RolloutStore, open_rollout
from media_gateway.rollout.keeper import StateKeeper
from media_gateway.rollout.opening import noted, refuse_beside
from media_gateway.rollout.state import new_state
from media_gateway.stores.memory import open_memory_store
from media_gateway.stores.postgres import PostgresStore
from tests.postgres import TestServer
from tests.rollouts import SPACE, Move, digest, digests_of, new_move, until
from tests.samples import records

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A server that tests of this module may kill; each leaves it running."""
    server = TestServer(tmp_path_factory.mktemp("own"))
    yield server
    server.stop()


@pytest.fixture
async def move(tmp_path: Path, postgres: TestServer) -> Move:
    return await new_move(tmp_path, postgres)


@pytest.fixture
async def risky(tmp_path: Path, own_server: TestServer) -> AsyncIterator[Move]:
    """A move whose server may be killed."""
    yield await new_move(tmp_path, own_server)
    own_server.embedded.start()


@asynccontextmanager
async def opened(move: Move, *, completed: bool = True) -> AsyncIterator[RolloutStore]:
    store = await (move.completed() if completed else move.open())
    try:
        yield store
    finally:
        await store.aclose()


class Writers:
    """Insert, update and delete at *rate* a second and remember what each key must hold; each key has one writer."""

    def __init__(self, store: VectorStore, *, rate: float, tasks: int = 4) -> None:
        self._store = store
        self._pause = tasks / rate
        self._tasks = tasks
        self._stopping = False
        self.expected: dict[str, ContentVector | None] = {}
        self.count = 0
        self.slowest = 0.0

    async def __aenter__(self) -> Self:
        self._running = [asyncio.create_task(self._write(number)) for number in range(self._tasks)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._running)

    async def _write(self, number: int) -> None:
        items = records(40, seed=number, prefix=f"w{number}")
        due = time.monotonic()
        turn = 0
        while not self._stopping:
            item = items[turn % len(items)]
            began = time.monotonic()
            if turn % 5 == 4:
                await self._store.delete([item.key])
                self.expected[item.key] = None
            else:
                changed = ContentVector(key=item.key, vector=item.vector, metadata={**item.metadata, "turn": turn})
                await self._store.upsert([changed])
                self.expected[item.key] = changed
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.count += 1
            turn += 1
            due += self._pause
            await asyncio.sleep(max(0.0, due - time.monotonic()))


async def assert_holds(store: VectorStore, expected: dict[str, ContentVector | None]) -> None:
    keys = list(expected)
    assert dict(zip(keys, await store.get(keys), strict=True)) == expected


async def test_without_a_state_the_store_is_the_plain_one(move: Move) -> None:
    store = await open_rollout(move.parts(), writable=True)
    assert type(store) is PostgresStore
    await store.aclose()
    assert not move.path.parent.joinpath("memory.snap.lock").exists()


async def test_writers_go_on_during_a_whole_transfer_and_cut_over(move: Move) -> None:
    await move.fill_memory(records(2_500, prefix="film"))
    await move.set("off")
    async with opened(move, completed=False) as store:
        began = time.monotonic()
        async with Writers(store, rate=200) as writers:
            await until(lambda: store.live.is_complete)
            for mode, percent in (("shadow", 0), ("canary", 25), ("on", 100)):
                await move.set(mode, percent)
                await until(lambda: store.state.mode == mode)  # noqa: B023
                await asyncio.sleep(0.3)
            await until(lambda: store.live.truth == "postgres")
            await asyncio.sleep(max(0.0, 5 - (time.monotonic() - began)))
        taken = time.monotonic() - began
        await assert_holds(store, writers.expected)
        assert writers.count > 100 * taken
    memory, postgres = await digests_of(move)
    assert memory == postgres
    assert memory.count == 2_500 + sum(item is not None for item in writers.expected.values())


async def test_going_back_under_load_takes_less_than_a_second_and_loses_nothing(move: Move) -> None:
    await move.fill_memory(records(500, prefix="film"))
    await move.set("on")
    # The first state is on: PostgreSQL was alone, and it is empty.
    async with opened(move) as store:
        await store.upsert(records(500, prefix="film"))
        async with Writers(store, rate=200) as writers:
            await asyncio.sleep(0.7)
            move.sql("UPDATE content_vectors SET metadata = '{\"by\": \"hand\"}' WHERE id = 'film-7'")
            await move.set("off")
            assert await until(lambda: store.live.truth == "memory") < 1
            await asyncio.sleep(0.4)
        assert writers.slowest < 1.2
        assert store.live.facts.is_confirmed
        (by_hand,) = await store.get(["film-7"])
        assert by_hand is not None
        assert by_hand.metadata == {"by": "hand"}
        await assert_holds(store, writers.expected)
        found = await store.live.verify()
        assert (found.differing, found.keys) == (0, [])
    memory, postgres = await digests_of(move)
    assert memory == postgres


async def test_what_others_write_to_postgres_comes_to_memory_while_postgres_is_the_truth(move: Move) -> None:
    await move.fill_memory(records(20))
    await move.set("off")
    async with opened(move) as store:
        await move.set("on")
        await until(lambda: store.live.truth == "postgres")
        memory = store._stores["memory"]
        move.sql("DELETE FROM content_vectors WHERE id = 'movie-3'")
        move.sql("UPDATE content_vectors SET metadata = '{}' WHERE id = 'movie-4'")
        move.sql(
            "INSERT INTO content_vectors SELECT 'copy', vector, metadata FROM content_vectors WHERE id = 'movie-5'"
        )

        async def follows() -> bool:
            gone, changed, copied = await memory.get(["movie-3", "movie-4", "copy"])
            return gone is None and changed is not None and changed.metadata == {} and copied is not None

        async with asyncio.timeout(10):
            while not await follows():
                await asyncio.sleep(0.02)


async def test_what_others_write_to_postgres_is_undone_while_memory_is_the_truth(move: Move) -> None:
    await move.fill_memory(records(20))
    await move.set("shadow")
    async with opened(move) as store:
        move.sql("TRUNCATE content_vectors")
        async with asyncio.timeout(10):
            while (await digest(store.new)).count != 20:
                await asyncio.sleep(0.02)


async def test_users_keep_their_store_and_shadow_answers_are_compared(move: Move) -> None:
    items = records(300)
    await move.fill_memory(items)
    await move.set("shadow")
    async with opened(move) as store:
        result = await store.search(SearchRequest(vector=items[7].vector, k=5))
        assert result.hits[0].key == "movie-7"
        await until(lambda: store.shadow.summary() is not None)
        summary = store.shadow.summary()
        assert summary is not None
        assert (summary.compared, summary.failed, summary.overlap_mean) == (1, 0, 1.0)
        assert summary.score_difference_largest is not None
        assert summary.score_difference_largest < 1e-5
        await move.set("canary", 25)
        await until(lambda: store.state.mode == "canary")
        for number in range(200):
            await store.search(SearchRequest(vector=items[number].vector, user=f"user-{number}"))
        assert 25 <= store.guard.figures()["searches"] <= 75
    table = move.parts().table
    rows = await table.summaries(10)
    await table.aclose()
    assert rows[0]["compared"] >= 1


async def test_a_shadow_never_delays_an_answer(move: Move) -> None:
    items = records(50)
    await move.fill_memory(items)
    await move.set("shadow")
    async with opened(move) as store:
        locker = await move.postgres()
        async with locker.serving_connection() as connection, connection.transaction():
            await connection.execute("LOCK TABLE content_vectors IN ACCESS EXCLUSIVE MODE")
            began = time.monotonic()
            for item in items:
                await store.search(SearchRequest(vector=item.vector))
            assert time.monotonic() - began < 1
        await locker.aclose()
        await until(lambda: (found := store.shadow.summary()) is not None and found.compared == 4)
        summary = store.shadow.summary()
        assert summary is not None
        assert summary.dropped == 46


async def test_killing_postgres_under_canary_fails_nobody_and_trips_the_guard(risky: Move) -> None:
    items = records(200)
    await risky.fill_memory(items)
    await risky.set("canary", 50)
    async with opened(risky) as store:
        await until(lambda: store.state.mode == "canary")
        answers = 0

        async def search(number: int) -> None:
            nonlocal answers
            while not is_over:
                result = await store.search(SearchRequest(vector=items[number].vector, user=f"user-{answers}"))
                assert result.hits[0].key == items[number].key
                answers += 1
                await asyncio.sleep(0.005)

        is_over = False
        searches = [asyncio.create_task(search(number)) for number in range(4)]
        await asyncio.sleep(0.5)
        risky.kill_server()
        assert await until(lambda: store.state.tripped) < 5
        await store.upsert(records(5, prefix="during"))
        before = answers
        await until(lambda: answers > before + 20)
        is_over = True
        await asyncio.gather(*searches)
        assert store.fallbacks > 0
        assert risky.parts().files.state.latest() == store.state
        assert store.state.who.startswith("guard in ")
        assert store.facts()["reads"] == "memory"
        # It stays there when the server is back, and what was written meanwhile and the audit are brought over.
        risky.server.embedded.start()
        await until(lambda: not store.live.applier.waiting and not risky.parts().files.state.unrecorded())
        table = risky.parts().table
        recorded = await table.history(5)
        await table.aclose()
        assert [state.text for state in recorded] == ["canary 50 %, tripped", "canary 50 %"]
        assert store.state.tripped
        await risky.set("canary", 50)
        await until(lambda: not store.state.tripped)
    memory, postgres = await digests_of(risky)
    assert memory == postgres


async def test_a_server_that_hangs_delays_answers_by_a_second_at_most_and_rollback_not_at_all(risky: Move) -> None:
    items = records(50)
    await risky.fill_memory(items)
    await risky.set("off")
    async with opened(risky) as store:
        await risky.set("on")
        await until(lambda: store.live.truth == "postgres")
        await store.search(SearchRequest(vector=items[1].vector))
        with risky.server.hung():
            began = time.monotonic()
            result = await store.search(SearchRequest(vector=items[3].vector))
            assert result.hits[0].key == "movie-3"
            assert time.monotonic() - began < 1.5
            assert await until(lambda: store.state.tripped) < 5
            parts = risky.parts()
            written = new_state(parts.files.state.latest(), mode="off", percent=0, who="operator", why="a test")
            parts.files.state.add(written, is_recorded=False)
            assert await until(lambda: store.live.truth == "memory") < 1
            began = time.monotonic()
            await store.upsert(records(1, prefix="new"))
            assert time.monotonic() - began < 0.5
        await until(lambda: store.live.facts.is_confirmed and store.live.is_complete and not store.live.applier.waiting)
    memory, postgres = await digests_of(risky)
    assert memory == postgres


async def test_going_back_while_postgres_is_down_brings_its_last_changes_later(risky: Move) -> None:
    await risky.fill_memory(records(50))
    await risky.set("off")
    async with opened(risky) as store:
        await risky.set("on")
        await until(lambda: store.live.truth == "postgres")
        # Memory must not see this before the server dies.
        async with store.live.applier.held():
            await store.upsert(records(3, prefix="last"))
            risky.sql("DELETE FROM content_vectors WHERE id = 'movie-1'")
            risky.sql("DELETE FROM content_vectors WHERE id = 'movie-2'")
            risky.kill_server()
            await risky.set("off")
            assert await until(lambda: store.live.truth == "memory") < 1
        assert not store.live.facts.is_confirmed
        # Written after the switch: newer than what PostgreSQL has.
        newer = ContentVector(key="movie-2", vector=records(3)[2].vector, metadata={"is": "newer"})
        await store.upsert([newer, *records(1, seed=5, prefix="last")])
        risky.server.embedded.start()
        await until(lambda: store.live.facts.is_confirmed and store.live.is_complete)
        found = await store.get(["movie-1", "movie-2", "last-0", "last-1", "last-2"])
        assert found[0] is None
        assert found[1:] == [newer, *records(1, seed=5, prefix="last"), *records(3, prefix="last")[1:]]
    memory, postgres = await digests_of(risky)
    assert memory == postgres


async def test_memory_serves_when_postgres_is_down_at_the_start(risky: Move) -> None:
    items = records(30)
    await risky.fill_memory(items)
    await risky.set("canary", 50)
    await (await risky.completed()).aclose()
    risky.kill_server()
    async with opened(risky, completed=False) as store:
        await store.upsert(records(2, prefix="new"))
        for number in range(6):
            result = await store.search(SearchRequest(vector=items[number].vector, user=f"user-{number}"))
            assert result.hits[0].key == items[number].key
        risky.server.embedded.start()
        await until(lambda: not store.live.applier.waiting)
    memory, postgres = await digests_of(risky)
    assert memory == postgres
    assert memory.count == 32


async def test_a_writer_gets_the_errors_of_the_truth_alone(risky: Move) -> None:
    await risky.fill_memory(records(10))
    await risky.set("off")
    async with opened(risky) as store:
        await risky.set("on")
        await until(lambda: store.live.truth == "postgres")
        risky.kill_server()
        # The server's processes notice one after the other that they were left alone.
        with pytest.raises(StoreError):
            await asyncio.gather(*(store.upsert(records(1, prefix=f"lost-{number}")) for number in range(20)))
        found = await store.get(["movie-1"])
        assert found[0] is not None
        assert (await store.search(SearchRequest(vector=records(1)[0].vector))).hits
        assert await until(lambda: store.state.tripped) < 5
        assert store.live.truth == "postgres"
        risky.server.embedded.start()
        await store.upsert(records(1, prefix="kept"))


CRASHING = """
import asyncio, sys
from pathlib import Path
from media_gateway.rollout import open_rollout
from tests.integration.test_rollout import Writers
from tests.rollouts import Move

async def main():
    move = Move(Path(sys.argv[1]), None, {"host": sys.argv[2], "port": int(sys.argv[3]), "dbname": sys.argv[4], "user": sys.argv[5]})
    from tests.postgres import TestServer
    move.server = TestServer.__new__(TestServer)
    store = await move.open()
    print("open", flush=True)
    async with Writers(store, rate=2000, tasks=8):
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("mode", ["off", "on"])
async def test_a_process_killed_in_the_middle_leaves_both_stores_equal_after_the_next_start(
    move: Move, mode: str
) -> None:
    await move.fill_memory(records(200, prefix="film"))
    await move.set("off")
    await (await move.completed()).aclose()
    await move.set("on" if mode == "on" else "off")
    arguments = [str(move.conninfo[name]) for name in ("host", "port", "dbname", "user")]
    for pause in (0.15, 0.45):
        with subprocess.Popen(
            [sys.executable, "-c", CRASHING, str(move.path.parent), *arguments],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == "open\n"
            await asyncio.sleep(pause)
            process.kill()
        async with opened(move) as store:
            # On a slow machine the process is killed before it has taken over the state.
            await until(lambda: store.live.truth == ("postgres" if mode == "on" else "memory"))
            await until(lambda: not store.live.applier.waiting)
        memory, postgres = await digests_of(move)
        assert memory == postgres
        assert memory.count > 200


async def test_what_the_kill_switch_wrote_to_memory_reaches_postgres_later(move: Move) -> None:
    await move.fill_memory(records(20))
    await move.set("off")
    async with opened(move) as store:
        await move.set("on")
        await until(lambda: store.live.truth == "postgres")
    alone = noted(await open_memory_store(move.path, space=SPACE), move.parts().files)
    changed = ContentVector(key="movie-1", vector=records(2)[1].vector, metadata={"by": "kill switch"})
    await alone.upsert([changed])
    assert await alone.delete(["movie-2"]) == 1
    await alone.aclose()
    async with opened(move) as store:
        assert store.live.truth == "postgres"
        assert await store.new.get(["movie-1", "movie-2"]) == [changed, None]
    memory, postgres = await digests_of(move)
    assert memory == postgres


async def test_a_second_process_and_writes_beside_are_refused_with_a_sentence(move: Move) -> None:
    await move.fill_memory(records(5))
    await move.set("canary", 10)
    async with opened(move) as store:
        with pytest.raises(StoreLockedError, match="one service process"):
            await move.open()
        for side in ("memory", "postgres"):
            with pytest.raises(UnsupportedError, match="beside it would be lost"):
                await refuse_beside(move.parts(), side)
        await move.set("on")
        await until(lambda: store.live.truth == "postgres")
        await refuse_beside(move.parts(), "postgres")
    await move.set("on", follows=False)
    plain = await open_rollout(move.parts(), writable=True)
    assert type(plain) is PostgresStore
    await plain.aclose()
    await refuse_beside(move.parts(), "memory")


async def test_a_state_set_elsewhere_arrives_within_a_second_and_survives_a_restart(move: Move, tmp_path: Path) -> None:
    await move.fill_memory(records(5))
    await move.set("off")
    async with opened(move) as store:
        elsewhere = Move(tmp_path / "elsewhere", move.server, move.conninfo)
        keeper_parts = elsewhere.parts()
        keeper = StateKeeper(keeper_parts.files.state, keeper_parts.table)
        await keeper.reconcile()
        await keeper.set("canary", 30, who="elsewhere", why="a test")
        await keeper_parts.table.aclose()
        assert await until(lambda: store.state.percent == 30) < 1
    async with opened(move) as store:
        assert store.state.text == "canary 30 %"
    history = await (table := move.parts().table).history(10)
    await table.aclose()
    assert [(state.epoch, state.text, state.who) for state in history] == [
        (2, "canary 30 %", "elsewhere"),
        (1, "off", "operator"),
    ]


async def test_a_record_that_the_other_store_refuses_is_named_and_holds_up_no_other(move: Move) -> None:
    await move.fill_memory(records(20))
    await move.set("off")
    async with opened(move) as store:
        move.sql("ALTER TABLE content_vectors ADD CONSTRAINT no_bad CHECK (id <> 'bad')")
        bad = ContentVector(key="bad", vector=records(1)[0].vector)
        await store.upsert([bad, *records(3, prefix="good")])
        await until(lambda: not store.live.applier.waiting)
        assert list(store.live.applier.stuck) == ["bad"]
        assert None not in await store.new.get(["good-0", "good-1", "good-2"])
        await move.set("on")
        await asyncio.sleep(0.5)
        assert store.live.truth == "memory"
        move.sql("ALTER TABLE content_vectors DROP CONSTRAINT no_bad")
        await store.upsert([bad])
        await until(lambda: store.live.truth == "postgres")


async def test_without_postgres_and_without_a_state_opening_says_so(tmp_path: Path, own_server: TestServer) -> None:
    move = await new_move(tmp_path, own_server)
    move.conninfo = {**move.conninfo, "host": str(tmp_path), "port": 1}
    with pytest.raises(StoreUnavailableError):
        await open_rollout(move.parts(), writable=True)
