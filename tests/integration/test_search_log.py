"""The log of searches: what is kept, what is dropped, and that no searcher ever waits for it or hears of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_gateway import OwnVectors, Settings, open_gateway
from media_gateway.database.search_log import MOST_KEYS, SearchLogTable
from media_gateway.errors import InvalidKeyError, StoreUnavailableError
from media_gateway.filters import Condition, GenresAny, MediaTypeIs, MetadataEquals, ReleasedBetween
from media_gateway.gateway import Gateway
from media_gateway.models import LoggedSearch, Matrix, VectorSpace
from media_gateway.stores.postgres import PostgresStore
from media_gateway.stores.postgres.search_log import MOST_WAITING, LogPace, LogRules, SampledSearchLog
from tests.acceptance.command import Command
from tests.postgres import TestServer
from tests.samples import clustered, records

pytestmark = pytest.mark.anyio

SPACE = VectorSpace(model="words", dimension=32)
ALL = LogRules(share=1, keep_text=True, days=30, most_rows=1000)
QUICK = LogPace(linger=0.01, rest=0.05)


class Words(OwnVectors):
    """Gives every text one vector."""

    async def embed(self, texts: Sequence[str], purpose: str = "document") -> Matrix:
        return np.repeat(clustered(1, SPACE.dimension, seed=4), len(texts), axis=0)


WORDS = Words(model=SPACE.model, dimension=SPACE.dimension)


def table_of(
    store: PostgresStore, lend: Callable[[], AbstractAsyncContextManager[Any]] | None = None
) -> SearchLogTable:
    return SearchLogTable(lend or store.serving_connection, server="here", space=store.space, vector_type="vector")


def asked(number: int = 0, **more: Any) -> LoggedSearch:
    facts: dict[str, Any] = {
        "at": datetime.now(UTC),
        "kind": "vector",
        "vector": clustered(1, SPACE.dimension, seed=number)[0],
        "k": 10,
        "where": None,
        "keys": ["movie-1"],
        "exact": True,
        "latency_ms": 1.5,
    }
    return LoggedSearch(**{**facts, **more})


@pytest.fixture
async def store(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    store = await postgres.open_store(SPACE)
    await store.upsert(records(20))
    yield store
    await store.aclose()


async def rows_of(store: PostgresStore, statement: str = "SELECT count(*) FROM vector_search_logs") -> list[Any]:
    async with store.serving_connection() as connection:
        return await (await connection.execute(statement)).fetchall()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_every_kind_of_search_is_kept_with_all_that_a_replay_needs(store: PostgresStore) -> None:
    log = SampledSearchLog(table_of(store), ALL, pace=QUICK)
    where: Condition = MediaTypeIs("movie") & ~MetadataEquals("note", 1.5) & ReleasedBetween(first=date(2001, 1, 2))
    gateway = Gateway(store, WORDS, search_log=log)
    vector = records(20)[3].vector
    by_words = await gateway.search("lighthouse", k=3, where=where, user="ann")
    by_vector = await gateway.search_vector(vector, k=2, exact=True)
    by_key = await gateway.similar("movie-3", k=2, where=GenresAny([28]), user="bob")
    await until(lambda: log.measures()["logged"] == 3)
    assert (await gateway.stats()).details["search_log"]["logged"] == 3
    third, second, first = await table_of(store).recent_queries(10)
    assert [found.kind for found in (first, second, third)] == ["text", "vector", "similar"]
    assert (first.text, first.user, first.k, first.where) == ("lighthouse", "ann", 3, where)
    assert (second.text, second.user, second.where, second.exact) == (None, None, None, True)
    assert (third.text, third.user, third.where) == (None, "bob", GenresAny([28]))
    for found, answer in ((first, by_words), (second, by_vector), (third, by_key)):
        assert found.keys == [hit.key for hit in answer.hits]
        assert 0 < found.latency_ms < 10_000
        assert abs(datetime.now(UTC) - found.at) < timedelta(minutes=1)
    assert second.vector.dtype == np.float32
    assert np.array_equal(second.vector, vector)
    assert [found.kind for found in await table_of(store).recent_queries(1)] == ["similar"]
    await log.aclose()


async def test_what_is_open_through_settings_logs_its_share_and_no_words(postgres: TestServer, tmp_path: Path) -> None:
    where = postgres.new_database(await postgres._template(SPACE))
    named = {"postgres_host": where["host"], "postgres_port": where["port"], "postgres_db": where["dbname"]}
    read = lambda **more: Settings.read(backend="postgres", postgres_user=where["user"], **named, **more)  # noqa: E731
    async with open_gateway(read(search_log_share=1.0), embedder=WORDS) as gateway:
        await gateway.add_vectors(records(3))
        await gateway.search("something personal", user="ann")
    # Closing has written what waited, and another process sees it.
    variables = {name.upper(): str(value) for name, value in named.items()} | {"POSTGRES_USER": where["user"]}
    told = Command(folder=tmp_path, variables=variables)("--backend", "postgres", "stats", "--json").json()
    assert told["details"]["logged_searches"] == 1
    async with open_gateway(read(search_log_share=0), embedder=WORDS) as gateway:
        await gateway.search("not kept")
        assert "search_log" not in (await gateway.stats()).details
        assert isinstance(gateway.store, PostgresStore)
        kept = "SELECT kind, query_text, user_id, model, store, cardinality(result_keys) FROM vector_search_logs"
        assert await rows_of(gateway.store, kept) == [("text", None, "ann", "words", "postgres", 3)]
    async with open_gateway(read(search_log_share=1.0), embedder=WORDS, writable=False) as gateway:
        await gateway.search("read only")
        assert "search_log" not in (await gateway.stats()).details


async def test_the_memory_backend_has_no_log(tmp_path: Path) -> None:
    settings = Settings.read(memory_path=tmp_path / "m.snap", search_log_share=1.0, postgres_host="unreachable.invalid")
    async with open_gateway(settings, embedder=WORDS) as gateway:
        await gateway.search("anything")
        assert "search_log" not in (await gateway.stats()).details


async def test_the_share_decides_by_the_draw(store: PostgresStore) -> None:
    draws = iter([0.0, 0.2, 0.249, 0.25, 0.9])
    rules = LogRules(share=0.25, keep_text=False, days=1, most_rows=10)
    log = SampledSearchLog(table_of(store), rules, draw=lambda: next(draws))
    assert [log.wants() for _ in range(5)] == [True, True, True, False, False]


async def test_a_full_queue_drops_and_counts(store: PostgresStore) -> None:
    log = SampledSearchLog(table_of(store), ALL, pace=QUICK)
    for number in range(MOST_WAITING + 7):
        log.add(asked(number % 5))
    assert (log.measures()["waiting"], log.measures()["dropped"]) == (MOST_WAITING, 7)
    await log.aclose()
    assert log.measures() == {"share": 1, "logged": MOST_WAITING, "dropped": 7, "waiting": 0, "failures": 0}
    assert await rows_of(store) == [(MOST_WAITING,)]
    log.add(asked())
    assert log.measures()["dropped"] == 8


async def test_a_server_that_is_away_costs_drops_and_one_warning_and_nothing_else(
    store: PostgresStore, caplog: pytest.LogCaptureFixture
) -> None:
    is_away = True

    def lend() -> AbstractAsyncContextManager[Any]:
        if is_away:
            raise StoreUnavailableError("cannot reach here", server="here", reason="away")
        return store.serving_connection()

    log = SampledSearchLog(table_of(store, lend), ALL, pace=QUICK)
    gateway = Gateway(store, WORDS, search_log=log)
    for expected in (1, 2, 3):
        assert (await gateway.search("anyway", k=5)).hits
        await until(lambda expected=expected: log.measures()["dropped"] == expected)
    assert log.measures()["failures"] == 3
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "searches cannot be logged" in warning
    assert "cannot reach here" in warning
    is_away = False
    await gateway.search("back again")
    await until(lambda: log.measures()["logged"] == 1)
    await log.aclose()
    assert [found.text for found in await table_of(store).recent_queries(5)] == ["back again"]


async def test_a_search_that_cannot_be_written_takes_no_other_with_it(store: PostgresStore) -> None:
    log = SampledSearchLog(table_of(store), ALL, pace=QUICK)
    for user in ("ann", "with\0nul", "x" * 513, "", "bob"):
        log.add(asked(user=user))
    log.add(asked(where=Condition()))
    log.add(asked(keys=[f"movie-{number}" for number in range(MOST_KEYS + 50)]))
    await log.aclose()
    assert (log.measures()["logged"], log.measures()["dropped"]) == (3, 4)
    latest, *others = await table_of(store).recent_queries(10)
    assert len(latest.keys) == MOST_KEYS
    assert [found.user for found in others] == ["bob", "ann"]


async def test_closing_waits_for_a_server_that_hangs_for_a_moment_only(store: PostgresStore) -> None:
    @asynccontextmanager
    async def lend() -> AsyncIterator[Any]:
        await asyncio.sleep(60)
        yield

    log = SampledSearchLog(table_of(store, lend), ALL, pace=LogPace(linger=0.01, closing=0.2))
    log.add(asked())
    await asyncio.sleep(0.05)
    log.add(asked())
    began = time.monotonic()
    await log.aclose()
    await log.aclose()
    assert time.monotonic() - began < 5
    assert (log.measures()["dropped"], log.measures()["waiting"]) == (2, 0)


async def test_what_is_old_and_what_is_too_many_goes_in_batches(store: PostgresStore) -> None:
    table = table_of(store)
    now = datetime.now(UTC)
    old = [table.row(asked(at=now - timedelta(days=30, minutes=1), user="old")) for _ in range(2300)]
    await table.write(old)
    await table.write([table.row(asked(at=now - timedelta(days=29), user=f"u{number}")) for number in range(1500)])
    assert await table.tidy(days=30, most_rows=100_000) == 2300
    assert await table.tidy(days=30, most_rows=1500) == 0
    assert await table.tidy(days=30, most_rows=100) == 1400
    kept = "SELECT min(user_id), count(*) FROM vector_search_logs WHERE user_id = ANY ('{u1400,u1499}')"
    assert await rows_of(store, kept) == [("u1400", 2)]
    assert await rows_of(store) == [(100,)]


async def test_writing_tidies_by_itself(store: PostgresStore) -> None:
    table = table_of(store)
    await table.write([table.row(asked(at=datetime.now(UTC) - timedelta(days=40))) for _ in range(5)])
    log = SampledSearchLog(table, ALL, pace=QUICK)
    log.add(asked(user="new"))
    await until(lambda: log.measures()["logged"] == 1 and log._tidy_at > 0)
    async with asyncio.timeout(10):
        while await rows_of(store) != [(1,)]:
            await asyncio.sleep(0.02)
    await log.aclose()


async def test_a_user_can_be_forgotten_and_another_model_is_not_read(store: PostgresStore) -> None:
    table = table_of(store)
    await table.write([table.row(asked(user=user)) for user in ("ann", "bob", "ann")])
    assert await table.forget("ann") == 2
    with pytest.raises(InvalidKeyError, match="the user '' has 0 bytes"):
        await table.forget("")
    assert [found.user for found in await table.recent_queries(10)] == ["bob"]
    other = SearchLogTable(
        store.serving_connection,
        server="here",
        space=VectorSpace(model="other", dimension=32),
        vector_type="vector",
    )
    assert await other.recent_queries(10) == []
