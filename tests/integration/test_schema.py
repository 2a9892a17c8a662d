"""Migrations: applied once, whoever runs them at once; edited, unknown and foreign things are refused."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from media_gateway.database.collection import claim_space, column_dimension, recorded_space
from media_gateway.database.engine import PGVECTOR, RUVECTOR
from media_gateway.database.schema import (
    connect_dedicated,
    known_migrations,
    migrate,
    schema_state,
    template_values,
)
from media_gateway.database.statements import filled
from media_gateway.errors import DimensionMismatchError, ModelMismatchError, SchemaError
from media_gateway.models import ContentVector, SearchRequest, VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.postgres import open_postgres_store
from tests.postgres import TestServer
from tests.samples import clustered, records

pytestmark = pytest.mark.anyio


async def fetch(conninfo: dict[str, Any], statement: str, *values: object) -> list[Any]:
    async with await connect_dedicated(conninfo) as connection:
        cursor = await connection.execute(statement, values)
        return await cursor.fetchall() if cursor.description else []


async def test_two_runners_at_once_apply_each_migration_once(postgres: TestServer) -> None:
    conninfo = postgres.new_database()

    async def run() -> list[int]:
        async with await connect_dedicated(conninfo) as connection:
            return [migration.version for migration in await migrate(connection, PGVECTOR, 32)]

    applied = await asyncio.gather(run(), run(), run())
    versions = [migration.version for migration in known_migrations()]
    assert sorted(applied) == [[], [], versions]
    assert await fetch(conninfo, "SELECT count(*) FROM content_schema_history") == [(len(versions),)]


async def test_an_edited_migration_and_a_newer_database_are_refused(postgres: TestServer) -> None:
    conninfo = postgres.new_database()
    async with await connect_dedicated(conninfo) as connection:
        await migrate(connection, PGVECTOR, 32)
        await connection.execute("UPDATE content_schema_history SET sha256 = 'edited' WHERE version = 1")
        with pytest.raises(SchemaError, match="migration 1 .* differs"):
            await schema_state(connection)
        await connection.execute(
            "INSERT INTO content_schema_history (version, name, sha256) VALUES (9000, 'future', 'x')"
        )
        await connection.execute("DELETE FROM content_schema_history WHERE version = 1")
        with pytest.raises(SchemaError, match="9000 .*does not know"):
            await schema_state(connection)


async def test_a_table_of_somebody_else_is_left_alone(postgres: TestServer) -> None:
    conninfo = postgres.new_database()
    await fetch(conninfo, "CREATE TABLE content_vectors (id text)")
    async with await connect_dedicated(conninfo) as connection:
        with pytest.raises(SchemaError, match="did not make is in the way"):
            await migrate(connection, PGVECTOR, 32)
    assert await fetch(conninfo, "SELECT to_regclass('content_schema_history')") == [(None,)]


async def test_a_migration_that_fails_leaves_nothing_behind(postgres: TestServer) -> None:
    conninfo = postgres.new_database()
    await fetch(conninfo, "CREATE TABLE content_collection (id text)")
    async with await connect_dedicated(conninfo) as connection:
        with pytest.raises(Exception, match="content_collection"):
            await migrate(connection, PGVECTOR, 32)
    assert await fetch(conninfo, "SELECT to_regclass('content_vectors'), count(*) FROM content_schema_history") == [
        (None, 0)
    ]


@pytest.mark.parametrize("dimension", [1, 384, 768, 1536, 2000])
async def test_every_dimension_stores_searches_and_fits_its_page(postgres: TestServer, dimension: int) -> None:
    store = await postgres.open_store(VectorSpace(model="test", dimension=dimension))
    rows = clustered(20, dimension, seed=1)
    longest = "k" * 512
    await store.upsert(
        [ContentVector(key=longest, vector=rows[0], metadata={"title": "x" * 9000, "overview": "words " * 3000})]
        + [ContentVector(key=str(number), vector=row) for number, row in enumerate(rows[1:])]
    )
    result = await store.search(SearchRequest(vector=rows[0], k=20))
    assert result.hits[0].score == pytest.approx(1)
    assert longest in [hit.key for hit in result.hits if hit.score > 1 - 1e-6]
    await store.aclose()


async def test_an_empty_collection_takes_a_new_space_and_a_filled_one_refuses(postgres: TestServer) -> None:
    first, second = VectorSpace(model="one", dimension=32), VectorSpace(model="two", dimension=48)
    store = await postgres.open_store(first)
    conninfo = dict(store.endpoint.conninfo)
    await store.aclose()
    store = await postgres.open_store(second, conninfo)
    await store.upsert(records(3, 48))
    with pytest.raises(DimensionMismatchError, match="has 32 numbers"):
        await store.search(SearchRequest(vector=clustered(1, 32)[0]))
    await store.aclose()
    for other in (first, VectorSpace(model="three", dimension=48)):
        with pytest.raises(ModelMismatchError, match="this collection holds vectors of two"):
            await postgres.open_store(other, conninfo)
    async with await connect_dedicated(conninfo) as connection:
        assert await recorded_space(connection) == second
        assert await column_dimension(connection) == 48
        await claim_space(connection, PGVECTOR, second)


async def test_a_schema_that_is_behind_is_not_changed_unasked(postgres: TestServer) -> None:
    conninfo = postgres.new_database()
    space = VectorSpace(model="test", dimension=32)
    settings = Settings.read(backend="postgres", postgres_host="elsewhere", auto_migrate=False)
    with pytest.raises(SchemaError, match="run media-gateway db migrate"):
        await open_postgres_store(settings, conninfo=conninfo, space=space)
    # An empty database of somebody's own gets the schema, as the first load needs it.
    settings = Settings.read(backend="postgres", postgres_host="elsewhere")
    store = await open_postgres_store(settings, conninfo=conninfo, space=space)
    await store.aclose()
    await fetch(
        conninfo, "DELETE FROM content_schema_history WHERE version = (SELECT max(version) FROM content_schema_history)"
    )
    if len(known_migrations()) > 1:
        with pytest.raises(SchemaError, match="run media-gateway db migrate"):
            await open_postgres_store(settings, conninfo=conninfo, space=space)


async def test_a_role_without_rights_gets_a_clear_refusal(postgres: TestServer) -> None:
    conninfo = postgres.new_database()
    await fetch(conninfo, "DROP ROLE IF EXISTS onlooker")
    await fetch(conninfo, "CREATE ROLE onlooker LOGIN")
    space = VectorSpace(model="test", dimension=32)
    with pytest.raises(SchemaError, match="onlooker may not change tables; .* as the owner of the database"):
        await postgres.open_store(space, {**conninfo, "user": "onlooker"})
    store = await postgres.open_store(space, conninfo)
    await store.upsert(records(5))
    await store.aclose()
    await fetch(conninfo, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO onlooker")
    store = await postgres.open_store(space, {**conninfo, "user": "onlooker"})
    assert len((await store.search(SearchRequest(vector=clustered(1, 32)[0], k=3))).hits) == 3
    with pytest.raises(SchemaError, match="does not allow this to its role"):
        await store.upsert(records(1))
    await store.aclose()


async def test_a_role_that_may_write_but_owns_nothing_loads_in_bulk_too(postgres: TestServer) -> None:
    conninfo = postgres.new_database()
    await fetch(conninfo, "DROP ROLE IF EXISTS loader")
    await fetch(conninfo, "CREATE ROLE loader LOGIN")
    space = VectorSpace(model="test", dimension=32)
    await (await postgres.open_store(space, conninfo)).aclose()
    await fetch(conninfo, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO loader")
    store = await postgres.open_store(space, {**conninfo, "user": "loader"})

    async def batches() -> AsyncIterator[Sequence[ContentVector]]:
        yield records(50)

    assert await store.bulk_load(batches()) == 50
    assert (await store.stats()).index == "content_vectors_hnsw_idx"
    await store.aclose()


def test_the_templates_fill_in_for_each_engine() -> None:
    for engine in (PGVECTOR, RUVECTOR):
        for migration in known_migrations():
            text = filled(migration.text, template_values(engine, 768))
            assert "{{" not in text
        assert f"vector {engine.vector_type}(768)" in filled(known_migrations()[0].text, template_values(engine, 768))
