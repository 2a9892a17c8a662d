"""`search` and `similar`: what is near a text, or near a record."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from media_gateway.cli.options import BackendOption, JsonOption, TypeChoice, examples, media_type, place, read_settings
from media_gateway.cli.output import hit_as_json, note, print_hits, print_json
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.contracts import VectorStore
    from media_gateway.filters import Condition
    from media_gateway.gateway import Gateway
    from media_gateway.models import SearchRequest, SearchResult
    from media_gateway.settings import Settings

CountOption = Annotated[int, typer.Option("-k", help="How many to find, 1 to 10,000.")]
TypeOption = Annotated[
    TypeChoice | None,
    typer.Option("--type", parser=media_type, metavar="<movie|tv>", help="Films or series only.", show_default=False),
]
GenreOption = Annotated[
    list[str] | None,
    typer.Option("--genre", help="Of this genre, by name or TMDB id; given again: of any of them.", show_default=False),
]
MinRatingOption = Annotated[float | None, typer.Option(help="Rated at least so, of 10.", show_default=False)]
MaxRatingOption = Annotated[float | None, typer.Option(help="Rated at most so, of 10.", show_default=False)]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="YEAR|DATE", help="Released in that year or on that day, or later.", show_default=False
    ),
]
ToOption = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="YEAR|DATE", help="Released in that year or on that day, or earlier.", show_default=False
    ),
]
WhereOption = Annotated[
    str | None,
    typer.Option(
        metavar="JSON", help='Any filter, such as {"metadata": "country", "equals": "FR"}.', show_default=False
    ),
]
MinScoreOption = Annotated[
    float | None, typer.Option(help="Only what scores above this cosine similarity, -1 to 1.", show_default=False)
]
ExactOption = Annotated[bool, typer.Option("--exact", help="Compare with everything instead of using the index.")]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How many hits of which kind: the options that `search` and `similar` share."""

    k: int
    where: "Condition | None"
    min_score: float | None
    exact: bool


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A result, the milliseconds that the store took for it and, where there was a text, those of embedding that.

    *is_empty* tells that nothing was ever loaded.
    """

    result: "SearchResult"
    store_ms: float
    embedding_ms: float | None
    is_empty: bool


def search(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="What to look for, in words.", show_default=False)] = None,
    vector: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npy", help="A vector of your own instead of a text.", show_default=False),
    ] = None,
    vector_json: Annotated[
        str | None, typer.Option(metavar="JSON", help="The same, as a JSON list of numbers.", show_default=False)
    ] = None,
    k: CountOption = 10,
    media_type: TypeOption = None,
    genre: GenreOption = None,
    min_rating: MinRatingOption = None,
    max_rating: MaxRatingOption = None,
    since: FromOption = None,
    until: ToOption = None,
    where: WhereOption = None,
    min_score: MinScoreOption = None,
    exact: ExactOption = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find films and series whose meaning is nearest to TEXT, or to a vector of the collection's model."""
    from media_gateway.cli.vectors import check_one_subject

    check_one_subject(text, vector, vector_json)
    condition = condition_of(
        media_type=media_type, genres=genre or (), rating=(min_rating, max_rating), released=(since, until), where=where
    )
    settings = read_settings(context, backend)
    wanted = Wanted(k=k, where=condition, min_score=min_score, exact=exact)
    if text is None:
        answer = run(lambda: _search_vector(settings, vector, vector_json, wanted))
    else:
        answer = run(lambda: _search(settings, text, wanted))
    _print_answer(answer, settings, as_json=as_json)


def similar(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="A record's key, such as movie-603.")],
    k: CountOption = 10,
    media_type: TypeOption = None,
    genre: GenreOption = None,
    min_rating: MinRatingOption = None,
    max_rating: MaxRatingOption = None,
    since: FromOption = None,
    until: ToOption = None,
    where: WhereOption = None,
    min_score: MinScoreOption = None,
    exact: ExactOption = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what is nearest to the record KEY, which is left out itself."""
    condition = condition_of(
        media_type=media_type, genres=genre or (), rating=(min_rating, max_rating), released=(since, until), where=where
    )
    settings = read_settings(context, backend)
    wanted = Wanted(k=k, where=condition, min_score=min_score, exact=exact)
    _print_answer(run(lambda: _similar(settings, key, wanted)), settings, as_json=as_json)


SEARCH_EXAMPLES = examples(
    'media-gateway search "like Inception but lighter"',
    'media-gateway search "cartoon about toys" --type movie -k 5',
    'media-gateway search "space opera" --genre "Science Fiction" --from 1990 --to 2005-06-30',
    """media-gateway search "heist" --where '{"metadata": "country", "equals": "FR"}' --json""",
    "media-gateway search --vector query.npy -k 5",
)
SIMILAR_EXAMPLES = examples(
    "media-gateway similar movie-603",
    "media-gateway similar tv-1396 --type movie --min-rating 8 --json",
)


def condition_of(
    *,
    media_type: TypeChoice | None,
    genres: Sequence[str],
    rating: tuple[float | None, float | None],
    released: tuple[str | None, str | None],
    where: str | None,
) -> "Condition | None":
    """Return the condition that all of the filter options give together, or None when none is given.

    Raises InvalidFilterError for a genre, a day or a JSON filter that cannot be understood.
    """
    from media_gateway.cli.genres import genre_ids
    from media_gateway.filter_json import condition_from_text
    from media_gateway.filters import And, GenresAny, MediaTypeIs, RatingBetween, ReleasedBetween

    parts: list[Condition] = []
    if media_type is not None:
        parts.append(MediaTypeIs(media_type.value))
    if genres:
        parts.append(GenresAny([number for genre in genres for number in genre_ids(genre)]))
    if rating != (None, None):
        parts.append(RatingBetween(low=rating[0], high=rating[1]))
    if released != (None, None):
        first, last = released
        parts.append(ReleasedBetween(first=_day(first, "from", "01-01"), last=_day(last, "to", "12-31")))
    if where is not None:
        parts.append(condition_from_text(where))
    if len(parts) > 1:
        return And(parts)
    return parts[0] if parts else None


def _day(given: str | None, option: str, of_year: str) -> date | None:
    from media_gateway.errors import InvalidFilterError, shown
    from media_gateway.models import usable_date

    if given is None:
        return None
    day = usable_date(f"{given}-{of_year}" if len(given) == 4 else given)  # noqa: PLR2004  the digits of a year
    if day is None:
        raise InvalidFilterError(
            f"--{option} is {shown(given)}; expected a year such as 1999 or a day such as 1999-03-30",
            field=option,
            given=given,
            expected="a year or a day",
        )
    return day


async def timed_search(gateway: "Gateway", text: str, wanted: Wanted) -> Answer:
    """Search for *text*, the embedding and the store timed apart."""
    from media_gateway.models import SearchRequest

    began = time.perf_counter()
    vector = await gateway.embed(text)
    embedding_ms = (time.perf_counter() - began) * 1000
    request = SearchRequest(
        vector=vector, k=wanted.k, where=wanted.where, min_score=wanted.min_score, exact=wanted.exact
    )
    return await _answer(gateway.store, request, embedding_ms)


async def timed_similar(store: "VectorStore", key: str, wanted: Wanted) -> Answer:
    """Search for what is near the record *key*; raises NotFoundError when there is none."""
    from media_gateway.errors import NotFoundError
    from media_gateway.models import SearchRequest

    (record,) = await store.get([key])
    if record is None:
        raise NotFoundError(key)
    request = SearchRequest(
        vector=record.vector,
        k=wanted.k,
        where=wanted.where,
        min_score=wanted.min_score,
        exclude=(key,),
        exact=wanted.exact,
    )
    return await _answer(store, request, None)


def timing(answer: Answer, embedding: str = "to embed the text") -> str:
    """Return the line under a table: how many hits, how long the store took for them, and how it found them.

    *embedding* says what the time before that went into.
    """
    hits = len(answer.result.hits)
    before = "" if answer.embedding_ms is None else f", after {answer.embedding_ms:.1f} ms {embedding}"
    how = "compared with all" if answer.result.exact else "by the index"
    return f"{hits} hit{'' if hits == 1 else 's'} in {answer.store_ms:.1f} ms, {how}{before}"


async def _search(settings: "Settings", text: str, wanted: Wanted) -> Answer:
    from media_gateway.wiring import open_gateway

    async with open_gateway(settings, writable=False) as gateway:
        return await timed_search(gateway, text, wanted)


async def _search_vector(settings: "Settings", file: Path | None, text: str | None, wanted: Wanted) -> Answer:
    from media_gateway.cli.vectors import given_vector
    from media_gateway.models import SearchRequest
    from media_gateway.wiring import open_collection

    request = SearchRequest(
        vector=given_vector(file, text), k=wanted.k, where=wanted.where, min_score=wanted.min_score, exact=wanted.exact
    )
    store = await open_collection(settings)
    try:
        return await _answer(store, request, None)
    finally:
        await store.aclose()


async def _similar(settings: "Settings", key: str, wanted: Wanted) -> Answer:
    from media_gateway.wiring import open_collection

    store = await open_collection(settings)
    try:
        return await timed_similar(store, key, wanted)
    finally:
        await store.aclose()


async def _answer(store: "VectorStore", request: "SearchRequest", embedding_ms: float | None) -> Answer:
    began = time.perf_counter()
    result = await store.search(request)
    store_ms = (time.perf_counter() - began) * 1000
    is_empty = not result.hits and (await store.stats()).count == 0
    return Answer(result=result, store_ms=store_ms, embedding_ms=embedding_ms, is_empty=is_empty)


def _print_answer(answer: Answer, settings: "Settings", *, as_json: bool) -> None:
    line = f"{timing(answer, 'to load the model and embed the text')}; {place(settings)}"
    if as_json:
        print_json([hit_as_json(hit) for hit in answer.result.hits])
        note(line)
    else:
        if answer.result.hits:
            print_hits(answer.result.hits)
        typer.echo(line)
    if answer.is_empty:
        note("nothing is loaded there yet; try: media-gateway load sample")
