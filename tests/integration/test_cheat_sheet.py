"""The SQL that operators were handed on one page runs here as it was written.

Its DDL is tried in an empty scratch database, the rest on this project's schema. The one statement that PostgreSQL
itself refuses is shown with what to use instead.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from media_gateway.database.schema import connect_dedicated
from media_gateway.models import VectorSpace
from tests.documents import ROOT
from tests.postgres import TestServer
from tests.samples import clustered, records

pytestmark = pytest.mark.anyio

CREATE_SCHEMA = """
CREATE TABLE content_vectors (
  id TEXT PRIMARY KEY,
  vector vector(768) NOT NULL,
  metadata JSONB NOT NULL
);

CREATE INDEX content_vectors_hnsw_idx
  ON content_vectors
  USING hnsw (vector vector_cosine_ops);
"""
CREATE_INDEX = """
CREATE INDEX content_vectors_hnsw_idx
  ON content_vectors
  USING hnsw (vector vector_cosine_ops)
  WITH (m = 16, ef_construction = 64);
"""
INSERT = """
INSERT INTO content_vectors (id, vector, metadata)
VALUES ($1, $2::vector, $3::jsonb);
"""
SEARCH = """
SELECT
  id,
  metadata,
  1 - (vector <=> $1::vector) as similarity
FROM content_vectors
ORDER BY vector <=> $1
LIMIT 10;
"""
FILTERED = """
SELECT * FROM content_vectors
WHERE
  metadata->>'media_type' = 'movie'
  AND 1 - (vector <=> $1::vector) > 0.5
ORDER BY vector <=> $1
LIMIT 20;
"""
STATISTICS = """
SELECT
  COUNT(*) as vector_count,
  pg_size_pretty(pg_table_size('content_vectors')) as table_size,
  pg_size_pretty(pg_indexes_size('content_vectors')) as index_size
FROM content_vectors;
"""
MONITORING = {
    "connections": """
SELECT
  datname,
  count(*) as connections,
  sum(case when state = 'active' then 1 else 0 end) as active
FROM pg_stat_activity
WHERE datname = 'media_vectors'
GROUP BY datname;
""",
    "slow queries": """
SELECT
  query,
  calls,
  total_exec_time / 1000 as total_seconds,
  mean_exec_time as avg_ms,
  max_exec_time as max_ms
FROM pg_stat_statements
WHERE query LIKE '%content_vectors%'
ORDER BY mean_exec_time DESC
LIMIT 10;
""",
    "table size": """
SELECT
  schemaname,
  tablename,
  pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename)) as size
FROM pg_tables
WHERE tablename = 'content_vectors';
""",
    "index usage": """
SELECT
  indexrelname,
  idx_scan,
  idx_tup_read,
  idx_tup_fetch
FROM pg_stat_user_indexes
WHERE indexrelname LIKE '%content_vectors%';
""",
    "indexes": """
SELECT indexname FROM pg_indexes
WHERE tablename = 'content_vectors';
""",
}


def as_text(vector: Any) -> str:
    return "[" + ",".join(str(number) for number in vector.tolist()) + "]"


class Client:
    """Runs statements with $1 placeholders, as the page writes them."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection

    async def run(self, statement: str, *values: object) -> list[Any]:
        cursor = psycopg.AsyncRawCursor(self.connection)
        await cursor.execute(statement, values or None)
        return await cursor.fetchall() if cursor.description else []


@pytest.fixture
async def scratch(postgres: TestServer) -> AsyncIterator[Client]:
    async with await connect_dedicated(postgres.new_database()) as connection:
        await connection.execute("CREATE EXTENSION vector")
        yield Client(connection)


@pytest.fixture
async def ours(postgres: TestServer) -> AsyncIterator[Client]:
    store = await postgres.open_store(VectorSpace(model="test", dimension=768))
    await store.upsert(records(300, 768))
    async with await connect_dedicated(store.endpoint.conninfo) as connection:
        yield Client(connection)
    await store.aclose()


async def test_the_quick_start_schema_and_everything_else_in_a_scratch_database(scratch: Client) -> None:
    await scratch.run(CREATE_SCHEMA)
    await scratch.run("DROP INDEX content_vectors_hnsw_idx")
    await scratch.run(CREATE_INDEX)
    vector = clustered(1, 768)[0]
    await scratch.run(INSERT, "movie-603", as_text(vector), '{"media_type": "movie"}')
    assert [row[0] for row in await scratch.run(SEARCH, as_text(vector))] == ["movie-603"]


async def test_the_cheat_sheet_on_our_schema(ours: Client) -> None:
    vector = clustered(1, 768, seed=77)[0]
    await ours.run(INSERT, "movie-603", as_text(vector), '{"media_type": "movie", "title": "The Matrix"}')
    rows = await ours.run(SEARCH, as_text(vector))
    assert len(rows) == 10
    assert rows[0][0] == "movie-603"
    assert rows[0][2] == pytest.approx(1)
    assert [row[0] for row in await ours.run(FILTERED, as_text(vector))][:1] == ["movie-603"]
    ((count, table_size, index_size),) = await ours.run(STATISTICS)
    assert count == 301
    assert table_size.split()[1] in {"kB", "MB"}
    assert index_size.split()[1] in {"kB", "MB"}
    await ours.run("REINDEX INDEX content_vectors_hnsw_idx")


async def test_its_search_is_served_by_the_index(ours: Client) -> None:
    await ours.run("SET enable_seqscan = off")
    plan = await ours.run("EXPLAIN " + SEARCH.replace("$1", f"'{as_text(clustered(1, 768)[0])}'"))
    assert any("content_vectors_hnsw_idx" in row[0] for row in plan)


@pytest.mark.parametrize("name", MONITORING)
async def test_the_monitoring_queries(ours: Client, name: str) -> None:
    await ours.run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    await ours.run(STATISTICS)
    rows = await ours.run(MONITORING[name])
    # The first one names a database that only the operator's own server has.
    assert rows or name == "connections"


def test_our_page_on_monitoring_shows_them_as_they_are() -> None:
    page = (ROOT / "docs" / "howto" / "monitoring.md").read_text()
    shown = [block.strip() for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL)]
    assert shown == [MONITORING[name].strip() for name in MONITORING if name != "indexes"]


async def test_the_one_statement_that_postgresql_refuses_and_what_to_use_instead(ours: Client) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match='unrecognized parameter "ef_search"'):
        await ours.run("ALTER INDEX content_vectors_hnsw_idx\nSET (ef_search = 40)")
    await ours.run("SET hnsw.ef_search = 40")
    assert await ours.run("SHOW hnsw.ef_search") == [("40",)]
