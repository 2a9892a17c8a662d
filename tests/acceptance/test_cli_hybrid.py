"""`search --words` and `search --hybrid` on the sample catalogue."""

import pytest

from tests.acceptance.command import Command, assert_refused


def test_names_and_years_are_found_by_words(embedded: Command) -> None:
    hits = embedded.inside("search", "--words", "Keanu matrix 1999", "--json").json()
    assert hits[0]["key"] == "movie-603"
    assert (hits[0]["matched"], hits[0]["score"]) == ("words", 1.0)
    assert (
        embedded.inside("search", "--words", 'nolan -inception "christian bale"', "--json").json()[0]["key"]
        == "movie-155"
    )


def test_descriptions_are_found_by_meaning_through_hybrid_search(embedded: Command) -> None:
    hits = embedded.inside("search", "--hybrid", "hacker wakes up from a simulated world", "--json").json()
    assert hits[0]["key"] == "movie-603"
    assert len(hits) == 10
    assert {"matched", "rank_score"} <= hits[0].keys()
    hits = embedded.inside("search", "--hybrid", "Keanu matrix 1999", "--json").json()
    assert hits[0]["key"] == "movie-603"


def test_the_table_of_a_hybrid_search_tells_what_found_each_title(embedded: Command) -> None:
    done = embedded.inside("search", "--hybrid", "Nolan film about dreams", "--text-weight", "3", "-k", "3")
    assert done.code == 0, done.err
    assert "found by" in done.out
    assert "movie-27205" in done.out


@pytest.mark.parametrize("option", ["--words", "--hybrid"])
def test_memory_says_where_words_can_be_searched(memory: Command, option: str) -> None:
    assert_refused(memory.inside("search", option, "matrix"), "cannot search by words", "RUVECTOR_BACKEND=postgres")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--words", "--hybrid", "matrix"), "expected one of them"),
        (("--words", "--vector-json", "[1, 2]"), "--words is given without a TEXT"),
        (("matrix", "--text-weight", "2"), "--text-weight is given without --hybrid"),
        (("matrix", "--hybrid", "--text-weight", "-1"), "--text-weight is -1"),
        (("x" * 20_000, "--hybrid"), "at most 10,000 characters"),
    ],
)
def test_options_that_do_not_fit_are_refused(embedded: Command, arguments: tuple[str, ...], said: str) -> None:
    assert_refused(embedded.inside("search", *arguments), said)
