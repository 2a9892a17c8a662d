"""The change log: what any hand did to the collection, and nothing of it missed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from media_gateway.contracts import Changes
from media_gateway.errors import UnsupportedError
from media_gateway.models import ContentVector, VectorSpace
from media_gateway.stores.postgres import PostgresStore
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio
SPACE = VectorSpace(model="test", dimension=32)
INSERT = "INSERT INTO content_vectors (id, vector, metadata) VALUES (%s, array_fill(1, ARRAY[32])::vector, '{}')"


@pytest.fixture
async def store(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    opened = await postgres.open_store(SPACE, pool_min=1)
    yield opened
    await opened.aclose()


def by_hand(store: PostgresStore) -> psycopg.Connection:
    return psycopg.connect(**store.endpoint.conninfo, autocommit=True)


async def test_every_kind_of_write_is_told_once_per_key(store: PostgresStore) -> None:
    assert isinstance(store, Changes)
    await store.upsert(records(3))
    since = await store.change_position()
    await store.upsert(records(2))
    await store.delete(["movie-2", "missing"])
    with by_hand(store) as connection:
        connection.execute(INSERT, ["raw"])
        connection.execute("UPDATE content_vectors SET id = 'renamed' WHERE id = 'raw'")
    found = await store.changes(since)
    assert set(found.keys) == {"movie-0", "movie-1", "movie-2", "raw", "renamed"}
    assert len(found.keys) == 5
    assert (found.is_everything, found.is_end) == (False, True)
    assert (await store.changes(found.position)).keys == []


async def test_a_transaction_that_runs_on_is_not_passed_over(store: PostgresStore) -> None:
    since = await store.change_position()
    with by_hand(store) as slow, by_hand(store) as quick:
        slow.execute("BEGIN")
        slow.execute(INSERT, ["slow"])
        quick.execute(INSERT, ["quick"])
        before = await store.changes(since)
        assert before.keys == []
        beyond = await store.changes(before.position, beyond=True)
        assert beyond.keys == ["quick"]
        slow.execute("COMMIT")
    after = await store.changes(beyond.position)
    assert set(after.keys) == {"slow", "quick"}


async def test_it_is_read_page_by_page(store: PostgresStore) -> None:
    position = await store.change_position()
    await store.upsert(records(25))
    await store.upsert(records(25, prefix="tv"))
    seen: list[str] = []
    pages = 0
    while True:
        page = await store.changes(position, limit=7)
        seen += page.keys
        position = page.position
        pages += 1
        if page.is_end:
            break
    assert len(seen) == len(set(seen)) == 50
    assert pages == 8


async def test_a_bulk_load_and_truncate_leave_one_mark(store: PostgresStore) -> None:
    since = await store.change_position()

    async def batches() -> AsyncIterator[list[ContentVector]]:
        yield records(500)

    await store.bulk_load(batches())
    loaded = await store.changes(since)
    assert (loaded.is_everything, list(loaded.keys)) == (True, [])
    with by_hand(store) as connection:
        ((entries,),) = connection.execute("SELECT count(*) FROM content_changes").fetchall()
        assert entries == 1
        connection.execute("TRUNCATE content_vectors")
        connection.execute(INSERT, ["raw"])
    emptied = await store.changes(loaded.position)
    assert (emptied.is_everything, list(emptied.keys)) == (True, ["raw"])


async def test_a_position_of_another_database_means_everything(postgres: TestServer, store: PostgresStore) -> None:
    other = await postgres.open_store(SPACE, pool_min=1)
    try:
        await store.upsert(records(1))
        found = await store.changes(await other.change_position())
        assert found.is_everything
        assert not (await store.changes(found.position)).is_everything
    finally:
        await other.aclose()


async def test_old_entries_are_forgotten_by_writers_and_readers_learn_of_it(store: PostgresStore) -> None:
    since = await store.change_position()
    await store.upsert(records(30))
    with by_hand(store) as connection:
        connection.execute("UPDATE content_changes SET at = now() - interval '8 days'")
        connection.execute(
            "SELECT setval(pg_get_serial_sequence('content_changes', 'number'), 10000 * (1 + max(number) / 10000) - 1) "
            "FROM content_changes"
        )
    await store.upsert(records(1, prefix="tv"))
    with by_hand(store) as connection:
        assert connection.execute("SELECT count(*), min(id) FROM content_changes").fetchall() == [(1, "tv-0")]
    found = await store.changes(since)
    assert found.is_everything
    await store.upsert(records(1, prefix="new"))
    assert (await store.changes(found.position)).keys == ["new-0"]


async def test_forgetting_never_makes_writers_wait(store: PostgresStore) -> None:
    await store.upsert(records(3))
    with by_hand(store) as busy, by_hand(store) as connection:
        busy.execute("BEGIN")
        busy.execute("SELECT FROM content_changes_forgotten FOR UPDATE")
        connection.execute("SET statement_timeout = '2s'")
        connection.execute("SELECT content_changes_forget()")


async def test_a_role_that_may_write_records_needs_no_right_to_the_log(
    postgres: TestServer, store: PostgresStore
) -> None:
    role = sql.Identifier(f"writer_{store.endpoint.conninfo['dbname']}")
    since = await store.change_position()
    with by_hand(store) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        connection.execute(sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON content_vectors TO {}").format(role))
        connection.execute(sql.SQL("SET ROLE {}").format(role))
        connection.execute(INSERT, ["raw"])
        connection.execute("DELETE FROM content_vectors WHERE id = 'raw'")
        connection.execute("RESET ROLE")
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))
    assert (await store.changes(since)).keys == ["raw"]


async def test_without_its_triggers_the_log_says_so(store: PostgresStore) -> None:
    with by_hand(store) as connection:
        connection.execute("ALTER TABLE content_vectors DISABLE TRIGGER content_vectors_changes")
    with pytest.raises(UnsupportedError, match="keeps no change log"):
        await store.change_position()


async def test_a_reader_beside_writers_misses_nothing(store: PostgresStore) -> None:
    position = replace(await store.change_position())
    seen: set[str] = set()
    is_done = False

    async def write(name: str) -> None:
        for number in range(20):
            item = records(1)[0]
            await store.upsert([ContentVector(key=f"{name}-{number}", vector=item.vector)])

    async def read() -> None:
        nonlocal position
        while True:
            stop = is_done
            page = await store.changes(position, limit=5)
            seen.update(page.keys)
            position = page.position
            if stop and page.is_end:
                return
            await asyncio.sleep(0)

    reader = asyncio.create_task(read())
    await asyncio.gather(*(write(f"w{number}") for number in range(6)))
    is_done = True
    await reader
    assert seen == {f"w{writer}-{number}" for writer in range(6) for number in range(20)}
