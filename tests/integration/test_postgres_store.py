"""What only the PostgreSQL store promises: crashes, bulk loads, raw SQL beside it, unknown outcomes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path

import psycopg
import pytest

from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import (
    DuplicateKeyError,
    InvalidVectorError,
    OutcomeUnknownError,
    StoreFullError,
    StoreUnavailableError,
)
from media_gateway.filters import GenresAny, MediaTypeIs, MetadataEquals, RatingBetween, ReleasedBetween
from media_gateway.models import ContentVector, SearchRequest, VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.postgres import PostgresStore, open_postgres_store
from media_gateway.stores.postgres.writes import IssuedWrites
from tests.postgres import TestServer
from tests.samples import clustered, records

pytestmark = pytest.mark.anyio
SPACE = VectorSpace(model="test", dimension=32)


@pytest.fixture
async def store(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    store = await postgres.open_store(SPACE)
    yield store
    await store.aclose()
    postgres.drop_database(dict(store.endpoint.conninfo))


async def in_batches(items: Sequence[ContentVector], size: int = 700) -> AsyncIterator[Sequence[ContentVector]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


@pytest.mark.parametrize(
    "delay", [pytest.param(0.05, marks=pytest.mark.full), 0.4, pytest.param(1.2, marks=pytest.mark.full)]
)
async def test_kill_9_of_the_server_during_an_upsert_leaves_all_or_none(tmp_path: Path, delay: float) -> None:
    server = TestServer(tmp_path)
    store = await server.open_store(SPACE)
    try:
        items = records(10_000)
        write = asyncio.create_task(store.upsert(items))
        await asyncio.sleep(delay)
        pid = server.embedded.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        outcome = (await asyncio.gather(write, return_exceptions=True))[0]
        server.embedded.start()
        count = (await store.stats()).count
        assert count in (0, 10_000)
        assert isinstance(outcome, StoreUnavailableError | OutcomeUnknownError | None)
        if outcome is None:
            assert count == 10_000
        await store.upsert(items[:3])
    finally:
        await store.aclose()
        server.stop()


async def test_bulk_load_into_an_empty_table_and_into_a_filled_one(store: PostgresStore) -> None:
    items = records(3000)
    assert await store.bulk_load(in_batches(items[:2000])) == 2000
    assert await store.bulk_load(in_batches(items[2000:])) == 1000
    stats = await store.stats()
    assert (stats.count, stats.index) == (3000, "content_vectors_hnsw_idx")
    assert await store.get(["movie-0", "movie-2999"]) == [items[0], items[2999]]
    result = await store.search(SearchRequest(vector=items[1234].vector))
    assert not result.exact
    assert result.hits[0].key == "movie-1234"


async def test_a_bulk_load_that_fails_leaves_rows_and_index_as_they_were(store: PostgresStore) -> None:
    items = records(1000)
    bad = ContentVector(key="bad", vector=clustered(1, 32)[0] * float("nan"))
    with pytest.raises(InvalidVectorError):
        await store.bulk_load(in_batches([*items, bad]))
    stats = await store.stats()
    assert (stats.count, stats.index) == (0, "content_vectors_hnsw_idx")
    with pytest.raises(DuplicateKeyError):
        await store.bulk_load(in_batches([*items, items[0]]))
    assert await store.bulk_load(in_batches(items)) == 1000
    with pytest.raises(DuplicateKeyError):
        await store.bulk_load(in_batches(items[:1]))
    assert (await store.stats()).count == 1000


async def test_raw_sql_is_held_to_the_norms_too(store: PostgresStore) -> None:
    async with await connect_dedicated(store.endpoint.conninfo) as connection:
        for number in (0, 1e-17, 1e19):
            vector = "[" + ",".join([str(number)] * 32) + "]"
            with pytest.raises(psycopg.errors.CheckViolation, match="content_vectors_vector_norm"):
                await connection.execute(
                    "INSERT INTO content_vectors (id, vector, metadata) VALUES ('x', %s, '{}')", [vector]
                )


async def test_raw_sql_with_unusable_metadata_is_kept_and_counts_as_missing(store: PostgresStore) -> None:
    vector = str(clustered(1, 32)[0].tolist())
    rows = [
        '{"vote_average": 1e999, "release_date": "2023-02-30", "genre_ids": "x", "media_type": "book"}',
        '{"vote_average": "9", "release_date": 20230101, "genre_ids": [28, 28.0, "x", 1e99, -1, 2.5], "media_type": 1}',
        '{"vote_average": 1e-999, "release_date": "0000-01-01", "genre_ids": [2147483647, 2147483648]}',
        '{"vote_average": null, "release_date": "2024-02-29", "genre_ids": [], "media_type": null}',
        '{"huge": ' + "9" * 5000 + "}",
    ]
    async with await connect_dedicated(store.endpoint.conninfo) as connection:
        for number, metadata in enumerate(rows):
            await connection.execute(
                "INSERT INTO content_vectors (id, vector, metadata) VALUES (%s, %s, %s)",
                [str(number), vector, metadata],
            )

    async def keys(condition: object) -> list[str]:
        request = SearchRequest(vector=clustered(1, 32)[0], where=condition)  # pyright: ignore[reportArgumentType]
        return sorted(hit.key for hit in (await store.search(request)).hits)

    assert await keys(MediaTypeIs("movie") | MediaTypeIs("tv") | RatingBetween(low=-1e308)) == []
    assert await keys(GenresAny([28])) == ["1"]
    assert await keys(GenresAny([2147483647])) == ["2"]
    assert await keys(MetadataEquals("release_date", "2024-02-29")) == ["3"]
    assert await keys(ReleasedBetween(first=date(1, 1, 1))) == ["3"]
    (huge,) = await store.get(["4"])
    assert huge is not None
    assert huge.metadata["huge"] == 10**5000 - 1


async def test_upserts_of_the_same_keys_at_once_never_deadlock(store: PostgresStore) -> None:
    items = records(200)
    orders = [items, items[::-1], items[::2] + items[1::2]]
    await asyncio.gather(
        *(store.upsert(orders[number % 3]) for number in range(12)),
        *(store.delete([item.key for item in orders[number % 3]]) for number in range(6)),
    )
    await store.upsert(items)
    assert (await store.stats()).count == 200


async def test_an_index_that_comes_back_short_is_made_up_for_by_a_scan(store: PostgresStore) -> None:
    items = records(3000)
    await store.bulk_load(in_batches(items))
    ready = "UPDATE pg_index SET indisready = %s WHERE indexrelid = 'content_vectors_hnsw_idx'::regclass"
    async with await connect_dedicated(store.endpoint.conninfo) as connection:
        await connection.execute("TRUNCATE content_vectors")
        await connection.execute(ready, [False])
    await store.upsert(items[:2000])
    async with await connect_dedicated(store.endpoint.conninfo) as connection:
        await connection.execute(ready, [True])
    result = await store.search(SearchRequest(vector=items[7].vector, k=50))
    assert len(result.hits) == 50
    assert result.exact
    assert result.hits[0].key == "movie-7"


async def test_more_than_the_index_looks_at_by_default(store: PostgresStore) -> None:
    items = records(3000)
    await store.bulk_load(in_batches(items))
    for k in (100, 1000, 2999):
        exact = await store.search(SearchRequest(vector=items[5].vector, k=k, exact=True))
        quick = await store.search(SearchRequest(vector=items[5].vector, k=k))
        assert len(quick.hits) == k
        assert len({hit.key for hit in quick.hits} & {hit.key for hit in exact.hits}) >= 0.95 * k


async def test_a_read_only_server_is_one_clear_refusal(store: PostgresStore) -> None:
    async with await connect_dedicated(store.endpoint.conninfo) as connection:
        await connection.execute(
            f"ALTER DATABASE {store.endpoint.conninfo['dbname']} SET default_transaction_read_only = on"
        )
    other = await _reopened(store)
    with pytest.raises(StoreFullError, match="read-only"):
        await other.upsert(records(1))
    await other.aclose()


async def _reopened(store: PostgresStore) -> PostgresStore:

    return await open_postgres_store(
        Settings.read(backend="postgres"), conninfo=dict(store.endpoint.conninfo), space=SPACE
    )


def test_a_write_is_repeated_only_while_it_is_the_latest_to_all_of_its_keys() -> None:
    writes = IssuedWrites()
    with writes.issued(["a", "b"]) as first:
        assert first.is_latest
        with writes.issued(["b", "c"]) as second:
            assert not first.is_latest
            assert second.is_latest
        assert not first.is_latest
    with writes.issued(["a"]) as third:
        assert third.is_latest
