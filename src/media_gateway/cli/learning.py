"""`learn import`, `run`, `status`, `rebuild`: the log of events and what is learned from it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from media_gateway.cli.options import BackendOption, JsonOption, YesOption, check_yes, examples, place, read_settings
from media_gateway.cli.output import moment, note, print_facts, print_json
from media_gateway.cli.run import run as run_to_end

if TYPE_CHECKING:
    from media_gateway.contracts import EventSource
    from media_gateway.learning.learner import Learned
    from media_gateway.settings import Settings

IMPORT_EXAMPLES = examples(
    "media-gateway learn import movielens ml-latest-small --backend postgres",
    "media-gateway learn import agentdb agentdb.db --backend postgres --json",
)
RUN_EXAMPLES = examples(
    "media-gateway learn run --backend postgres",
    "media-gateway learn run --backend postgres --follow",
)
STATUS_EXAMPLES = examples("media-gateway learn status --backend postgres --json")
REBUILD_EXAMPLES = examples("media-gateway learn rebuild --backend postgres --yes")


def import_events(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="<movielens|agentdb>", help="What PATH is.", show_default=False)],
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A MovieLens folder, or an AgentDB file.", show_default=False)
    ],
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring MovieLens ratings, or the watch episodes of an AgentDB file, into the log of events.

    Importing again adds nothing. Records themselves are loaded by load; events of those that are not there are kept, and
    passed over when learning.
    """
    from media_gateway.errors import InvalidInputError, shown

    if source not in {"movielens", "agentdb"}:
        raise InvalidInputError(
            f"learn import was given {shown(source)}; expected movielens or agentdb, and its path",
            field="source",
            given=source,
            expected="movielens or agentdb",
        )
    settings = read_settings(context, backend)
    read, written = run_to_end(lambda: _import(settings, source, path))
    if as_json:
        print_json({"source": source, "read": read, "new": written, "place": place(settings)})
        return
    typer.echo(f"{read:,} events read, {written:,} of them new; {place(settings)}")
    if written:
        note("next: media-gateway learn run")


def run(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until it is stopped.")] = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn from the events that wait, each exactly once, and end when none is left.

    It may be stopped or killed at any time, and several may run: what one has begun it finishes or undoes.
    """
    settings = read_settings(context, backend)
    learned = run_to_end(lambda: _run(settings, follow=follow))
    if as_json:
        print_json({**asdict(learned), "place": place(settings)})
        return
    passed = f", {learned.passed_over:,} passed over since their records are not there" if learned.passed_over else ""
    rate = 1000 * learned.seconds / learned.events if learned.events else 0.0
    typer.echo(
        f"learned from {learned.events:,} events, {learned.likes:,} new likes{passed}; {learned.seconds:.1f} s, "
        f"{rate:.1f} ms an event; {place(settings)}"
    )


def status(context: typer.Context, backend: BackendOption = None, as_json: JsonOption = False) -> None:
    """Tell how many events there are and wait, what was learned from them, and when."""
    settings = read_settings(context, backend)
    facts = run_to_end(lambda: _status(settings))
    if as_json:
        live = {name: _named(samples) for name, samples in facts["live"].items()}
        print_json({**facts, "live": live, "place": place(settings)})
    else:
        print_facts({**_flat(facts), "place": place(settings)})


def rebuild(
    context: typer.Context, yes: YesOption = False, backend: BackendOption = None, as_json: JsonOption = False
) -> None:
    """Forget all that was learned and learn it again from the log of events.

    Needed after records were loaded whose events came before them. Recommendations are what is popular until it is done.
    """
    settings = read_settings(context, backend)
    check_yes(f"forget what was learned, and learn it again; {place(settings)}", yes=yes)
    learned = run_to_end(lambda: _rebuild(settings))
    if as_json:
        print_json({**asdict(learned), "place": place(settings)})
    else:
        typer.echo(f"learned again from {learned.events:,} events, {learned.likes:,} likes; {place(settings)}")


async def _import(settings: "Settings", source: str, path: Path) -> tuple[int, int]:
    from contextlib import aclosing

    from media_gateway.cli.progress import LoadProgress
    from media_gateway.models import WatchEvent
    from media_gateway.wiring import open_learning

    read = written = 0
    waiting: list[WatchEvent] = []
    async with open_learning(settings) as desk, _events(source, path) as events:
        with LoadProgress() as progress:
            progress.phase("importing", None)
            async with aclosing(events.events()) as stream:
                async for event in stream:
                    waiting.append(event)
                    if len(waiting) == _IMPORTED_AT_ONCE:
                        written += await desk.events.write(waiting)
                        read += len(waiting)
                        progress.advance(len(waiting))
                        waiting.clear()
            written += await desk.events.write(waiting)
            read += len(waiting)
    return read, written


_IMPORTED_AT_ONCE = 1_000


@asynccontextmanager
async def _events(source: str, path: Path) -> "AsyncGenerator[EventSource]":
    if source == "movielens":
        from media_gateway.transfer import open_movielens

        yield open_movielens(path).ratings()
        return
    from media_gateway.agentdb import open_agentdb

    async with await open_agentdb(path, embedder=None, read_only=True, create=False) as db:
        yield db.watch_events


async def _run(settings: "Settings", *, follow: bool) -> "Learned":
    from media_gateway.cli.progress import LoadProgress
    from media_gateway.wiring import open_learning

    async with open_learning(settings) as desk:
        counts = await desk.events.counts()
        with LoadProgress() as progress:
            progress.phase("learning", None if follow else counts.waiting)

            def told(done: "Learned") -> None:
                progress.stage("learning", done.events, None if follow else counts.waiting)

            if follow:
                await desk.learner.follow(on_progress=told)
            return await desk.learner.run(on_progress=told)


async def _status(settings: "Settings") -> dict[str, Any]:
    from media_gateway.wiring import open_learning

    async with open_learning(settings) as desk:
        counts = await desk.events.counts()
        state = await desk.interests.state()
        known, shadow = await desk.versions()
        live = await desk.learning.live()
    return {
        "versions": [
            {
                "number": one.number,
                "state": one.state,
                "made_at": one.made_at.isoformat(),
                "why": one.why,
                "metrics": one.metrics,
            }
            for one in known
        ],
        "shadow": shadow.figures(),
        "live": live.samples(),
        "events": asdict(counts),
        "learned": {
            "events": state.events,
            "likes": state.likes,
            "passed_over": state.passed_over,
            "latest_event": moment(state.clock) if state.events else None,
            "at": None if state.learned_at is None else state.learned_at.isoformat(),
            "refreshed_at": None if state.refreshed_at is None else state.refreshed_at.isoformat(),
            "likes_since_refresh": state.likes - state.refreshed_likes,
        },
    }


async def _rebuild(settings: "Settings") -> "Learned":
    from media_gateway.wiring import open_learning

    async with open_learning(settings) as desk:
        await desk.users.begin_again()
        return await desk.learner.run()


def _named(samples: float | dict[tuple[str, ...], float]) -> float | dict[str, float]:
    """Return *samples* with names that JSON can have."""
    if not isinstance(samples, dict):
        return samples
    return {" ".join(labels): value for labels, value in samples.items()}


def _flat(facts: dict[str, Any]) -> dict[str, object]:
    counts, learned = facts["events"], facts["learned"]
    span = "-" if counts["first"] is None else f"{moment(counts['first'])} to {moment(counts['last'])}"
    return {
        "events": counts["events"],
        "by kind": ", ".join(f"{count:,} {kind}" for kind, count in counts["kinds"].items()) or "-",
        "users": counts["users"],
        "time": span,
        "months": counts["months"],
        "waiting": counts["waiting"],
        "learned from": learned["events"],
        "likes": learned["likes"],
        "passed over": learned["passed_over"],
        "learned at": learned["at"],
        "refreshed at": learned["refreshed_at"],
        "likes since": learned["likes_since_refresh"],
        "version": _version(facts["versions"]),
        "shadow": _shadow(facts["shadow"]),
    }


def _version(known: list[dict[str, Any]]) -> str:
    current = next((one for one in known if one["state"] == "current"), None)
    return "-" if current is None else f"{current['number']}, {current['why']}"


def _shadow(figures: dict[str, Any]) -> str:
    if not figures["comparisons"]:
        return "nothing was compared with it yet"
    return (
        f"new weights NDCG {figures['ndcg_candidate']:.3f}, those in use {figures['ndcg_current']:.3f}, "
        f"on {figures['comparisons']:,} later likes of users"
    )
