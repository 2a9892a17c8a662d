"""`search` and `similar`: what is near a text, or near a record."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from media_gateway.cli.answers import (
    Answer,
    Wanted,
    timed,
    timed_popular,
    timed_search,
    timed_similar,
    timed_words,
    timing,
)
from media_gateway.cli.conditions import (
    FromOption,
    GenreOption,
    MaxRatingOption,
    MinRatingOption,
    ToOption,
    TypeOption,
    WhereOption,
    condition_of,
)
from media_gateway.cli.explaining import explanation_as_json, print_explanation
from media_gateway.cli.interpreting import InterpretOption, KeepOption, interpretation, interpretation_line
from media_gateway.cli.modes import HybridOption, Mode, TextWeightOption, WordsOption, chosen_mode
from media_gateway.cli.options import BackendOption, JsonOption, examples, place, read_settings
from media_gateway.cli.output import hit_as_json, note, print_hits, print_json
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.interpreting import Interpreted
    from media_gateway.settings import Settings

CountOption = Annotated[int, typer.Option("-k", help="How many to find, 1 to 10,000.")]
MinScoreOption = Annotated[
    float | None, typer.Option(help="Only what scores above this cosine similarity, -1 to 1.", show_default=False)
]
ExactOption = Annotated[bool, typer.Option("--exact", help="Compare with everything instead of using the index.")]
ExplainOption = Annotated[bool, typer.Option("--explain", help="Tell how the store found them, and why that way.")]


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
    hybrid: HybridOption = False,
    words: WordsOption = False,
    text_weight: TextWeightOption = None,
    interpret: InterpretOption = False,
    keep: KeepOption = None,
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
    explain: ExplainOption = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find films and series whose meaning is nearest to TEXT, or to a vector of the collection's model.

    With --words, or --hybrid, TEXT may have "quoted phrases", which must be there, and -words, which must not.
    """
    from media_gateway.cli.vectors import check_one_subject

    check_one_subject(text, vector, vector_json)
    mode = chosen_mode(text, hybrid=hybrid, words=words, text_weight=text_weight)
    condition = condition_of(
        media_type=media_type, genres=genre or (), rating=(min_rating, max_rating), released=(since, until), where=where
    )
    named = interpretation(text, condition, interpret=interpret, keep=keep or ())
    settings = read_settings(context, backend)
    wanted = Wanted(
        k=k,
        where=condition if named is None else named.where,
        min_score=min_score,
        exact=exact,
        explain=explain,
    )
    if text is None:
        answer = run(lambda: _search_vector(settings, vector, vector_json, wanted))
    else:
        answer = run(lambda: _search(settings, text, wanted, mode, named))
    _print_answer(answer, settings, as_json=as_json, named=named)
    if explain and answer.by_popularity:
        note("nothing was searched for, so there is nothing to explain")


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
    'media-gateway search --words "Keanu matrix 1999"',
    'media-gateway search --hybrid "Nolan film about dreams -interstellar"',
    'media-gateway search --interpret "90s movies about toys"',
    'media-gateway search --interpret "war movies of the sixties" --keep war',
    "media-gateway search --vector query.npy -k 5",
    'media-gateway search "a quiet evening" --max-rating 4 --explain',
)
SIMILAR_EXAMPLES = examples(
    "media-gateway similar movie-603",
    "media-gateway similar tv-1396 --type movie --min-rating 8 --json",
)


async def _search(settings: "Settings", text: str, wanted: Wanted, mode: Mode, named: "Interpreted | None") -> Answer:
    from media_gateway.wiring import open_collection, open_gateway

    is_filter_alone = named is not None and named.is_filter_alone
    left = text if named is None else named.text
    if mode.mode != "words" or is_filter_alone:
        async with open_gateway(settings, writable=False) as gateway:
            if is_filter_alone and (answer := await timed_popular(gateway, wanted)) is not None:
                return answer
            if mode.mode == "words":
                return await timed_words(gateway.store, left, wanted)
            return await timed_search(gateway, left, wanted, mode)
    store = await open_collection(settings)
    try:
        return await timed_words(store, left, wanted)
    finally:
        await store.aclose()


async def _search_vector(settings: "Settings", file: Path | None, text: str | None, wanted: Wanted) -> Answer:
    from media_gateway.cli.vectors import given_vector
    from media_gateway.models import SearchRequest
    from media_gateway.wiring import open_collection

    request = SearchRequest(
        vector=given_vector(file, text), k=wanted.k, where=wanted.where, min_score=wanted.min_score, exact=wanted.exact
    )
    store = await open_collection(settings)
    try:
        return await timed(store, request, explain=wanted.explain)
    finally:
        await store.aclose()


async def _similar(settings: "Settings", key: str, wanted: Wanted) -> Answer:
    from media_gateway.wiring import open_collection

    store = await open_collection(settings)
    try:
        return await timed_similar(store, key, wanted)
    finally:
        await store.aclose()


def _print_answer(answer: Answer, settings: "Settings", *, as_json: bool, named: "Interpreted | None" = None) -> None:
    line = f"{timing(answer, 'to load the model and embed the text')}; {place(settings)}"
    if as_json:
        print_json(_answer_as_json(answer, named))
        note(line)
    else:
        if answer.result.hits:
            print_hits(answer.result.hits)
        if named is not None:
            typer.echo(interpretation_line(named, by_popularity=answer.by_popularity))
        typer.echo(line)
        if answer.explanation is not None:
            print_explanation(answer.explanation)
    if answer.is_empty:
        note("nothing is loaded there yet; try: media-gateway load sample")


def _answer_as_json(answer: Answer, named: "Interpreted | None") -> list[dict[str, Any]] | dict[str, Any]:
    """Return a list of hits or, where more was asked for, an object that has them."""
    hits = [hit_as_json(hit) for hit in answer.result.hits]
    beside: dict[str, Any] = {}
    if named is not None:
        beside |= named.as_json() | {"ordered_by": "popularity" if answer.by_popularity else "score"}
    if answer.explanation is not None:
        beside["explanation"] = explanation_as_json(answer.explanation)
    return {"hits": hits, **beside} if beside else hits
