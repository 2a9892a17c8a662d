"""`demo`: the main job from nothing to answers, on the embedded PostgreSQL."""

import shlex
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from media_gateway.cli.answers import Answer, Wanted, timed_search, timed_similar, timing
from media_gateway.cli.conditions import condition_of
from media_gateway.cli.options import (
    BackendChoice,
    BackendOption,
    JsonOption,
    TypeChoice,
    examples,
    place,
    read_settings,
)
from media_gateway.cli.output import hit_as_json, note, print_hits, print_json
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.cli.loading import Loaded
    from media_gateway.cli.progress import LoadProgress
    from media_gateway.settings import Settings

DEMO_EXAMPLES = examples("media-gateway demo", "media-gateway --backend memory demo", "media-gateway demo --json")


@dataclass(frozen=True, kw_only=True)
class Question:
    """A search of the demo: *subject* is a text, or with *is_key* the record to find the like of."""

    heading: str
    subject: str
    is_key: bool = False
    media_type: TypeChoice | None = None
    since: str | None = None


QUESTIONS: Final = (
    Question(heading="like Inception but lighter", subject="like Inception but lighter"),
    Question(heading="cartoon about toys, films only", subject="cartoon about toys", media_type=TypeChoice.movie),
    Question(
        heading="chemistry teacher turns to crime, series since 2000",
        subject="chemistry teacher turns to crime",
        media_type=TypeChoice.tv,
        since="2000",
    ),
    Question(heading="similar to The Matrix (movie-603)", subject="movie-603", is_key=True),
)
_HITS: Final = 5
_QUERY: Final = "select id, metadata->>'title' from content_vectors limit 5"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the demo did: the load, and the answers in the order of the questions."""

    loaded: "Loaded"
    answers: list[Answer]


ServeOption = Annotated[
    bool, typer.Option("--serve/--no-serve", help="Whether to end with the console: a web page on this machine.")
]
StopOption = Annotated[bool, typer.Option("--stop", help="End the console of an earlier demo, and do nothing else.")]


def demo(
    context: typer.Context,
    serve: ServeOption = True,
    stop: StopOption = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start PostgreSQL in this folder, load the sample catalogue, search it, and serve the console.

    It takes PostgreSQL unless --backend or RUVECTOR_BACKEND says otherwise. Run again it takes seconds and changes
    nothing. The console runs on until demo --stop, as PostgreSQL does until db stop; its address holds a key for a day.
    """
    from media_gateway.cli import demo_console
    from media_gateway.cli.loading import summary
    from media_gateway.cli.progress import LoadProgress

    # The local model whatever the environment holds the keys of: the demo costs nothing and asks nobody.
    settings = read_settings(context, backend, embedding_provider="local")
    if "backend" not in settings.model_fields_set:
        settings = read_settings(context, BackendChoice.postgres, embedding_provider="local")
    if stop:
        typer.echo("the console is stopped" if demo_console.stop(settings) else "no console was running")
        return
    note(f"using {place(settings)}")
    with LoadProgress() as progress:
        shown = run(lambda: _demo(settings, progress))
    if as_json:
        serving = demo_console.start(settings) if serve else None
        print_json({**_as_json(shown, settings), "console": None if serving is None else serving.url})
        return
    typer.echo(summary(shown.loaded, settings))
    for question, answer in zip(QUESTIONS, shown.answers, strict=True):
        typer.echo(f"\n{question.heading}")
        print_hits(answer.result.hits)
        typer.echo(timing(answer))
    typer.echo(_what_next(settings, _is_local(read_settings(context))))
    if serve:
        serving = demo_console.start(settings)
        typer.echo(f"\nThe console, with a key for a day; {_program()} demo --stop ends it:\n\n  {serving.url}\n")


async def _demo(settings: "Settings", progress: "LoadProgress") -> Shown:
    from media_gateway.cli.loading import load
    from media_gateway.cli.servers import start_embedded
    from media_gateway.cli.sources import SAMPLE
    from media_gateway.wiring import open_gateway

    if settings.backend == "postgres" and settings.is_embedded:
        # A plain start, also after `db stop`: whoever runs the demo asks for the server.
        await start_embedded(settings)
    loaded = await load(settings, SAMPLE, None, progress)
    async with open_gateway(settings, writable=False) as gateway:
        # The first question would pay for loading the model and for the connection.
        await gateway.search("warm up", k=1)
        answers: list[Answer] = []
        for question in QUESTIONS:
            condition = condition_of(
                media_type=question.media_type,
                genres=(),
                rating=(None, None),
                released=(question.since, None),
                where=None,
            )
            wanted = Wanted(k=_HITS, where=condition, min_score=None, exact=False)
            if question.is_key:
                answers.append(await timed_similar(gateway.store, question.subject, wanted))
            else:
                answers.append(await timed_search(gateway, question.subject, wanted))
    return Shown(loaded=loaded, answers=answers)


def _is_local(settings: "Settings") -> bool:
    """Whether commands that are given no provider would embed locally, as the demo did."""
    from media_gateway.embeddings.choice import chosen_provider

    return chosen_provider(settings) == "local"


def _what_next(settings: "Settings", local_by_default: bool) -> str:
    program = _program()
    provider = "" if local_by_default else "EMBEDDING_PROVIDER=local "
    prefix = f"{provider}RUVECTOR_BACKEND={settings.backend} {program}"
    commands = [
        f'{prefix} search "cartoon about toys" --type movie -k 5',
        f'{prefix} search "a heist that goes wrong" --genre Crime --from 1990 --json',
        f"{prefix} similar tv-1396",
        f"{prefix} load films.jsonl        # your own titles: JSONL, Parquet or CSV",
        f"{prefix} stats",
    ]
    if settings.backend == "postgres":
        commands.append(f'{program} db psql -c "{_QUERY}"')
        if settings.is_embedded:
            commands.append(f"{program} db stop                # the server runs on until then; its data stays")
    return "\n".join(("\nWhat to try next, in this folder:", *(f"  {command}" for command in commands)))


def _program() -> str:
    """Return how to call this program again: by its name where the shell finds it, else relative to this folder."""
    called = Path(sys.argv[0])
    found = shutil.which(called.name)
    if found is not None and called.exists() and Path(found).samefile(called):
        return shlex.quote(called.name)
    if called.is_absolute() and called.is_relative_to(Path.cwd()):
        called = called.relative_to(Path.cwd())
    return shlex.quote(str(called))


def _as_json(shown: Shown, settings: "Settings") -> dict[str, Any]:
    return {
        "backend": settings.backend,
        "place": place(settings),
        "loaded": asdict(shown.loaded),
        "searches": [
            {
                "question": question.heading,
                "store_ms": answer.store_ms,
                "embedding_ms": answer.embedding_ms,
                "hits": [hit_as_json(hit) for hit in answer.result.hits],
            }
            for question, answer in zip(QUESTIONS, shown.answers, strict=True)
        ],
    }
