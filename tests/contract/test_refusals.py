"""What no store takes, and that nothing is written when it is given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from media_gateway.contracts import VectorStore
from media_gateway.errors import (
    DimensionMismatchError,
    DuplicateKeyError,
    InvalidInputError,
    InvalidKeyError,
    InvalidMetadataError,
    InvalidRequestError,
    InvalidVectorError,
)
from media_gateway.models import ContentVector, SearchRequest
from tests.contract.factories import everything
from tests.strategies import nested

pytestmark = pytest.mark.anyio

GOOD = ContentVector(key="good", vector=np.array([1, 0, 0, 0], dtype=np.float32), metadata={"title": "kept"})


def item(key: Any = "bad", vector: Any = (1, 0, 0, 0), metadata: Any = None) -> ContentVector:
    row = np.array(vector, dtype=np.float32) if isinstance(vector, tuple) else vector
    return ContentVector(key=key, vector=row, metadata={} if metadata is None else metadata)


BAD_ITEMS: dict[str, tuple[Callable[[], ContentVector], type[InvalidInputError]]] = {
    "too short": (lambda: item(vector=(1, 0, 0)), DimensionMismatchError),
    "too long": (lambda: item(vector=(1, 0, 0, 0, 0)), DimensionMismatchError),
    "no numbers": (lambda: item(vector=()), DimensionMismatchError),
    "NaN": (lambda: item(vector=(1, float("nan"), 0, 0)), InvalidVectorError),
    "infinity": (lambda: item(vector=(1, float("inf"), 0, 0)), InvalidVectorError),
    "minus infinity": (lambda: item(vector=(1, float("-inf"), 0, 0)), InvalidVectorError),
    "overflow": (lambda: item(vector=np.array([1e200, 0, 0, 0])), InvalidVectorError),
    "zero": (lambda: item(vector=(0, 0, 0, 0)), InvalidVectorError),
    "norm 1e-16": (lambda: item(vector=(1e-16, 0, 0, 0)), InvalidVectorError),
    "norm 1e19": (lambda: item(vector=(1e19, 0, 0, 0)), InvalidVectorError),
    "a matrix": (lambda: item(vector=np.ones((1, 4), dtype=np.float32)), InvalidVectorError),
    "text": (lambda: item(vector=["a", "b", "c", "d"]), InvalidVectorError),
    "empty key": (lambda: item(key=""), InvalidKeyError),
    "long key": (lambda: item(key="k" * 513), InvalidKeyError),
    "long key in bytes": (lambda: item(key="é" * 257), InvalidKeyError),
    "NUL in key": (lambda: item(key="a\x00b"), InvalidKeyError),
    "surrogate in key": (lambda: item(key="a\ud800"), InvalidKeyError),
    "number as key": (lambda: item(key=603), InvalidKeyError),
    "NUL in a title": (lambda: item(metadata={"title": "a\x00b"}), InvalidMetadataError),
    "surrogate in a title": (lambda: item(metadata={"title": "a\ud83c"}), InvalidMetadataError),
    "NUL in a name": (lambda: item(metadata={"a\x00": 1}), InvalidMetadataError),
    "NUL far inside": (lambda: item(metadata={"a": [{"b": ["\x00"]}]}), InvalidMetadataError),
    "NaN in metadata": (lambda: item(metadata={"a": float("nan")}), InvalidMetadataError),
    "infinity in metadata": (lambda: item(metadata={"a": float("inf")}), InvalidMetadataError),
    "a set": (lambda: item(metadata={"a": {1, 2}}), InvalidMetadataError),
    "bytes": (lambda: item(metadata={"a": b"x"}), InvalidMetadataError),
    "a number as name": (lambda: item(metadata={1: "x"}), InvalidMetadataError),
    "a list": (lambda: item(metadata=[1]), InvalidMetadataError),
    "too deep": (lambda: item(metadata={"a": nested(250)}), InvalidMetadataError),
    "too large a number": (lambda: item(metadata={"a": 10**400}), InvalidMetadataError),
}


@pytest.mark.parametrize("name", BAD_ITEMS)
async def test_a_bad_item_is_refused_with_all_others(store: VectorStore, name: str) -> None:
    made, error = BAD_ITEMS[name]
    await store.upsert([GOOD])
    replacement = item(key="good", vector=(0, 1, 0, 0))
    for batch in ([made()], [replacement, item(key="new"), made()], [made(), replacement]):
        with pytest.raises(error) as caught:
            await store.upsert(batch)
        assert len(str(caught.value)) < 1_000
    assert await everything(store) == [GOOD]


async def test_a_key_twice_in_one_call(store: VectorStore) -> None:
    with pytest.raises(DuplicateKeyError):
        await store.upsert([GOOD, item(key="x"), item(key="x", vector=(0, 1, 0, 0))])
    assert await everything(store) == []


async def test_the_borders_are_inside(store: VectorStore) -> None:
    accepted = [
        item(key="k" * 512, vector=(1e18, 0, 0, 0)),
        item(key="é" * 256, vector=(1.01e-15, 0, 0, 0)),
        item(key=" ", metadata={"a": nested(150)}),
    ]
    await store.upsert(accepted)
    assert {one.key for one in await everything(store)} == {one.key for one in accepted}
    result = await store.search(SearchRequest(vector=np.array([1e18, 0, 0, 0], dtype=np.float32)))
    assert [hit.score for hit in result.hits] == pytest.approx([1, 1, 1], abs=1e-6)


REQUESTS: dict[str, tuple[dict[str, Any], type[InvalidInputError]]] = {
    "k 0": ({"k": 0}, InvalidRequestError),
    "k 10,001": ({"k": 10_001}, InvalidRequestError),
    "k negative": ({"k": -1}, InvalidRequestError),
    "k true": ({"k": True}, InvalidRequestError),
    "k a fraction": ({"k": 1.5}, InvalidRequestError),
    "min_score far off": ({"min_score": 50.0}, InvalidRequestError),
    "min_score NaN": ({"min_score": float("nan")}, InvalidRequestError),
    "nothing to look for": ({"vector": None}, InvalidRequestError),
    "a filter that is none": ({"where": {"media_type": "movie"}}, InvalidRequestError),
    "too short": ({"vector": np.ones(3, dtype=np.float32)}, DimensionMismatchError),
    "NaN": ({"vector": np.array([1, np.nan, 0, 0], dtype=np.float32)}, InvalidVectorError),
    "zero": ({"vector": np.zeros(4, dtype=np.float32)}, InvalidVectorError),
    "norm 1e-16": ({"vector": np.array([1e-16, 0, 0, 0], dtype=np.float32)}, InvalidVectorError),
    "norm 1e19": ({"vector": np.array([1e19, 0, 0, 0], dtype=np.float32)}, InvalidVectorError),
    "NUL in exclude": ({"exclude": ["a\x00"]}, InvalidKeyError),
    "text as exclude": ({"exclude": "abc"}, InvalidKeyError),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_bad_request(store: VectorStore, name: str) -> None:
    given, error = REQUESTS[name]
    await store.upsert([GOOD])
    with pytest.raises(error):
        await store.search(SearchRequest(**{"vector": GOOD.vector, **given}))


async def test_k_may_be_ten_thousand(store: VectorStore) -> None:
    await store.upsert([GOOD])
    result = await store.search(SearchRequest(vector=GOOD.vector, k=10_000))
    assert [hit.key for hit in result.hits] == ["good"]
    assert result.exhausted


@pytest.mark.parametrize("keys", [["a\x00"], ["\ud800"], [""], ["k" * 513], "abc", [1]])
async def test_bad_keys(store: VectorStore, keys: Any) -> None:
    with pytest.raises(InvalidKeyError):
        await store.get(keys)
    with pytest.raises(InvalidKeyError):
        await store.delete(keys)


async def test_bad_pages(store: VectorStore) -> None:
    for arguments in ({"batch_size": 0}, {"batch_size": -1}, {"after": "\x00"}, {"after": "\ud800"}):
        with pytest.raises(InvalidInputError):
            async for _ in store.scan(**arguments):
                pass
