"""Words of queries that become conditions."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_gateway.filters import And, GenresAny, MediaTypeIs, ReleasedBetween
from media_gateway.query_words import named_filters

MOVIE, TV = MediaTypeIs("movie"), MediaTypeIs("tv")
HORROR, COMEDY, SCIFI, WAR = GenresAny((27,)), GenresAny((35,)), GenresAny((878, 10765)), GenresAny((10752, 10768))


def years(first: int | None, last: int | None) -> ReleasedBetween:
    return ReleasedBetween(first=first and date(first, 1, 1), last=last and date(last, 12, 31))


@pytest.mark.parametrize(
    ("text", "conditions", "rest"),
    [
        ("90s horror movies about toys", [years(1990, 1999), HORROR, MOVIE], "about toys"),
        ("comedy films from the 1980s", [COMEDY, MOVIE, years(1980, 1989)], ""),
        ("the best comedies of the nineties", [COMEDY, years(1990, 1999)], ""),
        ("Sci-Fi series from 1999", [SCIFI, TV, years(1999, 1999)], ""),
        ("science fiction tv shows since 2010", [SCIFI, TV, years(2010, None)], ""),
        ("war films before 1950", [WAR, MOVIE, years(None, 1949)], ""),
        ("horror between 1970 and 1975", [HORROR, years(1970, 1975)], ""),
        ("'70s comedy", [years(1970, 1979), COMEDY], ""),
        ("2001 a space odyssey", [], "2001 a space odyssey"),
        ('"war of the worlds"', [], '"war of the worlds"'),
        ("hacker wakes up", [], "hacker wakes up"),
        ("warm comedy-like feelings", [], "warm comedy-like feelings"),
        ("like Inception but lighter", [], "like Inception but lighter"),
    ],
)
def test_words_become_conditions(text: str, conditions: list, rest: str):
    found = named_filters(text)
    assert [one.condition for one in found.filters] == conditions
    assert found.rest == rest
    expected = None if not conditions else conditions[0] if len(conditions) == 1 else And(tuple(conditions))
    assert found.condition == expected


def test_each_condition_tells_the_words_that_named_it():
    found = named_filters("funny horror films from the 1980s")
    assert [one.words for one in found.filters] == ["horror", "films", "from the 1980s"]
    assert found.rest == "funny"


@given(st.text(max_size=60))
def test_any_text_is_read(text: str):
    found = named_filters(text)
    assert all(one.words in text for one in found.filters)
