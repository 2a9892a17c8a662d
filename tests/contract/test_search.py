"""What every store answers: scores, order, limits."""

import numpy as np
import pytest

from media_gateway.contracts import VectorStore
from media_gateway.filters import MetadataEquals, Not
from media_gateway.models import ContentVector, SearchRequest, Vector
from tests.contract.factories import StoreFactory
from tests.contract.reference import ReferenceStore, check_result

pytestmark = pytest.mark.anyio


def row(*numbers: float) -> Vector:
    return np.array(numbers, dtype=np.float32)


def record(key: str, *numbers: float, **metadata: object) -> ContentVector:
    return ContentVector(key=key, vector=row(*numbers), metadata=metadata)


async def test_an_empty_store_answers_nothing(store: VectorStore) -> None:
    result = await store.search(SearchRequest(vector=row(1, 0, 0, 0)))
    assert result.hits == []
    assert result.exhausted


async def test_scores_are_cosines_best_first(store: VectorStore) -> None:
    await store.upsert(
        [
            record("same", 3, 0, 0, 0),
            record("near", 1, 1, 0, 0),
            record("across", 0, 0, 5, 0),
            record("opposite", -0.5, 0, 0, 0),
        ]
    )
    result = await store.search(SearchRequest(vector=row(2, 0, 0, 0)))
    assert [hit.key for hit in result.hits] == ["same", "near", "across", "opposite"]
    assert [hit.score for hit in result.hits] == pytest.approx([1, np.sqrt(0.5), 0, -1], abs=1e-6)
    assert all(-1 <= hit.score <= 1 for hit in result.hits)
    assert result.exhausted


async def test_scores_of_random_vectors(store: VectorStore) -> None:
    generator = np.random.default_rng(7)
    lengths = 10.0 ** generator.integers(-14, 17, 60)
    rows = (generator.standard_normal((60, 4)) * lengths[:, np.newaxis]).astype(np.float32)
    items = [ContentVector(key=f"k{number}", vector=vector) for number, vector in enumerate(rows)]
    reference = ReferenceStore()
    reference.upsert(items)
    await store.upsert(items)
    for number, vector in enumerate(rows[:20]):
        request = SearchRequest(vector=vector * np.float32(10.0 ** (number % 3)), k=60, exact=True)
        result = await store.search(request)
        check_result(reference, request, result)
        assert result.exact


async def test_k_cuts(store: VectorStore) -> None:
    await store.upsert([record(f"k{number}", 1, number / 10, 0, 0) for number in range(10)])
    for k in (1, 3, 9, 10):
        result = await store.search(SearchRequest(vector=row(1, 0, 0, 0), k=k))
        assert [hit.key for hit in result.hits] == [f"k{number}" for number in range(k)]
        assert not result.exhausted
    result = await store.search(SearchRequest(vector=row(1, 0, 0, 0), k=11))
    assert len(result.hits) == 10
    assert result.exhausted


async def test_ties_are_in_the_order_of_keys_when_exact(store: VectorStore) -> None:
    keys = ["b", "a", "\U00010000", "\uffff", "B", "aa", "é", "z", "10", "9", "~"]
    await store.upsert([record(key, 1, 2, 3, 4) for key in keys])
    await store.upsert([record("best", 4, 3, 2, 1), record("worst", -1, 0, 0, 0)])
    for k in (2, 3, 7, 12, 13):
        result = await store.search(SearchRequest(vector=row(4, 3, 2, 1), k=k, exact=True))
        assert [hit.key for hit in result.hits] == ["best", *sorted(keys), "worst"][:k]


async def test_ties_at_the_limit_in_many_records(stores: StoreFactory) -> None:
    """Three hundred equal records at three lengths, which float32 sums might tell apart."""
    store = await stores.open()
    direction = np.random.default_rng(3).standard_normal(4)
    items = [
        ContentVector(key=f"{number:03d}", vector=(direction * 2.0 ** (number % 3)).astype(np.float32))
        for number in range(300)
    ]
    await store.upsert(items[::-1])
    result = await store.search(SearchRequest(vector=row(1, 1, 0, 0), k=50, exact=True))
    assert [hit.key for hit in result.hits] == [item.key for item in items[:50]]
    plain = await store.search(SearchRequest(vector=row(1, 1, 0, 0), k=50))
    assert len(plain.hits) == 50
    if stores.finds_ties_exactly:
        assert plain.hits == result.hits


async def test_min_score_is_strict(store: VectorStore) -> None:
    await store.upsert([record("one", 1, 0, 0, 0), record("zero", 0, 1, 0, 0), record("minus", -1, 0, 0, 0)])
    for least, keys in (
        (-2, ["one", "zero", "minus"]),
        (-1, ["one", "zero"]),
        (-0.5, ["one", "zero"]),
        (0, ["one"]),
        (1, []),
    ):
        result = await store.search(SearchRequest(vector=row(2, 0, 0, 0), k=2, min_score=least))
        assert [hit.key for hit in result.hits] == keys[:2]
        assert result.exhausted == (len(keys) < 2)


async def test_exclude(store: VectorStore) -> None:
    await store.upsert([record(f"k{number}", 1, number / 10, 0, 0) for number in range(6)])
    result = await store.search(SearchRequest(vector=row(1, 0, 0, 0), k=3, exclude=["k0", "missing", "k2", "k0"]))
    assert [hit.key for hit in result.hits] == ["k1", "k3", "k4"]
    everything = [f"k{number}" for number in range(6)]
    result = await store.search(SearchRequest(vector=row(1, 0, 0, 0), k=3, exclude=everything))
    assert result.hits == []
    assert result.exhausted
    hostile = ["'; drop table content_vectors; --", "k1", "%", '"']
    result = await store.search(SearchRequest(vector=row(1, 0, 0, 0), k=6, exclude=hostile))
    assert [hit.key for hit in result.hits] == ["k0", "k2", "k3", "k4", "k5"]


@pytest.mark.parametrize("matching", [1, 5, 30, 150])
async def test_k_are_found_at_any_selectivity(store: VectorStore, matching: int) -> None:
    """The records that pass lie far from the query, where an index left alone would never come."""
    generator = np.random.default_rng(5)
    near = row(1, 0, 0, 0) + 0.05 * generator.standard_normal((300, 4)).astype(np.float32)
    far = row(-1, 0, 0, 0) + 0.3 * generator.standard_normal((matching, 4)).astype(np.float32)
    items = [ContentVector(key=f"near-{n}", vector=vector, metadata={"far": False}) for n, vector in enumerate(near)]
    items += [ContentVector(key=f"far-{n}", vector=vector, metadata={"far": True}) for n, vector in enumerate(far)]
    await store.upsert(items)
    reference = ReferenceStore()
    reference.upsert(items)
    for condition in (MetadataEquals("far", True), Not(MetadataEquals("far", False))):
        request = SearchRequest(vector=row(1, 0, 0, 0), k=20, where=condition)
        result = await store.search(request)
        assert len(result.hits) == min(20, matching)
        best = {key for _, key in reference.ranking(request)[:20]}
        assert len(best & {hit.key for hit in result.hits}) >= 0.95 * len(best)


async def test_a_search_sees_what_was_written_before_it(store: VectorStore) -> None:
    for number in range(30):
        await store.upsert([record(f"k{number}", 1, number / 10, 0, 0)])
        result = await store.search(SearchRequest(vector=row(1, number / 10, 0, 0), k=1))
        assert result.hits[0].key == f"k{number}"
        if number % 3 == 2:
            await store.delete([f"k{number}"])
            result = await store.search(SearchRequest(vector=row(1, number / 10, 0, 0), k=1))
            assert result.hits[0].key == f"k{number - 1}"
