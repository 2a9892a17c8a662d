"""The memory store on disk: what survives, what is refused, who may write."""

import itertools
import logging
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import numpy as np
import pytest

from media_gateway.errors import (
    DuplicateKeyError,
    ModelMismatchError,
    SettingsError,
    SnapshotDamagedError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    UnsupportedError,
)
from media_gateway.models import ContentVector, SearchRequest, VectorSpace
from media_gateway.stores.memory import IndexTuning, MemoryStore, open_memory_store, storage
from tests.samples import records

pytestmark = pytest.mark.anyio

SPACE = VectorSpace(model="test-model", dimension=8)
INDEXED = IndexTuning(exact_floats=0, candidate_cost=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a folder" / "memory.snap"


def journal_of(path: Path) -> Path:
    return path.with_name(path.name + ".journal")


async def keys_at(path: Path, **arguments: object) -> list[str]:
    """Return the keys that a reader finds at *path*."""
    store = await open_memory_store(path, space=None, writable=False, **arguments)
    found = [record.key async for batch in store.scan() for record in batch]
    await store.aclose()
    return found


def abandon(store: MemoryStore) -> None:
    """Drop *store* as a killed process would: nothing is written, and the lock is free."""
    assert store._storage is not None
    store._storage._lock.release()


@pytest.fixture
def _small_journals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_SMALLEST_COMPACTION", 4_000)
    monkeypatch.setattr(storage, "_JOURNAL_SHARE", 0.01)


# Which vectors a file holds


async def test_nothing_is_kept_without_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = await open_memory_store(None, space=SPACE)
    await store.upsert(records(3, 8))
    await store.aclose()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["none", "new file"])
async def test_a_space_must_be_known(path: Path, where: str) -> None:
    with pytest.raises(SettingsError, match="records no embedding model yet"):
        await open_memory_store(path if where == "new file" else None, space=None)


async def test_the_space_is_recorded(path: Path) -> None:
    async with await open_memory_store(path, space=SPACE) as store:
        assert (await store.stats()).model is None
        await store.upsert(records(1, 8))
    async with await open_memory_store(path, space=None) as store:
        assert store.space == SPACE
        stats = await store.stats()
        assert (stats.model, stats.dimension, stats.details["path"]) == ("test-model", 8, str(path))


@pytest.mark.parametrize(
    "other", [VectorSpace(model="other", dimension=8), VectorSpace(model="test-model", dimension=9)]
)
async def test_another_space_is_refused_with_advice(path: Path, other: VectorSpace) -> None:
    async with await open_memory_store(path, space=SPACE) as store:
        await store.upsert(records(1, 8))
    before = path.read_bytes()
    for writable in (True, False):
        with pytest.raises(ModelMismatchError, match="use the model that made them") as caught:
            await open_memory_store(path, space=other, writable=writable)
        assert (caught.value.given, caught.value.expected) == (other, SPACE)
    assert path.read_bytes() == before
    assert await keys_at(path) == ["movie-0"]


@pytest.mark.parametrize("was_closed", [True, False])
async def test_an_empty_collection_takes_another_space(path: Path, *, was_closed: bool) -> None:
    other = VectorSpace(model="other", dimension=3)
    store = await open_memory_store(path, space=SPACE)
    await store.upsert(records(2, 8))
    await store.delete(["movie-0", "movie-1"])
    if was_closed:
        await store.aclose()
    else:
        abandon(store)
    async with await open_memory_store(path, space=other, writable=False) as reader:
        assert reader.space == other
    async with await open_memory_store(path, space=other) as store:
        await store.upsert(records(1, 3))
    async with await open_memory_store(path, space=None) as store:
        assert store.space == other
        assert (await store.stats()).count == 1


# What survives


async def test_everything_acknowledged_survives_without_closing(path: Path) -> None:
    store = await open_memory_store(path, space=SPACE)
    written = records(20, 8)
    for record in written:
        await store.upsert([record])
    await store.delete(["movie-3"])
    abandon(store)
    async with await open_memory_store(path, space=SPACE) as store:
        assert await store.get([record.key for record in written]) == [
            None if record.key == "movie-3" else record for record in written
        ]


@pytest.mark.usefixtures("_small_journals")
async def test_compaction_in_use(path: Path) -> None:
    """Rewriting the snapshot again and again, with reopening in between, loses and doubles nothing."""
    store = await open_memory_store(path, space=SPACE, tuning=INDEXED)
    expected: dict[str, ContentVector] = {}
    generator = random.Random(1)
    for number in range(60):
        batch = generator.sample(records(50, 8, seed=number), 10)
        gone = generator.sample(sorted(expected), min(len(expected), 5))
        await store.upsert(batch)
        assert await store.delete(gone) == len(gone)
        expected |= {record.key: record for record in batch}
        for key in gone:
            if all(record.key != key for record in batch):
                del expected[key]
            else:
                del expected[key]
        if number % 10 == 9:
            if number % 20 == 9:
                await store.aclose()
            else:
                abandon(store)
            store = await open_memory_store(path, space=None, tuning=INDEXED)
        found = {record.key: record async for batch in store.scan() for record in batch}
        assert found == expected
    assert path.exists()
    await store.aclose()


async def test_a_crash_between_snapshot_and_journal(path: Path) -> None:
    """The journal that the new snapshot has swallowed is still there: it must not be applied a second time."""
    store = await open_memory_store(path, space=SPACE)
    await store.upsert(records(5, 8))
    await store.delete(["movie-4"])
    swallowed = journal_of(path).read_bytes()
    await store.aclose()
    journal_of(path).write_bytes(swallowed)
    expected = [f"movie-{number}" for number in range(4)]
    assert await keys_at(path) == expected
    store = await open_memory_store(path, space=SPACE)
    await store.upsert(records(1, 8, prefix="tv"))
    abandon(store)
    assert await keys_at(path) == [*expected, "tv-0"]


async def test_a_journal_of_another_snapshot_is_refused(path: Path) -> None:
    generations: list[tuple[bytes, bytes]] = []
    for number in range(3):
        store = await open_memory_store(path, space=SPACE)
        await store.upsert(records(2, 8, prefix=f"g{number}"))
        generations.append((path.read_bytes() if path.exists() else b"", journal_of(path).read_bytes()))
        await store.aclose()
    for snapshot, journal in itertools.permutations(range(3), 2):
        path.write_bytes(generations[snapshot][0])
        journal_of(path).write_bytes(generations[journal][1])
        if not generations[snapshot][0]:
            path.unlink()
        if generations[snapshot][0] and journal == snapshot - 1:
            # What a crash leaves behind, so not damage.
            assert await keys_at(path) == [f"g{old}-{record}" for old in range(snapshot) for record in range(2)]
            continue
        for writable in (True, False):
            with pytest.raises(SnapshotDamagedError, match="another snapshot|not at"):
                await open_memory_store(path, space=SPACE, writable=writable)
        assert journal_of(path).read_bytes() == generations[journal][1]


# What is damaged


async def _journaled(path: Path, writes: int = 4) -> tuple[bytes, list[int]]:
    """Return the bytes of a journal of *writes* single records, and where each write ends."""
    store = await open_memory_store(path, space=SPACE)
    ends: list[int] = []
    for record in records(writes, 8):
        await store.upsert([record])
        ends.append(journal_of(path).stat().st_size)
    abandon(store)
    return journal_of(path).read_bytes(), ends


async def test_a_journal_cut_anywhere_keeps_every_whole_write(path: Path) -> None:
    journal, ends = await _journaled(path)
    head_at = 8 + 4
    begin = head_at + int.from_bytes(journal[8:head_at], "little") + 16
    for size in range(begin, len(journal)):
        journal_of(path).write_bytes(journal[:size])
        expected = [f"movie-{number}" for number, end in enumerate(ends) if end <= size]
        assert await keys_at(path) == expected, size


@pytest.mark.parametrize("zeros", [1, 100, 10_000])
async def test_a_torn_tail_is_cut_off_and_written_over(
    path: Path, zeros: int, caplog: pytest.LogCaptureFixture
) -> None:
    journal, ends = await _journaled(path)
    for torn in (journal + bytes(zeros), journal[: ends[-2] + 60] + bytes(len(journal) - ends[-2] - 60)):
        journal_of(path).write_bytes(torn)
        with caplog.at_level(logging.WARNING):
            store = await open_memory_store(path, space=SPACE)
        assert "unfinished write" in caplog.text
        count = 4 if torn.startswith(journal) else 3
        await store.upsert(records(1, 8, prefix="tv"))
        abandon(store)
        assert await keys_at(path) == [*[f"movie-{number}" for number in range(count)], "tv-0"]


async def test_a_flipped_byte_in_the_journal_is_refused_and_left_alone(path: Path) -> None:
    journal, _ = await _journaled(path)
    for place in range(0, len(journal), 3):
        damaged = journal[:place] + bytes([journal[place] ^ 0xFF]) + journal[place + 1 :]
        journal_of(path).write_bytes(damaged)
        with pytest.raises(SnapshotDamagedError) as caught:
            await open_memory_store(path, space=SPACE)
        assert caught.value.path == str(journal_of(path))
        assert str(journal_of(path)) in str(caught.value)
        assert journal_of(path).read_bytes() == damaged
    journal_of(path).write_bytes(journal)
    assert len(await keys_at(path)) == 4


async def test_a_damaged_snapshot_is_refused_and_left_alone(path: Path) -> None:
    async with await open_memory_store(path, space=SPACE) as store:
        await store.upsert(records(10, 8))
    snapshot = path.read_bytes()
    reader = await open_memory_store(path, space=None, writable=False)
    whole = [record async for batch in reader.scan() for record in batch]
    await reader.aclose()
    variants = [
        snapshot[:place] + bytes([snapshot[place] ^ 1]) + snapshot[place + 1 :] for place in range(0, len(snapshot), 13)
    ]
    variants += [snapshot[:size] for size in (0, 1, 8, 100, len(snapshot) // 2, len(snapshot) - 1)]
    variants += [snapshot + b"\0", b"PAR1" + snapshot[4:], b"not a snapshot\n" * 20]
    refused: list[str] = []
    for variant in variants:
        path.write_bytes(variant)
        try:
            store = await open_memory_store(path, space=SPACE)
        except SnapshotDamagedError as error:
            refused.append(error.path)
        else:
            # Filling between sections means nothing.
            assert [record async for batch in store.scan() for record in batch] == whole
            await store.aclose()
        assert path.read_bytes() == variant
    assert set(refused) == {str(path)}
    assert len(refused) > 0.9 * len(variants)


async def test_a_missing_or_damaged_index_is_made_anew(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with await open_memory_store(path, space=SPACE, tuning=INDEXED) as store:
        await store.upsert(records(300, 8))
        await store.settle()
    index = path.with_name(path.name + ".index")
    saved = index.read_bytes()
    query = SearchRequest(vector=records(300, 8)[7].vector, k=5)
    for variant in (None, b"", saved[:-1], saved[:500] + b"\xff" * 100 + saved[600:]):
        index.unlink(missing_ok=True)
        if variant is not None:
            index.write_bytes(variant)
        async with await open_memory_store(path, space=SPACE, tuning=INDEXED) as store:
            assert (await store.search(query)).hits[0].key == "movie-7"
            await store.settle()
            assert (await store.search(query)).hits[0].key == "movie-7"
        assert index.exists()
    assert "built anew" in caplog.text


async def test_the_index_is_kept_and_follows_the_journal(path: Path) -> None:
    written = records(400, 8)
    store = await open_memory_store(path, space=SPACE, tuning=INDEXED)
    await store.upsert(written[:300])
    await store.delete([record.key for record in written[:50]])
    await store.settle()
    await store.aclose()
    store = await open_memory_store(path, space=SPACE, tuning=INDEXED)
    assert store._collection.index.living == 250
    await store.upsert(written[300:])
    await store.delete([record.key for record in written[50:60]])
    abandon(store)
    async with await open_memory_store(path, space=SPACE, tuning=INDEXED) as store:
        assert store._collection.index.living == 240
        await store.settle()
        assert store._collection.index.living == 340
        for record in written[60::17]:
            result = await store.search(SearchRequest(vector=record.vector, k=1))
            assert result.hits[0].key == record.key


# Who may write


async def test_one_writer_many_readers(path: Path) -> None:
    writer = await open_memory_store(path, space=SPACE)
    await writer.upsert(records(3, 8))
    with pytest.raises(StoreLockedError, match=f"process {os.getpid()}") as caught:
        await open_memory_store(path, space=SPACE)
    assert caught.value.path == str(path)
    async with await open_memory_store(path, space=None, writable=False) as reader:
        assert (await reader.stats()).count == 3
        await writer.upsert(records(5, 8))
        assert (await reader.stats()).count == 3
        for attempt in (reader.upsert(records(1, 8)), reader.delete(["a"]), reader.bulk_load(_batches([]))):
            with pytest.raises(UnsupportedError, match="reading only"):
                await attempt
    assert len(await keys_at(path)) == 5
    await writer.aclose()
    async with await open_memory_store(path, space=SPACE) as again:
        assert (await again.stats()).count == 5


async def _batches(batch: list[ContentVector]) -> AsyncIterator[Sequence[ContentVector]]:
    yield batch


async def test_a_closed_store_says_so(path: Path) -> None:
    store = await open_memory_store(path, space=SPACE)
    await store.aclose()
    for attempt in (store.upsert(records(1, 8)), store.get(["a"]), store.delete(["a"]), store.stats()):
        with pytest.raises(StoreError, match="closed"):
            await attempt


# No space, no permission


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


async def test_a_full_disk_undoes_the_write(path: Path) -> None:
    store = await open_memory_store(path, space=SPACE)
    await store.upsert(records(3, 8))
    size = journal_of(path).stat().st_size
    with _largest_file(size + 50):
        for _ in range(3):
            with pytest.raises(StoreFullError, match="nothing was changed"):
                await store.upsert(records(50, 8, prefix="tv"))
        with pytest.raises(StoreFullError):
            await store.delete([f"movie-{number}" for number in range(3)] * 40)
        assert journal_of(path).stat().st_size == size
        assert (await store.stats()).count == 3
        assert len((await store.search(SearchRequest(vector=np.ones(8, dtype=np.float32)))).hits) == 3
    await store.upsert(records(2, 8, prefix="tv"))
    abandon(store)
    assert await keys_at(path) == ["movie-0", "movie-1", "movie-2", "tv-0", "tv-1"]


@pytest.mark.usefixtures("_small_journals")
async def test_a_snapshot_that_does_not_fit_leaves_the_journal_in_charge(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_memory_store(path, space=SPACE)
    await store.upsert(records(10, 8))
    before = path.read_bytes() if path.exists() else None
    with _largest_file(max(journal_of(path).stat().st_size if journal_of(path).exists() else 0, 1) + 6_000):
        for number in range(20):
            try:
                await store.upsert(records(4, 8, prefix=f"x{number}"))
            except StoreFullError:
                break
        await store.aclose()
    assert len(list(path.parent.glob("*.tmp"))) == 0
    count = len(await keys_at(path))
    assert count >= 10
    assert before is None or count % 4 == 2


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            with pytest.raises(StoreFullError, match="RUVECTOR_MEMORY_PATH"):
                await open_memory_store(folder / "memory.snap", space=SPACE)
        finally:
            os.seteuid(0)
    else:
        with pytest.raises(StoreFullError, match="RUVECTOR_MEMORY_PATH"):
            await open_memory_store(folder / "memory.snap", space=SPACE)


async def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path, tmp_path / "file" / "memory.snap"):
        with pytest.raises(StoreError):
            await open_memory_store(place, space=SPACE)


# Kill


_WRITER = """
import sys
from pathlib import Path
import anyio
from media_gateway.models import VectorSpace
from media_gateway.stores.memory import open_memory_store, storage
from tests.samples import records

storage._SMALLEST_COMPACTION = 30_000
storage._JOURNAL_SHARE = 0.0

async def main():
    store = await open_memory_store(Path(sys.argv[1]), space=VectorSpace(model="test-model", dimension=8))

    async def write(writer):
        for number in range(100_000):
            prefix = f"{sys.argv[2]}-{writer}-{number}"
            await store.upsert(records(3, 8, prefix=prefix))
            print(prefix, flush=True)

    async with anyio.create_task_group() as group:
        for writer in range(3):
            group.start_soon(write, writer)

anyio.run(main)
"""


async def test_kill_nine_loses_nothing_acknowledged(path: Path, tmp_path: Path) -> None:
    script = tmp_path / "writer.py"
    script.write_text(_WRITER)
    root = Path(__file__).parents[2]
    generator = random.Random(7)
    acknowledged: set[str] = set()
    for number in range(4):
        arguments = [sys.executable, str(script), str(path), f"round{number}"]
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
        ) as process:
            assert process.stdout is not None
            acknowledged.add(process.stdout.readline().strip())
            for _ in range(generator.randrange(150)):
                acknowledged.add(process.stdout.readline().strip())
            process.kill()
            acknowledged.update(line.strip() for line in process.stdout if line.endswith("\n"))
        found = await keys_at(path)
        prefixes = [key.rsplit("-", 1)[0] for key in found]
        assert acknowledged <= set(prefixes)
        # Each write of three records is there wholly or not at all.
        assert all(prefixes.count(prefix) == 3 for prefix in set(prefixes))
    shutil.rmtree(path.parent)


async def test_a_bulk_load_waits_for_the_writes_before_it(path: Path) -> None:
    """A key that is deleted just before is new, and one that is written just before is not."""
    store = await open_memory_store(path, space=SPACE)
    first, second = records(2, 8)
    await store.upsert([first])
    results: list[object] = []

    async def load(batch: list[ContentVector]) -> None:
        try:
            results.append(await store.bulk_load(_batches(batch)))
        except DuplicateKeyError as error:
            results.append(error.given)

    async with anyio.create_task_group() as group:
        group.start_soon(store.delete, [first.key])
        await anyio.sleep(0)
        group.start_soon(load, [first])
    async with anyio.create_task_group() as group:
        group.start_soon(store.upsert, [second])
        await anyio.sleep(0)
        group.start_soon(load, [second])
    await store.aclose()
    assert results == [1, second.key]
