"""Feature vectors of films and series: 64 numbers from what is known of a title, without any model.

| numbers | of | weight |
|---|---|---|
| 0-9 | genres, TMDB's in ten groups | 0.30 |
| 10-17 | the type: four for films, four for series | 0.15 |
| 18-25 | popularity, its root, rating, rating^1.5, recency, recency^0.7, duration, its logarithm | 0.25 |
| 26-63 | the words of title and overview, hashed | 0.30 |

Genres, type and words are brought to length 1 by themselves and the eight facts, each in [0, 1], are divided by the
root of eight, so that no part outgrows its weight; each part is then multiplied by its weight and the whole brought to
length 1. docs/howto/agentdb.md tells how good they are.
"""

import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from media_gateway.models import Matrix, MediaContent, Vector
from media_gateway.vector_math import unit

DIMENSION: Final = 64
GENRES: Final = slice(0, 10)
TYPE: Final = slice(10, 18)
FACTS: Final = slice(18, 26)
WORDS: Final = slice(26, 64)
WEIGHTS: Final = {"genres": 0.30, "type": 0.15, "facts": 0.25, "words": 0.30}

_GROUPS: Final[tuple[frozenset[int], ...]] = (
    frozenset({28, 12, 10759}),  # action, adventure
    frozenset({16, 10751, 10762}),  # animation, family, children
    frozenset({35}),  # comedy
    frozenset({80, 53, 9648}),  # crime, thriller, mystery
    frozenset({99, 36, 10763}),  # documentary, history, news
    frozenset({18, 10766}),  # drama, soap
    frozenset({14, 878, 10765}),  # fantasy, science fiction
    frozenset({27}),  # horror
    frozenset({10749, 10402}),  # romance, music
    frozenset({10752, 37, 10768, 10764, 10767, 10770}),  # war, western, politics, reality, talk, television film
)
_GROUP_OF: Final = {number: place for place, group in enumerate(_GROUPS) for number in group}
_FULL_POPULARITY: Final = 100.0
"""TMDB's popularity has no bound; beyond this is what everybody speaks of."""
_FULL_YEARS: Final = 20.0
_FULL_MINUTES: Final = 300.0
_DAYS_A_YEAR: Final = 365.25
_SHORTEST_WORD: Final = 4
_WORD: Final = re.compile(r"[^\W\d_]+")

_Row = npt.NDArray[np.float64]


class ContentEmbeddings:
    """Makes feature vectors as of the day *on*: the same titles give the same numbers on any machine and any day."""

    def __init__(self, *, on: date) -> None:
        self._on = on

    def vector(self, content: MediaContent) -> Vector:
        """Return the (64,) float32 unit vector of *content*.

        What is not known counts as 0, an unknown genre by its number modulo 10; popularity and duration in minutes are
        *extra*'s `popularity` and `runtime`. Titles released after the day count as new as those released on it.
        """
        row = np.zeros(DIMENSION, dtype=np.float64)
        row[GENRES] = WEIGHTS["genres"] * _unit(_genres(content.genre_ids))
        row[TYPE] = WEIGHTS["type"] * _unit(_type(content))
        row[FACTS] = WEIGHTS["facts"] * self._facts(content) / math.sqrt(FACTS.stop - FACTS.start)
        row[WORDS] = WEIGHTS["words"] * _unit(_words(f"{content.title} {content.overview}"))
        return unit(row)

    def vectors(self, contents: Sequence[MediaContent]) -> Matrix:
        """Return one unit vector a title: (n, 64) float32; (0, 64) for none."""
        rows = [self.vector(content) for content in contents]
        return np.stack(rows) if rows else np.empty((0, DIMENSION), dtype=np.float32)

    def _facts(self, content: MediaContent) -> _Row:
        popularity = min(_positive(content.extra, "popularity") / _FULL_POPULARITY, 1.0)
        rating = (content.vote_average or 0.0) / 10.0
        recency = self._recency(content.release_date)
        minutes = min(_positive(content.extra, "runtime"), _FULL_MINUTES)
        return np.array(
            [
                *(popularity, math.sqrt(popularity), rating, rating**1.5, recency, recency**0.7),
                *(minutes / _FULL_MINUTES, math.log1p(minutes) / math.log1p(_FULL_MINUTES)),
            ]
        )

    def _recency(self, released: date | None) -> float:
        if released is None:
            return 0.0
        years = max((self._on - released).days, 0) / _DAYS_A_YEAR
        return max(1.0 - years / _FULL_YEARS, 0.0)


def _genres(numbers: Iterable[int]) -> _Row:
    row = np.zeros(GENRES.stop - GENRES.start)
    for number in numbers:
        row[_GROUP_OF.get(number, number % len(row))] += 1.0
    return row


def _type(content: MediaContent) -> _Row:
    row = np.zeros(TYPE.stop - TYPE.start)
    half = len(row) // 2
    row[:half] = content.media_type == "movie"
    row[half:] = content.media_type == "tv"
    return row


def _words(text: str) -> _Row:
    row = np.zeros(WORDS.stop - WORDS.start)
    for word in _WORD.findall(text.lower()):
        if len(word) >= _SHORTEST_WORD:
            # Not hash(), which is another one in each process.
            row[zlib.crc32(word.encode()) % len(row)] += 1.0
    return row


def _unit(row: _Row) -> _Row:
    length = math.sqrt(float((row * row).sum()))
    return row / length if length > 0 else row


def _positive(facts: Mapping[str, Any], name: str) -> float:
    value = facts.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0.0
    return max(float(value), 0.0)
