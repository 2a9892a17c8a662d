"""MovieLens folders in their published formats, hand-written and small, and the whole of ml-100k where it can be had."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_gateway import Settings, open_gateway
from media_gateway.contracts import EmbeddingPurpose, EventSource
from media_gateway.embeddings import LocalEmbedder
from media_gateway.errors import FileFormatError, StoreFullError
from media_gateway.models import Matrix, WatchEvent
from media_gateway.transfer.movielens import MovieLens, MovieLensRatings, open_movielens
from media_gateway.transfer.movielens.timesort import sorted_by_time
from media_gateway.transfer.movielens.titles import split_title

pytestmark = pytest.mark.anyio


def ml_100k(folder: Path) -> Path:
    """Write a folder in the format of ml-100k, in Latin-1 and with the gaps that the published one has."""
    folder.mkdir(exist_ok=True)

    def flags(*genres: int) -> str:
        return "|".join("1" if number in genres else "0" for number in range(19))

    rows = [
        f"1|Toy Story (1995)|01-Jan-1995||http://films.example/1|{flags(3, 4, 5)}",
        f"2|Misérables, Les (1995)|4-Oct-1996||http://films.example/2|{flags(8, 13)}",
        f"267|unknown||||{flags(0)}",
        f"4|Chinatown (1974)|01-Jan-1974||http://films.example/4|{flags(10)}",
    ]
    (folder / "u.item").write_bytes("\n".join(rows).encode("latin-1") + b"\n")
    (folder / "u.data").write_text("7\t1\t5\t300\n8\t2\t3\t100\n7\t4\t1\t300\n9\t1\t4\t200\n")
    return folder


def ml_latest(folder: Path) -> Path:
    """Write a folder in the format of ml-latest-small and ml-25m."""
    folder.mkdir(exist_ok=True)
    (folder / "movies.csv").write_text(
        "movieId,title,genres\n"
        '2571,"Matrix, The (1999)",Action|Sci-Fi|Thriller\n'
        "1,Toy Story (1995),Adventure|Animation|Children|Comedy|Fantasy\n"
        "193,Paterson,(no genres listed)\n"
        "200,Men with Guns (1997),Action|Drama\n"
        "201,Men with Guns (1998),IMAX\n",
        encoding="utf-8",
    )
    (folder / "links.csv").write_text(
        "movieId,imdbId,tmdbId\n2571,0133093,603\n1,0114709,862\n193,5247022,\n200,0119657,49980\n201,0119658,49980\n"
    )
    (folder / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,2571,5.0,964982703\n1,193,0.5,964982224\n2,1,3.5,964982703\n"
    )
    return folder


def recbole(folder: Path) -> Path:
    """Write a folder in the atomic files of RecBole."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tToy Story\t1995\tAnimation Children's Comedy\n"
        "50\tClockwork Orange, A\t1971\tSci-Fi\n"
        "267\tunknown\tunknown\tunknown\n"
        "1412\tLand Before Time III (1995)\tV\tAnimation Children's\n"
    )
    (folder / "tiny.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t50\t3\t881250949\n186\t1\t3.0\t881250000.5\n"
    )
    return folder


WRITERS: dict[str, Callable[[Path], Path]] = {"ml-100k": ml_100k, "csv": ml_latest, "recbole": recbole}


async def events_of(folder: MovieLens) -> list[WatchEvent]:
    return [event async for event in folder.ratings().events()]


def test_ml_100k_gives_films(tmp_path: Path) -> None:
    folder = open_movielens(ml_100k(tmp_path))
    toys, miserables, unknown, chinatown = folder.films
    assert folder.format == "ml-100k"
    assert toys.key == "ml-1"
    assert toys.text == "Toy Story (1995). Animation, Children's, Comedy"
    assert toys.metadata() == {
        "media_type": "movie",
        "title": "Toy Story",
        "overview": "",
        "year": 1995,
        "genres": ["Animation", "Children's", "Comedy"],
        "genre_ids": [16, 10751, 35],
        "release_date": "1995-01-01",
        "movielens_id": 1,
    }
    assert (miserables.title, miserables.extra["year"], miserables.release_date) == (
        "Les Misérables",
        1995,
        date(1996, 10, 4),
    )
    assert (unknown.title, unknown.text, unknown.release_date, unknown.genre_ids) == ("unknown", "unknown", None, ())
    assert (chinatown.extra["genres"], chinatown.genre_ids) == (["Film-Noir"], ())


def test_ml_100k_may_be_in_utf_8_too(tmp_path: Path) -> None:
    path = ml_100k(tmp_path) / "u.item"
    path.write_bytes(path.read_bytes().decode("latin-1").encode())
    assert open_movielens(tmp_path).films[1].title == "Les Misérables"


def test_links_give_the_keys_of_tmdb(tmp_path: Path) -> None:
    matrix, toys, paterson, guns, other_guns = open_movielens(ml_latest(tmp_path)).films
    assert [film.key for film in (matrix, toys, paterson)] == ["movie-603", "movie-862", "ml-193"]
    assert matrix.metadata() == {
        "id": 603,
        "media_type": "movie",
        "title": "The Matrix",
        "overview": "",
        "year": 1999,
        "genres": ["Action", "Sci-Fi", "Thriller"],
        "genre_ids": [28, 878, 53],
        "release_date": "1999-01-01",
        "release_precision": "year",
        "movielens_id": 2571,
        "imdb_id": "tt0133093",
    }
    assert paterson.metadata()["imdb_id"] == "tt5247022"
    assert paterson.metadata()["genres"] == []
    # Two films with one link: none of them vanishes.
    assert [film.key for film in (guns, other_guns)] == ["movie-49980", "ml-201"]


def test_without_links_films_bear_the_numbers_of_movielens(tmp_path: Path) -> None:
    (ml_latest(tmp_path) / "links.csv").unlink()
    matrix, *_ = open_movielens(tmp_path).films
    assert matrix.key == "ml-2571"
    assert "id" not in matrix.metadata()


def test_recbole_gives_films(tmp_path: Path) -> None:
    folder = open_movielens(recbole(tmp_path))
    assert folder.format == "recbole"
    assert [(film.key, film.title, film.extra.get("year"), film.genre_ids) for film in folder.films] == [
        ("ml-1", "Toy Story", 1995, (16, 10751, 35)),
        ("ml-50", "A Clockwork Orange", 1971, (878,)),
        ("ml-267", "unknown", None, ()),
        ("ml-1412", "Land Before Time III", 1995, (16, 10751)),
    ]


def test_films_come_in_batches(tmp_path: Path) -> None:
    batches = list(open_movielens(ml_latest(tmp_path)).batches(2))
    assert [[row.content.key for row in batch] for batch in batches] == [
        ["movie-603", "movie-862"],
        ["ml-193", "movie-49980"],
        ["ml-201"],
    ]


async def test_ratings_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    source: EventSource = open_movielens(ml_100k(tmp_path)).ratings()
    found = [(event.time, event.user, event.key, event.rating) async for event in source.events()]
    # Equal times stay in the order of the file.
    assert found == [
        (100.0, "8", "ml-2", 6.0),
        (200.0, "9", "ml-1", 8.0),
        (300.0, "7", "ml-1", 10.0),
        (300.0, "7", "ml-4", 2.0),
    ]


async def test_ratings_bear_the_keys_of_their_films(tmp_path: Path) -> None:
    found = await events_of(open_movielens(ml_latest(tmp_path)))
    assert [(event.user, event.key, event.rating) for event in found] == [
        ("1", "ml-193", 1.0),
        ("1", "movie-603", 10.0),
        ("2", "movie-862", 7.0),
    ]
    assert {event.action for event in found} == {"rating"}


async def test_ratings_of_recbole(tmp_path: Path) -> None:
    found = await events_of(open_movielens(recbole(tmp_path)))
    assert [(event.user, event.key, event.time, event.rating) for event in found] == [
        ("186", "ml-1", 881250000.5, 6.0),
        ("196", "ml-50", 881250949.0, 6.0),
    ]


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("Matrix, The (1999)", ("The Matrix", 1999)),
        ("Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)", None),
        ("Avventura, L' (Adventure, The) (1960)", ("L'Avventura (The Adventure)", 1960)),
        ("Double vie de Véronique, La (Double Life of Veronique, The) (1991)", None),
        ("2001: A Space Odyssey (1968)", ("2001: A Space Odyssey", 1968)),
        ("2012 (2009)", ("2012", 2009)),
        ("(500) Days of Summer (2009)", ("(500) Days of Summer", 2009)),
        ("Death Note: Desu nôto (2006–2007)", ("Death Note: Desu nôto", 2006)),
        ("Fawlty Towers (1975-1979)", ("Fawlty Towers", 1975)),
        ("Sherlock (2010- )", ("Sherlock", 2010)),
        ("Black Mirror", ("Black Mirror", None)),
        ("Land Before Time III (1995) (V)", ("Land Before Time III", 1995)),
        ("To Wong Foo, Thanks for Everything! (1995)", ("To Wong Foo, Thanks for Everything!", 1995)),
        ("1900 (Novecento) (1976)", ("1900 (Novecento)", 1976)),
        ("(1999)", ("(1999)", None)),
        ("", ("", None)),
    ],
)
def test_titles(published: str, expected: tuple[str, int | None] | None) -> None:
    longer = {
        "Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)": (
            "The Good, the Bad and the Ugly (Il Buono, il brutto, il cattivo)",
            1966,
        ),
        "Double vie de Véronique, La (Double Life of Veronique, The) (1991)": (
            "La Double vie de Véronique (The Double Life of Veronique)",
            1991,
        ),
    }
    assert split_title(published) == (expected or longer[published])


@given(text=st.text(max_size=80))
def test_no_title_breaks_the_splitting(text: str) -> None:
    title, _ = split_title(text)
    assert len(title) <= len(text)


DAMAGE: list[tuple[str, str, bytes, str]] = [
    ("ml-100k", "u.item", b"1|Toy Story (1995)|01-Jan-1995\n", "has 3 columns on line 1; expected 24"),
    ("ml-100k", "u.item", b"1|T|01-Foo-1995||" + b"|0" * 19 + b"\n", "the date '01-Foo-1995' on line 1"),
    ("ml-100k", "u.item", b"1|T|1995||" + b"|0" * 19 + b"\n", "the date '1995' on line 1"),
    ("ml-100k", "u.item", b"1|T|||" + b"|2" * 19 + b"\n", "genres other than 0 and 1 on line 1"),
    ("ml-100k", "u.item", (b"1|T|||" + b"|0" * 19 + b"\n") * 2, "the film 1 on line 2 for the second time"),
    ("ml-100k", "u.item", b"", "has no rows"),
    ("ml-100k", "u.item", b"0|T|||" + b"|0" * 19 + b"\n", "the number '0' on line 1"),
    ("ml-100k", "u.item", b"1|?!|||" + b"|0" * 19 + b"\n", "the title '?!' on line 1"),
    ("csv", "movies.csv", b"id,title,genres\n", "has the header 'id,title,genres'; expected movieId,title,genres"),
    ("csv", "movies.csv", b"movieId,title,genres\n1,T\n", "2 cells on line 2"),
    ("csv", "movies.csv", b"movieId,title,genres\nx,T,Drama\n", "the number 'x' on line 2"),
    ("csv", "movies.csv", b'movieId,title,genres\n1,"T,Drama\n', "malformed at line"),
    ("csv", "movies.csv", b"movieId,title,genres\n1,\xe9,Drama\n", "not UTF-8 on line 2"),
    ("csv", "movies.csv", b"PK\x03\x04movies", "is a ZIP archive"),
    ("csv", "links.csv", b"movieId,imdbId\n", "links.csv has the header"),
    ("csv", "links.csv", b"movieId,imdbId,tmdbId\n1,1,tt1\n", "the number 'tt1' on line 2"),
    ("recbole", "tiny.item", b"item_id\tmovie_title\n", "no column 'item_id:token'"),
    ("recbole", "tiny.item", b"item_id:token\tmovie_title:token_seq\n1\n", "has 1 columns on line 2"),
]


@pytest.mark.parametrize(("form", "name", "data", "said"), DAMAGE, ids=[case[3] for case in DAMAGE])
def test_a_damaged_file_of_films_is_named_with_its_line(
    tmp_path: Path, form: str, name: str, data: bytes, said: str
) -> None:
    folder = open_movielens(WRITERS[form](tmp_path))
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FileFormatError) as caught:
        _ = folder.films
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


RATING_DAMAGE: list[tuple[str, str, str]] = [
    ("csv", "userId,movieId,rating\n", "has the header 'userId,movieId,rating'; expected 'userId,movieId,rating,time"),
    ("csv", "userId,movieId,rating,timestamp\n1,1,5\n", "has 3 columns on line 2"),
    ("csv", "userId,movieId,rating,timestamp\n1,1,5,9\n\n", "has 1 columns on line 3"),
    ("csv", "userId,movieId,rating,timestamp\n1,1,5,9\n1,x,5,9\n", "the film 'x' on line 3"),
    ("csv", "userId,movieId,rating,timestamp\n,1,5,9\n", "the user '' on line 2"),
    ("csv", "userId,movieId,rating,timestamp\n3000000000,1,5,9\n", "the user '3000000000' on line 2"),
    ("csv", "userId,movieId,rating,timestamp\n1,77,5,9\n", "a rating of the film 77, which the folder does not list"),
    ("csv", "userId,movieId,rating,timestamp\n1,1,6,9\n", "the rating '6' on line 2"),
    ("csv", "userId,movieId,rating,timestamp\n1,1,nan,9\n", "the rating 'nan' on line 2"),
    ("csv", "userId,movieId,rating,timestamp\n1,1,5,-9\n", "the time '-9' on line 2"),
    ("csv", "userId,movieId,rating,timestamp\n1,1,5,inf\n", "the time 'inf' on line 2"),
    ("ml-100k", "1\t1\t5\t9\n1\t1\t5,0\t9\n", "the rating '5,0' on line 2"),
    ("ml-100k", "\x00\x01", "binary data"),
    ("recbole", "user_id\titem_id\trating\ttimestamp\n", "has the header"),
]


@pytest.mark.parametrize(("form", "text", "said"), RATING_DAMAGE, ids=[case[2] for case in RATING_DAMAGE])
async def test_a_damaged_file_of_ratings_is_named_with_its_line(
    tmp_path: Path, form: str, text: str, said: str
) -> None:
    folder = open_movielens(WRITERS[form](tmp_path))
    name = {"csv": "ratings.csv", "ml-100k": "u.data", "recbole": "tiny.inter"}[form]
    (tmp_path / name).write_text(text)
    with pytest.raises(FileFormatError) as caught:
        await events_of(folder)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_file_of_ratings_may_hold_none_but_not_lack_its_header(tmp_path: Path) -> None:
    folder = open_movielens(ml_latest(tmp_path))
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("userId,movieId,rating,timestamp\n")
    assert await events_of(folder) == []
    ratings.write_text("")
    with pytest.raises(FileFormatError, match="has the header ''"):
        await events_of(folder)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "holds no format of MovieLens; expected a folder with u.item and u.data"),
        (["u.item"], "has no u.data"),
        (["ratings.csv"], "has no movies.csv"),
        (["a.item", "a.inter", "b.inter"], r"has several files \*.inter: a.inter, b.inter"),
    ],
)
def test_a_folder_that_holds_half_a_format_or_several(tmp_path: Path, names: list[str], said: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(FileFormatError, match=said):
        open_movielens(tmp_path)


def test_something_else_than_a_folder(tmp_path: Path) -> None:
    archive = tmp_path / "ml-25m.zip"
    archive.touch()
    with pytest.raises(FileFormatError, match="is not a folder; expected a folder with .*; unpack the archive first"):
        open_movielens(archive)
    with pytest.raises(FileFormatError, match="No such file"):
        open_movielens(tmp_path / "nowhere")


def _rows(times: list[int]) -> np.ndarray:
    rows = np.empty(len(times), dtype=[("time", "<f8"), ("place", "<i4")])
    rows["time"] = times
    rows["place"] = np.arange(len(times))
    return rows


@given(
    times=st.lists(st.integers(0, 20), max_size=200),
    chunk=st.integers(1, 60),
    block=st.integers(1, 30),
)
@settings(deadline=None, max_examples=50)
def test_sorting_on_disk_is_a_stable_sort(times: list[int], chunk: int, block: int) -> None:
    rows = _rows(times)
    chunks = [rows[start : start + chunk] for start in range(0, len(rows), chunk)]
    found = [row for part in sorted_by_time(chunks, block=block) for row in part.tolist()]
    assert found == sorted(rows.tolist(), key=lambda row: row[0])


async def test_many_ratings_are_sorted_in_files_that_are_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    folder = open_movielens(ml_latest(tmp_path / "data"))
    times = np.random.default_rng(0).integers(0, 500, 5_000)
    lines = [f"{number},1,{number % 10 / 2 + 0.5},{time}" for number, time in enumerate(times, start=1)]
    (tmp_path / "data/ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines]))
    ratings = MovieLensRatings(folder.ratings()._file, {1: "movie-862"}, chunk=700, block=50)
    found = [event async for event in ratings.events()]
    assert len(found) == 5_000
    assert all((a.time, int(a.user)) < (b.time, int(b.user)) for a, b in pairwise(found))
    assert not list(scratch.iterdir())

    async with aclosing(ratings.events()) as events:
        await anext(events)
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())


def test_no_room_to_sort_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreFullError, match="TMPDIR"):
        list(sorted_by_time([_rows([1]), _rows([0])], block=1, scratch=tmp_path / "nowhere"))


class Counting(LocalEmbedder):
    """The local model, counting the texts that it embeds."""

    count = 0

    async def embed(self, texts: Sequence[str], purpose: EmbeddingPurpose = "document") -> Matrix:
        self.count += len(texts)
        return await super().embed(texts, purpose)


async def _load(folder: MovieLens, path: Path, embedder: Counting) -> None:
    async with open_gateway(Settings.read(memory_path=path), embedder=embedder) as gateway:
        for batch in folder.batches(200):
            await gateway.add([row.content for row in batch])
        assert (await gateway.stats()).count == len(folder.films)


async def test_a_second_load_embeds_nothing(tmp_path: Path) -> None:
    folder = open_movielens(ml_latest(tmp_path))
    for expected in (5, 0):
        embedder = Counting()
        await _load(folder, tmp_path / "data.snap", embedder)
        assert embedder.count == expected


@pytest.mark.full
@pytest.mark.timeout(300)
async def test_the_whole_of_ml_100k_from_the_wheel_that_carries_it(movielens_100k: Path, tmp_path: Path) -> None:
    folder = open_movielens(movielens_100k)
    films = {film.movielens_id: film for film in folder.films}
    assert len(films) == 1_682
    assert films[127].text == "The Godfather (1972). Action, Crime, Drama"
    found = await events_of(folder)
    assert len(found) == 100_000
    assert len({event.user for event in found}) == 943
    assert {event.key for event in found} == {film.key for film in folder.films}
    assert all(a.time <= b.time for a, b in pairwise(found))
    for expected in (1_682, 0):
        embedder = Counting()
        await _load(folder, tmp_path / "data.snap", embedder)
        assert embedder.count == expected
