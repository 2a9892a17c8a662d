"""Readiness on a real PostgreSQL: each check fails for what it is there to notice, and says what to do."""

import time

import pytest

from media_gateway.models import VectorSpace
from media_gateway.server.readiness import Check
from media_gateway.server.watch import StoreWatch
from media_gateway.stores.postgres import PostgresStore
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio

SPACE = VectorSpace(model="test", dimension=8)


async def checks_of(store: PostgresStore) -> dict[str, Check]:
    watch = StoreWatch(lambda: store)
    await watch.look()
    try:
        return {check.name: check for check in watch.checks()}
    finally:
        await watch.aclose()


async def execute(store: PostgresStore, statement: str) -> None:
    async with store.serving_connection() as connection:
        await connection.execute(statement.encode())


async def test_an_index_is_missed_only_where_searches_need_one(postgres: TestServer) -> None:
    store = await postgres.open_store(SPACE)
    try:
        await execute(store, "DROP INDEX content_vectors_hnsw_idx")
        small = await checks_of(store)
        assert small["index"].passes
        assert "small enough to be scanned" in small["index"].detail
        await store.upsert(records(1001, 8))
        assert not (await checks_of(store))["index"].passes
        await execute(
            store, "CREATE INDEX content_vectors_hnsw_idx ON content_vectors USING hnsw (vector vector_cosine_ops)"
        )
        whole = await checks_of(store)
        assert all(check.passes for check in whole.values())
        assert whole["index"].figures == {"index": "content_vectors_hnsw_idx"}
        assert whole["pool"].figures["most"] == 20
    finally:
        await store.aclose()


async def test_a_schema_that_is_behind_or_edited_is_named(postgres: TestServer) -> None:
    store = await postgres.open_store(SPACE)
    last = "WHERE version = (SELECT max(version) FROM content_schema_history)"
    try:
        await execute(store, f"CREATE TABLE kept AS SELECT * FROM content_schema_history {last}")
        await execute(store, f"DELETE FROM content_schema_history {last}")
        behind = (await checks_of(store))["schema"]
        assert not behind.passes
        assert "media-gateway db migrate" in behind.detail
        await execute(store, "INSERT INTO content_schema_history SELECT * FROM kept")
        assert (await checks_of(store))["schema"].passes
        await execute(store, f"UPDATE content_schema_history SET sha256 = 'edited' {last}")
        edited = await checks_of(store)
        assert not edited["schema"].passes
        assert edited["store"].passes
    finally:
        await store.aclose()


async def test_a_server_that_hangs_fails_the_check_and_keeps_nobody_waiting(postgres: TestServer) -> None:
    store = await postgres.open_store(SPACE)
    watch = StoreWatch(lambda: store)
    try:
        await watch.look()
        assert watch.checks()[0].passes
        with postgres.hung():
            began = time.monotonic()
            while watch.checks()[0].passes:
                await watch.look()
            assert 1 < time.monotonic() - began < 2.5
        while not watch.checks()[0].passes:
            await watch.look()
            assert time.monotonic() - began < 10
    finally:
        await watch.aclose()
        await store.aclose()
