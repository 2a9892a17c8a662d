"""Random operations on a store and on the reference, compared after every step."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_gateway.contracts import VectorStore
from media_gateway.json_values import canonical_text
from media_gateway.models import ContentVector, SearchRequest
from tests.contract.factories import everything, wiped
from tests.contract.reference import ReferenceStore, check_result
from tests.strategies import batches, conditions, keys, vectors

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Upsert:
    items: list[ContentVector]


@dataclass(frozen=True)
class Delete:
    keys: list[str]


@dataclass(frozen=True)
class Search:
    request: SearchRequest


requests = st.builds(
    SearchRequest,
    vector=vectors(),
    k=st.one_of(st.integers(1, 5), st.just(100)),
    min_score=st.one_of(st.none(), st.sampled_from([-1.0, -0.3, 0.0, 0.45, 0.95])),
    where=st.one_of(st.none(), conditions),
    exclude=st.lists(keys(), max_size=2),
    exact=st.booleans(),
)

operations = st.one_of(
    st.builds(Upsert, batches()),
    st.builds(Upsert, batches()),
    st.builds(Delete, st.lists(keys(), max_size=3)),
    st.builds(Search, requests),
    st.builds(Search, requests),
    st.builds(Search, requests),
)


def as_written(records: list[ContentVector]) -> list[tuple[str, list[float], str]]:
    return [(one.key, one.vector.tolist(), canonical_text(dict(one.metadata))) for one in records]


async def perform(store: VectorStore, reference: ReferenceStore, operation: Any) -> None:
    match operation:
        case Upsert(items=items):
            await store.upsert(items)
            reference.upsert(items)
        case Delete(keys=gone):
            assert await store.delete(gone) == reference.delete(gone)
        case Search(request=request):
            check_result(reference, request, await store.search(request))


sequences = st.lists(operations, min_size=5, max_size=25)
tries = {"items": batches(max_size=12), "tried": st.lists(conditions, min_size=1, max_size=12), "vector": vectors()}


async def agrees(store: VectorStore, steps: list[Any]) -> None:
    """Do *steps* on an emptied *store* and on the reference, and compare what they answer and what is left."""
    await wiped(store)
    reference = ReferenceStore()
    for operation in steps:
        await perform(store, reference, operation)
    assert as_written(await everything(store)) == as_written(reference.ordered())
    assert (await store.stats()).count == len(reference.records)
    known = [*reference.records, "missing"]
    found = await store.get(known)
    assert [one and one.key for one in found] == [*reference.records, None]


async def holds_out(store: VectorStore, items: list[ContentVector], tried: list[Any], vector: Any) -> None:
    """Store *items* in an emptied *store*, search under each of the conditions *tried*, and compare."""
    await wiped(store)
    reference = ReferenceStore()
    await perform(store, reference, Upsert(items))
    for condition in tried:
        await perform(store, reference, Search(SearchRequest(vector=vector, k=50, where=condition, exact=True)))
    assert as_written(await everything(store)) == as_written(reference.ordered())


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=sequences)
async def test_a_store_does_what_the_reference_does(store: VectorStore, steps: list[Any]) -> None:
    await agrees(store, steps)


@pytest.mark.full
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=sequences)
async def test_a_store_does_what_the_reference_does_many_times_over(store: VectorStore, steps: list[Any]) -> None:
    await agrees(store, steps)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(**tries)
async def test_hostile_keys_and_values_neither_break_nor_inject(
    store: VectorStore, items: list[ContentVector], tried: list[Any], vector: Any
) -> None:
    await holds_out(store, items, tried, vector)


@pytest.mark.full
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(**tries)
async def test_hostile_keys_and_values_neither_break_nor_inject_many_times_over(
    store: VectorStore, items: list[ContentVector], tried: list[Any], vector: Any
) -> None:
    await holds_out(store, items, tried, vector)
