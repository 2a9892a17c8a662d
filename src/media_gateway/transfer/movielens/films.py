"""Films as MovieLens describes them: a title with a year, and genres."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, NoReturn

from media_gateway.errors import FileFormatError, shown
from media_gateway.json_values import Json, unusable_text
from media_gateway.models import MediaContent
from media_gateway.transfer.movielens.titles import split_title

LARGEST_ID: Final = 2**31 - 1
"""The published numbers end below 300,000; four bytes hold them."""
NO_GENRES: Final = frozenset({"unknown", "(no genres listed)"})
TMDB_GENRES: Final[Mapping[str, int]] = {
    "Action": 28,
    "Adventure": 12,
    "Animation": 16,
    "Children": 10751,
    "Children's": 10751,
    "Comedy": 35,
    "Crime": 80,
    "Documentary": 99,
    "Drama": 18,
    "Fantasy": 14,
    "Horror": 27,
    "Musical": 10402,
    "Mystery": 9648,
    "Romance": 10749,
    "Sci-Fi": 878,
    "Thriller": 53,
    "War": 10752,
    "Western": 37,
}
"""MovieLens's genres as TMDB numbers them; Film-Noir and IMAX have no number there and keep only their names."""


@dataclass(frozen=True, kw_only=True)
class MovieLensFilm(MediaContent):
    """A film of MovieLens, numbered *movielens_id* there; *id* is TMDB's number when it *is_linked*.

    It has no overview, so that its title, year and genres are embedded. It has no `vote_average` either: a mean over
    all ratings would tell a learner what users thought later, and one of two ratings says little.
    """

    movielens_id: int
    is_linked: bool

    @property
    def key(self) -> str:
        """The record's key: `movie-603` when the number at TMDB is known, else `ml-2571`."""
        return super().key if self.is_linked else f"ml-{self.movielens_id}"

    @property
    def text(self) -> str:
        """What is embedded: "The Matrix (1999). Action, Sci-Fi, Thriller"."""
        year, genres = self.extra.get("year"), self.extra.get("genres")
        titled = self.title if year is None else f"{self.title} ({year})"
        return f"{titled}. {', '.join(map(str, genres))}" if isinstance(genres, list) and genres else titled

    def metadata(self) -> dict[str, Json]:
        """Return the record's metadata; `id`, which means TMDB's number, is there only when that is known."""
        metadata = super().metadata()
        return metadata if self.is_linked else {name: value for name, value in metadata.items() if name != "id"}


@dataclass(frozen=True, kw_only=True)
class Links:
    """The numbers that one film has elsewhere."""

    tmdb: int | None
    imdb: str | None


@dataclass(frozen=True, kw_only=True)
class PublishedFilm:
    """One row of a file of films; *year* and *day* where the file has columns for them."""

    place: str
    number: int
    title: str
    genres: tuple[str, ...]
    year: int | None = None
    day: date | None = None


def films_of(path: Path, rows: Iterable[PublishedFilm], links: Mapping[int, Links]) -> list[MovieLensFilm]:
    """Return the films of *rows*, in their order, with what *links* knows of them.

    Of several films that are linked to one number at TMDB the first bears its key; the others keep MovieLens's, since
    some of these links are mistaken and no film may vanish. Raises FileFormatError, naming the row, for a film that
    comes twice or has no usable title, and when there are no rows.
    """
    films: dict[int, MovieLensFilm] = {}
    taken: set[int] = set()
    for row in rows:
        if row.number in films:
            refuse(path, f"has the film {row.number} on {row.place} for the second time", "each film once")
        link = links.get(row.number, Links(tmdb=None, imdb=None))
        tmdb = None if link.tmdb in taken else link.tmdb
        films[row.number] = _film(row, tmdb, link.imdb)
        _check(path, row, films[row.number].title)
        if tmdb is not None:
            taken.add(tmdb)
    if not films:
        refuse(path, "has no rows", "at least one film")
    return list(films.values())


def _film(row: PublishedFilm, tmdb: int | None, imdb: str | None) -> MovieLensFilm:
    title, titled_year = split_title(row.title)
    year = titled_year or row.year or (row.day.year if row.day else None)
    genres = [genre for genre in row.genres if genre and genre not in NO_GENRES]
    extra: dict[str, Json] = {"movielens_id": row.number, "genres": [*genres]}
    if imdb is not None:
        extra["imdb_id"] = imdb
    if year is not None:
        extra["year"] = year
    day = row.day
    if day is None and year is not None:
        # Filters compare dates, and MovieLens itself writes the first of January where it knows but the year.
        day = date(year, 1, 1)
        extra["release_precision"] = "year"
    return MovieLensFilm(
        id=tmdb or row.number,
        media_type="movie",
        title=title,
        genre_ids=tuple(dict.fromkeys(TMDB_GENRES[genre] for genre in genres if genre in TMDB_GENRES)),
        release_date=day,
        extra=extra,
        movielens_id=row.number,
        is_linked=tmdb is not None,
    )


def _check(path: Path, row: PublishedFilm, title: str) -> None:
    if not any(character.isalnum() for character in title):
        refuse(path, f"has the title {shown(row.title)} on {row.place}", "a title with a letter or a digit")
    reason = unusable_text("|".join((row.title, *row.genres)))
    if reason is not None:
        refuse(path, f"has {reason} on {row.place}", "text without it")


def refuse(path: Path, found: str, expected: str, cause: Exception | None = None) -> NoReturn:
    """Raise FileFormatError for the file *path*."""
    raise FileFormatError(
        f"{path} {found}; expected {expected}", path=str(path), given=found, expected=expected
    ) from cause
