"""Search by words: what every store says to it."""

from typing import Any

import numpy as np
import pytest

from media_gateway.contracts import VectorStore
from media_gateway.errors import InvalidRequestError, UnsupportedError
from media_gateway.models import ContentVector, HybridWeights, SearchRequest
from media_gateway.monitoring.observed import plain
from media_gateway.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio

VECTOR = np.array([1, 0, 0, 0], dtype=np.float32)
FILM = ContentVector(
    key="movie-603",
    vector=VECTOR,
    metadata={"title": "The Matrix", "cast": ["Keanu Reeves"], "release_date": "1999-03-30"},
)


@pytest.mark.parametrize("vector", [None, VECTOR], ids=["words", "hybrid"])
async def test_words_are_found_or_refused_in_one_sentence(store: VectorStore, vector: Any) -> None:
    await store.upsert([FILM])
    request = SearchRequest(vector=vector, text="Keanu matrix 1999")
    if isinstance(plain(store), MemoryStore):
        with pytest.raises(UnsupportedError, match="cannot search by words.*RUVECTOR_BACKEND=postgres"):
            await store.search(request)
    else:
        (hit,) = (await store.search(request)).hits
        assert hit.key == "movie-603"
        assert hit.score == pytest.approx(1.0)
        assert hit.matched == ("words" if vector is None else "both")


async def test_a_search_by_vector_says_nothing_of_words(store: VectorStore) -> None:
    await store.upsert([FILM])
    (hit,) = (await store.search(SearchRequest(vector=VECTOR))).hits
    assert (hit.matched, hit.rank_score) == (None, None)


REFUSED: dict[str, dict[str, Any]] = {
    "a megabyte": {"text": "x" * 1_000_000},
    "a character too many": {"text": "x" * 10_001},
    "NUL": {"text": "a\x00b"},
    "a surrogate": {"text": "a\ud800"},
    "a number": {"text": 1999},
    "weights without a text": {"text": None, "weights": HybridWeights()},
    "weights without a vector": {"vector": None, "text": "a", "weights": HybridWeights()},
    "weights below 0": {"text": "a", "weights": HybridWeights(text=-1)},
    "weights of 0": {"text": "a", "weights": HybridWeights(text=0, vector=0)},
    "weights that are no numbers": {"text": "a", "weights": HybridWeights(vector=float("nan"))},
    "weights without end": {"text": "a", "weights": HybridWeights(vector=float("inf"))},
    "other weights": {"text": "a", "weights": (1.0, 1.0)},
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_bad_request_is_refused_before_anything_else(store: VectorStore, name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await store.search(SearchRequest(**{"vector": VECTOR, **REFUSED[name]}))
    assert len(str(caught.value)) < 400
