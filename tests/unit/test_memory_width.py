"""How widely the memory store searches its index: chosen by records that had no nodes, and no narrower than is good."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from media_gateway.benchmarking.generator import Generator
from media_gateway.json_values import dump, hold_long_numbers, parse, parse_all
from media_gateway.models import ContentVector, Hit, Matrix, SearchRequest, VectorSpace
from media_gateway.stores.memory import IndexTuning, MemoryStore, open_memory_store
from media_gateway.stores.memory.exact import Query, nearest, scores_of
from media_gateway.stores.memory.index import VectorIndex
from media_gateway.stores.memory.records import Records
from media_gateway.stores.memory.witnesses import Witness, recalls
from media_gateway.vector_math import units
from tests.samples import clustered

pytestmark = pytest.mark.anyio

DIMENSION = 32
INDEXED = IndexTuning(exact_floats=0, candidate_cost=0)
USUAL = INDEXED.expansions[0]


def items(rows: Matrix, first: int = 0) -> list[ContentVector]:
    return [
        ContentVector(key=f"movie-{number}", vector=row, metadata={"even": number % 2 == 0})
        for number, row in enumerate(rows, first)
    ]


async def opened(path: Path | None, dimension: int = DIMENSION) -> MemoryStore:
    return await open_memory_store(path, space=VectorSpace(model="test-model", dimension=dimension), tuning=INDEXED)


async def recall(store: MemoryStore, queries: Matrix) -> float:
    found = 0
    for query in queries:
        truth = await store.search(SearchRequest(vector=query, exact=True))
        result = await store.search(SearchRequest(vector=query))
        found += len({hit.key for hit in result.hits} & {hit.key for hit in truth.hits})
    return found / (10 * len(queries))


def width_of(store: MemoryStore) -> int | None:
    return store._collection.index.calibration.expansion


async def test_vectors_like_those_of_paragraphs_are_searched_narrowly_and_found() -> None:
    generator = Generator(dimension=64, noise=0.5)
    async with await opened(None, 64) as store:
        await store.upsert(items(np.concatenate(list(generator.blocks(4_000)))))
        await store.settle()
        details = (await store.stats()).details
        assert details["indexed"] == 4_000
        assert details["ef_search"] < USUAL
        assert details["measured_recall"] >= 0.96
        assert await recall(store, generator.queries(200, 4_000)) >= 0.95


@pytest.mark.full
async def test_the_width_follows_a_collection_that_grows_a_little_at_a_time() -> None:
    rows = clustered(5_200, DIMENSION)
    async with await opened(None) as store:
        for begin in range(0, 5_000, 50):
            await store.upsert(items(rows[begin : begin + 50], begin))
            await store.settle()
        found = store._collection.index.calibration
        assert found.is_witnessed
        assert found.count > 2_500
        assert found.expansion is not None
        assert found.expansion < USUAL
        assert await recall(store, rows[5_000:]) >= 0.95


async def test_the_width_is_kept_with_the_index(tmp_path: Path) -> None:
    async with await opened(tmp_path / "memory.snap") as store:
        await store.upsert(items(clustered(1_200, DIMENSION)))
        await store.settle()
        found = store._collection.index.calibration
        assert found.is_witnessed
    async with await opened(tmp_path / "memory.snap") as store:
        assert store._collection.index.calibration == found


async def test_a_plain_search_is_answered_as_any_other() -> None:
    """Leaving out a key that does not exist takes the way of all searches that are not plain."""
    async with await opened(None) as store:
        rows = clustered(1_300, DIMENSION)
        await store.upsert(items(rows[:1_200]))
        await store.settle()
        for query in rows[1_200:]:
            for k in (1, 10, 30, 100):
                plain = SearchRequest(vector=query, k=k)
                other = SearchRequest(vector=query, k=k, exclude=["no-such-key"])
                assert await store.search(plain) == await store.search(other)
        explained = await store.explain(plain), await store.explain(other)
        assert explained[0].ef_search == explained[1].ef_search
        assert explained[0].reason == explained[1].reason


def records_of(rows: Matrix) -> Records:
    return Records.loaded([f"movie-{number:05}" for number in range(len(rows))], [b"{}"] * len(rows), rows)


@pytest.mark.parametrize("count", [1, 10, 64])
def test_few_scores_are_those_of_many_to_the_last_bit(count: int) -> None:
    rows = clustered(300, DIMENSION) * np.random.default_rng(1).uniform(1e-6, 1e6, (300, 1)).astype(np.float32)
    rows[7] = -rows[3] * 2
    view = records_of(rows).view()
    for vector in (rows[3], rows[3] * 1e-9, rows[11]):
        query = Query(vector)
        slots = np.arange(count)
        exact = scores_of(view, slots, query)
        assert [-turned for turned, _, _ in nearest(view, slots, query, count)] == sorted(exact.tolist(), reverse=True)
        best = nearest(view, np.arange(300), query, count)[0]
        assert -best[0] == scores_of(view, np.arange(300), query).max()


def indexed(rows: Matrix) -> tuple[Records, VectorIndex]:
    records = records_of(rows)
    index = VectorIndex(rows.shape[1], INDEXED)
    index.grow(len(rows))
    return records, index


def test_what_is_held_back_waits_until_it_is_released() -> None:
    records, index = indexed(clustered(100, DIMENSION))
    index.hold(np.array([3, 50, 70]))
    assert len(index.pending(records, 100)) == 100
    while len(slots := index.next_pending(records, 100, 40)):
        index.add(slots, records)
    assert index.pending(records, 100).tolist() == [3, 50, 70]
    records.hide(["movie-00050"])
    index.removed(np.array([50]))
    index.release()
    assert len(index.held) == 0
    assert index.next_pending(records, 100, 40).tolist() == [3, 70]
    index.add(np.array([3, 70]), records)
    assert not len(index.pending(records, 100))
    assert index.living == 99


def test_witnesses_are_judged_by_what_was_there_when_they_were_heard() -> None:
    rows = units(np.random.default_rng(0).standard_normal((60, DIMENSION)))
    view = records_of(rows).view()
    slot_of = np.arange(60)
    slot_of[5] = -1
    (order,) = np.argsort(-(rows[:1] @ rows[:40].T), axis=1)
    there = [node for node in order.tolist() if node != 5]

    def heard(*found: Sequence[int]) -> Witness:
        return Witness(unit=rows[0], nodes=40, found=[np.array(nodes, dtype=np.int64) for nodes in found])

    assert recalls(view, slot_of, [heard(there[:10], there[5:20], there[:9], [*there[:9], 5], [])], 40) == [
        1,
        0.5,
        0.9,
        0.9,
        0,
    ]
    assert recalls(view, slot_of, [heard(there[:10]), heard(there[:5])], 40) == [0.75]
    grown = recalls(view, slot_of, [heard(there[:10], there[:9], [])], 160)
    assert grown == [1, pytest.approx(0.8), 0]


def test_hits_made_quickly_are_hits() -> None:
    quick, usual = Hit.of("movie-1", 0.5, {"a": 1}), Hit(key="movie-1", score=0.5, metadata={"a": 1})
    assert pickle.loads(pickle.dumps(quick)) == quick == usual
    assert replace(quick, score=0.25) == replace(usual, score=0.25)
    assert repr(quick) == repr(usual)
    assert (quick.rank_score, quick.matched) == (None, None)


def test_texts_are_parsed_together_as_one_by_one() -> None:
    short = [{"a": 1.5, "b": "x,]["}, {}, {"e": [1, {"f": None}]}, {"g": 0.12345678901234567}]
    for some in (short, short[:1], []):
        texts = [dump(value) for value in some]
        assert not hold_long_numbers(texts)
        assert parse_all(texts) == [parse(text) for text in texts] == some
    for value in (2**70, 12345678901234567890, [1, [-(2**64)]]):
        assert hold_long_numbers([b"{}"] * 3_000 + [dump({"n": value})])


async def test_long_numbers_that_come_later_are_found_as_they_are(tmp_path: Path) -> None:
    rows = clustered(2, DIMENSION)
    request = SearchRequest(vector=rows[1], k=2)
    async with await opened(tmp_path / "memory.snap") as store:
        await store.upsert(items(rows))
        assert (await store.search(request)).hits[0].metadata == {"even": False}
        await store.upsert([ContentVector(key="movie-1", vector=rows[1], metadata={"n": 2**70})])
        assert [hit.metadata for hit in (await store.search(request)).hits] == [{"n": 2**70}, {"even": True}]
    async with await opened(tmp_path / "memory.snap") as store:
        assert (await store.search(request)).hits[0].metadata == {"n": 2**70}
