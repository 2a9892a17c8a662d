"""The files of films in the formats that MovieLens is published in, and RecBole's."""

import csv
import re
from collections.abc import Generator, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Final

from media_gateway.errors import shown
from media_gateway.transfer.movielens.films import LARGEST_ID, Links, PublishedFilm, refuse
from media_gateway.transfer.signatures import HEAD_BYTES, recognised

MOVIES_HEADER: Final = ("movieId", "title", "genres")
LINKS_HEADER: Final = ("movieId", "imdbId", "tmdbId")
ITEM_HEADER: Final = ("item_id:token", "movie_title:token_seq")
_FLAGGED: Final = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""The order of the genre columns of u.item (README of ml-100k)."""
_FLAGS_FROM: Final = 5
_LONGEST_LINE: Final = 2**20


def u_item_films(path: Path) -> Iterator[PublishedFilm]:
    """Yield the films of ml-100k's `u.item`: 24 columns apart by `|`, in Latin-1 (or UTF-8), without a header.

    This and the other readers raise FileFormatError, naming the line, for a file of another make.
    """
    width = _FLAGS_FROM + len(_FLAGGED)
    for number, line in _lines(path, latin=True):
        place = f"line {number}"
        cells = line.split("|")
        if len(cells) != width:
            refuse(path, f"has {len(cells)} columns on {place}", f"{width}, apart by |")
        flags = cells[_FLAGS_FROM:]
        if not set(flags) <= {"0", "1"}:
            refuse(path, f"has genres other than 0 and 1 on {place}", "a 0 or 1 for each genre")
        yield PublishedFilm(
            place=place,
            number=_number(path, place, cells[0]),
            title=cells[1],
            genres=tuple(genre for genre, flag in zip(_FLAGGED, flags, strict=True) if flag == "1"),
            day=_day(path, place, cells[2]),
        )


def csv_films(path: Path) -> Iterator[PublishedFilm]:
    """Yield the films of a `movies.csv`, whose genres are written Action|Sci-Fi."""
    for place, (number, title, genres) in _csv_rows(path, MOVIES_HEADER):
        yield PublishedFilm(
            place=place, number=_number(path, place, number), title=title, genres=tuple(genres.split("|"))
        )


def csv_links(path: Path) -> dict[int, Links]:
    """Return what a `links.csv` knows of each film; empty cells mean that there is no link."""
    links: dict[int, Links] = {}
    for place, (number, imdb, tmdb) in _csv_rows(path, LINKS_HEADER):
        links[_number(path, place, number)] = Links(
            tmdb=_number(path, place, tmdb) if tmdb else None,
            imdb=f"tt{_number(path, place, imdb):07}" if imdb else None,
        )
    return links


def recbole_films(path: Path) -> Iterator[PublishedFilm]:
    """Yield the films of an atomic file `*.item`, apart by tabs, whose header names and types the columns.

    Genres are called `class` or `genre`, apart by spaces. A `release_year` that is no year counts as not known.
    """
    lines = _lines(path)
    header = next(lines, (1, ""))[1].split("\t")
    missing = next((name for name in ITEM_HEADER if name not in header), None)
    if missing is not None:
        refuse(path, f"has no column {missing!r} in its header", "the typed header of an atomic file")
    names = [name.partition(":")[0] for name in header]
    for number, line in lines:
        place = f"line {number}"
        cells = line.split("\t")
        if len(cells) != len(names):
            refuse(path, f"has {len(cells)} columns on {place}", f"{len(names)}, as many as its header")
        row = dict(zip(names, cells, strict=True))
        year = row.get("release_year", "")
        yield PublishedFilm(
            place=place,
            number=_number(path, place, row["item_id"]),
            title=row["movie_title"],
            genres=tuple((row.get("class") or row.get("genre") or "").split()),
            year=int(year) if re.fullmatch(r"(?:18|19|20)[0-9]{2}", year) else None,
        )


def _csv_rows(path: Path, header: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader((f"{line}\n" for _, line in _lines(path)), strict=True)
    try:
        found = next(reader, None) or []
        if tuple(found) != tuple(header):
            refuse(path, f"has the header {shown(','.join(found))}", ",".join(header))
        for cells in reader:
            place = f"line {reader.line_num}"
            if len(cells) != len(header):
                refuse(path, f"has {len(cells)} cells on {place}", f"{len(header)}, as many as its header")
            yield place, cells
    except csv.Error as error:
        refuse(path, f"is malformed at line {reader.line_num} ({error})", "comma-separated values", error)


def _lines(path: Path, *, latin: bool = False) -> Generator[tuple[int, str]]:
    """Yield the numbered lines of *path* without their ends; one that is not UTF-8 is refused, or is *latin*."""
    with path.open("rb") as file:
        found = recognised(file.read(HEAD_BYTES))
        if found is not None:
            refuse(path, f"is {found}", "text")
        file.seek(0)
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                refuse(path, f"has over {_LONGEST_LINE >> 20} MiB on line {number}", "a film a line")
            yield number, _decoded(path, number, line, latin=latin).rstrip("\r\n")


def _decoded(path: Path, number: int, line: bytes, *, latin: bool) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        if latin:
            return line.decode("latin-1")
        refuse(path, f"is not UTF-8 on line {number}", "text in UTF-8, as it was published", error)


def _number(path: Path, place: str, text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_ID)) else 0
    if not 1 <= number <= LARGEST_ID:
        refuse(path, f"has the number {shown(text)} on {place}", f"a whole number from 1 to {LARGEST_ID:,}")
    return number


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _day(path: Path, place: str, text: str) -> date | None:
    if not text:
        return None
    found = re.fullmatch(r"([0-9]{1,2})-([A-Z][a-z]{2})-([0-9]{4})", text)
    try:
        # Not strptime: it reads months in the language of the machine.
        day, month, year = found.groups() if found else ("0", "Jan", "1")
        return date(int(year), _MONTHS.index(month) + 1, int(day))
    except ValueError as error:
        refuse(path, f"has the date {shown(text)} on {place}", "a date such as 01-Jan-1995", error)
