"""`search --interpret`: words that name a genre, a type or a time become filters, which are shown."""

import asyncio
from pathlib import Path

import pytest

from media_gateway.cli.addresses import url_of
from media_gateway.embeddings.local import LocalEmbedder
from tests.acceptance.command import Command, assert_refused
from tests.postgres import TestServer
from tests.samples import records


def test_words_become_filters_and_the_rest_is_searched_for(loaded: Command) -> None:
    found = loaded.inside("search", "--interpret", "90s movies about toys", "-k", "5", "--json").json()
    assert [one["words"] for one in found["filters"]] == ["90s", "movies"]
    assert [one["label"] for one in found["filters"]] == ["1990 to 1999", "Films"]
    assert (found["searched"], found["ordered_by"]) == ("about toys", "score")
    by_options = loaded.inside(
        *("search", "about toys", "-k", "5", "--type", "movie", "--from", "1990", "--to", "1999", "--json")
    ).json()
    assert found["hits"] == by_options
    assert len(by_options) == 5
    assert by_options[0]["title"] == "Toy Story"


def test_the_table_tells_which_words_became_which_filters(memory: Command) -> None:
    done = memory.inside("search", "--interpret", "90s movies about toys", "-k", "3", "--min-rating", "6")
    assert 'filters: "90s" is 1990 to 1999, "movies" is Films; searched for "about toys"' in done.out
    assert "Toy Story" in done.out
    kept = memory.inside("search", "--interpret", "90s movies about toys", "--keep", "90s", "--keep", "movies")
    assert 'filters: none; searched for "90s movies about toys"' in kept.out


def test_filters_go_with_words_and_with_explanations(embedded: Command) -> None:
    found = embedded.inside("search", "--words", "--interpret", "keanu films before 2000", "--json").json()
    assert (found["searched"], found["hits"][0]["key"]) == ("keanu", "movie-603")
    told = embedded.inside("search", "--interpret", "toys of the nineties", "--explain", "--json").json()
    assert set(told) == {"hits", "filters", "searched", "ordered_by", "explanation"}


def test_where_nothing_was_learned_filters_alone_are_searched_by_their_words(memory: Command) -> None:
    found = memory.inside("search", "--interpret", "crime series", "--json").json()
    assert (found["searched"], found["ordered_by"]) == ("", "score")
    assert {hit["media_type"] for hit in found["hits"]} == {"tv"}


def test_of_filters_alone_the_most_popular_come_first(postgres: TestServer, tmp_path: Path) -> None:
    async def filled() -> str:
        store = await postgres.open_store(LocalEmbedder().space)
        await store.upsert(records(40, store.space.dimension))
        await store.aclose()
        return url_of(store.endpoint.conninfo)

    command = Command(
        folder=tmp_path, variables={"RUVECTOR_BACKEND": "postgres", "DATABASE_URL": asyncio.run(filled())}
    )
    for user, key in (("ann", "movie-7"), ("ben", "movie-7"), ("ann", "movie-8"), ("ben", "movie-9")):
        assert command.inside("watch", user, key).code == 0
    found = command.inside("search", "--interpret", "films", "-k", "3", "--json").json()
    assert (found["searched"], found["ordered_by"]) == ("", "popularity")
    assert [hit["key"] for hit in found["hits"][:2]] == ["movie-7", "movie-9"]
    assert {hit["media_type"] for hit in found["hits"]} == {"movie"}
    shown = command.inside("search", "--words", "--interpret", "films", "--explain")
    assert 'filters: "films" is Films; the most popular come first' in shown.out
    assert "nothing to explain" in shown.err
    nearest = command.inside("search", "--interpret", "films", "--min-score", "-1", "--json").json()
    assert nearest["ordered_by"] == "score"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("toys", "--keep", "toys"), "--keep is given without --interpret"),
        (("--interpret", "--vector-json", "[1, 2]"), "--interpret is given without a TEXT"),
    ],
)
def test_options_that_do_not_fit_are_refused(memory: Command, arguments: tuple[str, ...], said: str) -> None:
    assert_refused(memory.inside("search", *arguments), said)
