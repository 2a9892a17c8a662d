"""Signs of random products: what they rule out is far, what they do not is compared, and nothing new is missed."""

import numpy as np
import pytest

from media_gateway.benchmarking.generator import Generator
from media_gateway.filters import RatingBetween
from media_gateway.models import ContentVector, Matrix, SearchRequest, VectorSpace
from media_gateway.stores.memory import IndexTuning, MemoryStore, open_memory_store
from media_gateway.stores.memory.exact import Query, nearest
from media_gateway.stores.memory.records import Records
from media_gateway.stores.memory.signs import Signs
from media_gateway.vector_math import units

pytestmark = pytest.mark.anyio

DIMENSION = 256
ROWS = 9_000
HALF = RatingBetween(high=5)
WEAK = IndexTuning(exact_floats=0, connectivity=2, expansion_add=4, narrow_expansions=(), expansions=(2,))
"""An index so bad that it is never used."""


def records_of(rows: Matrix) -> Records:
    return Records.loaded([f"movie-{number}" for number in range(len(rows))], [b"{}"] * len(rows), rows)


def filled(rows: Matrix, most_bits: int = 1024) -> Signs:
    signs = Signs(rows.shape[1], most_bits)
    signs.is_wanted = True
    while signs.is_due(len(rows)):
        signs.extend(rows, len(rows))
    return signs


@pytest.mark.parametrize("every", [1, 7])
def test_the_nearest_are_among_what_is_left_and_most_others_are_not(every: int) -> None:
    generator = Generator(dimension=DIMENSION)
    rows = np.concatenate(list(generator.blocks(ROWS)))
    records, slots, found, left = records_of(rows), np.arange(0, ROWS, every), 0, []
    sketch = filled(rows).sketch
    assert sketch is not None
    for vector in generator.queries(40, ROWS):
        # Lengths are nothing to signs.
        query = Query(vector * np.float32(3))
        near = sketch.near(records.view(), slots, query, 10)
        assert np.all(np.diff(near) > 0)
        best = {slot for _, _, slot in nearest(records.view(), slots, query, 10)}
        found += len(best & set(near.tolist()))
        left.append(len(near))
    assert found >= 0.99 * 400
    assert np.median(left) < len(slots) / 2


def test_directions_without_structure_are_found_though_hardly_any_is_ruled_out() -> None:
    random = np.random.default_rng(4)
    rows = units(random.standard_normal((4_000, DIMENSION)).astype(np.float32))
    records, slots, found = records_of(rows), np.arange(4_000), 0
    sketch = filled(rows).sketch
    assert sketch is not None
    for vector in units(random.standard_normal((30, DIMENSION)).astype(np.float32)):
        query = Query(vector)
        near = sketch.near(records.view(), slots, query, 10)
        found += len({one[2] for one in nearest(records.view(), slots, query, 10)} & set(near.tolist()))
    assert found >= 0.98 * 300


def test_what_has_no_signs_yet_is_compared() -> None:
    rows = np.concatenate(list(Generator(dimension=DIMENSION).blocks(4_000)))
    signs = Signs(DIMENSION, 1024)
    signs.extend(rows, 4_000)
    assert 0 < signs.filled < 2_000
    assert signs.sketch is not None
    near = signs.sketch.near(records_of(rows).view(), np.arange(0, 4_000, 2), Query(rows[0]), 1)
    assert set(range(2_000, 4_000, 2)) <= set(near.tolist())


def test_signs_are_the_same_however_they_are_made_and_short_vectors_have_none() -> None:
    rows = np.concatenate(list(Generator(dimension=DIMENSION).blocks(3_000)))
    once, grown = filled(rows), Signs(DIMENSION, 1024)
    for end in (1, 700, 701, 3_000):
        while grown.filled < end:
            grown.extend(rows, end)
    assert once.sketch is not None
    assert grown.sketch is not None
    assert np.array_equal(once.sketch.words[:, :3_000], grown.sketch.words[:, :3_000])
    assert 0 < once.nbytes < 3_000 * 50 + once.sketch.directions.nbytes
    assert Signs(128, 1024).cost(100_000, 100_000) == Signs(768, 0).cost(100_000, 100_000) == float("inf")


def items(rows: Matrix, first: int = 0) -> list[ContentVector]:
    """Return records rated by the first number of their vectors: those above 0 beyond 5."""
    return [
        ContentVector(key=f"movie-{number}", vector=row, metadata={"vote_average": 6 if row[0] > 0 else 4})
        for number, row in enumerate(rows, first)
    ]


async def opened(rows: Matrix, recall_target: float = 0.95) -> MemoryStore:
    space = VectorSpace(model="test-model", dimension=DIMENSION)
    store = await open_memory_store(None, space=space, recall_target=recall_target, tuning=WEAK)
    await store.upsert(items(rows))
    await store.settle()
    return store


async def test_a_filter_that_passes_what_is_far_is_answered_by_signs_that_keep_up_with_writes() -> None:
    generator = Generator(dimension=DIMENSION)
    rows = np.concatenate(list(generator.blocks(2 * ROWS)))
    queries = np.stack([row for row in generator.queries(60, 2 * ROWS) if row[0] > 0.3])
    async with await opened(rows) as store:
        # The first search compares all, and has signs made.
        first = await store.search(SearchRequest(vector=queries[0], where=HALF))
        assert first.exact
        signs = store._collection.signs
        assert signs.is_wanted
        await store.settle()
        assert signs.filled == 2 * ROWS
        explanation = await store.explain(SearchRequest(vector=queries[0], where=HALF))
        assert (explanation.way, explanation.exact) == ("scan", False)
        assert "signs" in explanation.reason
        found = 0
        for query in queries:
            truth = await store.search(SearchRequest(vector=query, where=HALF, exact=True))
            result = await store.search(SearchRequest(vector=query, where=HALF))
            assert truth.exact
            assert not result.exact
            keys = {hit.key: hit.score for hit in truth.hits}
            found += sum(keys.get(hit.key) == hit.score for hit in result.hits)
            assert len(result.hits) == 10
        assert found >= 0.98 * 10 * len(queries)
        # What is written now is found before it has signs, and has them soon.
        late = -queries[:1]
        await store.upsert(items(late, first=90_000))
        result = await store.search(SearchRequest(vector=late[0], k=1, where=HALF))
        assert [hit.key for hit in result.hits] == ["movie-90000"]
        await store.settle()
        assert signs.filled == 2 * ROWS + 1
        result = await store.search(SearchRequest(vector=late[0], k=1, where=HALF))
        assert [hit.key for hit in result.hits] == ["movie-90000"]


async def test_a_target_beyond_what_signs_promise_does_without_them() -> None:
    rows = np.concatenate(list(Generator(dimension=DIMENSION).blocks(2 * ROWS)))
    async with await opened(rows, recall_target=0.995) as store:
        for row in rows[:3]:
            assert (await store.search(SearchRequest(vector=row, where=HALF))).exact
        await store.settle()
        assert not store._collection.signs.is_wanted
