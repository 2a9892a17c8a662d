"""Searches whose filter passes what lies far from the query: walks are led there once exact answers showed that they find it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from media_gateway.filters import MediaTypeIs, RatingBetween
from media_gateway.models import ContentVector, SearchRequest, SearchResult, VectorSpace
from media_gateway.stores.postgres import PostgresStore, compass
from media_gateway.stores.postgres.compass import LEAST_TRIALS
from tests.postgres import TestServer
from tests.samples import clustered

pytestmark = pytest.mark.anyio
SPACE = VectorSpace(model="test", dimension=32)
COUNT = 12_000
ROWS = clustered(COUNT + 800, SPACE.dimension)
QUERIES = ROWS[COUNT:][np.argsort(ROWS[COUNT:, 0])]
"""Those first come from the other end of what is rated well."""
TARGET = 0.8
RATED_WELL = RatingBetween(low=5)
LED = "begins where what passes lies"


@pytest.fixture(scope="module")
async def filled(postgres: TestServer) -> AsyncIterator[dict[str, Any]]:
    side = np.argsort(np.argsort(ROWS[:COUNT, 0])) / COUNT
    items = [
        ContentVector(
            key=f"movie-{number}", vector=row, metadata={"vote_average": float(place) * 10, "media_type": "movie"}
        )
        for number, (row, place) in enumerate(zip(ROWS[:COUNT], side, strict=True))
    ]

    async def batches() -> AsyncIterator[Sequence[ContentVector]]:
        yield items

    store = await postgres.open_store(SPACE)
    await store.bulk_load(batches())
    conninfo = dict(store.endpoint.conninfo)
    await store.aclose()
    yield conninfo
    postgres.drop_database(conninfo)


@pytest.fixture
async def store(
    postgres: TestServer, filled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PostgresStore]:
    # A scan of so few short vectors takes about as long as a walk; which of the two wins is not what is tested here.
    monkeypatch.setattr(compass, "_WORTH", 1_000)
    store = await postgres.open_store(SPACE, filled, recall_target=TARGET)
    yield store
    await store.aclose()


def recall(result: SearchResult, exact: SearchResult) -> float:
    return len({hit.key for hit in result.hits} & {hit.key for hit in exact.hits}) / len(exact.hits)


async def test_walks_are_led_to_what_passes_once_they_are_known_to_find_it(store: PostgresStore) -> None:
    requests = [SearchRequest(vector=query, where=RATED_WELL) for query in QUERIES[:100]]
    before = [(await store.explain(request)) for request in requests[: LEAST_TRIALS // 2]]
    assert not any(LED in one.reason for one in before), "too little is known"
    for request in requests[:60]:
        await store.search(request)
    led = [one for one in [await store.explain(request) for request in requests[60:70]] if LED in one.reason]
    assert len(led) >= 9, "one in fifty is scanned"
    explained = led[0]
    assert (explained.way, explained.exact, explained.hits) == ("index", False, 10)
    assert explained.candidates is not None
    assert any("content_vectors_hnsw_idx" in line for line in explained.plan)
    found: list[float] = []
    for request in requests[60:]:
        result = await store.search(request)
        exact = await store.search(replace(request, exact=True))
        assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)
        assert all(hit.metadata["vote_average"] >= 5 for hit in result.hits)
        found.append(recall(result, exact))
    assert np.mean(found) >= TARGET - 0.03
    # Queries that lie where what passes lies are answered as ever.
    near = [SearchRequest(vector=query, where=RATED_WELL) for query in QUERIES[-5:]]
    found = [recall(await store.search(one), await store.search(replace(one, exact=True))) for one in near]
    assert np.mean(found) >= TARGET - 0.03
    plain = await store.explain(SearchRequest(vector=QUERIES[0], where=MediaTypeIs("movie")))
    assert LED not in plain.reason


async def test_what_is_not_known_to_be_found_is_scanned(store: PostgresStore) -> None:
    store._search._steering._target = 1.01  # pyright: ignore[reportPrivateUsage]  no walk finds more than all
    explained = [await store.explain(SearchRequest(vector=query, where=RATED_WELL)) for query in QUERIES[:80]]
    assert not any(LED in one.reason for one in explained)
    assert (explained[-1].way, explained[-1].exact) == ("scan", True)
