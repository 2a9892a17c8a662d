"""Queries that name a genre or an era: that anybody typed them is made up, what the users liked is real."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from media_gateway.learning.evaluation.baselines import like_counts, standard
from media_gateway.learning.evaluation.log import EventLog
from media_gateway.learning.evaluation.metrics import Estimate, best_rows, mean_estimate, ndcg, ratio_estimate
from media_gateway.learning.evaluation.protocols import DEPTH
from media_gateway.learning.interests.arrays import Flags, Ids, Numbers
from media_gateway.models import Matrix

Embed: TypeAlias = Callable[[Sequence[str]], Awaitable[Matrix]]
Narrow: TypeAlias = Callable[[str], Flags | None]
"""Which items pass the filters that a query's words name; None where no word names one."""

STATIC: Final = "text"
STATIC_POPULARITY: Final = "text + popularity"
PARSED: Final = "parsed filters + popularity"
METHODS: Final = (STATIC, STATIC_POPULARITY, PARSED)
_TEXT_WEIGHTS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
_DECADES: Final = (1930, 1940, 1950, 1960, 1970, 1980, 1990)
_SPOKEN: Final = ("thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties")
_FORMS: Final = (
    "{genre} films from the {decade}s",
    "{short}s {genre} movies",
    "the best {genre} of the {decade}s",
    "{genre} movies of the {spoken}",
)
_GENRE_FORMS: Final = ("{genre} films", "a good {genre} movie")
_OTHER_WORDINGS: Final[Mapping[str, str]] = {
    "Action": "chases, explosions and fights",
    "Adventure": "a perilous journey to far countries",
    "Animation": "drawn characters that talk and sing",
    "Children's": "something to watch with the little ones",
    "Comedy": "make me laugh tonight",
    "Crime": "gangsters and a robbery that goes wrong",
    "Documentary": "a true account of real people",
    "Drama": "people whose lives fall apart",
    "Fantasy": "wizards, dragons and spells",
    "Film-Noir": "a cynical detective and a dangerous woman",
    "Horror": "something scary with monsters",
    "Musical": "singing and dancing on stage",
    "Mystery": "who killed the guest at the country house",
    "Romance": "two people fall in love",
    "Sci-Fi": "spaceships, aliens and the future",
    "Thriller": "keeps me on the edge of my seat",
    "War": "soldiers in battle",
    "Western": "cowboys and gunfights on the frontier",
}


@dataclass(frozen=True, kw_only=True)
class Query:
    """A *text*, and the items (rows) that it asks for; *plain* ones name genre or era, others circumscribe a genre."""

    text: str
    asked_for: Ids
    held_out: bool
    plain: bool


@dataclass(frozen=True, kw_only=True)
class QueryResults:
    """Mean NDCG@10 of each method for the plain queries seen in tuning, those held out, and the other wordings.

    *gain* is parsed filters against text on held-out queries, *other_wordings* the same against text + popularity on
    wordings without any word of a filter.
    """

    count: int
    seen: Mapping[str, Estimate]
    held_out: Mapping[str, Estimate]
    other: Mapping[str, Estimate]
    gain: Estimate
    other_wordings: Estimate


def queries(log: EventLog) -> list[Query]:
    """Return the queries that ask for at least five of the items, every second one held out; none without genres."""
    if not log.items.genres:
        return []
    asked = [
        (text, genre, decade, plain)
        for text, genre, decade, plain in _templates(log)
        if len(_matching(log, genre, decade)) >= 5  # noqa: PLR2004
    ]
    return [
        Query(text=text, asked_for=_matching(log, genre, decade), held_out=place % 2 == 1, plain=plain)
        for place, (text, genre, decade, plain) in enumerate(asked)
    ]


async def query_results(log: EventLog, embed: Embed, narrow: Narrow) -> QueryResults | None:
    """Return how queries find what users who came after 70 % of *log* liked; None when items have no genres and years.

    Rankings know the likes before 70 % alone. The weight of the text beside popularity is the one that serves best
    the queries that are not held out, on users who came between 50 % and 70 %.
    """
    every = queries(log)
    if not any(query.plain for query in every):
        return None
    vectors = np.asarray(await embed([query.text for query in every]), dtype=np.float64)
    start = log.cut(0.7)
    early = log.before(start)
    tuning = _ranker(early.before(early.cut(5 / 7)), every, vectors, narrow)
    open_ones = [place for place, query in enumerate(every) if query.plain and not query.held_out]
    newcomers = _likes_of_newcomers(early, early.cut(5 / 7))
    weight = max(
        _TEXT_WEIGHTS,
        key=lambda weight: float(
            np.mean(_cases(every, open_ones, newcomers, lambda place: tuning(STATIC_POPULARITY, place, weight))[0])
        ),
    )
    rank = _ranker(early, every, vectors, narrow)
    return _results(every, _likes_of_newcomers(log, start), lambda method, place: rank(method, place, weight))


def _results(every: Sequence[Query], newcomers: Mapping[int, Ids], rank: Callable[[str, int], Ids]) -> QueryResults:
    groups = {
        "seen": [place for place, query in enumerate(every) if query.plain and not query.held_out],
        "held_out": [place for place, query in enumerate(every) if query.plain and query.held_out],
        "other": [place for place, query in enumerate(every) if not query.plain],
    }
    found = {
        (group, method): _cases(every, places, newcomers, lambda place, method=method: rank(method, place))
        for group, places in groups.items()
        for method in METHODS
    }
    means = {group: {method: mean_estimate(*found[group, method]) for method in METHODS} for group in groups}
    users = {group: found[group, STATIC][1] for group in groups}
    return QueryResults(
        count=len(groups["seen"]) + len(groups["held_out"]),
        seen=means["seen"],
        held_out=means["held_out"],
        other=means["other"],
        gain=ratio_estimate(found["held_out", PARSED][0], found["held_out", STATIC][0], users["held_out"]),
        other_wordings=ratio_estimate(found["other", PARSED][0], found["other", STATIC_POPULARITY][0], users["other"]),
    )


def _cases(
    every: Sequence[Query], places: Sequence[int], newcomers: Mapping[int, Ids], rank: Callable[[int], Ids]
) -> tuple[list[float], list[int]]:
    """Return the NDCG@10 of each query for each user who liked something that it asks for, and the users."""
    values: list[float] = []
    users: list[int] = []
    for place in places:
        ranked = rank(place)
        for user, liked in newcomers.items():
            relevant = np.intersect1d(liked, every[place].asked_for)
            if len(relevant):
                values.append(ndcg(ranked, relevant, depth=DEPTH))
                users.append(user)
    return values, users


def _ranker(
    past: EventLog, every: Sequence[Query], vectors: Numbers, narrow: Narrow
) -> Callable[[str, int, float], Ids]:
    counts = like_counts(past)
    popular = standard(np.log1p(counts))
    nothing = np.array([], dtype=np.int64)

    def rank(method: str, place: int, weight: float) -> Ids:
        text = past.items.text @ vectors[place]
        scores = text if method == STATIC else popular + weight * standard(text)
        passing = narrow(every[place].text) if method == PARSED else None
        left_out = nothing
        if passing is not None:
            scores, left_out = counts, np.flatnonzero(~passing)
        return best_rows(scores[np.newaxis], [left_out], np.random.default_rng(place), depth=DEPTH)[0]

    return rank


def _likes_of_newcomers(log: EventLog, start: int) -> dict[int, Ids]:
    return {
        user: log.rows[places[log.liked[places]]]
        for user, places in enumerate(log.by_user)
        if len(places) and places[0] >= start and log.liked[places].any()
    }


def _templates(log: EventLog) -> list[tuple[str, str | None, int | None, bool]]:
    genres = sorted({genre for some in log.items.genres for genre in some})
    made: list[tuple[str, str | None, int | None, bool]] = []
    for place, genre in enumerate(genres):
        named = genre.lower()
        made.append((_GENRE_FORMS[place % 2].format(genre=named), genre, None, True))
        for turn, decade in enumerate(_DECADES):
            form = _FORMS[(place + turn) % len(_FORMS)]
            text = form.format(genre=named, decade=decade, short=decade % 100, spoken=_SPOKEN[turn])
            made.append((text, genre, decade, True))
    made.extend((f"films from the {decade}s", None, decade, True) for decade in _DECADES)
    made.extend((_OTHER_WORDINGS[genre], genre, None, False) for genre in genres if genre in _OTHER_WORDINGS)
    return made


def _matching(log: EventLog, genre: str | None, decade: int | None) -> Ids:
    items = log.items
    return np.array(
        [
            row
            for row, (genres, year) in enumerate(zip(items.genres, items.years, strict=True))
            if (genre is None or genre in genres)
            and (decade is None or (year is not None and decade <= year < decade + 10))
        ],
        dtype=np.int64,
    )
