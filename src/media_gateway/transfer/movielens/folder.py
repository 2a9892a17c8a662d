"""A MovieLens folder: which of the formats it is in, and what it gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from media_gateway.transfer.files import ContentRow
from media_gateway.transfer.movielens.films import Links, MovieLensFilm, PublishedFilm, films_of, refuse
from media_gateway.transfer.movielens.formats import csv_films, csv_links, recbole_films, u_item_films
from media_gateway.transfer.movielens.ratings import MovieLensRatings, RatingsFile

_EXPECTED: Final = "u.item and u.data, movies.csv and ratings.csv, or RecBole's NAME.item and NAME.inter"


@dataclass(frozen=True, kw_only=True)
class _Format:
    name: str
    films: str
    ratings: str
    read: Callable[[Path], Iterator[PublishedFilm]]
    delimiter: str
    header: str


_FORMATS: Final = (
    _Format(name="ml-100k", films="u.item", ratings="u.data", read=u_item_films, delimiter="\t", header=""),
    _Format(
        name="csv",
        films="movies.csv",
        ratings="ratings.csv",
        read=csv_films,
        delimiter=",",
        header="userId,movieId,rating,timestamp",
    ),
    _Format(
        name="recbole",
        films="*.item",
        ratings="*.inter",
        read=recbole_films,
        delimiter="\t",
        header="user_id:token\titem_id:token\trating:float\ttimestamp:float",
    ),
)


class MovieLens:
    """A folder of MovieLens in one of its formats; made by `open_movielens`.

    *format* is "ml-100k", "csv" (ml-latest-small, ml-25m and their like) or "recbole".
    """

    def __init__(self, path: Path, form: _Format, films: Path, ratings: Path) -> None:
        self._path = path
        self._form = form
        self._films = films
        self._ratings = RatingsFile(path=ratings, delimiter=form.delimiter, header=form.header)

    @property
    def path(self) -> Path:
        """Where the folder is."""
        return self._path

    @property
    def format(self) -> str:
        """The format it is in."""
        return self._form.name

    @cached_property
    def films(self) -> list[MovieLensFilm]:
        """All films, in the order of their file; read once, blocking, and kept.

        Raises FileFormatError, naming file and line, for a file that is damaged or not in this format.
        """
        links: dict[int, Links] = {}
        path = self._path / "links.csv"
        try:
            if self._form.name == "csv" and path.exists():
                links = csv_links(path)
            return films_of(self._films, self._form.read(self._films), links)
        except OSError as error:
            refuse(Path(error.filename or self._films), f"cannot be read: {error.strerror}", "a readable file", error)

    def batches(self, size: int) -> Iterator[list[ContentRow]]:
        """Yield the films as rows of a file, in lists of *size*, the last one shorter; raises what `films` raises."""
        films = self.films
        for start in range(0, len(films), size):
            yield [
                ContentRow(content=film, vector=None, place=f"film {film.movielens_id}")
                for film in films[start : start + size]
            ]

    def ratings(self) -> MovieLensRatings:
        """Return the ratings as events with the keys of `films`, which is read first."""
        return MovieLensRatings(self._ratings, {film.movielens_id: film.key for film in self.films})


def open_movielens(path: Path) -> MovieLens:
    """Return the MovieLens folder *path*, its format told by the names of its files; nothing is read yet.

    Raises FileFormatError when it is no folder, holds none of the formats, or only half of one.
    """
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except (OSError, ValueError) as error:
        reason = "is not a folder" if isinstance(error, NotADirectoryError) else f"cannot be read: {error}"
        refuse(path, reason, f"a folder with {_EXPECTED}; unpack the archive first", error)
    form = next((form for form in _FORMATS if any(_is_of(form, name) for name in names)), None)
    if form is None:
        refuse(path, "holds no format of MovieLens", f"a folder with {_EXPECTED}")
    films, ratings = (_only(path, names, pattern) for pattern in (form.films, form.ratings))
    return MovieLens(path, form, films, ratings)


def _only(folder: Path, names: list[str], pattern: str) -> Path:
    found = [name for name in names if Path(name).match(pattern)]
    if len(found) != 1:
        several = f"several files {pattern}: {', '.join(found)}" if found else f"no {pattern}"
        refuse(folder, f"has {several}", "one, and each data set in a folder of its own")
    return folder / found[0]


def _is_of(form: _Format, name: str) -> bool:
    return Path(name).match(form.films) or Path(name).match(form.ratings)
