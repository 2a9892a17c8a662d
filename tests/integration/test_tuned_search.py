"""Filters that fill k, explanations, tuning and the choice of the index, on a real PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import psycopg
import pytest

from media_gateway.contracts import Explains, Tunes
from media_gateway.errors import InvalidRequestError, UnsupportedError
from media_gateway.filters import (
    And,
    Condition,
    GenresAny,
    MediaTypeIs,
    MetadataEquals,
    MetadataRange,
    RatingBetween,
    ReleasedBetween,
)
from media_gateway.models import ContentVector, Matrix, SearchRequest, SearchResult, VectorSpace
from media_gateway.stores.postgres import PostgresStore
from media_gateway.stores.postgres.tuning import knobs
from tests.postgres import TestServer
from tests.samples import clustered

pytestmark = pytest.mark.anyio
SPACE = VectorSpace(model="test", dimension=48)
COUNT = 6_000
QUERIES = 15
HALFVEC = (
    "CREATE INDEX content_vectors_halfvec_idx ON content_vectors "
    "USING hnsw ((l2_normalize(vector)::halfvec(48)) halfvec_cosine_ops)"
)


def rows_and_queries() -> tuple[list[ContentVector], Matrix]:
    """Return records with attributes of every share, random ones and ones that follow the vectors, and queries."""
    vectors = clustered(COUNT + QUERIES, SPACE.dimension)
    draws = np.random.default_rng(2).random((COUNT, 4))
    first = vectors[:, 0]
    side = np.argsort(np.argsort(first[:COUNT])) / COUNT
    items = [
        ContentVector(
            key=f"movie-{number}",
            vector=vector * (1 + number % 3),
            metadata={
                "title": f"Title {number}",
                "media_type": "movie" if draws[number, 0] < 0.5 else "tv",
                "genre_ids": [place for place, share in ((1, 0.5), (2, 0.1), (3, 0.01)) if draws[number, 1] < share],
                "vote_average": round(draws[number, 2] * 10, 3),
                "release_date": date.fromordinal(700_000 + int(draws[number, 3] * 10_000)).isoformat(),
                "rank": int(draws[number, 0] * 1000),
                "twentieth": int(draws[number, 1] * 20),
                "side": round(float(side[number]), 4),
            },
        )
        for number, vector in enumerate(vectors[:COUNT])
    ]
    return items, vectors[COUNT:]


ITEMS, VECTORS = rows_and_queries()


@pytest.fixture(scope="module")
async def filled(postgres: TestServer) -> AsyncIterator[dict[str, Any]]:
    """A database with the records, which tests copy."""
    store = await postgres.open_store(SPACE)

    async def batches() -> AsyncIterator[Sequence[ContentVector]]:
        yield ITEMS

    await store.bulk_load(batches())
    conninfo = dict(store.endpoint.conninfo)
    await store.aclose()
    yield conninfo
    postgres.drop_database(conninfo)


@pytest.fixture
async def store(postgres: TestServer, filled: dict[str, Any]) -> AsyncIterator[PostgresStore]:
    conninfo = postgres.new_database(filled["dbname"])
    store = await postgres.open_store(SPACE, conninfo)
    yield store
    await store.aclose()
    postgres.drop_database(conninfo)


async def execute(store: PostgresStore, statement: str) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(**store.endpoint.conninfo, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


def found(result: SearchResult, truth: SearchResult) -> float:
    """Return which part of what is true was found, by score."""
    if not truth.hits:
        return 1.0
    worst = truth.hits[-1].score - 1e-6
    return sum(hit.score >= worst for hit in result.hits) / len(truth.hits)


async def recall(store: PostgresStore, condition: Condition | None, k: int = 10) -> float:
    recalls: list[float] = []
    for vector in VECTORS:
        request = SearchRequest(vector=vector, k=k, where=condition)
        truth = await store.search(SearchRequest(vector=vector, k=k, where=condition, exact=True))
        result = await store.search(request)
        assert len(result.hits) == len(truth.hits)
        recalls.append(found(result, truth))
    return float(np.mean(recalls))


CELLS: dict[str, Condition] = {
    "type 50": MediaTypeIs("movie"),
    "genre 50": GenresAny([1]),
    "genre 10": GenresAny([2]),
    "genre 1": GenresAny([3]),
    "rating 50": RatingBetween(low=5),
    "rating 10": RatingBetween(low=9),
    "rating 5": RatingBetween(high=0.5),
    "rating 1": RatingBetween(low=9.9),
    "rating 0.1": RatingBetween(low=9.99),
    "date 10": ReleasedBetween(last=date.fromordinal(701_000)),
    "metadata 5": MetadataEquals("twentieth", 3),
    "metadata 0.1": MetadataEquals("rank", 7),
    "metadata range 10": MetadataRange("rank", below=100),
    "metadata range 1": MetadataRange("rank", below=10),
    "like the query 50": MetadataRange("side", above=0.5),
    "like the query 10": MetadataRange("side", above=0.9),
    "unlike it 10": MetadataRange("side", below=0.1),
    "combined 5": And([MediaTypeIs("movie"), RatingBetween(low=9)]),
    "combined 1": And([GenresAny([2]), RatingBetween(low=9)]),
}


@pytest.mark.parametrize("turn", [1_000, 60])
async def test_recall_under_filters_of_every_share(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    """With the low turn the index answers down to 1 percent, as it does in a large collection."""
    monkeypatch.setattr(knobs, "_LEAST_TURN", turn)
    monkeypatch.setattr(knobs.SearchKnobs, "turn", lambda *_, **__: turn)
    missed = {name: value for name, cell in CELLS.items() if (value := await recall(store, cell)) < 0.95}
    assert missed == {}


async def test_an_explanation_tells_what_the_search_did(store: PostgresStore) -> None:
    assert isinstance(store, Explains)
    plain = await store.explain(SearchRequest(vector=VECTORS[0]))
    assert (plain.way, plain.index, plain.exact, plain.hits) == ("index", "content_vectors_hnsw_idx", False, 10)
    assert plain.ef_search == knobs.UNTUNED.ef_search
    assert any("Index Scan using content_vectors_hnsw_idx" in line for line in plain.plan)
    few = await store.explain(SearchRequest(vector=VECTORS[0], where=RatingBetween(low=9.9)))
    assert (few.way, few.index, few.exact) == ("scan", None, True)
    assert few.rows is not None
    assert few.rows[0] <= 100
    assert not any("hnsw" in line for line in few.plan)
    unknown = await store.explain(SearchRequest(vector=VECTORS[0], where=MetadataEquals("twentieth", 3)))
    assert unknown.way == "count"
    assert unknown.exact
    again = await store.explain(SearchRequest(vector=VECTORS[0], where=MetadataEquals("twentieth", 3)))
    assert again.way == "scan"
    assert "a moment ago" in again.reason
    exact = await store.explain(SearchRequest(vector=VECTORS[0], exact=True))
    assert (exact.way, exact.reason) == ("scan", "an exact answer was asked for")
    with pytest.raises(UnsupportedError):
        await store.explain(SearchRequest(text="words"))


async def test_a_filter_that_few_pass_is_scanned_at_once_the_next_time(store: PostgresStore) -> None:
    few = SearchRequest(vector=VECTORS[0], where=MetadataRange("side", above=0.9995))
    assert (await store.explain(few)).exact
    again = await store.explain(few)
    assert (again.way, again.exact) == ("scan", True)
    assert "a moment ago" in again.reason


async def test_what_a_walk_yields_is_sorted_and_no_other_index_is_taken_for_its_filter(store: PostgresStore) -> None:
    """An iterative walk yields about in order, which the server takes for sorted; and it takes containment for rare."""
    for condition in (RatingBetween(low=5), MetadataEquals("media_type", "movie")):
        request = SearchRequest(vector=VECTORS[0], where=condition)
        await store.search(request)
        explained = await store.explain(request)
        assert (explained.way, explained.exact, explained.index) == ("index", False, "content_vectors_hnsw_idx")
        nodes = [line.strip() for line in explained.plan if "->" in line]
        assert nodes[0].startswith("->  Sort")
        assert any("Index Scan using content_vectors_hnsw_idx" in line for line in explained.plan)
        assert not any("Bitmap" in line for line in explained.plan)


async def test_a_range_that_nothing_is_known_of_is_sampled_once(store: PostgresStore) -> None:
    request = SearchRequest(vector=VECTORS[0], where=MetadataRange("side", above=0.5))
    first = await store.explain(request)
    assert (first.way, first.exact) == ("count", False)
    assert any("Sample Scan" in line for line in first.plan)
    again = await store.explain(request)
    assert (again.way, again.exact) == ("index", False)
    assert "as a sample told a moment ago" in again.reason


async def test_walks_in_vain_are_not_repeated(store: PostgresStore) -> None:
    """What passes lies at the other end from these queries."""
    far = VECTORS[np.argsort(VECTORS[:, 0])[:5]]
    condition = MetadataRange("side", above=0.8)
    ways: list[str] = []
    for vector in [*far, *far]:
        request = SearchRequest(vector=vector, where=condition)
        ways.append((await store.explain(request)).way)
        assert found(await store.search(request), await store.search(replace(request, exact=True))) >= 0.9
    assert (ways[0], ways[-1]) == ("count", "scan")


async def test_tuning_is_recorded_and_followed(postgres: TestServer, store: PostgresStore) -> None:
    assert isinstance(store, Tunes)
    other = await postgres.open_store(SPACE, dict(store.endpoint.conninfo))
    before = await other.explain(SearchRequest(vector=VECTORS[0]))
    assert before.ef_search == knobs.UNTUNED.ef_search
    told = await store.tune(sample=40, apply=False)
    assert not told.applied
    assert (await store.explain(SearchRequest(vector=VECTORS[0]))).ef_search == knobs.UNTUNED.ef_search
    report = await store.tune(sample=40)
    assert (report.applied, report.rows, report.sample, report.queries_from) == (True, COUNT, 40, "records")
    assert report.classes[0].reached
    assert report.classes[0].recall_low >= 0.95
    assert report.ef_search < knobs.UNTUNED.ef_search
    assert (await store.explain(SearchRequest(vector=VECTORS[0]))).ef_search == report.ef_search
    assert (await store.stats()).details["ef_search"] == report.ef_search
    # A process that runs already looks once a minute.
    assert (await other.explain(SearchRequest(vector=VECTORS[0]))).ef_search == before.ef_search
    other._search._reader.fresh_until = 1.0  # pyright: ignore[reportPrivateUsage]
    followed = await other.explain(SearchRequest(vector=VECTORS[0]))
    assert followed.ef_search == report.ef_search
    assert followed.statement is not None
    assert "set_config('hnsw.ef_search'" in followed.statement
    await other.aclose()
    # A new one sets its sessions so, and its statement is the plain one.
    newest = await postgres.open_store(SPACE, dict(store.endpoint.conninfo))
    plain = await newest.explain(SearchRequest(vector=VECTORS[0]))
    assert plain.ef_search == report.ef_search
    assert plain.statement is not None
    assert "set_config" not in plain.statement
    await newest.aclose()
    assert await execute(store, "SELECT count(*), min(table_rows) FROM content_search_profiles") == [(1, COUNT)]
    await store.tune(sample=40, target=0.99)
    assert await execute(store, "SELECT target FROM content_search_profiles ORDER BY id") == [(0.95,), (0.99,)]
    assert await recall(store, None) >= 0.95


async def test_logged_searches_are_what_tuning_measures_with(store: PostgresStore) -> None:
    vectors = ",".join(f"('[{','.join(map(str, vector))}]'::vector)" for vector in clustered(60, 48, seed=5).tolist())
    await execute(
        store,
        "INSERT INTO vector_search_logs (kind, model, query_vector, k, exact, result_keys, latency_ms, store) "
        f"SELECT 'text', 'test', v, 10, false, '{{}}', 1, 'postgres' FROM (VALUES {vectors}) AS given (v)",
    )
    report = await store.tune(sample=60, apply=False)
    assert (report.queries_from, report.sample) == ("searches", 60)


@pytest.mark.full
async def test_other_indexes_are_tried_and_nothing_is_left_of_them(store: PostgresStore) -> None:
    before = await execute(store, "SELECT relname FROM pg_class ORDER BY relname")
    report = await store.tune(sample=20, apply=False, try_indexes=True)
    assert [trial.kind for trial in report.trials] == ["vector", "vector", "halfvec", "halfvec"]
    assert report.trials[2].index_bytes < report.trials[0].index_bytes
    assert report.advice
    assert await execute(store, "SELECT relname FROM pg_class ORDER BY relname") == before


async def test_what_cannot_be_tuned_is_refused(postgres: TestServer, store: PostgresStore) -> None:
    small = await postgres.open_store(SPACE)
    with pytest.raises(UnsupportedError, match="nothing to tune"):
        await small.tune()
    await small.aclose()
    postgres.drop_database(dict(small.endpoint.conninfo))
    for wrong in ({"target": 0}, {"target": 1.5}, {"sample": 5}, {"k": 0}):
        with pytest.raises(InvalidRequestError):
            await store.tune(**wrong)  # pyright: ignore[reportArgumentType]


async def test_a_role_that_may_not_read_the_profiles_searches_all_the_same(store: PostgresStore) -> None:
    await execute(
        store,
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN CREATE ROLE reader LOGIN; END IF; "
        "END $$; GRANT SELECT, INSERT, UPDATE ON content_vectors, content_collection, content_schema_history TO reader",
    )
    reader = await TestServer.open_store(
        object.__new__(TestServer), SPACE, {**store.endpoint.conninfo, "user": "reader"}
    )
    assert len((await reader.search(SearchRequest(vector=VECTORS[0]))).hits) == 10
    await reader.aclose()


async def test_a_halfvec_index_gives_the_scores_of_the_stored_vectors(
    postgres: TestServer, store: PostgresStore
) -> None:
    await execute(store, HALFVEC)
    store._search.forget_size()  # pyright: ignore[reportPrivateUsage]
    for condition in (None, RatingBetween(low=5)):
        explained = await store.explain(SearchRequest(vector=VECTORS[0], where=condition))
        assert explained.index == "content_vectors_halfvec_idx"
        assert any("content_vectors_halfvec_idx" in line for line in explained.plan)
        assert await recall(store, condition) >= 0.95
    exact = await store.search(SearchRequest(vector=VECTORS[1], exact=True, k=10))
    scores = {hit.key: hit.score for hit in exact.hits}
    quick = await store.search(SearchRequest(vector=VECTORS[1], k=10))
    common = [hit for hit in quick.hits if hit.key in scores]
    assert len(common) >= 9
    assert [hit.score for hit in common] == pytest.approx([scores[hit.key] for hit in common], abs=1e-7)
    plain = await postgres.open_store(SPACE, dict(store.endpoint.conninfo), index="vector")
    assert (await plain.explain(SearchRequest(vector=VECTORS[0]))).index == "content_vectors_hnsw_idx"
    await plain.aclose()


async def test_when_the_halfvec_index_vanishes_the_vector_index_answers(store: PostgresStore) -> None:
    await execute(store, HALFVEC)
    store._search.forget_size()  # pyright: ignore[reportPrivateUsage]
    request = SearchRequest(vector=VECTORS[0])
    assert (await store.explain(request)).index == "content_vectors_halfvec_idx"
    await execute(store, "DROP INDEX content_vectors_halfvec_idx")
    result = await store.search(request)
    assert (len(result.hits), result.exact) == (10, False)
    explained = await store.explain(request)
    assert explained.index == "content_vectors_hnsw_idx"
    assert not any("Seq Scan" in line for line in explained.plan)


async def test_an_index_that_is_asked_for_and_missing_is_told(postgres: TestServer, store: PostgresStore) -> None:
    halved = await postgres.open_store(SPACE, dict(store.endpoint.conninfo), index="halfvec")
    explained = await halved.explain(SearchRequest(vector=VECTORS[0]))
    assert explained.index == "content_vectors_hnsw_idx"
    assert "RUVECTOR_INDEX asks for the halfvec index" in explained.reason
    await execute(store, "DROP INDEX content_vectors_hnsw_idx")
    halved._search.forget_size()  # pyright: ignore[reportPrivateUsage]
    scanned = await halved.explain(SearchRequest(vector=VECTORS[0]))
    assert (scanned.way, scanned.exact) == ("scan", True)
    assert "no valid vector index" in scanned.reason
    await halved.aclose()
