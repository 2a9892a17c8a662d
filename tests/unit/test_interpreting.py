"""What a text asks for when its words may name filters, and what is shown of that."""

from datetime import date
from pathlib import Path

import pytest

from media_gateway import OwnVectors, Settings, open_gateway
from media_gateway.filters import And, GenresAny, MediaTypeIs, RatingBetween, ReleasedBetween
from media_gateway.interpreting import interpreted, popular

pytestmark = pytest.mark.anyio

NINETIES = ReleasedBetween(first=date(1990, 1, 1), last=date(1999, 12, 31))


def test_named_words_leave_the_text_and_join_the_filter():
    found = interpreted("90s movies about toys", RatingBetween(low=7))
    assert found.text == found.rest == "about toys"
    assert found.where == RatingBetween(low=7) & And((NINETIES, MediaTypeIs("movie")))
    assert not found.is_filter_alone
    assert found.as_json() == {
        "filters": [
            {
                "words": "90s",
                "label": "1990 to 1999",
                "where": {"released": {"first": "1990-01-01", "last": "1999-12-31"}},
            },
            {"words": "movies", "label": "Films", "where": {"media_type": "movie"}},
        ],
        "searched": "about toys",
    }


def test_words_that_are_kept_stay_in_the_text():
    found = interpreted("war movies of the sixties", None, keep=["war", "movies"])
    assert found.text == "war movies"
    assert [one.words for one in found.filters] == ["of the sixties"]


def test_a_text_that_names_nothing_stays_as_it_is():
    found = interpreted("like  Inception but lighter", MediaTypeIs("tv"))
    assert (found.text, found.rest, found.where) == ("like  Inception but lighter",) * 2 + (MediaTypeIs("tv"),)
    assert found.as_json() == {"filters": [], "searched": "like  Inception but lighter"}


def test_where_all_words_are_filters_the_text_still_stands_for_a_search():
    found = interpreted("the best horror", None)
    assert found.is_filter_alone
    assert (found.text, found.where, found.as_json()["searched"]) == ("the best horror", GenresAny((27,)), "")


async def test_where_nothing_is_learned_nothing_is_popular(tmp_path: Path):
    settings = Settings.read(memory_path=tmp_path / "data.snap")
    async with open_gateway(settings, embedder=OwnVectors(model="own", dimension=8)) as gateway:
        assert await popular(gateway, None, k=5) is None
