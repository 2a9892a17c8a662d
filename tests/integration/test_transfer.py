"""Transfers between real stores and files: whole or not at all, by batches, and what verification finds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psycopg
import pytest

from media_gateway.contracts import VectorStore
from media_gateway.database import schema
from media_gateway.database.engine import PGVECTOR
from media_gateway.database.schema import connect_dedicated, known_migrations
from media_gateway.errors import DuplicateKeyError, InvalidInputError, OutcomeUnknownError, StoreError
from media_gateway.models import ContentVector, Merged, VectorSpace
from media_gateway.stores.memory import MemoryStore, open_memory_store
from media_gateway.stores.postgres import PostgresStore
from media_gateway.transfer.copy import Conflicts, Copied, copy_into_file, copy_into_store
from media_gateway.transfer.file_digests import FileDigests
from media_gateway.transfer.journal import TransferJournal
from media_gateway.transfer.neighbours import compare_searches
from media_gateway.transfer.record_files import open_record_file
from media_gateway.transfer.resumable import copy_by_batches
from media_gateway.transfer.sources import Batch, FileSource, Place, StoreSource
from media_gateway.transfer.verify import Comparison, compare
from tests.contract.factories import everything
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio
SPACE = VectorSpace(model="test", dimension=32)
COUNT = 2_100


class Quiet:
    """Nobody watches."""

    def phase(self, what: str, total: int | None) -> None: ...

    def advance(self, rows: int) -> None: ...

    def stage(self, what: str, done: int, total: int | None) -> None: ...


QUIET = Quiet()


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[MemoryStore]:
    store = await open_memory_store(tmp_path / "from.snap", space=SPACE)
    await store.upsert(records(COUNT))
    yield store
    await store.aclose()


@pytest.fixture
async def target(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    store = await postgres.open_store(SPACE)
    yield store
    await store.aclose()
    postgres.drop_database(dict(store.endpoint.conninfo))


def execute(store: PostgresStore, statement: str, *values: Any) -> None:
    with psycopg.connect(**store.endpoint.conninfo, autocommit=True) as connection:
        connection.execute(statement.encode(), values or None)


def file_source(path: Path) -> FileSource:
    return FileSource(open_record_file(path), str(path))


async def into(store: VectorStore, source: Any, conflicts: Conflicts = "fail") -> Copied:
    return await copy_into_store(source, store, conflicts=conflicts, watcher=QUIET)


async def found(first: Any, second: Any, limit: int = 20) -> Comparison:
    return await compare(first, second, limit=limit)


async def test_there_and_back_the_digest_stays(memory: MemoryStore, target: PostgresStore, tmp_path: Path) -> None:
    odd = ContentVector(key="\U0001f600 'x", vector=np.full(32, -0.0, np.float32), metadata={"n": 10**30, "f": 1e-7})
    odd.vector[3] = np.nextafter(np.float32(1), np.float32(2))
    await memory.upsert([odd])
    before = await memory.digest()
    assert await into(target, StoreSource(memory, "m")) == Copied(read=COUNT + 1, written=COUNT + 1)
    for suffix in (".parquet", ".jsonl", ".npz"):
        path = tmp_path / f"films{suffix}"
        copied = await copy_into_file(StoreSource(target, "p"), path, conflicts="fail", watcher=QUIET)
        assert copied == Copied(read=COUNT + 1, written=COUNT + 1)
        assert await FileDigests(open_record_file(path)).digest() == before
        execute(target, "TRUNCATE content_vectors")
        await into(target, file_source(path))
        assert await target.digest() == before
    back = await open_memory_store(tmp_path / "back.snap", space=SPACE)
    try:
        await into(back, StoreSource(target, "p"))
        assert await back.digest() == before
        assert await everything(back) == await everything(memory)
    finally:
        await back.aclose()


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
async def test_a_file_that_breaks_in_its_middle_leaves_the_target_as_it_was(
    target: PostgresStore, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"films{suffix}"
    memory = await open_memory_store(None, space=SPACE)
    await memory.upsert(records(3_000))
    await copy_into_file(StoreSource(memory, "m"), path, conflicts="fail", watcher=QUIET)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(data)
    for conflicts in ("fail", "overwrite"):
        await target.upsert(records(1, prefix="own"))
        with pytest.raises(InvalidInputError):
            await into(target, file_source(path), conflicts)
        assert (await target.stats()).count == 1
    await memory.aclose()


async def test_conflicts(memory: MemoryStore, target: PostgresStore) -> None:
    own = [replace(item, metadata={"mine": True}) for item in records(3)]
    await target.upsert(own)
    source = StoreSource(memory, "m")
    with pytest.raises(DuplicateKeyError, match="choose --conflicts skip or overwrite"):
        await into(target, source)
    assert await everything(target) == own
    assert await into(target, source, "skip") == Copied(read=COUNT, written=COUNT - 3, kept=3)
    assert await target.get([item.key for item in own]) == own
    assert await into(target, source, "overwrite") == Copied(read=COUNT, written=COUNT)
    assert await target.digest() == await memory.digest()


async def test_a_file_is_not_replaced_unasked(memory: MemoryStore, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_text("precious")
    with pytest.raises(DuplicateKeyError, match="is there already"):
        await copy_into_file(StoreSource(memory, "m"), path, conflicts="fail", watcher=QUIET)
    with pytest.raises(InvalidInputError, match="written whole"):
        await copy_into_file(StoreSource(memory, "m"), path, conflicts="skip", watcher=QUIET)
    assert path.read_text() == "precious"
    await copy_into_file(StoreSource(memory, "m"), path, conflicts="overwrite", watcher=QUIET)
    assert len(open_record_file(path).identity()) > 30


class Interrupted(StoreSource):
    """A source that breaks behind so many batches, and tells from where it was read on."""

    def __init__(self, store: VectorStore, after_batches: int) -> None:
        super().__init__(store, "interrupted")
        self.left = after_batches
        self.began_behind: list[Place | None] = []

    async def batches(self, after: Place | None = None) -> AsyncIterator[Batch]:
        self.began_behind.append(after)
        async for batch in super().batches(after):
            if not self.left:
                raise asyncio.CancelledError
            self.left -= 1
            yield batch


@pytest.mark.parametrize("conflicts", ["fail", "skip", "overwrite"])
async def test_a_run_goes_on_at_the_first_record_not_acknowledged(
    memory: MemoryStore, target: PostgresStore, tmp_path: Path, conflicts: Conflicts
) -> None:
    source = Interrupted(memory, 1)
    for _ in range(2):
        with TransferJournal(tmp_path / "j", {"from": "a"}) as journal, pytest.raises(asyncio.CancelledError):
            await copy_by_batches(source, target, journal, conflicts=conflicts, watcher=QUIET)
        source.left = 1
    source.left = 9
    with TransferJournal(tmp_path / "j", {"from": "a"}) as journal:
        copied = await copy_by_batches(source, target, journal, conflicts=conflicts, watcher=QUIET)
        assert journal.standing.is_finished
    assert copied == Copied(read=COUNT, written=COUNT)
    keys = sorted(item.key for item in records(COUNT))
    assert source.began_behind == [None, keys[999], keys[1999]]
    assert await target.digest() == await memory.digest()


class Forgetful:
    """A store that writes, and then loses the connection that was to say so; every second time."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def merge(self, batches: AsyncIterator[Sequence[ContentVector]], *, overwrite: bool) -> Merged:
        done = await self._store.merge(batches, overwrite=overwrite)
        self._calls += 1
        if self._calls % 2:
            raise OutcomeUnknownError("lost")
        return done


async def test_a_batch_of_unknown_outcome_is_looked_up(
    memory: MemoryStore, target: PostgresStore, tmp_path: Path
) -> None:
    store: Any = Forgetful(target)
    with TransferJournal(tmp_path / "j", {}) as journal:
        copied = await copy_by_batches(StoreSource(memory, "m"), store, journal, conflicts="fail", watcher=QUIET)
    assert copied == Copied(read=COUNT, written=COUNT)
    assert await target.digest() == await memory.digest()


async def test_what_somebody_else_wrote_is_a_conflict_even_behind_an_unknown_outcome(
    memory: MemoryStore, target: PostgresStore, tmp_path: Path
) -> None:
    (first, *_) = await everything(memory)
    theirs = replace(first, metadata={"theirs": True})
    await target.upsert([theirs])
    source = StoreSource(memory, "m")
    with TransferJournal(tmp_path / "j", {}) as journal:
        with pytest.raises(DuplicateKeyError, match="the target has the key 'movie-0' already"):
            await copy_by_batches(source, target, journal, conflicts="fail", watcher=QUIET)
        assert journal.standing.is_unsure
    with TransferJournal(tmp_path / "j", {}) as journal, pytest.raises(DuplicateKeyError):
        await copy_by_batches(source, target, journal, conflicts="fail", watcher=QUIET)
    assert await target.get([first.key]) == [theirs]


async def test_a_target_that_was_emptied_is_noticed(memory: MemoryStore, target: PostgresStore, tmp_path: Path) -> None:
    source = Interrupted(memory, 1)
    with TransferJournal(tmp_path / "j", {}) as journal, pytest.raises(asyncio.CancelledError):
        await copy_by_batches(source, target, journal, conflicts="fail", watcher=QUIET)
    execute(target, "TRUNCATE content_vectors")
    with TransferJournal(tmp_path / "j", {}) as journal, pytest.raises(StoreError, match="remove the journal"):
        await copy_by_batches(source, target, journal, conflicts="fail", watcher=QUIET)


async def test_every_damage_is_found_and_named(memory: MemoryStore, target: PostgresStore) -> None:
    await into(target, StoreSource(memory, "m"))
    assert (await found(memory, target)).is_equal
    execute(target, "DELETE FROM content_vectors WHERE id = 'movie-7'")
    execute(
        target,
        "INSERT INTO content_vectors (id, vector, metadata) SELECT 'movie-7b', vector, metadata "
        "FROM content_vectors WHERE id = 'movie-8'",
    )
    execute(target, "UPDATE content_vectors SET metadata = metadata || '{\"title\": \"other\"}' WHERE id = 'movie-9'")
    (item,) = await target.get(["movie-10"])
    assert item is not None
    bits = item.vector.view(np.uint32)
    bits[17] ^= 1
    await target.upsert([item])
    zero = replace(records(1)[0], key="movie-11", vector=np.eye(32, dtype=np.float32)[0])
    await memory.upsert([zero])
    negative = zero.vector.copy()
    negative[5] = -0.0
    await target.upsert([replace(zero, vector=negative)])
    report = await found(memory, target)
    assert not report.is_equal
    assert (report.first.count, report.second.count) == (COUNT, COUNT)
    assert report.first.text != report.second.text
    assert report.kinds == {"missing": 1, "extra": 1, "changed": 3}
    named = {one.key: (one.kind, tuple(one.parts), one.numbers) for one in report.differences}
    assert named == {
        "movie-7": ("missing", (), None),
        "movie-7b": ("extra", (), None),
        "movie-9": ("changed", ("metadata",), 0),
        "movie-10": ("changed", ("vector",), 1),
        "movie-11": ("changed", ("vector",), 1),
    }
    few = await found(memory, target, limit=2)
    assert (len(few.differences), few.kinds) == (2, report.kinds)


async def test_damage_in_files_is_found_and_named(memory: MemoryStore, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    await copy_into_file(StoreSource(memory, "m"), path, conflicts="fail", watcher=QUIET)
    lines = path.read_text().splitlines()
    for name, damaged in {
        "duplicate": [*lines, lines[5]],
        "missing": lines[:-1],
        "changed": [*lines[:8], lines[8].replace("Title", "title"), *lines[9:]],
        "extra": [*lines, lines[5].replace('"id":"movie-', '"id":"series-')],
    }.items():
        path.write_text("\n".join(damaged) + "\n")
        report = await found(memory, FileDigests(open_record_file(path)))
        assert report.kinds == {name: 1}, name
        assert not report.is_equal
    # A file in another order is the same.
    path.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    assert (await found(memory, FileDigests(open_record_file(path)))).is_equal


async def test_numbers_in_other_digits_are_no_difference_but_lost_digits_are(
    memory: MemoryStore, target: PostgresStore
) -> None:
    await into(target, StoreSource(memory, "m"))
    execute(
        target,
        "UPDATE content_vectors SET metadata = jsonb_set(metadata, '{vote_average}', '8.50') WHERE id < 'movie-2'",
    )
    await memory.merge(target.scan(), overwrite=True)
    report = await found(memory, target)
    assert report.is_equal
    assert report.respelled > 100
    assert report.first.text != report.second.text
    execute(
        target,
        "UPDATE content_vectors SET metadata = metadata || '{\"n\": 0.12345678901234567890}' WHERE id = 'movie-3'",
    )
    await memory.merge(target.scan(), overwrite=True)
    report = await found(memory, target)
    assert [(one.key, one.parts) for one in report.differences] == [("movie-3", ["metadata"])]


async def test_searches_agree_on_both_sides(memory: MemoryStore, target: PostgresStore) -> None:
    await into(target, StoreSource(memory, "m"))
    near = await compare_searches(memory, target, queries=15)
    assert near is not None
    assert (near.queries, near.k) == (15, 10)
    assert near.overlap > 0.9
    assert near.score_difference < 1e-6
    execute(target, "DELETE FROM content_vectors WHERE id LIKE '%1'")
    worse = await compare_searches(memory, target, queries=15)
    assert worse is not None
    assert worse.overlap < near.overlap


async def test_a_schema_that_was_left_half_made_is_finished(postgres: TestServer) -> None:
    conninfo = postgres.new_database()
    first, *_ = known_migrations()
    connection = await connect_dedicated(conninfo)
    with patch.object(schema, "known_migrations", return_value=[first]):
        await schema.migrate(connection, PGVECTOR, 32)
    assert (await schema.schema_state(connection)).pending
    await connection.close()
    # As a server of one's own would be: there only an empty database is migrated unasked.
    store = await postgres.open_store(SPACE, conninfo, postgres_host="elsewhere")
    try:
        await store.upsert(records(1))
        assert (await store.stats()).count == 1
    finally:
        await store.aclose()
