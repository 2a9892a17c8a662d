"""Vector indexes on a real server: built while it serves, stopped in the middle, replaced, warmed."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from media_gateway.contracts import BulkLoads, Prewarms
from media_gateway.database.index_definitions import IndexDefinition
from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import DuplicateKeyError, IndexBusyError, InvalidRequestError, StoreFullError
from media_gateway.models import ContentVector, SearchRequest, VectorSpace
from media_gateway.stores.postgres import PostgresStore
from media_gateway.stores.postgres.indexes import (
    BuildPlan,
    BuildProgress,
    BuildResources,
    build_index,
    drop_index,
    index_bytes,
    read_indexes,
    read_table,
    rebuild_index,
    sampled_rate,
)
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio

SPACE = VectorSpace(model="made-up", dimension=32)
HALVED = IndexDefinition(kind="halfvec")


async def in_batches(items: Sequence[ContentVector], size: int = 500) -> AsyncIterator[Sequence[ContentVector]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


class Stores:
    """Opens stores on the test server and closes them when the test ends."""

    def __init__(self, server: TestServer) -> None:
        self.server = server
        self._opened: list[PostgresStore] = []

    async def open(
        self, space: VectorSpace = SPACE, conninfo: Mapping[str, Any] | None = None, **settings: Any
    ) -> PostgresStore:
        given = None if conninfo is None else dict(conninfo)
        self._opened.append(await self.server.open_store(space, given, **settings))
        return self._opened[-1]

    async def loaded(self, count: int = 1_500) -> PostgresStore:
        store = await self.open()
        await store.bulk_load(in_batches(records(count)))
        return store

    async def aclose(self) -> None:
        for store in self._opened:
            await store.aclose()


@pytest.fixture
async def stores(postgres: TestServer) -> AsyncIterator[Stores]:
    opened = Stores(postgres)
    yield opened
    await opened.aclose()


async def indexes_of(store: PostgresStore) -> dict[str, bool]:
    connection = await connect_dedicated(store.endpoint.conninfo)
    try:
        return {state.name: state.is_valid for state in await read_indexes(connection, store.endpoint.engine)}
    finally:
        await connection.close()


async def test_a_build_goes_on_beside_writers_and_searchers(stores: Stores) -> None:
    store = await stores.loaded(6_000)
    queries = records(40, seed=7)
    plans: list[BuildPlan] = []
    told: list[BuildProgress] = []
    done = asyncio.Event()
    worked = 0

    async def serve() -> None:
        nonlocal worked
        while not done.is_set():
            for number, item in enumerate(queries):
                await store.upsert([ContentVector(key=f"new-{number}", vector=item.vector, metadata={"n": worked})])
                assert len((await store.search(SearchRequest(vector=item.vector, k=5))).hits) == 5
                worked += 1

    task = asyncio.create_task(serve())
    try:
        built = await build_index(store.endpoint, HALVED, on_plan=plans.append, on_progress=told.append)
    finally:
        done.set()
        await task
    assert worked
    assert built.index.is_valid
    assert built.index.bytes == pytest.approx(index_bytes(6_000, 32, "halfvec", 16), rel=0.2)
    # A few rows may have been added before the plan was made.
    assert 6_000 <= plans[0].estimate.rows <= 6_040
    assert plans[0].fits_memory
    assert "building the graph" in {progress.phase for progress in told}
    assert await indexes_of(store) == {"content_vectors_halfvec_idx": True, "content_vectors_hnsw_idx": True}
    # What was written meanwhile is found by way of the new index.
    await drop_index(store.endpoint, "vector")
    reopened = await stores.open(SPACE, store.endpoint.conninfo)
    hit = (await reopened.search(SearchRequest(vector=queries[3].vector, k=1))).hits[0]
    assert (hit.key, hit.score) == ("new-3", pytest.approx(1, abs=1e-6))


async def test_a_build_that_is_stopped_leaves_nothing_behind(stores: Stores) -> None:
    store = await stores.loaded(6_000)
    has_begun = asyncio.Event()
    slow = IndexDefinition(kind="halfvec", m=64, ef_construction=1_000)
    build = asyncio.create_task(build_index(store.endpoint, slow, on_progress=lambda _: has_begun.set()))
    await asyncio.wait_for(has_begun.wait(), 30)
    with pytest.raises(IndexBusyError, match="another build of an index is under way"):
        await build_index(store.endpoint, HALVED)
    assert "content_vectors_halfvec_idx" in await indexes_of(store)
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    assert await indexes_of(store) == {"content_vectors_hnsw_idx": True}
    assert (await build_index(store.endpoint, HALVED)).index.is_valid


async def test_the_rest_of_a_build_that_died_is_cleared_away(stores: Stores) -> None:
    store = await stores.loaded()
    connection = await connect_dedicated(store.endpoint.conninfo)
    await connection.execute(
        "CREATE INDEX content_vectors_hnsw_idx_ccnew ON content_vectors USING hnsw (vector vector_cosine_ops)"
    )
    await connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid IN "
        "('content_vectors_hnsw_idx'::regclass, 'content_vectors_hnsw_idx_ccnew'::regclass)"
    )
    before = await read_indexes(connection, store.endpoint.engine)
    assert [state.is_leftover for state in before] == [True, True]
    rebuilt = await rebuild_index(store.endpoint, "vector")
    assert rebuilt.dropped == ["content_vectors_hnsw_idx_ccnew"]
    assert await indexes_of(store) == {"content_vectors_hnsw_idx": True}
    with pytest.raises(InvalidRequestError, match=r"no content_vectors_halfvec_idx; build it with .* --kind halfvec"):
        await rebuild_index(store.endpoint, "halfvec")
    await connection.close()


async def test_an_index_takes_the_place_of_the_others_in_one_moment(stores: Stores) -> None:
    store = await stores.loaded()
    with pytest.raises(InvalidRequestError, match="is there already, with m 16 .* index rebuild --kind vector"):
        await build_index(store.endpoint, IndexDefinition())
    wider = IndexDefinition(m=24, ef_construction=96)
    with pytest.raises(InvalidRequestError, match="is there with m 16 and ef_construction 64; add --replace"):
        await build_index(store.endpoint, wider)
    built = await build_index(store.endpoint, wider, replaces=True)
    assert (built.index.name, built.index.definition) == ("content_vectors_hnsw_idx", wider)
    built = await build_index(store.endpoint, HALVED, replaces=True)
    assert built.dropped == ["content_vectors_hnsw_idx"]
    assert await indexes_of(store) == {"content_vectors_halfvec_idx": True}
    assert built.index.note is not None
    assert built.index.note.rows == 1_500


async def test_a_build_that_no_disk_can_hold_is_refused(stores: Stores) -> None:
    store = await stores.loaded()
    with pytest.raises(StoreFullError, match=r"takes .* GiB of disk.* make room"):
        await build_index(store.endpoint, HALVED, resources=BuildResources(disk_room=1_000))
    assert await indexes_of(store) == {"content_vectors_hnsw_idx": True}


async def test_changes_since_a_build_are_counted(stores: Stores) -> None:
    store = await stores.loaded()
    built = (await rebuild_index(store.endpoint, "vector")).index
    await store.upsert(records(300, seed=5))
    # A server process that ends reports at once what it counted, an idle one after ten seconds.
    await store.aclose()
    connection = await connect_dedicated(store.endpoint.conninfo)
    for _ in range(100):
        table = await read_table(connection)
        if table.changes_since(built.note) == 300:
            break
        await asyncio.sleep(0.1)
    assert table.changes_since(built.note) == 300
    rate = await sampled_rate(connection, store.endpoint.engine, table, HALVED, workers=0)
    assert rate is not None
    assert rate.seconds > 0
    cursor = await connection.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'content_vectors_sample%'")
    assert await cursor.fetchone() == (0,)
    await connection.close()


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", {"content_vectors_hnsw_idx": True}),
        ("halfvec", {"content_vectors_halfvec_idx": True}),
        ("vector", {"content_vectors_hnsw_idx": True}),
    ],
)
async def test_a_load_into_an_empty_table_builds_the_index_that_was_chosen(
    stores: Stores, choice: str, names: dict[str, bool]
) -> None:
    store = await stores.open(index=choice)
    stages: list[tuple[str, int, int | None]] = []
    assert isinstance(store, BulkLoads)
    count = await store.bulk_load(in_batches(records(1_200)), on_stage=lambda *stage: stages.append(stage))
    assert count == 1_200
    assert await indexes_of(store) == names
    assert stages[0][1:] == (0, 1_200)
    assert f"building {next(iter(names))}, which takes" in stages[0][0]


async def test_a_load_that_fails_midway_leaves_table_and_index_as_they_were(stores: Stores) -> None:
    store = await stores.open()
    items = records(1_000)
    with pytest.raises(DuplicateKeyError):
        await store.bulk_load(in_batches([*items, items[0]], 250))

    async def cut_off() -> AsyncIterator[Sequence[ContentVector]]:
        yield items[:500]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        await store.bulk_load(cut_off())
    assert (await store.stats()).count == 0
    assert await indexes_of(store) == {"content_vectors_hnsw_idx": True}
    assert await store.bulk_load(in_batches(items)) == 1_000


async def test_vectors_of_over_two_thousand_numbers_get_a_halfvec_index(stores: Stores) -> None:
    long = VectorSpace(model="long", dimension=3_072)
    store = await stores.open(long, stores.server.new_database())
    generator = np.random.default_rng(3)
    items = [
        ContentVector(key=f"k{number:04}", vector=generator.standard_normal(3_072).astype(np.float32), metadata={})
        for number in range(1_050)
    ]
    await store.bulk_load(in_batches(items))
    assert await indexes_of(store) == {"content_vectors_halfvec_idx": True}
    found = await store.search(SearchRequest(vector=items[7].vector, k=3))
    assert (found.hits[0].key, found.exact) == ("k0007", False)
    assert found.hits[0].score == pytest.approx(1, abs=1e-6)
    plain = await stores.open(long, stores.server.new_database(), index="vector")
    with pytest.raises(InvalidRequestError, match="3,072 numbers; a vector index takes at most 2,000"):
        await plain.bulk_load(in_batches(items))
    # An empty collection takes shorter vectors again, and gets back the index that they can have.
    await store.delete([item.key for item in items])
    short = await stores.open(SPACE, store.endpoint.conninfo)
    assert (await indexes_of(short))["content_vectors_hnsw_idx"]


async def test_warming_reads_the_index_or_searches_where_it_may_not(stores: Stores) -> None:
    store = await stores.loaded(2_000)
    assert isinstance(store, Prewarms)
    warmed = await store.prewarm()
    stats = await store.stats()
    assert warmed.how == "pg_prewarm"
    assert warmed.bytes > index_bytes(2_000, 32, "vector", 16)
    assert warmed.bytes < stats.table_bytes + stats.index_bytes
    connection = await connect_dedicated(store.endpoint.conninfo)
    await connection.execute("DROP EXTENSION pg_prewarm")
    name = f"reader_{store.endpoint.conninfo['dbname']}"
    await connection.execute(f"CREATE ROLE {name} LOGIN")
    await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    await connection.close()
    reader = await stores.open(SPACE, {**store.endpoint.conninfo, "user": name})
    assert (await reader.prewarm()).how == "searches"
