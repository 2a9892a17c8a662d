"""The engine's probe and self-test, on a real server and on one with an index that was left incomplete on purpose."""

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from media_gateway.database.engine import PGVECTOR, version_numbers
from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import EngineRefusedError, ExtensionMissingError
from media_gateway.models import VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.postgres import open_postgres_store
from media_gateway.stores.postgres.selftest import EngineSelfTest
from tests.postgres import TestServer

pytestmark = pytest.mark.anyio
SPACE = VectorSpace(model="test", dimension=32)


@pytest.fixture
async def connection(postgres: TestServer) -> AsyncIterator[AsyncConnection]:
    async with await connect_dedicated(postgres.new_database()) as connection:
        await connection.execute("CREATE EXTENSION vector")
        yield connection


async def test_pgvector_passes(connection: AsyncConnection) -> None:
    test = EngineSelfTest(connection, PGVECTOR)
    await test.build()
    await test.run()


async def test_an_incomplete_index_is_refused_with_the_failing_check_named(connection: AsyncConnection) -> None:
    test = EngineSelfTest(connection, PGVECTOR)
    await test.build()
    # Rows written while the index is marked as not ready never reach it.
    ready = "UPDATE pg_index SET indisready = %s WHERE indexrelid = 'engine_selftest_idx'::regclass"
    await connection.execute("DELETE FROM engine_selftest")
    await connection.execute("TRUNCATE engine_selftest")
    await connection.execute(ready, [False])
    await test.fill(range(200))
    await connection.execute(ready, [True])
    await test.fill(range(200, 400))
    with pytest.raises(EngineRefusedError, match="failed its self-test at 'search'.*recall") as caught:
        await test.run()
    assert caught.value.engine == "vector"
    assert caught.value.check == "search"


async def test_an_empty_index_is_refused(connection: AsyncConnection) -> None:
    test = EngineSelfTest(connection, PGVECTOR)
    await test.build()
    ready = "UPDATE pg_index SET indisready = %s WHERE indexrelid = 'engine_selftest_idx'::regclass"
    await connection.execute("TRUNCATE engine_selftest")
    await connection.execute(ready, [False])
    await test.fill(range(400))
    await connection.execute(ready, [True])
    with pytest.raises(EngineRefusedError, match="0 rows came back where 10 were asked for"):
        await test.run()


async def test_ruvector_where_it_is_not_installed_is_a_clear_refusal(postgres: TestServer) -> None:
    settings = Settings.read(backend="postgres", engine="ruvector")
    with pytest.raises(ExtensionMissingError, match="ruvector"):
        await open_postgres_store(settings, conninfo=postgres.new_database(), space=SPACE)


async def test_a_database_whose_extension_was_dropped_says_so(postgres: TestServer) -> None:
    store = await postgres.open_store(SPACE)
    conninfo = dict(store.endpoint.conninfo)
    await store.aclose()
    async with await connect_dedicated(conninfo) as connection:
        await connection.execute("DROP EXTENSION vector CASCADE")
    with pytest.raises(ExtensionMissingError, match="CREATE EXTENSION vector"):
        await postgres.open_store(SPACE, conninfo)


def test_versions_compare_as_numbers() -> None:
    assert version_numbers("0.8.10") > version_numbers("0.8.4")
    assert version_numbers("0.8.4") >= PGVECTOR.oldest
    assert version_numbers("0.8.0beta") == (0, 8, 0)
