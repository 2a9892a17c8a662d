"""What every condition selects, the same on every store."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from media_gateway.contracts import VectorStore
from media_gateway.filters import (
    And,
    Condition,
    GenresAll,
    GenresAny,
    MediaTypeIs,
    MetadataEquals,
    MetadataExists,
    MetadataIn,
    MetadataRange,
    Not,
    Or,
    RatingBetween,
    ReleasedBetween,
)
from media_gateway.json_values import canonical_object
from media_gateway.models import ContentVector, SearchRequest
from tests.contract.reference import holds
from tests.strategies import HOSTILE_TEXTS, nested

pytestmark = pytest.mark.anyio

UNUSABLE_DATES = (
    "2023-02-30",
    "2023-2-3",
    "20230203",
    "",
    "0000-01-01",
    "2023-01-01T00:00:00",
    " 2023-01-01",
    "٢٠٢٣-٠١-٠١",
)

DOCUMENTS: dict[str, dict[str, Any]] = {
    "matrix": {
        "media_type": "movie",
        "genre_ids": [28, 878],
        "vote_average": 8.2,
        "release_date": "1999-03-31",
        "country": "US",
        "n": 1,
        "tags": ["a", "b"],
        "inner": {"x": 1, "y": [True]},
    },
    "dark": {
        "media_type": "tv",
        "genre_ids": [18, 878, 9648],
        "vote_average": 8,
        "release_date": "2017-12-01",
        "country": "DE",
        "n": 1.0,
        "tags": ["b", "a"],
        "inner": {"y": [True], "x": 1.0},
    },
    "empty": {},
    "nulls": {
        "media_type": None,
        "genre_ids": None,
        "vote_average": None,
        "release_date": None,
        "country": None,
        "n": None,
    },
    "wrong": {
        "media_type": "Movie",
        "genre_ids": 28,
        "vote_average": "8",
        "release_date": 1999,
        "country": 1,
        "n": True,
    },
    "lists": {
        "media_type": ["movie"],
        "genre_ids": ["28", 28.5, -1, 2**31, True, None, [28]],
        "vote_average": [8],
        "n": "1",
    },
    "whole": {"genre_ids": [28.0, 1e1], "vote_average": 0, "n": 2**53 + 1},
    "limits": {"genre_ids": [0, 2**31 - 1], "vote_average": 10.0, "release_date": "0001-01-01", "n": 2**53},
    "last": {"genre_ids": [], "vote_average": -1.5, "release_date": "9999-12-31", "n": 9007199254740992.0},
    "leap": {"release_date": "2024-02-29", "n": 10**40, "vote_average": 1e300},
    "no leap": {"release_date": "2023-02-29", "n": 10**40 + 1, "vote_average": False},
    "text 1": {"n": "a", "country": "\uffff"},
    "text 2": {"n": "B", "country": "\U00010000"},
    "text 3": {"n": "é", "country": "\ue000"},
    "text 4": {"n": "e\u0301", "country": ""},
    "text 5": {"n": "", "country": "US "},
    "small": {"n": 1e-300, "country": "us"},
    "tenth": {"n": 0.1, "": "empty name", "a.b": 1, "a": {"b": 2}},
    "deep": {"n": nested(100)},
    **{f"date {number}": {"release_date": text} for number, text in enumerate(UNUSABLE_DATES)},
    **{f"hostile {number}": {"n": text, text: number} for number, text in enumerate(HOSTILE_TEXTS)},
}

CONDITIONS: list[Condition] = [
    MediaTypeIs("movie"),
    MediaTypeIs("tv"),
    GenresAny([28]),
    GenresAny([10, 18]),
    GenresAny([0]),
    GenresAny([2**31 - 1]),
    GenresAny([1]),
    GenresAll([878]),
    GenresAll([28, 878]),
    GenresAll([28, 18]),
    RatingBetween(low=8),
    RatingBetween(high=8),
    RatingBetween(low=8, high=8),
    RatingBetween(low=8.2, high=8.2),
    RatingBetween(low=9, high=8),
    RatingBetween(low=-5),
    ReleasedBetween(first=date(1999, 3, 31)),
    ReleasedBetween(last=date(1999, 3, 31)),
    ReleasedBetween(first=date(1999, 3, 31), last=date(1999, 3, 31)),
    ReleasedBetween(first=date.min),
    ReleasedBetween(last=date.max),
    ReleasedBetween(last=date.min),
    ReleasedBetween(first=date.max),
    ReleasedBetween(first=date(2023, 1, 1), last=date(2024, 12, 31)),
    ReleasedBetween(first=date(2024, 1, 1), last=date(2023, 1, 1)),
    *(
        MetadataEquals("n", value)
        for value in (
            1,
            1.0,
            True,
            "1",
            None,
            "a",
            "",
            2**53,
            2**53 + 1,
            2.0**53,
            10**40,
            0.1,
            1e-300,
            [],
            {},
            nested(100),
        )
    ),
    MetadataEquals("tags", ["a", "b"]),
    MetadataEquals("tags", ["b"]),
    MetadataEquals("inner", {"y": [True], "x": 1}),
    MetadataEquals("inner", {"y": [1], "x": 1}),
    MetadataEquals("", "empty name"),
    MetadataEquals("a.b", 1),
    MetadataEquals("a", {"b": 2.0}),
    MetadataEquals("missing", None),
    MetadataEquals("genre_ids", [28, 10]),
    MetadataIn("country", ["US", "DE"]),
    MetadataIn("country", [None, 1.0]),
    MetadataIn("n", [True, "a", 0.1, 10**40]),
    MetadataIn("missing", [None, "x"]),
    MetadataRange(key="n", low=1),
    MetadataRange(key="n", above=1),
    MetadataRange(key="n", high=1),
    MetadataRange(key="n", below=1),
    MetadataRange(key="n", above=2**53),
    MetadataRange(key="n", low=2**53 + 1),
    MetadataRange(key="n", above=2**53 + 1),
    MetadataRange(key="n", low=2.0**53, high=2**53),
    MetadataRange(key="n", low=10**40, below=10**40 + 1),
    MetadataRange(key="n", above=0, below=1e-299),
    MetadataRange(key="n", low=0.1, high=0.1),
    MetadataRange(key="n", low="B", below="b"),
    MetadataRange(key="n", low=""),
    MetadataRange(key="n", above="e", below="f"),
    MetadataRange(key="country", low="\ue000"),
    MetadataRange(key="country", above="\uffff"),
    MetadataRange(key="country", below="\U00010000"),
    MetadataRange(key="country", above="US"),
    MetadataRange(key="country", high="US", low="D"),
    MetadataRange(key="missing", low=0),
    MetadataExists("n"),
    MetadataExists("country"),
    MetadataExists(""),
    MetadataExists("missing"),
    MetadataExists("b"),
    *(MetadataEquals("n", text) for text in HOSTILE_TEXTS),
    *(MetadataExists(text) for text in HOSTILE_TEXTS),
    *(MetadataRange(key=text, low=0, high=100) for text in HOSTILE_TEXTS),
    *(MetadataIn(text, [text, 3]) for text in HOSTILE_TEXTS),
    And([MediaTypeIs("movie"), GenresAny([28]), RatingBetween(low=8)]),
    Or([MediaTypeIs("movie"), MediaTypeIs("tv")]),
    Or([MetadataEquals("n", "a"), And([MetadataExists("country"), Not(MetadataEquals("country", "US"))])]),
    Not(Not(MediaTypeIs("movie"))),
    And([Not(MetadataExists("n"))]),
]

QUERY = np.array([1, 0, 0, 0], dtype=np.float32)


async def fill(store: VectorStore) -> None:
    generator = np.random.default_rng(1)
    rows = generator.standard_normal((len(DOCUMENTS), 4)).astype(np.float32)
    await store.upsert(
        [
            ContentVector(key=key, vector=vector, metadata=metadata)
            for (key, metadata), vector in zip(DOCUMENTS.items(), rows, strict=True)
        ]
    )


async def test_every_condition_and_its_opposite(store: VectorStore) -> None:
    await fill(store)
    for condition in CONDITIONS:
        for tried in (condition, Not(condition)):
            expected = {key for key, metadata in DOCUMENTS.items() if holds(tried, canonical_object(metadata))}
            result = await store.search(SearchRequest(vector=QUERY, k=1000, where=tried))
            assert {hit.key for hit in result.hits} == expected, tried
            assert result.exhausted


async def test_filters_follow_writes(store: VectorStore) -> None:
    """Conditions are asked before, between and after writes, so that whatever a store keeps for them must follow."""
    condition = MetadataRange(key="n", low=5) & ~MetadataEquals("drop", True)

    async def matching() -> set[str]:
        return {hit.key for hit in (await store.search(SearchRequest(vector=QUERY, k=100, where=condition))).hits}

    def item(number: int, **metadata: Any) -> ContentVector:
        return ContentVector(key=f"k{number}", vector=QUERY + np.float32(number), metadata=metadata)

    assert await matching() == set()
    await store.upsert([item(number, n=number) for number in range(10)])
    assert await matching() == {"k5", "k6", "k7", "k8", "k9"}
    await store.upsert([item(0, n=50), item(9, n=0), item(8, n=8, drop=True)])
    assert await matching() == {"k0", "k5", "k6", "k7"}
    await store.delete(["k5", "k1"])
    assert await matching() == {"k0", "k6", "k7"}
    await store.upsert([item(5, n="5"), item(1, n=5.5), item(8, n=8)])
    assert await matching() == {"k0", "k1", "k6", "k7", "k8"}


async def test_a_filter_of_many_values(store: VectorStore) -> None:
    await fill(store)
    many = MetadataIn("country", [f"value {number}" for number in range(998)] + ["US", None])
    result = await store.search(SearchRequest(vector=QUERY, k=100, where=many))
    assert {hit.key for hit in result.hits} == {"matrix", "nulls"}
    wide = Or([MetadataExists(f"missing {number}") for number in range(300)] + [MetadataExists("tags")])
    result = await store.search(SearchRequest(vector=QUERY, k=100, where=wide))
    assert {hit.key for hit in result.hits} == {"matrix", "dark"}
