"""Search by words on PostgreSQL, alone and fused with the nearest vectors."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_gateway.database.schema import connect_dedicated
from media_gateway.filters import GenresAny, MediaTypeIs
from media_gateway.models import ContentVector, HybridWeights, SearchRequest, SearchResult, Vector, VectorSpace
from media_gateway.models.words import STOP_WORDS
from media_gateway.stores.postgres import PostgresStore
from tests.postgres import TestServer
from tests.samples import clustered

pytestmark = pytest.mark.anyio
SPACE = VectorSpace(model="test", dimension=8)
ROWS = 1_500
"""Enough for the index to be used."""
VECTORS = clustered(ROWS + 20, 8, seed=3)


def film(number: int, title: str, overview: str = "", **metadata: Any) -> ContentVector:
    known = {
        "title": title,
        "overview": overview,
        "media_type": "movie" if number % 2 else "tv",
        "genre_ids": [number % 5],
    }
    return ContentVector(key=f"k{number:04}", vector=VECTORS[number], metadata={**known, **metadata})


FILMS = [
    *(film(number, f"Common {number}", f"A story of number {number} and the sea") for number in range(ROWS)),
    film(
        ROWS, "The Matrix", "A hacker learns that the world is a simulation", cast=["Keanu Reeves"], year="1999-03-30"
    ),
    film(ROWS + 1, "The Matrix Reloaded", "The hacker returns", cast=["Keanu Reeves"], year="2003-05-15"),
    film(ROWS + 2, "Speed", "A bus must not slow down", cast=["Keanu Reeves"], year="1994-06-10"),
    film(ROWS + 3, "Rain Man", "Two brothers drive; keanu is not here, nor a matrix", cast=["Tom Cruise"]),
    film(ROWS + 4, "Reeves and Keanu Smith", "Names apart"),
]
MATRIX, RELOADED, SPEED, RAIN_MAN, TURNED = (film.key for film in FILMS[ROWS:])


@pytest.fixture(scope="module")
async def store(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    store = await postgres.open_store(SPACE, pool_min=1)

    async def batches() -> AsyncIterator[Sequence[ContentVector]]:
        yield FILMS

    await store.bulk_load(batches())
    async with await connect_dedicated(store.endpoint.conninfo) as connection:
        await connection.execute("ANALYZE content_vectors")
    yield store
    await store.aclose()


async def found(store: PostgresStore, text: str | None, vector: Vector | None = None, **more: Any) -> SearchResult:
    return await store.search(SearchRequest(text=text, vector=vector, **more))


def keys(result: SearchResult) -> list[str]:
    return [hit.key for hit in result.hits]


async def test_words_are_ranked_by_how_much_of_the_text_is_held(store: PostgresStore) -> None:
    result = await found(store, "Keanu matrix 1999")
    assert keys(result)[:2] == [MATRIX, RELOADED]
    assert set(keys(result)) == {MATRIX, RELOADED, SPEED, RAIN_MAN, TURNED}
    assert (result.exact, result.exhausted) == (True, True)
    scores = [hit.score for hit in result.hits]
    assert scores[0] == 1.0
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    assert {hit.matched for hit in result.hits} == {"words"}


async def test_titles_and_names_count_more_than_the_overview(store: PostgresStore) -> None:
    scores = {hit.key: hit.score for hit in (await found(store, "keanu")).hits}
    assert scores[MATRIX] == scores[TURNED] > scores[RAIN_MAN]


async def test_phrases_must_be_there_and_what_is_excluded_must_not(store: PostgresStore) -> None:
    assert set(keys(await found(store, '"keanu reeves"'))) == {MATRIX, RELOADED, SPEED}
    assert keys(await found(store, '"keanu reeves" bus'))[0] == SPEED
    assert set(keys(await found(store, '"keanu reeves" matrix -reloaded'))) == {MATRIX, SPEED}
    assert set(keys(await found(store, 'keanu -"keanu reeves"'))) == {RAIN_MAN, TURNED}


async def test_english_words_are_found_in_other_forms(store: PostgresStore) -> None:
    assert keys(await found(store, "simulations learning"))[0] == MATRIX


async def test_filters_exclusions_k_and_scores_hold_for_words_and_for_both(store: PostgresStore) -> None:
    for vector in (None, VECTORS[ROWS]):
        assert RELOADED not in keys(await found(store, "matrix", vector, exclude=(RELOADED,)))
        shown = await found(store, "keanu", vector, where=MediaTypeIs("movie"), k=4)
        assert all(hit.metadata["media_type"] == "movie" for hit in shown.hits)
        assert len((await found(store, "keanu", vector, k=2)).hits) == 2
        lowest = 0.5
        result = await found(store, "keanu", vector, min_score=lowest)
        assert result.hits
        assert all(hit.score > lowest for hit in result.hits)
        assert MATRIX in keys(await found(store, "keanu", vector, exact=True))


async def test_both_sides_are_found_with_cosines_as_scores(store: PostgresStore) -> None:
    query = VECTORS[7]
    result = await found(store, "Keanu matrix", query)
    assert len(result.hits) == 10
    assert MATRIX in keys(result)[:3]
    assert "k0007" in keys(result)[:4]
    for hit in result.hits:
        vector = VECTORS[int(hit.key[1:])]
        assert hit.score == pytest.approx(float(vector @ query), abs=1e-6)
        assert hit.rank_score is not None
    assert {hit.matched for hit in result.hits} >= {"words", "meaning"}
    ranks = [hit.rank_score or 0.0 for hit in result.hits]
    assert ranks == sorted(ranks, reverse=True)
    first = next(hit for hit in result.hits if hit.key == "k0007")
    assert first.rank_score == pytest.approx(1 / 61)
    assert next(hit for hit in result.hits if hit.key == MATRIX).rank_score == pytest.approx(2 / 61)


@pytest.mark.parametrize("text", ["zzz qqq", "", "!!!", "the of and zz", "_", '"no such phrase at all"'])
async def test_words_that_are_nowhere_leave_the_search_by_vector_as_it_is(store: PostgresStore, text: str) -> None:
    for request in ({}, {"where": GenresAny([2])}, {"k": 30}, {"exact": True}):
        dense = await found(store, None, VECTORS[40], **request)
        both = await found(store, text, VECTORS[40], **request)
        assert keys(both) == keys(dense)
        assert [hit.score for hit in both.hits] == pytest.approx([hit.score for hit in dense.hits])
        assert {hit.matched for hit in both.hits} == {"meaning"}
        assert both.exhausted == dense.exhausted


async def test_what_is_excluded_is_in_neither_side(store: PostgresStore) -> None:
    query = VECTORS[ROWS]
    assert keys(await found(store, None, query))[0] == MATRIX
    for text in ("-matrix", "keanu -matrix", '-"the matrix"'):
        result = await found(store, text, query)
        assert MATRIX not in keys(result)
        assert len(result.hits) == 10


async def test_a_weight_of_0_leaves_the_other_order(store: PostgresStore) -> None:
    query = VECTORS[11]
    dense = keys(await found(store, None, query))
    assert keys(await found(store, "keanu matrix sea", query, weights=HybridWeights(text=0))) == dense
    words = keys(await found(store, "keanu matrix 1999"))
    filled = keys(await found(store, "keanu matrix 1999", query, weights=HybridWeights(vector=0)))
    assert filled[: len(words)] == words
    assert len(filled) == 10


async def test_no_search_is_short_while_records_pass(store: PostgresStore) -> None:
    rare = GenresAny([1]) & MediaTypeIs("movie")
    for k in (10, 60, 100):
        for text in ("sea", "keanu", "sea -common"):
            result = await found(store, text, VECTORS[5], k=k, where=rare)
            expected = sum(
                one.metadata["genre_ids"] == [1] and one.metadata["media_type"] == "movie"
                and not ("-common" in text and "Common" in one.metadata["title"])
                for one in FILMS
            )  # fmt: skip
            assert len(result.hits) == min(k, expected), (k, text)
    assert len((await found(store, "sea keanu", k=1_200)).hits) == 1_200


async def test_a_word_in_more_records_than_are_ranked_says_so(store: PostgresStore) -> None:
    assert (await found(store, "keanu")).exact
    common = await found(store, "common")
    assert len(common.hits) == 10
    assert not common.exact
    assert (await found(store, "common", exact=True)).exact
    # The rare word decides, however common the other one is.
    assert keys(await found(store, "common 1234"))[0] == "k1234"


async def test_a_search_is_one_statement_that_walks_both_indexes(store: PostgresStore) -> None:
    sent: list[tuple[Any, Any]] = []
    fetch = store._pool.fetch

    async def recorded(statement: Any, parameters: Any = (), **options: Any) -> Any:
        sent.append((statement, parameters))
        return await fetch(statement, parameters, **options)

    store._pool.fetch = recorded  # pyright: ignore[reportAttributeAccessIssue]
    try:
        await found(store, "keanu", VECTORS[3])
        sent.clear()
        await found(store, "keanu reeves", VECTORS[3])
        await found(store, "keanu reeves")
    finally:
        store._pool.fetch = fetch
    assert len(sent) == 2
    plans = [
        "\n".join(row[0] for row in await fetch(f"EXPLAIN {text}", values, prepare=False)) for text, values in sent
    ]
    assert "content_vectors_hnsw_idx" in plans[0]
    for plan in plans:
        assert "content_vectors_search_text_idx" in plan


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("ab1-\"'&|!()<>:*\\ %;é{}") | st.characters(), max_size=60))
async def test_no_text_breaks_a_search(store: PostgresStore, text: str) -> None:
    text = text.replace("\x00", "").encode("utf-8", "ignore").decode()
    assert len((await found(store, text, VECTORS[1])).hits) == 10 or "-" in text or '"' in text
    await found(store, text)


async def test_the_longest_texts_are_searched(store: PostgresStore) -> None:
    for text in ("x" * 10_000, "a-" * 5_000, '"' * 10_000, " ".join(f"w{number}" for number in range(1_500))):
        assert len((await found(store, text, VECTORS[1])).hits) == 10


async def test_common_words_are_those_that_the_server_leaves_out(store: PostgresStore) -> None:
    async with store.serving_connection() as connection:
        cursor = await connection.execute(
            "SELECT word FROM unnest(%s::text[]) AS word WHERE numnode(plainto_tsquery('english', word)) > 0",
            [sorted(STOP_WORDS)],
        )
        assert await cursor.fetchall() == []


async def test_vectors_of_any_length_are_scored_alike(store: PostgresStore) -> None:
    long = (VECTORS[9] * np.float32(1e6)).astype(np.float32)
    assert keys(await found(store, "keanu", long)) == keys(await found(store, "keanu", VECTORS[9]))
