"""Hypothesis strategies for what stores take: keys, vectors, metadata, conditions. Hostile on purpose."""

from datetime import date
from typing import Any

import numpy as np
from hypothesis import strategies as st

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
from media_gateway.models import ContentVector, Vector

HOSTILE_TEXTS = (
    "'; drop table content_vectors; --",
    '"; drop table content_vectors; --',
    "%s %(name)s %% {} {0} $1 :name ?",
    "O'Brien \\' \\\\ \\n",
    "$$ $tag$ /* -- */",
    "100%",
    "🎬🍿 👩\u200d🚀",
    "\ue000\uffff\U00010000\U0010ffff",
    "é e\u0301 ÅÅ",
    "\r\n\t\x01\x1f\x7f\u2028",
    "null",
    "  ",
    "x" * 10_000,
    "{}",
    "a.b",
    "a[0]",
    "$.a",
)
"""Texts that a careless store breaks on, or lets in as code."""

USED_KEYS = ("title", "media_type", "genre_ids", "vote_average", "release_date", "country", "n", "")

texts = st.one_of(
    st.sampled_from(HOSTILE_TEXTS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    st.sampled_from(["a", "b", "z", "Z", "é", "\uffff", "\U0001f600"]),
)

numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, 2**53 - 1, 2**64, -(2**63), 10**30, 10**30 + 1]),
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 0.5, 1e16, 1e22, 1e300, 1e-300, 9007199254740992.0, 2.5]),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
)

scalars: st.SearchStrategy[Any] = st.one_of(st.none(), st.booleans(), numbers, texts)

json_values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


def nested(depth: int) -> Any:
    """Return a JSON value of this depth."""
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"d": value}
    return value


entry_keys = st.one_of(st.sampled_from(USED_KEYS), texts)
genre_numbers = st.sampled_from([0, 1, 2, 28, 878, 2**31 - 1])
days = st.one_of(
    st.dates(date(2022, 12, 30), date(2023, 3, 2)), st.sampled_from([date.min, date.max, date(2024, 2, 29)])
)

_media_types = st.one_of(st.sampled_from(["movie", "tv"]), st.sampled_from(["Movie", "", None, 1, True, ["movie"]]))
_genre_lists = st.one_of(
    st.lists(genre_numbers, max_size=4),
    st.lists(st.one_of(genre_numbers, st.sampled_from([-1, 2**31, 1.5, 28.0, True, "28", None, [28]])), max_size=4),
    st.sampled_from([None, 28, "28", {"28": 28}]),
)
_ratings = st.one_of(
    st.sampled_from([0, 5, 7.5, 10, 7.4999999999]), st.sampled_from([None, "7.5", True, [7.5], -1, 1e300, 2**60 + 1])
)
_release_dates = st.one_of(
    days.map(date.isoformat),
    st.sampled_from(
        [
            "2023-02-30",
            "2023-2-3",
            "20230203",
            "",
            "0000-01-01",
            "2023-01-01T00:00",
            " 2023-01-01",
            None,
            20230101,
            "٢٠٢٣-٠١-٠١",
        ]
    ),
)


@st.composite
def metadata(draw: st.DrawFn) -> dict[str, Any]:
    """Draw metadata: usable and unusable values under the names that filters know, and anything beside them."""
    known = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "media_type": _media_types,
                "genre_ids": _genre_lists,
                "vote_average": _ratings,
                "release_date": _release_dates,
                "title": texts,
                "country": st.sampled_from(["US", "us", "DE", 1, None]),
                "n": scalars,
            },
        )
    )
    return {**draw(st.dictionaries(texts, json_values, max_size=2)), **known}


def keys(prefix: str = "") -> st.SearchStrategy[str]:
    """Draw keys of at most 512 bytes; with *prefix*, only keys that begin so."""
    hostile = st.one_of(
        st.sampled_from([text for text in HOSTILE_TEXTS if len(text) < 100]), texts.map(lambda text: text[:40])
    )
    usable = st.one_of(st.sampled_from(["movie-603", "tv-1399", "a", "b", "B", "é", "\uffff", "\U00010000"]), hostile)
    return usable.map(lambda key: prefix + key).filter(bool)


_small = st.lists(st.integers(-2, 2).map(float), min_size=4, max_size=4)
_any = st.lists(st.floats(-1e3, 1e3, width=32, allow_subnormal=False), min_size=4, max_size=4)
_scales = st.one_of(st.just(1.0), st.sampled_from([1e-14, 1e-7, 1e7, 1e14]))


@st.composite
def vectors(draw: st.DrawFn) -> Vector:
    """Draw a usable vector of 4 numbers: often one of few directions, so that there are ties, at any length."""
    row = np.array(draw(st.one_of(_small, _any)), dtype=np.float64)
    if np.abs(row).max() < 1e-2:
        row = np.array([1.0, 0.0, 0.0, 0.0])
    return (row * draw(_scales)).astype(np.float32)


def records(prefix: str = "") -> st.SearchStrategy[ContentVector]:
    """Draw a record of 4 numbers."""
    return st.builds(
        lambda key, vector, entries: ContentVector(key=key, vector=vector, metadata=entries),
        keys(prefix),
        vectors(),
        metadata(),
    )


def batches(prefix: str = "", *, max_size: int = 6) -> st.SearchStrategy[list[ContentVector]]:
    """Draw records with distinct keys."""
    return st.lists(records(prefix), max_size=max_size, unique_by=lambda record: record.key)


def _ranges(bounds: st.SearchStrategy[Any]) -> st.SearchStrategy[MetadataRange]:
    names = ["low", "high", "above", "below"]
    chosen = st.dictionaries(st.sampled_from(names), bounds, min_size=1, max_size=2)
    return st.builds(lambda key, given: MetadataRange(key=key, **given), entry_keys, chosen)


_optional_ratings = st.one_of(st.none(), st.sampled_from([0.0, 5.0, 7.5, 10.0]))
_plain_conditions: st.SearchStrategy[Condition] = st.one_of(
    st.sampled_from([MediaTypeIs("movie"), MediaTypeIs("tv")]),
    st.builds(GenresAny, st.lists(genre_numbers, min_size=1, max_size=3, unique=True)),
    st.builds(GenresAll, st.lists(genre_numbers, min_size=1, max_size=3, unique=True)),
    st.tuples(_optional_ratings, _optional_ratings)
    .filter(any)
    .map(lambda pair: RatingBetween(low=pair[0], high=pair[1])),
    st.tuples(st.none() | days, st.none() | days)
    .filter(any)
    .map(lambda pair: ReleasedBetween(first=pair[0], last=pair[1])),
    st.builds(MetadataEquals, entry_keys, json_values),
    st.builds(MetadataIn, entry_keys, st.lists(json_values, min_size=1, max_size=3)),
    _ranges(numbers),
    _ranges(texts),
    st.builds(MetadataExists, entry_keys),
)

conditions: st.SearchStrategy[Condition] = st.recursive(
    _plain_conditions,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, min_size=1, max_size=3)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3)),
        st.builds(Not, inner),
    ),
    max_leaves=5,
)
"""Conditions of every kind, on values that records drawn here often have."""
