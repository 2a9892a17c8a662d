"""Recommending to somebody of whom nothing is known, and where nobody has liked anything yet."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from media_gateway.filters import MediaTypeIs
from media_gateway.learning.interests.fusion import SOURCES, VECTOR_SOURCES
from media_gateway.models import ContentVector, Recommended, WatchEvent
from media_gateway.stores.postgres import PostgresStore
from tests.learning import SPACE, desk_of, rows_of
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC).timestamp()


@pytest.fixture
async def store(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    store = await postgres.open_store(SPACE)
    yield store
    await store.aclose()


def films(*given: dict[str, Any]) -> list[ContentVector]:
    """Return a film for each of *given*, metadata beside its title, keyed movie-0, movie-1, ..."""
    made = records(len(given))
    return [
        replace(film, metadata={"title": film.metadata["title"], **metadata})
        for film, metadata in zip(made, given, strict=True)
    ]


async def recommended(store: PostgresStore, k: int = 10, **asked: Any) -> list[Recommended]:
    async with desk_of(store) as desk:
        given = {"where": None, "exclude": (), **asked}
        found = await desk.learning.recommend("stranger", k=k, at=NOW, **given)
        assert found.likes == 0
        return list(found.items)


async def test_ratings_of_many_go_before_ratings_of_few(store: PostgresStore) -> None:
    await store.upsert(
        films(
            {"vote_average": 10.0, "vote_count": 1},
            {"vote_average": 8.5, "vote_count": 24_000},
            {"vote_average": 0.0, "vote_count": 0},
            {"vote_average": 7.0},
            {"vote_average": 2.0, "vote_count": 9_000},
            {"vote_average": 8.0, "vote_count": 0},
        )
    )
    found = await recommended(store)
    assert [(item.key, item.reason) for item in found] == [
        ("movie-1", "rated 8.5 of 10 by 24,000 votes"),
        ("movie-3", "rated 7 of 10"),
        ("movie-0", "rated 10 of 10 by one vote"),
        ("movie-4", "rated 2 of 10 by 9,000 votes"),
        # Nobody rated these.
        ("movie-2", "in the collection"),
        ("movie-5", "in the collection"),
    ]
    assert {item.source for item in found} == {"rated", "listed"}
    assert not any(any(item.shares.values()) for item in found)


async def test_without_ratings_popularity_counts_then_what_is_new(store: PostgresStore) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    await store.upsert(
        films(
            {"release_date": "1999-03-31"},
            {"popularity": 3.5},
            {"release_date": tomorrow},
            {"release_date": "2021-05-01"},
            {"popularity": 60},
        )
    )
    found = await recommended(store)
    assert [(item.key, item.source) for item in found] == [
        ("movie-4", "famous"),
        ("movie-1", "famous"),
        ("movie-3", "released"),
        ("movie-0", "released"),
        # What is not out yet is not new.
        ("movie-2", "listed"),
    ]
    assert found[0].reason == "popular, as its record says"
    assert found[2].reason == "released on 2021-05-01"


async def test_filters_and_exclusions_hold_and_own_vectors_need_no_metadata(store: PostgresStore) -> None:
    await store.upsert(films({"media_type": "tv", "vote_average": 5.0}, {"vote_average": 9.0}, {}, {}))
    assert [item.key for item in await recommended(store, where=MediaTypeIs("tv"))] == ["movie-0"]
    left = await recommended(store, exclude=["movie-1", "movie-2"])
    assert [item.key for item in left] == ["movie-0", "movie-3"]
    assert [item.key for item in await recommended(store, k=1)] == ["movie-1"]


async def test_the_first_like_is_told_as_one_and_the_rest_by_what_records_say(store: PostgresStore) -> None:
    await store.upsert(records(30))
    async with desk_of(store) as desk:
        await desk.events.write([WatchEvent(user="ann", key="movie-3", time=NOW - 60, completion=1.0)])
        await desk.learner.run()
    found = await recommended(store, k=3)
    assert [(item.key, item.reason) for item in found] == [
        ("movie-3", "liked by one user"),
        ("movie-29", "rated 2.9 of 10"),
        ("movie-28", "rated 2.8 of 10"),
    ]
    assert sum(found[0].shares.values()) == pytest.approx(1)
    assert not any(found[0].shares[name] for name in SOURCES[:VECTOR_SOURCES])
    # To the one user it is not shown again, and what is near it comes first.
    async with desk_of(store) as desk:
        mine = await desk.learning.recommend("ann", k=3, where=None, exclude=(), at=NOW)
    assert "movie-3" not in {item.key for item in mine.items}
    assert {item.because for item in mine.items} == {"movie-3"}


@pytest.mark.parametrize(
    ("metadata", "by"),
    [
        ('{"vote_average": 8, "vote_count": "many"}', "rated"),
        ('{"vote_average": 8, "vote_count": -5}', "listed"),
        ('{"vote_average": 8, "vote_count": 0.5}', "listed"),
        ('{"vote_average": 8, "vote_count": 1e400}', "rated"),
        ('{"vote_average": 8, "vote_count": null}', "rated"),
        ('{"popularity": true}', "listed"),
        ('{"popularity": 1e-400}', "famous"),
        ('{"popularity": 1e400}', "famous"),
        ('{"popularity": [1]}', "listed"),
        ("{}", "listed"),
    ],
)
async def test_no_record_is_refused_for_what_it_says_of_itself(store: PostgresStore, metadata: str, by: str) -> None:
    await store.upsert(records(1))
    await rows_of(store, "UPDATE content_vectors SET metadata = %s::jsonb RETURNING id", metadata)
    (found,) = await recommended(store)
    assert found.source == by
    assert json.dumps(found.reason)


@pytest.mark.parametrize("name", ["esteem", "fame"])
async def test_its_indexes_give_the_order(store: PostgresStore, name: str) -> None:
    expressions = {
        "esteem": "content_esteem(vote_average, metadata -> 'vote_count')",
        "fame": "content_fame(metadata -> 'popularity')",
    }
    async with store.serving_connection() as connection:
        await connection.execute("SET enable_seqscan = off")
        of = expressions[name]
        plan = await connection.execute(
            f"EXPLAIN SELECT id, metadata FROM content_vectors WHERE {of} IS NOT NULL ORDER BY {of} DESC, id LIMIT 5"
        )
        lines = " ".join(row[0] for row in await plan.fetchall())
        await connection.execute("RESET enable_seqscan")
    assert f"Index Scan using content_vectors_{name}_idx" in lines
    assert "Sort" not in lines
