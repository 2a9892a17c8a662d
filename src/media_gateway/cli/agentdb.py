"""`agentdb`: an application's cognitive memory, the SQLite file that the npm package writes too."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from media_gateway.cli.options import JsonOption, examples
from media_gateway.cli.output import note, print_facts, print_json, size
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.agentdb import AgentDb, AgentDbInfo, Problem, Provenance, Reembedded

_T = TypeVar("_T")

_EXAMPLES = examples(
    "media-gateway agentdb info agentdb.db",
    "media-gateway agentdb check agentdb.db --json",
    "media-gateway agentdb nightly agentdb.db --dry-run",
    "media-gateway agentdb reembed agentdb.db",
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="An AgentDB file: patterns, episodes and skills of an application, in SQLite.",
    epilog=_EXAMPLES,
)

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="The AgentDB file.", show_default=False)]


@app.command(epilog=examples("media-gateway agentdb info agentdb.db", "media-gateway agentdb info agentdb.db --json"))
def info(path: PathArgument, as_json: JsonOption = False) -> None:
    """Tell what a file holds, which variant it is, and what made its vectors. Changes nothing, also beside a writer."""
    found = run(lambda: _with_file(path, lambda db: db.info()))
    if as_json:
        print_json(_info_as_json(found))
        return
    facts: dict[str, object] = {
        "file": found.path,
        "size": size(found.bytes),
        "variant": str(found.variant),
        "patterns": found.patterns,
        "episodes": found.episodes,
        "sessions": found.sessions,
        "skills": found.skills,
        "links": found.links,
        "edges": found.edges,
    }
    facts.update((f"vectors of {kind}", _told(one)) for kind, one in found.embeddings.items())
    print_facts(facts)
    if not all(one.is_comparable for one in found.embeddings.values()):
        note(f"searches by text find little in vectors of another model; try: media-gateway agentdb reembed {path}")


@app.command(epilog=examples("media-gateway agentdb check agentdb.db", "media-gateway agentdb check agentdb.db --json"))
def check(path: PathArgument, as_json: JsonOption = False) -> None:
    """Look a file over: SQLite's own checks, vectors, JSON and values. Changes nothing; exit code 1 when it is not sound."""
    problems = run(lambda: _with_file(path, lambda db: db.check(), embeds=False))
    if as_json:
        print_json({"path": str(path), "ok": not problems, "problems": [asdict(problem) for problem in problems]})
    elif not problems:
        typer.echo(f"{path} is sound")
    if problems:
        note(f"Error: {path} is not sound: {'; '.join(_problem(problem) for problem in problems)}")
        raise typer.Exit(1)


@app.command(
    epilog=examples(
        "media-gateway agentdb nightly agentdb.db",
        "media-gateway agentdb nightly agentdb.db --dry-run --json",
    )
)
def nightly(
    path: PathArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would change, and write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Discover causal edges, make skills of episodes, prune what is old and poor, and tell what changed.

    All of it is done, or on any interruption none.
    """
    report = run(lambda: _with_file(path, lambda db: db.nightly(dry_run=dry_run), read_only=dry_run))
    facts = asdict(report)
    if as_json:
        print_json({"path": str(path), **facts})
        return
    shown = {name.replace("_", " "): value for name, value in facts.items()}
    print_facts({name: f"{value:.3f}" if isinstance(value, float) else value for name, value in shown.items()})


@app.command(
    epilog=examples("media-gateway agentdb reembed agentdb.db", "media-gateway agentdb reembed agentdb.db --json")
)
def reembed(path: PathArgument, as_json: JsonOption = False) -> None:
    """Replace all vectors of a file by those of the local model, where another one or a stand-in made them.

    All of them are replaced, or on any interruption none.
    """
    done = run(lambda: _reembed(path))
    if as_json:
        print_json({"path": str(path), **asdict(done)})
        return
    typer.echo(
        f"{path}: {done.patterns:,} patterns, {done.episodes:,} episodes and {done.skills:,} skills "
        f"embedded with {done.model}"
    )
    if done.left_out:
        note(f"{done.left_out:,} rows have no text that it can embed, and no vector now")


async def _reembed(path: Path) -> "Reembedded":
    from media_gateway.cli.progress import LoadProgress

    with LoadProgress() as progress:

        async def work(db: "AgentDb") -> "Reembedded":
            counts = await db.counts()
            progress.phase("embedding", counts["patterns"] + counts["episodes"] + counts["skills"])
            return await db.reembed(progress.advance)

        return await _with_file(path, work, read_only=False)


async def _with_file(
    path: Path,
    work: "Callable[[AgentDb], Coroutine[Any, Any, _T]]",
    *,
    read_only: bool = True,
    embeds: bool = True,
) -> _T:
    async with _opened(path, read_only=read_only, embeds=embeds) as db:
        return await work(db)


@asynccontextmanager
async def _opened(path: Path, *, read_only: bool, embeds: bool) -> "AsyncGenerator[AgentDb]":
    from media_gateway.agentdb import open_agentdb
    from media_gateway.embeddings.local import LocalEmbedder

    embedder = LocalEmbedder() if embeds else None
    try:
        async with await open_agentdb(path, embedder=embedder, read_only=read_only, create=False) as db:
            yield db
    finally:
        if embedder is not None:
            await embedder.aclose()


def _info_as_json(found: "AgentDbInfo") -> dict[str, Any]:
    facts = asdict(found)
    return {**facts, "variant": str(found.variant)}


def _told(one: "Provenance") -> str:
    if not one.rows:
        return "-"
    missing = one.rows - one.embedded
    parts = [f"{one.embedded:,} by {one.maker}"]
    if missing > 0:
        parts.append(f"{missing:,} missing")
    if one.unusable:
        parts.append(f"{one.unusable:,} unusable")
    return ", ".join(parts)


def _problem(problem: "Problem") -> str:
    rows = f" ({', '.join(map(str, problem.rows))}{', …' if problem.count > len(problem.rows) else ''})"
    return f"{problem.count:,} {problem.what}{rows if problem.rows else ''}"
