"""A gateway with metrics, on a real PostgreSQL: what is counted, sampled and read, also when the server goes away."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from media_gateway import OwnVectors, Settings, open_gateway
from media_gateway.contracts import Changes, Tunes
from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import StoreTimeoutError, StoreUnavailableError
from media_gateway.gateway import Gateway
from media_gateway.models import SearchRequest, VectorSpace
from media_gateway.monitoring.families import PREFIX
from media_gateway.monitoring.metrics import Metrics
from media_gateway.monitoring.postgres import read_postgres, statements_advice
from media_gateway.rollout import RolloutStore
from media_gateway.wiring import postgres_of
from tests.postgres import TestServer
from tests.rollouts import new_move
from tests.samples import clustered, records

pytestmark = pytest.mark.anyio

SPACE = VectorSpace(model="own", dimension=32)
OWN = OwnVectors(model=SPACE.model, dimension=SPACE.dimension)
QUERY = clustered(1, SPACE.dimension, seed=9)[0]


class Told:
    """What metrics tell."""

    def __init__(self) -> None:
        self.metrics = Metrics(refresh_seconds=0.1)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(PREFIX + name, labels)

    async def until(self, holds: Callable[[], bool], seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.02)


def settings_on(where: dict[str, Any], folder: Path, **more: Any) -> Settings:
    return Settings.read(
        backend="postgres",
        postgres_host=where["host"],
        postgres_port=where["port"],
        postgres_db=where["dbname"],
        postgres_user=where["user"],
        memory_path=folder / "memory.snap",
        backup_path=folder / "backups",
        **more,
    )


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def gateway(postgres: TestServer, tmp_path: Path, told: Told) -> AsyncIterator[Gateway]:
    where = postgres.new_database(await postgres._template(SPACE))
    settings = settings_on(where, tmp_path, recall_sample_share=1.0, recall_samples_a_minute=6000, pool_max=4)
    async with open_gateway(settings, embedder=OWN, metrics=told.metrics) as gateway:
        yield gateway


async def test_searches_are_counted_and_the_server_is_read(gateway: Gateway, told: Told):
    await gateway.add_vectors(records(30))
    await gateway.search_vector(QUERY)
    await gateway.get("movie-3")
    await gateway.remove(["movie-3"])
    assert told("searches_total", store="postgres", plan="exact") == 1
    assert told("searches_short_total", store="postgres") == 0
    for operation, count in {"search": 1, "get": 2, "upsert": 1, "delete": 1}.items():
        assert told("store_operation_duration_seconds_count", operation=operation, store="postgres") == count
    assert (told("pool_wait_seconds_count") or 0) >= 5
    assert told("pool_connections_max") == 4
    await told.until(lambda: told("collection_records") == 29)
    assert told("postgres_up") == 1
    assert told("recall_target_ratio") == 0.95
    assert (told("postgres_relation_size_bytes", relation="content_vectors_hnsw_idx") or 0) > 0
    assert (told("postgres_connections", state="idle") or 0) >= 1
    assert told("postgres_replication_lag_seconds") == 0
    assert told("backup_last_success_timestamp_seconds") == 0
    assert (told("disk_free_bytes", volume="data") or 0) > 0
    assert (told("disk_free_bytes", volume="database") or 0) > 0, "the test server's files lie on this machine"
    assert told("transfer_rows_done") is None
    assert told("rollout_mode", mode="on") is None


async def test_slow_statements_are_read_or_it_is_said_what_to_do(gateway: Gateway):
    store = postgres_of(gateway.store)
    assert store is not None
    async with await connect_dedicated(store.endpoint.conninfo) as connection:
        before = await read_postgres(connection)
        said = before.missing["statements"]
        assert said.startswith("the server counts statements, but this database does not show them: a superuser runs")
        assert f"CREATE EXTENSION pg_stat_statements in {before.database}" in said
        await connection.execute("CREATE EXTENSION pg_stat_statements")
        await gateway.add_vectors(records(3))
        after = await read_postgres(connection)
        assert "statements" not in after.missing
        assert after.statements
        assert any("content_vectors" in one.query for one in after.statements)
    unloaded = statements_advice("films", is_loaded=False)
    assert "adds it to shared_preload_libraries" in unloaded
    assert "CREATE EXTENSION pg_stat_statements in films" in unloaded


async def test_what_the_store_can_and_who_needs_it_itself_find_it(gateway: Gateway):
    assert isinstance(gateway.store, Tunes)
    assert isinstance(gateway.store, Changes)
    assert postgres_of(gateway.store) is not None


async def sampled(gateway: Gateway, told: Told, count: int) -> int:
    """Search until *count* searches more were sampled, and return how often that was."""

    def samples() -> float:
        return told("recall_samples_total", store="postgres") or 0

    searches, wanted = 0, samples() + count
    async with asyncio.timeout(20):
        while samples() < wanted:
            await gateway.search_vector(clustered(1, SPACE.dimension, seed=searches)[0])
            searches += 1
            await asyncio.sleep(0.02)
    return searches


async def test_recall_is_sampled_off_the_path_of_searches(gateway: Gateway, told: Told):
    await gateway.add_vectors(records(1_200))
    searches = await sampled(gateway, told, 4)
    assert told("searches_total", store="postgres", plan="index") == searches, "samples are not counted as searches"
    assert told("searches_total", store="postgres", plan="exact") == 0
    recall = told("recall_ratio", store="postgres")
    assert recall is not None
    assert 0.8 <= recall <= 1


@pytest.mark.full
async def test_a_bad_index_shows_in_the_recall(gateway: Gateway, told: Told):
    await gateway.add_vectors(records(1_200))
    store = postgres_of(gateway.store)
    assert store is not None
    async with store.serving_connection() as connection:
        # With so few links most records cannot be reached from the others.
        await connection.execute("DROP INDEX content_vectors_hnsw_idx")
        await connection.execute(
            "CREATE INDEX content_vectors_hnsw_idx ON content_vectors USING hnsw (vector vector_cosine_ops) "
            "WITH (m = 2, ef_construction = 4)"
        )
    await sampled(gateway, told, 4)
    assert (told("recall_ratio", store="postgres") or 0) < 0.95


async def test_callers_that_get_no_connection_are_counted(postgres: TestServer, tmp_path: Path, told: Told):
    where = postgres.new_database(await postgres._template(SPACE))
    settings = settings_on(where, tmp_path, pool_min=1, pool_max=1, pool_timeout=0.2)
    async with open_gateway(settings, embedder=OWN, metrics=told.metrics) as gateway:
        store = postgres_of(gateway.store)
        assert store is not None
        async with store.serving_connection():
            with pytest.raises(StoreTimeoutError):
                await gateway.search_vector(QUERY)
    # What looks after the gateway in the background may have waited too.
    assert told("pool_timeouts_total") >= 1
    assert told("store_operation_errors_total", operation="search", store="postgres", error="StoreTimeoutError") == 1


async def test_a_server_that_stops_is_down_and_up_again_when_it_is_back(tmp_path: Path, told: Told):
    server = TestServer(tmp_path / "server")
    try:
        where = server.new_database(await server._template(SPACE))
        async with open_gateway(settings_on(where, tmp_path), embedder=OWN, metrics=told.metrics) as gateway:
            await told.until(lambda: told("postgres_up") == 1)
            server.stop()
            await told.until(lambda: told("postgres_up") == 0)
            assert told("postgres_connections_max") is None, "what is stale is not shown"
            began = time.perf_counter()
            assert b"postgres_up 0" in told.metrics.render()
            assert time.perf_counter() - began < 0.1
            with pytest.raises(StoreUnavailableError):
                await gateway.search_vector(QUERY)
            with pytest.raises(StoreUnavailableError):
                await open_gateway(settings_on(where, tmp_path), embedder=OWN, metrics=Metrics())
            server.embedded.start()
            await told.until(lambda: told("postgres_up") == 1)
    finally:
        server.stop()
    assert told("postgres_up") is None, "a gateway that is closed tells nothing"


async def test_a_gateway_that_cannot_be_opened_tells_that_the_server_is_down(tmp_path: Path, told: Told):
    where = {"host": str(tmp_path), "port": 5432, "dbname": "x", "user": "x"}
    with pytest.raises(StoreUnavailableError):
        await open_gateway(settings_on(where, tmp_path), embedder=OWN, metrics=told.metrics)
    assert told("postgres_up") == 0


async def test_under_memory_nothing_of_postgresql_is_told_or_asked(tmp_path: Path, told: Told):
    settings = Settings.read(memory_path=tmp_path / "m.snap", postgres_host="unreachable.invalid")
    async with open_gateway(settings, embedder=OWN, metrics=told.metrics) as gateway:
        await gateway.add_vectors(records(12))
        await gateway.search_vector(QUERY)
        await told.until(lambda: told("collection_records") == 12)
        assert told("searches_total", store="memory", plan="exact") == 1
        assert told("postgres_up") is None
        assert told("pool_connections_max") is None


async def test_a_rollout_shows_both_stores_and_where_it_stands(postgres: TestServer, tmp_path: Path, told: Told):
    move = await new_move(tmp_path, postgres)
    await move.fill_memory(records(40))
    await move.set("shadow")
    settings = settings_on(move.conninfo, tmp_path)
    embedder = OwnVectors(model="test", dimension=32)
    async with open_gateway(settings, embedder=embedder, metrics=told.metrics) as gateway:
        store = gateway.store
        assert isinstance(store, RolloutStore)
        await told.until(lambda: store.live.is_complete)
        await gateway.store.search(SearchRequest(vector=QUERY, k=5))
        assert told("rollout_mode", mode="shadow") == 1
        assert told("rollout_mode", mode="on") == 0
        assert told("rollout_guard_tripped") == 0
        await told.until(lambda: told("rollout_shadow_overlap_ratio") == 1)
        assert told("searches_total", store="memory", plan="exact") == 1
        assert told("searches_total", store="postgres", plan="exact") == 1
        epoch = told("rollout_epoch")
        await move.set("canary", 25)
        await told.until(lambda: told("rollout_canary_ratio") == 0.25)
        assert (told("rollout_epoch") or 0) == (epoch or 0) + 1


async def test_a_role_with_few_rights_reads_what_it_may(postgres: TestServer):
    store = await postgres.open_store(SPACE)
    await store.upsert(records(5))
    await store.aclose()
    where = store.endpoint.conninfo
    with psycopg.connect(**where, autocommit=True) as admin:
        admin.execute("CREATE ROLE bare_reader LOGIN")
    try:
        async with await connect_dedicated({**where, "user": "bare_reader"}) as connection:
            reading = await read_postgres(connection)
            # Another look by the same connection works as well.
            assert (await read_postgres(connection)).missing == reading.missing
    finally:
        with psycopg.connect(**where, autocommit=True) as admin:
            admin.execute("DROP ROLE bare_reader")
    assert reading.records is None
    assert "permission denied" in reading.missing["records"]
    assert "pg_stat_statements" in reading.missing["statements"]
    assert reading.connections_max > 0
    assert {table.name for table in reading.tables} >= {"content_vectors", "vector_search_logs"}
    samples = reading.samples()
    assert samples["postgres_up"] == 1
    assert "collection_records" not in samples


async def test_statements_that_are_slow_show_by_their_text_and_hash(postgres: TestServer):
    store = await postgres.open_store(SPACE)
    await store.upsert(records(5))
    await store.search(SearchRequest(vector=QUERY, k=3))
    try:
        async with await connect_dedicated(store.endpoint.conninfo) as connection:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            reading = await read_postgres(connection)
    finally:
        await store.aclose()
    assert reading.missing == {}
    assert reading.statements
    assert all("content_vectors" in one.query for one in reading.statements)
    assert reading.statements[0].mean >= reading.statements[-1].mean > 0
    assert reading.records == 5
