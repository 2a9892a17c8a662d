"""Every store tells how it answers, and answers so."""

import numpy as np
import pytest

from media_gateway.contracts import Explains, VectorStore
from media_gateway.errors import InvalidRequestError
from media_gateway.filters import MetadataEquals
from media_gateway.models import ContentVector, SearchRequest

pytestmark = pytest.mark.anyio


def items(count: int) -> list[ContentVector]:
    generator = np.random.default_rng(11)
    return [
        ContentVector(
            key=f"k{number:04d}",
            vector=generator.standard_normal(4).astype(np.float32),
            metadata={"third": number % 3 == 0},
        )
        for number in range(count)
    ]


async def test_an_explanation_fits_the_answer(store: VectorStore) -> None:
    assert isinstance(store, Explains)
    await store.upsert(items(1_200))
    query = items(1)[0].vector
    for condition in (None, MetadataEquals("third", True), MetadataEquals("third", "no such")):
        for exact in (False, True):
            request = SearchRequest(vector=query, k=7, where=condition, exact=exact)
            result = await store.search(request)
            explained = await store.explain(request)
            assert explained.exact == result.exact
            assert explained.hits == len(result.hits)
            assert explained.reason
            assert explained.milliseconds > 0
            assert (explained.index is None) == (explained.way == "scan")
            assert (explained.ef_search is None) == (explained.way == "scan")
            if exact:
                assert (explained.way, explained.reason) == ("scan", "an exact answer was asked for")


async def test_an_explanation_of_a_bad_request_is_refused_as_the_search_is(store: VectorStore) -> None:
    assert isinstance(store, Explains)
    with pytest.raises(InvalidRequestError):
        await store.explain(SearchRequest(vector=np.ones(4, dtype=np.float32), k=0))
