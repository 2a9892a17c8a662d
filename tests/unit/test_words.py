"""How a search text is read, and what the judged queries of hybrid search are."""

import json
import re
from collections import Counter
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_gateway.models import Words
from media_gateway.models.words import MAX_TERMS, STOP_WORDS


@pytest.mark.parametrize(
    ("text", "terms", "phrases", "excluded", "sentence"),
    [
        ("Keanu matrix 1999", ("Keanu", "matrix", "1999"), (), (), "Keanu matrix 1999"),
        ('"dark knight" joker', ("dark knight", "joker"), ("dark knight",), (), "dark knight joker"),
        ("matrix -reloaded", ("matrix",), (), ("reloaded",), "matrix"),
        ('war -"world war"', ("war",), (), ("world war",), "war"),
        ("spider-man", ("spider-man",), (), (), "spider-man"),
        ("heist - or robbery", ("heist", "robbery"), (), (), "heist or robbery"),
        ("the thing", ("thing",), (), (), "the thing"),
        ("It", ("It",), (), (), "It"),
        ('"it"  clown', ("it", "clown"), ("it",), (), "it clown"),
        ("Matrix matrix MATRIX", ("Matrix",), (), (), "Matrix matrix MATRIX"),
        ('an "open quote', ("open quote",), ("open quote",), (), "an open quote"),
        ("!!! -- ...", (), (), (), "!!! -- ..."),
        ("-only", (), (), ("only",), "-only"),
        ("", (), (), (), ""),
        ("天気の子 Žižek", ("天気の子", "Žižek"), (), (), "天気の子 Žižek"),
    ],
)
def test_reading(
    text: str, terms: tuple[str, ...], phrases: tuple[str, ...], excluded: tuple[str, ...], sentence: str
) -> None:
    assert Words.read(text) == Words(terms=terms, phrases=phrases, excluded=excluded, sentence=sentence)


@given(st.text(st.sampled_from('ab -"\n!é') | st.characters(), max_size=400))
def test_every_text_can_be_read(text: str) -> None:
    words = Words.read(text)
    for texts in (words.terms, words.phrases, words.excluded):
        assert len(texts) <= MAX_TERMS
        assert all(re.search(r"\w", one) for one in texts)
        assert len({one.casefold() for one in texts}) == len(texts)
    assert set(words.phrases) <= set(words.terms) or len(words.terms) == MAX_TERMS
    assert words.sentence.strip() or not text.strip()


def test_a_page_of_text_is_read_at_once() -> None:
    assert Words.read('"' * 10_000).terms == ()
    assert Words.read('-"a' * 3_000).excluded == ("a-",)
    assert len(Words.read(" ".join(f"word{number}" for number in range(1_400))).terms) == MAX_TERMS


def lines(name: str) -> list[dict[str, object]]:
    text = resources.files("media_gateway").joinpath(f"data/{name}").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


JUDGED = lines("hybrid_queries.jsonl")
TITLES = {f"{film['media_type']}-{film['id']}": str(film["title"]) for film in lines("catalogue.jsonl")}


def test_the_judged_queries_are_many_of_each_kind_and_none_comes_twice() -> None:
    assert Counter(query["group"] for query in JUDGED) == {"words": 40, "meaning": 40, "mixed": 40}
    assert len({str(query["query"]).casefold() for query in JUDGED}) == len(JUDGED)


def test_the_judged_queries_name_titles_of_the_catalogue_with_grades() -> None:
    for query in JUDGED:
        grades = query["grades"]
        assert isinstance(grades, dict)
        assert grades.keys() <= TITLES.keys(), query
        assert set(grades.values()) <= {1, 2, 3}
        assert 3 in grades.values()


def test_queries_by_meaning_share_no_word_with_the_titles_that_they_mean() -> None:
    for query in JUDGED:
        if query["group"] == "meaning":
            words = set(re.findall(r"\w+", str(query["query"]).lower())) - STOP_WORDS
            assert isinstance(query["grades"], dict)
            for key in query["grades"]:
                assert not words & set(re.findall(r"\w+", TITLES[key].lower())), (query["query"], TITLES[key])
