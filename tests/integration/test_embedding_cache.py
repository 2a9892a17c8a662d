"""The table of embeddings on a real PostgreSQL: what it keeps, for whom, and what happens when it cannot."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from psycopg import sql

from media_gateway import open_gateway
from media_gateway.database.embedding_cache import EmbeddingCacheTable
from media_gateway.embeddings.cache import CachedEmbedder
from media_gateway.embeddings.openai import OpenAIEmbedder
from media_gateway.errors import SchemaError, StoreUnavailableError
from media_gateway.models import MediaContent, VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.postgres import PostgresStore
from tests.postgres import TestServer
from tests.samples import clustered
from tests.standin import StandIn, standin

pytestmark = pytest.mark.anyio

SPACE = VectorSpace(model="openai/text-embedding-3-small", dimension=768)
FILMS = [MediaContent(id=number, media_type="movie", title=f"Film {number}") for number in range(1, 41)]


@pytest.fixture
def service() -> Iterator[StandIn]:
    with standin() as server:
        yield server


@pytest.fixture
async def store(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    made = await postgres.open_store(VectorSpace(model="test", dimension=32))
    yield made
    await made.aclose()
    postgres.drop_database(dict(made.endpoint.conninfo))


def table_of(store: PostgresStore) -> EmbeddingCacheTable:
    return EmbeddingCacheTable(store.serving_connection, server=store.endpoint.server)


@pytest.fixture
def table(store: PostgresStore) -> EmbeddingCacheTable:
    return table_of(store)


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


async def run(store: PostgresStore, statement: str, *values: object) -> list[Any]:
    async with store.serving_connection() as connection:
        cursor = await connection.execute(statement, values)  # type: ignore[arg-type]
        return await cursor.fetchall() if cursor.description else []


def settings_for(conninfo: dict[str, Any], **settings: Any) -> Settings:
    return Settings.read(
        backend="postgres",
        postgres_host=conninfo["host"],
        postgres_port=conninfo["port"],
        postgres_db=conninfo["dbname"],
        postgres_user=conninfo["user"],
        auto_migrate=True,
        **settings,
    )


@pytest.mark.parametrize("dimension", [1, 384, 768, 2000, 3072])
async def test_vectors_of_any_dimension_come_back_bit_for_bit(table: EmbeddingCacheTable, dimension: int):
    space = VectorSpace(model="m", dimension=dimension)
    rows = clustered(5, dimension, seed=1)
    await table.write(space, "document", {digest(str(number)): row for number, row in enumerate(rows)})
    found = await table.read(space, "document", [digest(str(number)) for number in range(9)])
    assert len(found) == 5
    for number, row in enumerate(rows):
        np.testing.assert_array_equal(found[digest(str(number))], row)
        assert found[digest(str(number))].dtype == np.float32


async def test_model_dimension_and_purpose_keep_apart(table: EmbeddingCacheTable):
    rows = clustered(2, 768)
    await table.write(SPACE, "document", {digest("Jaws"): rows[0]})
    for space, purpose in (
        (VectorSpace(model="another", dimension=768), "document"),
        (VectorSpace(model=SPACE.model, dimension=384), "document"),
        (SPACE, "query"),
    ):
        assert await table.read(space, purpose, [digest("Jaws")]) == {}  # type: ignore[arg-type]
    await table.write(SPACE, "query", {digest("Jaws"): rows[1]})
    np.testing.assert_array_equal((await table.read(SPACE, "document", [digest("Jaws")]))[digest("Jaws")], rows[0])


async def test_writers_of_one_moment_do_not_disturb_one_another(store: PostgresStore, table: EmbeddingCacheTable):
    rows = clustered(300, 768)
    vectors = {digest(str(number)): row for number, row in enumerate(rows)}
    backwards = dict(reversed(vectors.items()))
    await asyncio.gather(*(table.write(SPACE, "document", each) for each in (vectors, backwards) * 5))
    assert await run(store, "SELECT count(*) FROM content_embedding_cache") == [(300,)]
    assert len(await table.read(SPACE, "document", list(vectors))) == 300


async def test_a_vector_that_another_hand_spoilt_counts_as_absent(store: PostgresStore, table: EmbeddingCacheTable):
    await table.write(SPACE, "document", {digest("Jaws"): clustered(1, 768)[0]})
    for vector in (np.zeros(768, "<f4"), np.full(768, np.nan, "<f4"), np.ones(768, "<f4")):
        await run(store, "UPDATE content_embedding_cache SET vector = %s", vector.tobytes())
        assert await table.read(SPACE, "document", [digest("Jaws")]) == {}
    async with store.serving_connection() as connection:
        with pytest.raises(Exception, match="content_embedding_cache_vector"):
            await connection.execute("UPDATE content_embedding_cache SET vector = ''")


async def test_search_texts_are_forgotten_after_a_month_and_documents_never(store: PostgresStore):
    rows = clustered(2, 768)
    for purpose in ("query", "document"):
        await table_of(store).write(SPACE, purpose, {digest("old"): rows[0]})  # type: ignore[arg-type]
    await run(store, "UPDATE content_embedding_cache SET created_at = now() - interval '31 days'")
    await table_of(store).write(SPACE, "query", {digest("new"): rows[1]})
    left = await run(store, "SELECT purpose, text_sha256 FROM content_embedding_cache ORDER BY purpose")
    assert left == [("document", digest("old")), ("query", digest("new"))]


async def test_a_missing_table_a_missing_right_and_a_closed_store_are_told(
    postgres: TestServer, store: PostgresStore, table: EmbeddingCacheTable
):
    conninfo = dict(store.endpoint.conninfo)
    postgres.admin(sql.SQL("DROP ROLE IF EXISTS cache_onlooker"))
    postgres.admin(sql.SQL("CREATE ROLE cache_onlooker LOGIN"))
    await run(store, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO cache_onlooker")
    onlooker = await postgres.open_store(store.space, {**conninfo, "user": "cache_onlooker"})
    assert await table_of(onlooker).read(SPACE, "document", [digest("Jaws")]) == {}
    with pytest.raises(SchemaError, match="does not allow this"):
        await table_of(onlooker).write(SPACE, "document", {digest("Jaws"): clustered(1, 768)[0]})
    await onlooker.aclose()
    with pytest.raises(StoreUnavailableError):
        await table_of(onlooker).read(SPACE, "document", [digest("Jaws")])
    await run(store, "DROP TABLE content_embedding_cache")
    with pytest.raises(SchemaError, match="lacks a table"):
        await table.read(SPACE, "document", [digest("Jaws")])


async def test_embedding_goes_on_without_its_table(
    store: PostgresStore, service: StandIn, caplog: pytest.LogCaptureFixture
):
    cache = CachedEmbedder(OpenAIEmbedder(base_url=service.openai_url), table=table_of(store))
    await run(store, "DROP TABLE content_embedding_cache")
    assert (await cache.embed(["Jaws", "Up"])).shape == (2, 768)
    assert cache.stats.table_failures == 1
    assert caplog.text.count("lacks a table") == 1
    await cache.aclose()


async def test_a_catalogue_loaded_again_is_not_embedded_again(postgres: TestServer, service: StandIn):
    conninfo = postgres.new_database()
    settings = settings_for(conninfo, openai_base_url=service.openai_url)
    async with open_gateway(settings) as gateway:
        added = await gateway.add(FILMS)
        assert added.written == len(FILMS)
        (first,) = (await gateway.search("Film 7", k=1, exact=True)).hits
        await gateway.remove([film.key for film in FILMS])
    asked = len(service.received)
    assert sorted(service.texts) == sorted([*(film.text for film in FILMS), "Film 7"])
    async with open_gateway(settings) as gateway:
        assert (await gateway.add(FILMS)).written == len(FILMS)
        (again,) = (await gateway.search("Film 7", k=1, exact=True)).hits
        assert (again.key, again.score) == (first.key, first.score)
        stats = await gateway.stats()
        embedding = stats.details["embedding"]
        assert embedding["requests"] == 0
        assert embedding["cache"]["table"] == len(FILMS) + 1
        assert embedding["cache"]["hit_rate"] == 1
        assert "server" in stats.details
    assert len(service.received) == asked
    async with open_gateway(
        settings_for(conninfo, openai_base_url=service.openai_url, embedding_cache_table=False)
    ) as (gateway):
        await gateway.search("Film 7")
    assert len(service.received) == asked + 1
    postgres.drop_database(conninfo)


async def test_the_table_holds_no_text(postgres: TestServer, service: StandIn):
    conninfo = postgres.new_database()
    async with open_gateway(settings_for(conninfo, openai_base_url=service.openai_url)) as gateway:
        await gateway.search("a wish that is nobody's business")
    store = await postgres.open_store(SPACE, conninfo)
    ((row,),) = await run(store, "SELECT content_embedding_cache::text FROM content_embedding_cache")
    assert "business" not in row
    assert digest("a wish that is nobody's business").hex() in row
    await store.aclose()
    postgres.drop_database(conninfo)


async def test_the_local_model_leaves_the_table_alone(postgres: TestServer):
    conninfo = postgres.new_database()
    async with open_gateway(settings_for(conninfo, embedding_provider="local")) as gateway:
        await gateway.add(FILMS[:2])
        await gateway.search("Film 1")
        await gateway.search("Film 1")
        cache = (await gateway.stats()).details["embedding"]["cache"]
        assert (cache["memory"], cache["misses"]) == (1, 3)
        assert isinstance(gateway.store, PostgresStore)
        assert await run(gateway.store, "SELECT count(*) FROM content_embedding_cache") == [(0,)]
    postgres.drop_database(conninfo)
