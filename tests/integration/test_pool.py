"""The pool: many callers, a server that goes away and comes back, connections that die."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import psycopg
import pytest

from media_gateway.errors import AuthenticationError, StoreUnavailableError
from media_gateway.models import SearchRequest, VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.postgres import PostgresStore, open_postgres_store
from tests.postgres import TestServer
from tests.samples import clustered, records

pytestmark = pytest.mark.anyio
SPACE = VectorSpace(model="test", dimension=32)
QUERIES = clustered(500, 32, seed=9)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A server that these tests may stop."""
    server = TestServer(tmp_path_factory.mktemp("own"))
    yield server
    server.stop()


@pytest.fixture
async def store(own_server: TestServer) -> AsyncIterator[PostgresStore]:
    store = await own_server.open_store(SPACE)
    await store.upsert(records(1500))
    yield store
    await store.aclose()


async def test_500_searches_at_once_all_answer_from_20_connections(store: PostgresStore) -> None:
    results = await asyncio.gather(*(store.search(SearchRequest(vector=query)) for query in QUERIES))
    assert [len(result.hits) for result in results] == [10] * 500
    assert (await store.stats()).details["pool"]["pool_size"] <= 20


async def test_callers_fail_fast_while_the_server_is_down_and_recover_by_themselves(
    own_server: TestServer, store: PostgresStore
) -> None:
    async def timed_failure(number: int) -> float:
        started = time.monotonic()
        with pytest.raises(StoreUnavailableError) as caught:
            await store.search(SearchRequest(vector=QUERIES[number]))
        assert caught.value.server
        return time.monotonic() - started

    await store.search(SearchRequest(vector=QUERIES[0]))
    own_server.embedded.stop()
    try:
        times = await asyncio.gather(*(timed_failure(number) for number in range(100)))
        assert max(times) < 3
        # One after the other: no caller pays for those before.
        assert max([await timed_failure(number) for number in range(5)]) < 3
    finally:
        own_server.embedded.start()
    assert len((await store.search(SearchRequest(vector=QUERIES[0]))).hits) == 10
    await store.upsert(records(3, prefix="later"))
    assert (await store.get(["later-2"]))[0] is not None


async def test_a_server_that_goes_down_under_load_fails_every_caller_in_time(
    own_server: TestServer, store: PostgresStore
) -> None:
    durations: list[float] = []

    async def caller() -> None:
        while True:
            started = time.monotonic()
            try:
                await store.search(SearchRequest(vector=QUERIES[1]))
            except StoreUnavailableError:
                durations.append(time.monotonic() - started)
                return

    callers = [asyncio.create_task(caller()) for _ in range(60)]
    await asyncio.sleep(0.3)
    await asyncio.to_thread(own_server.embedded.stop)
    try:
        await asyncio.wait_for(asyncio.gather(*callers), timeout=10)
    finally:
        await asyncio.to_thread(own_server.embedded.start)
    assert len(durations) == 60
    assert max(durations) < 3
    assert len((await store.search(SearchRequest(vector=QUERIES[1]))).hits) == 10


async def test_killed_connections_are_replaced_without_a_failed_search(
    own_server: TestServer, store: PostgresStore
) -> None:
    await asyncio.gather(*(store.search(SearchRequest(vector=query)) for query in QUERIES[:40]))
    database = store.endpoint.conninfo["dbname"]
    for _ in range(3):
        with psycopg.connect(**own_server.conninfo()) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
        results = await asyncio.gather(*(store.search(SearchRequest(vector=query)) for query in QUERIES[:40]))
        assert all(len(result.hits) == 10 for result in results)


async def test_writes_notice_dead_connections_before_they_send(own_server: TestServer, store: PostgresStore) -> None:
    with psycopg.connect(**own_server.conninfo()) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [store.endpoint.conninfo["dbname"]],
        )
    await store.upsert(records(5, prefix="after"))
    assert await store.delete(["after-0", "after-1"]) == 2


async def test_a_server_that_hangs_is_given_up_on_and_served_from_again(own_server: TestServer) -> None:
    async with aclosing(await own_server.open_store(SPACE, statement_timeout=0.5, pool_min=1)) as store:
        await store.upsert(records(20))
        with own_server.hung():
            started = time.monotonic()
            with pytest.raises(StoreUnavailableError, match="no answer within 2.5 s and counts as hung"):
                await store.search(SearchRequest(vector=QUERIES[0]))
            assert time.monotonic() - started < 6
        assert len((await store.search(SearchRequest(vector=QUERIES[0]))).hits) == 10


async def test_a_cancelled_search_gives_its_connection_back(store: PostgresStore) -> None:
    for _ in range(60):
        task = asyncio.create_task(store.search(SearchRequest(vector=QUERIES[2], exact=True)))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    results = await asyncio.gather(*(store.search(SearchRequest(vector=query)) for query in QUERIES[:40]))
    assert all(len(result.hits) == 10 for result in results)


async def test_behind_a_transaction_pooler_nothing_rests_on_the_session(own_server: TestServer) -> None:
    store = await own_server.open_store(SPACE, transaction_pooler=True)
    await store.upsert(records(1200))
    result = await store.search(SearchRequest(vector=QUERIES[3]))
    assert len(result.hits) == 10
    assert not result.exact
    async with store.serving_connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM pg_prepared_statements")
        assert await cursor.fetchone() == (0,)
        cursor = await connection.execute("SHOW statement_timeout")
        assert await cursor.fetchone() == ("0",)
    await store.aclose()


async def test_no_server_is_one_clear_sentence(tmp_path: object) -> None:
    settings = Settings.read(backend="postgres", postgres_host="127.0.0.1", postgres_port=1, postgres_password="hush")
    with pytest.raises(StoreUnavailableError, match="cannot reach media_gateway@127.0.0.1:1/media_vectors") as caught:
        await open_postgres_store(settings, conninfo=settings.conninfo(), space=SPACE)
    assert "hush" not in str(caught.value)


async def test_a_wrong_password_is_told_apart(tmp_path_factory: pytest.TempPathFactory, free_port: int) -> None:
    server = TestServer(tmp_path_factory.mktemp("tcp"), port=free_port)
    try:
        settings = Settings.read(
            backend="postgres", postgres_host="127.0.0.1", postgres_port=free_port, postgres_password="wrong-one"
        )
        with pytest.raises(AuthenticationError, match="refuses the login") as caught:
            await open_postgres_store(settings, conninfo=settings.conninfo(), space=SPACE)
        assert "wrong-one" not in str(caught.value) + repr(caught.value) + repr(settings)
        settings = Settings.read(backend="postgres", database_url=server.embedded.tcp_url())
        store = await open_postgres_store(settings, conninfo=settings.conninfo(), space=SPACE)
        assert (await store.stats()).count == 0
        await store.aclose()
        settings = Settings.read(backend="postgres", database_url=server.embedded.tcp_url() + "_not_there")
        with pytest.raises(AuthenticationError, match="does not exist"):
            await open_postgres_store(settings, conninfo=settings.conninfo(), space=SPACE)
    finally:
        server.stop()
