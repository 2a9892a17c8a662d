"""What every store does with records: write, read, remove, page through, count."""

import anyio
import numpy as np
import pytest

from media_gateway.contracts import BulkLoads, VectorStore
from media_gateway.errors import DuplicateKeyError, InvalidVectorError
from media_gateway.json_values import canonical_object, canonical_text
from media_gateway.models import ContentVector, SearchRequest
from tests.contract.factories import SPACE, StoreFactory, everything
from tests.strategies import nested

pytestmark = pytest.mark.anyio


def record(key: str, *numbers: float, **metadata: object) -> ContentVector:
    return ContentVector(key=key, vector=np.array(numbers or (1, 0, 0, 0), dtype=np.float32), metadata=metadata)


async def test_a_record_comes_back_as_it_was_written(store: VectorStore) -> None:
    written = record("movie-603", 0.1, -2, 3e-5, 4, title="The Matrix", genre_ids=[28, 878], extra={"b": 1, "a": None})
    await store.upsert([written])
    (found,) = await store.get(["movie-603"])
    assert found is not None
    assert found == written
    assert found.vector.dtype == np.float32


async def test_get_keeps_order_repeats_and_gaps(store: VectorStore) -> None:
    await store.upsert([record("a"), record("b", 0, 1, 0, 0)])
    found = await store.get(["b", "missing", "a", "b"])
    assert [one and one.key for one in found] == ["b", None, "a", "b"]
    assert await store.get([]) == []


async def test_the_last_write_wins_and_replaces_all_of_a_record(store: VectorStore) -> None:
    await store.upsert([record("a", title="old", year=1999), record("b")])
    await store.upsert([record("a", 0, 0, 1, 0, title="new")])
    (found,) = await store.get(["a"])
    assert found == record("a", 0, 0, 1, 0, title="new")
    result = await store.search(SearchRequest(vector=np.array([0, 0, 1, 0], dtype=np.float32), k=5))
    assert [(hit.key, hit.metadata.get("title")) for hit in result.hits] == [("a", "new"), ("b", None)]
    assert (await store.stats()).count == 2


async def test_metadata_can_change_while_the_vector_stays(store: VectorStore) -> None:
    for year in (1999, 2000, 2001):
        await store.upsert([record("a", year=year), record("b", 0, 1, 0, 0)])
        result = await store.search(SearchRequest(vector=np.array([1, 0, 0, 0], dtype=np.float32), k=5))
        assert [(hit.key, hit.metadata.get("year")) for hit in result.hits] == [("a", year), ("b", None)]


async def test_writing_nothing_and_the_same_again_changes_nothing(store: VectorStore) -> None:
    await store.upsert([])
    for _ in range(2):
        await store.upsert([record("a", title="x")])
    assert await everything(store) == [record("a", title="x")]


async def test_delete_counts_what_existed(store: VectorStore) -> None:
    await store.upsert([record("a"), record("b"), record("c")])
    assert await store.delete(["a", "missing", "a", "c"]) == 2
    assert await store.delete(["a"]) == 0
    assert await store.delete([]) == 0
    assert [one.key for one in await everything(store)] == ["b"]
    await store.upsert([record("a", 0, 1, 0, 0)])
    assert await store.get(["a"]) == [record("a", 0, 1, 0, 0)]


async def test_what_is_returned_is_the_callers(store: VectorStore) -> None:
    given = {"tags": ["x"], "inner": {"n": 1}}
    await store.upsert([ContentVector(key="a", vector=np.ones(4, dtype=np.float32), metadata=given)])
    given["tags"].append("changed")
    (found,) = await store.get(["a"])
    (hit,) = (await store.search(SearchRequest(vector=np.ones(4, dtype=np.float32)))).hits
    for metadata in (found.metadata, hit.metadata):
        metadata["tags"].append("changed")
        metadata["inner"]["n"] = 2
    assert (await store.get(["a"]))[0].metadata == {"inner": {"n": 1}, "tags": ["x"]}


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"b": 1, "a": 2, "": 3, "aa": 4, "é": 5},
        {"n": [0, -0.0, 1.0, 1, 1e16, 1e22, 0.1, 1e-7, 2**53 + 1, 2**64, 10**40, True, None]},
        {"nested": nested(100)},
        {"tuple": (1, (2, 3))},
        {"text": "\ud83c\udfac".encode("utf-16", "surrogatepass").decode("utf-16") + "é\x01\u2028" + "x" * 10_000},
        {"large": ["word"] * 50_000},
    ],
    ids=["empty", "key order", "numbers", "deep", "tuples", "text", "large"],
)
async def test_metadata_is_kept_in_canonical_form(store: VectorStore, metadata: dict[str, object]) -> None:
    expected = canonical_text(canonical_object(metadata))
    await store.upsert([ContentVector(key="a", vector=np.ones(4, dtype=np.float32), metadata=metadata)])
    (found,) = await store.get(["a"])
    (hit,) = (await store.search(SearchRequest(vector=np.ones(4, dtype=np.float32)))).hits
    assert canonical_text(dict(found.metadata)) == expected
    assert canonical_text(hit.metadata) == expected


async def test_scan_goes_by_code_point(store: VectorStore) -> None:
    keys = ["b", "B", "a", "é", "e\u0301", "\uffff", "\U00010000", "a" * 512, "a ", "aa", "~", "\u00ff", "1", "10", "2"]
    await store.upsert([record(key) for key in keys])
    assert [one.key for one in await everything(store)] == sorted(keys)


async def test_scan_pages(store: VectorStore) -> None:
    keys = [f"movie-{number:03d}" for number in range(25)]
    await store.upsert([record(key) for key in reversed(keys)])
    pages = [[one.key for one in batch] async for batch in store.scan(batch_size=10)]
    assert pages == [keys[:10], keys[10:20], keys[20:]]
    for after, rest in ((None, keys), ("", keys), ("movie-004", keys[5:]), ("movie-0045", keys[5:]), ("movie-024", [])):
        assert [one.key async for batch in store.scan(after=after, batch_size=7) for one in batch] == rest


async def test_a_scan_survives_writes(store: VectorStore) -> None:
    await store.upsert([record(f"k{number:02d}") for number in range(20)])
    seen: list[str] = []
    async for batch in store.scan(batch_size=5):
        seen += [one.key for one in batch]
        if len(seen) == 5:
            await store.delete(["k00", "k10"])
            await store.upsert([record("k07", 0, 1, 0, 0), record("k025")])
    assert len(seen) == len(set(seen))
    assert {f"k{number:02d}" for number in range(20)} - {"k10"} <= set(seen)
    assert seen == sorted(seen)


async def test_stats(stores: StoreFactory) -> None:
    store = await stores.open()
    empty = await store.stats()
    assert empty.count == 0
    assert empty.index is None or isinstance(empty.index, str)
    await store.upsert([record("a"), record("b", 0, 1, 0, 0)])
    stats = await store.stats()
    assert (stats.count, stats.dimension, stats.model) == (2, SPACE.dimension, SPACE.model)
    assert stats.table_bytes > 0
    assert stats.index_bytes >= 0
    assert stats.backend in {"memory", "postgres"}
    assert store.space == SPACE


async def test_what_was_acknowledged_is_there_after_reopening(stores: StoreFactory) -> None:
    store = await stores.open()
    await store.upsert([record("a", title="x"), record("b", 0, 1, 0, 0), record("c")])
    await store.delete(["c"])
    for expected in (2, 3):
        store = await stores.reopen(store)
        assert len(await everything(store)) == expected
        assert (await store.get(["a"])) == [record("a", title="x")]
        await store.upsert([record("d", 0, 0, 1, 0)])
    assert await store.delete(["a", "b", "d"]) == 3
    store = await stores.reopen(store)
    assert await everything(store) == []


async def test_closing_twice_does_no_harm(stores: StoreFactory) -> None:
    store = await stores.open()
    await store.upsert([record("a")])
    await store.aclose()
    await store.aclose()


async def test_bulk_load(stores: StoreFactory) -> None:
    store = await stores.open()
    if not isinstance(store, BulkLoads):
        pytest.skip("no bulk load")
    await store.upsert([record("there")])

    async def batches(*groups: list[ContentVector]):
        for group in groups:
            yield group

    with pytest.raises(DuplicateKeyError):
        await store.bulk_load(batches([record("a"), record("b")], [record("there")]))
    with pytest.raises(DuplicateKeyError):
        await store.bulk_load(batches([record("a"), record("b")], [record("a")]))
    with pytest.raises(InvalidVectorError):
        await store.bulk_load(batches([record("a")], [record("c", 0, 0, 0, float("nan"))]))
    assert [one.key for one in await everything(store)] == ["there"]
    assert await store.bulk_load(batches()) == 0
    assert await store.bulk_load(batches([record("a", n=1), record("b")], [], [record("c")])) == 3
    assert [one.key for one in await everything(store)] == ["a", "b", "c", "there"]
    assert await store.get(["a"]) == [record("a", n=1)]


async def test_searches_never_see_half_a_write(store: VectorStore) -> None:
    """Every write gives ten records the same round: a search that sees two rounds has seen half of one."""
    keys = [f"k{number}" for number in range(10)]
    rounds = 12

    def written(number: int) -> list[ContentVector]:
        return [record(key, 1, place / 10, number / 10, 0, round=number) for place, key in enumerate(keys)]

    await store.upsert(written(0))
    is_done = False

    async def write() -> None:
        nonlocal is_done
        for number in range(1, rounds):
            await store.upsert(written(number))
        is_done = True

    async def read() -> None:
        while not is_done:
            result = await store.search(SearchRequest(vector=np.array([1, 0, 0, 0], dtype=np.float32), k=20))
            assert len(result.hits) == len(keys)
            assert len({hit.metadata["round"] for hit in result.hits}) == 1
            await anyio.sleep(0)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            for _ in range(3):
                group.start_soon(read)


async def test_concurrent_writers_lose_nothing(store: VectorStore) -> None:
    async def write(writer: int) -> None:
        for number in range(10):
            await store.upsert([record(f"w{writer}-{number}", writer + 1, number, 1, 0), record("shared", n=writer)])

    async with anyio.create_task_group() as group:
        for writer in range(8):
            group.start_soon(write, writer)
    assert (await store.stats()).count == 81


async def test_a_cancelled_write_leaves_the_store_whole(store: VectorStore) -> None:
    """However far each write came, its records are all there or none of them."""
    for number in range(15):
        with anyio.move_on_after(number * 0.0004):
            await store.upsert([record(f"{number}-{place}", 1, number, place, 1) for place in range(5)])
    await store.upsert([record("after")])
    counts: dict[str, int] = {}
    for one in await everything(store):
        counts[one.key.split("-")[0]] = counts.get(one.key.split("-")[0], 0) + 1
    assert counts.pop("after") == 1
    assert set(counts.values()) <= {5}
    await store.upsert([record("0-0", 0, 0, 0, 1)])
    assert (await store.get(["0-0"])) == [record("0-0", 0, 0, 0, 1)]
