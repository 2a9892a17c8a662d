"""Conditions as JSON: the way there and back, and everything that is no condition."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_gateway.errors import InvalidFilterError
from media_gateway.filter_json import condition_from_json, condition_from_text, condition_to_json
from media_gateway.filters import (
    MAX_DEPTH,
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

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20) | st.sampled_from(
    ["'; drop table content_vectors; --", "100%", '"', "🎬", "and", "metadata"]
)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | text
values = st.recursive(
    scalars, lambda part: st.lists(part, max_size=3) | st.dictionaries(text, part, max_size=3), max_leaves=6
)
genre_ids = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5)


def _bounds(bound: st.SearchStrategy[object], names: tuple[str, ...]) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(st.sampled_from(names), bound, min_size=1)


RANGE = ("low", "high", "above", "below")
plain = st.one_of(
    st.sampled_from(["movie", "tv"]).map(MediaTypeIs),
    genre_ids.map(GenresAny),
    genre_ids.map(GenresAll),
    _bounds(numbers, ("low", "high")).map(lambda bounds: RatingBetween(**bounds)),
    _bounds(st.dates(), ("first", "last")).map(lambda bounds: ReleasedBetween(**bounds)),
    st.builds(MetadataEquals, text, values),
    st.builds(MetadataIn, text, st.lists(values, min_size=1, max_size=4)),
    st.builds(lambda key, bounds: MetadataRange(key, **bounds), text, _bounds(numbers, RANGE) | _bounds(text, RANGE)),
    st.builds(MetadataExists, text),
)
conditions = st.recursive(
    plain,
    lambda part: st.one_of(
        st.lists(part, min_size=1, max_size=3).map(And), st.lists(part, min_size=1, max_size=3).map(Or), part.map(Not)
    ),
    max_leaves=8,
)
NAMES = [
    "media_type",
    "genres_any",
    "genres_all",
    "rating",
    "released",
    "metadata",
    "and",
    "or",
    "not",
    "equals",
    "in",
    "exists",
    "low",
    "high",
    "above",
    "below",
    "first",
    "last",
]
any_json = st.recursive(
    scalars | st.floats(),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(
            text | st.sampled_from(NAMES),
            part,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(conditions)
def test_a_condition_comes_back_from_json_text(condition: Condition) -> None:
    form = condition_to_json(condition)
    assert condition_from_json(form) == condition
    assert condition_from_text(json.dumps(form)) == condition


@given(any_json)
def test_any_json_is_a_condition_or_refused(value: object) -> None:
    try:
        condition = condition_from_json(value)
    except InvalidFilterError:
        return
    assert condition_from_json(condition_to_json(condition)) == condition


def test_the_form_that_filters_documents() -> None:
    written = MediaTypeIs("movie") & GenresAny([878]) & ~MetadataEquals("country", "US")
    form = {"and": [{"media_type": "movie"}, {"genres_any": [878]}, {"not": {"metadata": "country", "equals": "US"}}]}
    assert condition_to_json(written) == form
    assert condition_from_json(form) == written


def test_open_sides_are_left_out_or_null() -> None:
    assert condition_from_json({"rating": {"low": 7, "high": None}}) == RatingBetween(low=7)
    assert condition_from_json({"released": {"last": "1999-12-31"}}) == ReleasedBetween(last=date(1999, 12, 31))
    assert condition_to_json(RatingBetween(high=2)) == {"rating": {"high": 2.0}}


REFUSED = [
    None,
    [],
    {},
    "movie",
    {"media_type": "film"},
    {"media_type": "movie", "rating": {"low": 7}},
    {"genres_any": []},
    {"genres_any": [[28]]},
    {"genres_any": [28, True]},
    {"genres_any": "28"},
    {"genres_all": [-1]},
    {"rating": 7},
    {"rating": {}},
    {"rating": {"min": 7}},
    {"rating": {"low": "7"}},
    {"rating": {"low": 10**400}},
    {"released": {"first": "1999"}},
    {"released": {"first": "19990101"}},
    {"released": {"first": "1999-W01-1"}},
    {"released": {"first": "1999-02-30"}},
    {"released": {"first": 1999}},
    {"metadata": "country"},
    {"metadata": 7, "equals": 1},
    {"metadata": "country", "equals": "US", "in": ["US"]},
    {"metadata": "country", "exists": False},
    {"metadata": "country", "in": []},
    {"metadata": "runtime", "low": 1, "high": "2"},
    {"metadata": "runtime", "low": None},
    {"metadata": "runtime", "between": [1, 2]},
    {"metadata": "a\0", "exists": True},
    {"and": []},
    {"and": {"media_type": "movie"}},
    {"or": [None]},
    {"not": [{"media_type": "movie"}]},
    {"Media_Type": "movie"},
]


@pytest.mark.parametrize("value", REFUSED, ids=[str(value)[:60] for value in REFUSED])
def test_what_is_no_condition_is_refused_in_one_sentence(value: object) -> None:
    with pytest.raises(InvalidFilterError) as caught:
        condition_from_json(value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "",
        "movie",
        "{'media_type': 'movie'}",
        '{"media_type": "movie"',
        '{"rating": {"low": NaN}}',
        '{"media_type": "movie", "media_type": "tv"}',
        '{"not": ' * 50_000,
        '{"metadata": "n", "equals": ' + "9" * 5000 + "}",
    ],
    ids=["empty", "bare", "quotes", "cut", "nan", "twice", "deep", "long"],
)
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidFilterError):
        condition_from_text(text)


def test_nesting_is_limited_on_the_way_in() -> None:
    form: dict[str, object] = {"media_type": "movie"}
    for _ in range(MAX_DEPTH - 1):
        form = {"not": form}
    assert condition_from_json(form).depth() == MAX_DEPTH
    with pytest.raises(InvalidFilterError, match="at most 32 levels"):
        condition_from_json({"not": form})


def test_a_class_of_somebody_else_has_no_json() -> None:
    class Foreign(Condition):
        pass

    with pytest.raises(InvalidFilterError):
        condition_to_json(Foreign())
