"""Digests and merges are the same on every store: of the same records, bit for bit."""

from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from media_gateway.contracts import Digests, Merges, Samples, VectorStore
from media_gateway.errors import DuplicateKeyError
from media_gateway.models import CollectionDigest, ContentVector, Merged
from media_gateway.models.digests import row_hash, row_image
from media_gateway.validation import checked_items
from tests.contract.factories import StoreFactory, everything, wiped
from tests.strategies import batches

pytestmark = pytest.mark.anyio


def record(key: str, *numbers: float, **metadata: object) -> ContentVector:
    return ContentVector(key=key, vector=np.array(numbers or (1, 2, 3, 4), dtype=np.float32), metadata=metadata)


async def stream(*given_batches: Sequence[ContentVector]) -> AsyncIterator[Sequence[ContentVector]]:
    for batch in given_batches:
        yield batch


def digest_of(items: Sequence[ContentVector]) -> CollectionDigest:
    return CollectionDigest().plus(row_hash(item) for item in checked_items(items, 4))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=batches(max_size=8))
async def test_a_store_hashes_records_as_python_does(store: VectorStore, items: list[ContentVector]) -> None:
    assert isinstance(store, Digests)
    await wiped(store)
    await store.upsert(items)
    checked = sorted(checked_items(items, 4), key=lambda item: item.key)
    images = [row_image(item.key, item.vector, item.metadata) for item in checked]
    assert await store.row_images([item.key for item in checked]) == images
    hashes = [row async for rows in store.row_hashes() for row in rows]
    assert hashes == [(item.key, row_hash(item)) for item in checked]
    assert await store.digest() == digest_of(items)


async def test_an_empty_store_has_the_digest_of_nothing(store: VectorStore) -> None:
    assert isinstance(store, Digests)
    assert await store.digest() == CollectionDigest()
    assert [rows async for rows in store.row_hashes()] == []
    assert await store.row_images(["a"]) == [None]


async def test_every_bit_counts(store: VectorStore) -> None:
    assert isinstance(store, Digests)
    seen: set[str] = set()
    one = np.float32(1)
    for item in [
        record("a", 1, 2, 3, 0.0, n=1),
        record("a", 1, 2, 3, -0.0, n=1),
        record("a", np.nextafter(one, np.float32(2)), 2, 3, 0.0, n=1),
        record("a", 1, 2, 3, 0.0, n=1.0),
        record("a", 1, 2, 3, 0.0, n=True),
        record("a", 1, 2, 3, 0.0, n="1"),
        record("a", 1, 2, 3, 0.0),
        record("b", 1, 2, 3, 0.0, n=1),
    ]:
        await wiped(store)
        await store.upsert([item])
        seen.add((await store.digest()).text)
    assert len(seen) == 8


async def test_a_vector_is_written_again_when_only_the_sign_of_a_zero_changed(store: VectorStore) -> None:
    await store.upsert([record("a", 1, 0.0, 0, 0)])
    await store.upsert([record("a", 1, -0.0, 0, 0)])
    (found,) = await store.get(["a"])
    assert found is not None
    assert np.signbit(found.vector).tolist() == [False, True, False, False]
    assert found != record("a", 1, 0.0, 0, 0)


async def test_a_sample_has_each_key_once_and_stays_the_same(store: VectorStore) -> None:
    assert isinstance(store, Samples)
    await store.upsert([record(f"k{number}") for number in range(50)])
    sample = await store.sample_keys(10)
    assert len(set(sample)) == 10
    assert sample == await store.sample_keys(10)
    assert sorted(sample) != [f"k{number}" for number in range(10)]
    assert len(await store.sample_keys(100)) == 50


async def test_a_merge_keeps_or_replaces_what_is_there(store: VectorStore) -> None:
    assert isinstance(store, Merges)
    await store.upsert([record("a", title="old"), record("z", title="old")])
    arriving = [record("b", title="new"), record("a", title="new")], [record("c", title="new")]
    assert await store.merge(stream(*arriving), overwrite=False) == Merged(written=2, kept=1)
    titles = {item.key: item.metadata["title"] for item in await everything(store)}
    assert titles == {"a": "old", "b": "new", "c": "new", "z": "old"}
    assert await store.merge(stream(*arriving), overwrite=True) == Merged(written=3, kept=0)
    titles = {item.key: item.metadata["title"] for item in await everything(store)}
    assert titles == {"a": "new", "b": "new", "c": "new", "z": "old"}


@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_merge_that_fails_changes_nothing(stores: StoreFactory, overwrite: bool) -> None:
    store = await stores.open()
    assert isinstance(store, Merges)
    await store.upsert([record("a", title="old")])

    async def broken() -> AsyncIterator[Sequence[ContentVector]]:
        yield [record("a", title="new"), record("b")]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        await store.merge(broken(), overwrite=overwrite)
    with pytest.raises(DuplicateKeyError, match="'b' is given twice"):
        await store.merge(stream([record("b")], [record("b")]), overwrite=overwrite)
    assert await everything(store) == [record("a", title="old")]
    assert await everything(await stores.reopen(store)) == [record("a", title="old")]
