"""A rollout that is set while gateways run which opened without one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from media_gateway import OwnVectors, Settings, open_gateway
from media_gateway.errors import StoreLockedError, UnsupportedError
from media_gateway.gateway import Gateway
from media_gateway.models import ContentVector
from media_gateway.monitoring.metrics import Metrics
from media_gateway.rollout import Mode, NotedStore, RolloutStore
from media_gateway.steering.changes import Change, Wish, change, roll_back
from media_gateway.steering.facts import read_status
from media_gateway.upkeep import diagnose
from tests.integration.test_monitoring import settings_on
from tests.integration.test_rollout import Writers
from tests.postgres import TestServer
from tests.rollouts import SPACE, digest, until
from tests.samples import clustered, records

pytestmark = pytest.mark.anyio

OWN = OwnVectors(model=SPACE.model, dimension=SPACE.dimension)
QUERY = clustered(1, SPACE.dimension, seed=9)[0]


@pytest.fixture
async def settings(tmp_path: Path, postgres: TestServer) -> Settings:
    """An empty database, and a folder for memory."""
    where = postgres.new_database(await postgres._template(SPACE))
    (tmp_path / "data").mkdir()
    return settings_on(where, tmp_path / "data", pool_min=1)


@asynccontextmanager
async def serving(settings: Settings, *items: ContentVector) -> AsyncIterator[Gateway]:
    async with open_gateway(settings, embedder=OWN, metrics=Metrics()) as gateway:
        await gateway.store.upsert(items)
        yield gateway


async def told(settings: Settings) -> None:
    """Wait until a process tells that it serves by one store alone."""
    await until(lambda: _report(settings).is_file())


def _report(settings: Settings) -> Path:
    return settings.memory_path.with_name(settings.memory_path.name + ".rollout.service")


async def set_to(settings: Settings, mode: Mode, percent: float | None = None, **more: bool) -> Change:
    wish = Wish(mode=mode, percent=percent, reason="a test", who="operator", **more)
    return await change(settings.model_copy(update={"backend": "postgres"}), wish)


def move_of(gateway: Gateway) -> RolloutStore:
    assert isinstance(gateway.store, RolloutStore)
    return gateway.store


async def joined(gateway: Gateway) -> float:
    return await until(lambda: isinstance(gateway.store, RolloutStore))


class InUse:
    """Writes to the store that *gateway* has in use, as callers of a gateway do."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def upsert(self, items: Sequence[ContentVector]) -> None:
        await self._gateway.store.upsert(items)

    async def delete(self, keys: Sequence[str]) -> int:
        return await self._gateway.store.delete(keys)


async def test_a_gateway_that_opened_without_a_rollout_follows_it_over_and_back(settings: Settings):
    async with serving(settings, *records(60)) as gateway:
        assert not isinstance(gateway.store, RolloutStore)
        await told(settings)
        began = asyncio.create_task(set_to(settings, "on"))
        await joined(gateway)
        assert (await began).seconds is not None
        await until(lambda: move_of(gateway).live.is_complete)
        done = await set_to(settings, "canary", 50)
        assert done.seconds is not None
        assert done.seconds < 1
        for number in range(40):
            await gateway.search_vector(QUERY, user=f"user-{number}")
        assert 0 < move_of(gateway).guard.figures()["searches"] < 40
        await gateway.add_vectors(records(5, prefix="new"))
        back = await roll_back(settings, "a test", who="operator")
        assert back.verified == {"compared": 65, "differing": 0, "keys": []}
        assert move_of(gateway).live.truth == "memory"
    async with serving(settings.model_copy(update={"backend": "memory"})) as memory:
        assert (await memory.stats()).count == 65


async def test_a_first_state_that_makes_memory_the_truth_fills_it_first_and_loses_no_write(settings: Settings):
    async with serving(settings, *records(300, prefix="film")) as gateway:
        await told(settings)
        async with Writers(InUse(gateway), rate=200) as writers:  # type: ignore[arg-type]
            await asyncio.sleep(0.3)
            # Memory is empty: it is no copy that has to be made beforehand.
            done = await set_to(settings, "canary", 25)
            assert done.former is None
            await joined(gateway)
            assert gateway.store.state.mode in {"on", "canary"}
            await until(lambda: move_of(gateway).live.truth == "memory")
            await asyncio.sleep(0.5)
        store = move_of(gateway)
        keys = list(writers.expected)
        assert dict(zip(keys, await store.get(keys), strict=True)) == writers.expected
        await until(lambda: not store.live.applier.waiting)
        assert (await store.live.verify()).differing == 0
        assert await digest(store) == await digest(store.new)
        status = await read_status(settings)
        assert (status["state"], status["service"]["truth"]) == ("canary 25 %", "memory")


async def test_memory_that_is_empty_is_filled_before_it_becomes_the_truth(settings: Settings):
    async with serving(settings, *records(20)):
        pass
    assert (await set_to(settings, "off")).former is None
    async with serving(settings) as gateway:
        await until(lambda: move_of(gateway).live.truth == "memory")
        assert (await gateway.stats()).count == 20


async def test_a_second_process_goes_on_while_postgres_is_the_truth_and_refuses_while_memory_is(
    settings: Settings, caplog: pytest.LogCaptureFixture
):
    async with serving(settings, *records(20)) as one, serving(settings) as two:
        await set_to(settings, "on")
        await until(lambda: "goes on with PostgreSQL alone" in caplog.text)
        await until(lambda: any(isinstance(gateway.store, RolloutStore) for gateway in (one, two)))
        first, second = (one, two) if isinstance(one.store, RolloutStore) else (two, one)
        await second.store.upsert(records(3, prefix="second"))
        await until(lambda: move_of(first).live.is_complete)
        await until_there(move_of(first), "second-2")
        await set_to(settings, "off")
        await until(lambda: "answers nothing any more" in caplog.text)
        with pytest.raises(StoreLockedError, match="one service process"):
            await second.get("movie-1")
        with pytest.raises(StoreLockedError):
            await second.remove(["movie-1"])
        assert await first.get("second-2") is not None
        caplog.clear()
        await set_to(settings, "on")
        await until(lambda: "goes on with PostgreSQL alone" in caplog.text)
        assert await second.get("second-2") is not None


async def until_there(store: RolloutStore, key: str) -> None:
    async with asyncio.timeout(10):
        while (await store._stores["memory"].get([key])) == [None]:
            await asyncio.sleep(0.05)


async def test_a_rollout_that_was_begun_beside_another_memory_file(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    elsewhere = settings.model_copy(update={"memory_path": tmp_path / "elsewhere" / "memory.snap"})
    (tmp_path / "elsewhere").mkdir()
    async with serving(elsewhere, *records(20)) as gateway:
        await set_to(settings, "on")
        await until(lambda: "goes on with PostgreSQL alone" in caplog.text)
        assert "it was begun beside another memory file" in caplog.text
        await set_to(settings, "off", may_discard=True)
        await until(lambda: "answers nothing any more" in caplog.text)
        with pytest.raises(StoreLockedError, match="begun beside another memory file"):
            await gateway.search_vector(QUERY)
    # Nor does it begin, with a memory that is empty and would be the truth.
    with pytest.raises(StoreLockedError, match="where that file is lost"):
        await open_gateway(elsewhere, embedder=OWN)
    back = await roll_back(elsewhere, "a test")
    assert any("begun beside another memory file" in remark for remark in back.remarks)
    await set_to(elsewhere, "on")
    async with serving(elsewhere) as gateway:
        assert (await gateway.stats()).count == 20
        assert not isinstance(gateway.store, RolloutStore)
    await set_to(elsewhere, "on", may_discard=True)
    async with serving(elsewhere) as gateway:
        await until(lambda: move_of(gateway).live.is_complete)
        assert (await move_of(gateway).live.verify()).compared == 20


async def test_a_process_under_the_kill_switch_says_that_it_follows_nothing_and_has_its_writes_noted(
    settings: Settings, caplog: pytest.LogCaptureFixture
):
    switched = settings.model_copy(update={"backend": "memory"})
    async with serving(switched, *records(20)) as gateway:
        await told(settings)
        with pytest.raises(UnsupportedError, match="the truth: set off first"):
            await set_to(settings, "on")
        done = await set_to(settings, "off")
        assert "serves from memory alone and follows no rollout: start it anew" in done.sentence
        await until(lambda: isinstance(gateway.store, NotedStore))
        assert "until this process is started anew with RUVECTOR_BACKEND=postgres" in caplog.text
        await gateway.store.upsert(records(1, prefix="later"))
        assert (await gateway.stats()).details["rollout"]["follows"] is False
        for one in (settings, switched):
            (found,) = [one for one in (await diagnose(one)).findings if one.code == "rollout_unfollowed"]
            assert "the backend is memory" in found.seen
        assert "the backend is memory" in (await read_status(settings))["service"]["failure"]
        back = await roll_back(settings, "a test")
        assert "follows no rollout" in back.sentence
    async with serving(settings) as gateway:
        await until(lambda: move_of(gateway).live.is_complete)
        assert (await move_of(gateway).new.get(["later-0"])) != [None]


async def test_a_rollout_after_one_that_ended_begins_with_what_postgres_has(
    settings: Settings, caplog: pytest.LogCaptureFixture
):
    async with serving(settings, *records(30)) as gateway:
        await set_to(settings, "on")
        await joined(gateway)
        await until(lambda: move_of(gateway).live.is_complete)
        await set_to(settings, "on", alone=True)
    # PostgreSQL stands alone, and goes its own way.
    async with serving(settings, *records(5, prefix="since")) as gateway:
        assert not isinstance(gateway.store, RolloutStore)
        assert await gateway.remove(["movie-1", "movie-2"]) == 2
        await set_to(settings, "canary", 10)
        await joined(gateway)
        assert await gateway.get("movie-1") is None
        await until(lambda: move_of(gateway).live.truth == "memory")
        assert await gateway.get("movie-1") is None
        assert await gateway.get("since-4") is not None
        assert (await move_of(gateway).live.verify()).as_json() == {"compared": 33, "differing": 0, "keys": []}
    # The journal belongs to the present rollout: nothing is taken from PostgreSQL again.
    async with serving(settings) as gateway:
        assert move_of(gateway).live.truth == "memory"
        assert move_of(gateway).live.is_complete
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
