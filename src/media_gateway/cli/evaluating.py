"""`learn evaluate`: the recommender beside simple rankings and the usual models."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from media_gateway.cli.options import BackendChoice, examples, read_settings
from media_gateway.cli.output import note, print_table
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.embeddings.local import LocalEmbedder
    from media_gateway.filters import Condition
    from media_gateway.learning.evaluation.log import EventLog
    from media_gateway.learning.evaluation.queries import Narrow
    from media_gateway.learning.evaluation.results import Evaluation
    from media_gateway.learning.evaluation.run import OpenModel
    from media_gateway.learning.interests.memory import MemoryInterests
    from media_gateway.transfer import MovieLensFilm

EVALUATE_EXAMPLES = examples(
    "media-gateway learn evaluate --dataset ml-100k",
    "media-gateway learn evaluate --dataset ml-100k --json results.json --report learning.md",
    "media-gateway learn evaluate --dataset ml-100k --through postgres --recommendations lists.parquet",
)
_PLACES: Final = {"memory": "memory", "postgres": "PostgreSQL"}


def evaluate(
    context: typer.Context,
    dataset: Annotated[
        Path, typer.Option(metavar="DIR", help="A MovieLens folder, as published or as RecBole ships it.")
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures there.", show_default=False)
    ] = None,
    recommendations: Annotated[
        Path | None,
        typer.Option(metavar="FILE.parquet", help="Write every ranking of every method there.", show_default=False),
    ] = None,
    through: Annotated[
        str, typer.Option(metavar="<memory|postgres>", help="Where the recommender keeps what it learns meanwhile.")
    ] = "memory",
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="Write the tables there.", show_default=False)
    ] = None,
) -> None:
    """Measure the recommender beside simple rankings and the usual models, on the ratings of a MovieLens folder.

    All protocols of docs/learning.md; the others are tuned on the first 70 % of the ratings. Takes minutes. Through PostgreSQL
    it learns in a database of its own, which is dropped in the end.
    """
    _check_folders(json_file, recommendations, report)
    open_model = _opener(context, through)
    evaluation, log = run(lambda: _evaluated(dataset, open_model, f"event by event in {_PLACES[through]}"))
    if json_file is not None:
        import orjson

        from media_gateway.learning.evaluation.files import as_json

        json_file.write_bytes(orjson.dumps(as_json(evaluation), option=orjson.OPT_INDENT_2) + b"\n")
        note(f"wrote {json_file}")
    if recommendations is not None:
        from media_gateway.learning.evaluation.files import write_recommendations

        write_recommendations(evaluation, log, recommendations)
        note(f"wrote {recommendations}")
    if report is not None:
        from media_gateway.learning.evaluation.report import tables

        report.write_text(f"# Evaluation\n\n{tables(evaluation)}", encoding="utf-8")
        note(f"wrote {report}")
    _print(evaluation)


def _check_folders(*files: Path | None) -> None:
    """Raise InvalidInputError for a file in a folder that is not there: what takes minutes must not fail at its end."""
    from media_gateway.errors import InvalidInputError

    for file in files:
        if file is not None and not file.parent.is_dir():
            raise InvalidInputError(
                f"{file} cannot be written: there is no folder {file.parent}; name one that exists",
                field="file",
                given=str(file),
                expected="a file in a folder that exists",
            )


def _opener(context: typer.Context, through: str) -> "OpenModel":
    """Return what opens the recommender, empty; raises InvalidInputError for a place that there is not."""
    from contextlib import asynccontextmanager

    from media_gateway.embeddings.local import LocalEmbedder
    from media_gateway.errors import InvalidInputError, shown
    from media_gateway.learning.interests.memory import MemoryInterests
    from media_gateway.wiring import open_scratch_interests

    if through not in _PLACES:
        raise InvalidInputError(
            f"--through is {shown(through)}; expected 'memory' or 'postgres'",
            field="through",
            given=through,
            expected="memory or postgres",
        )
    if through == "postgres":
        settings = read_settings(context, BackendChoice.postgres)
        return lambda: open_scratch_interests(settings, space=LocalEmbedder().space)

    @asynccontextmanager
    async def in_memory() -> "AsyncGenerator[MemoryInterests]":
        yield MemoryInterests()

    return in_memory


async def _evaluated(dataset: Path, open_model: "OpenModel", learner: str) -> "tuple[Evaluation, EventLog]":
    from media_gateway.embeddings.local import LocalEmbedder
    from media_gateway.learning.evaluation.run import Subject
    from media_gateway.learning.evaluation.run import evaluate as evaluated
    from media_gateway.learning.interests.settings import InterestSettings

    embedder = LocalEmbedder()
    try:
        log, narrow = await _read(dataset, embedder)
        subject = Subject(
            log=log,
            open_model=open_model,
            learner=learner,
            settings=InterestSettings(),
            embed=lambda texts: embedder.embed(texts, "query"),
            narrow=narrow,
        )
        return await evaluated(subject, on_work=note), log
    finally:
        await embedder.aclose()


async def _read(dataset: Path, embedder: "LocalEmbedder") -> "tuple[EventLog, Narrow]":
    """Return the ratings in *dataset* as a log, and how a query narrows its films."""
    import numpy as np

    from media_gateway.learning.evaluation.log import Items, event_log
    from media_gateway.query_words import named_filters
    from media_gateway.transfer import open_movielens

    folder = open_movielens(dataset)
    films = folder.films
    events = [event async for event in folder.ratings().events()]
    note(f"embedding {len(films):,} films")
    text = await embedder.embed([film.text for film in films])
    genres, years = ([film.extra.get(name) for film in films] for name in ("genres", "year"))
    items = Items(
        keys=[film.key for film in films],
        text=np.asarray(text, dtype=np.float64),
        genres=[[str(genre) for genre in some] if isinstance(some, list) else [] for some in genres],
        years=[year if isinstance(year, int) else None for year in years],
    )

    def narrow(query: str) -> "np.ndarray[tuple[int], np.dtype[np.bool_]] | None":
        condition = named_filters(query).condition
        return None if condition is None else np.array([_passes(film, condition) for film in films])

    return event_log(items, events), narrow


def _passes(film: "MovieLensFilm", condition: "Condition") -> bool:
    from media_gateway.filters import And, GenresAny, MediaTypeIs, ReleasedBetween

    match condition:
        case And(parts=parts):
            return all(_passes(film, part) for part in parts)
        case GenresAny(ids=ids):
            return not set(ids).isdisjoint(film.genre_ids)
        case MediaTypeIs(media_type=kind):
            return film.media_type == kind
        case ReleasedBetween(first=first, last=last):
            day = film.release_date
            return day is not None and (first is None or first <= day) and (last is None or day <= last)
        case _:
            return True


def _print(evaluation: "Evaluation") -> None:
    from media_gateway.learning.evaluation.report import written

    print_table(
        ("method", *evaluation.protocols),
        [
            (method, *(written(evaluation.estimate(protocol, method)) for protocol in evaluation.protocols))
            for method in evaluation.methods
        ],
        right=evaluation.protocols,
    )
    print_table(
        ("goal", "wanted", "found", "met"),
        [
            (goal.name, f"{goal.wanted:g}", written(goal.estimate), "yes" if goal.is_met else "no")
            for goal in evaluation.goals
        ],
        right=("wanted", "found"),
    )
