"""`watch`: note that a user watched, rated, clicked or dismissed a record."""

import time as clock
from typing import TYPE_CHECKING, Annotated, Any

import typer

from media_gateway.cli.options import BackendOption, JsonOption, examples, place, read_settings
from media_gateway.cli.output import note, print_json
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.models import WatchAction, WatchEvent
    from media_gateway.settings import Settings

WATCH_EXAMPLES = examples(
    "media-gateway watch ann movie-603 --backend postgres",
    "media-gateway watch ann movie-603 --completion 0.4 --backend postgres",
    "media-gateway watch ann movie-27205 --rating 9 --backend postgres --json",
    "media-gateway watch ann movie-11 --dismiss --backend postgres",
)


def watch(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="Who watched.", show_default=False)],
    key: Annotated[str, typer.Argument(metavar="KEY", help="A record's key, such as movie-603.", show_default=False)],
    completion: Annotated[
        float | None, typer.Option(help="The share watched, 0 to 1; all of it by default.", show_default=False)
    ] = None,
    rating: Annotated[float | None, typer.Option(help="Rated so, 0 to 10.", show_default=False)] = None,
    dismiss: Annotated[bool, typer.Option("--dismiss", help="Not watched, and not wanted.")] = False,
    learn: Annotated[bool, typer.Option("--learn/--no-learn", help="Learn from it at once, or leave that.")] = True,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note that USER watched KEY, or rated or dismissed it, and learn from it.

    Over 0.7 watched, or rated 8 or better, counts as liked; whatever was watched is not recommended any more.
    """
    from media_gateway.models import WatchEvent

    settings = read_settings(context, backend)
    event = WatchEvent(
        user=user,
        key=key,
        time=clock.time(),
        action=_action(completion, rating, dismiss=dismiss),
        completion=1.0 if completion is None and rating is None and not dismiss else completion,
        rating=rating,
    )
    told = run(lambda: _watch(settings, event, learn=learn))
    if as_json:
        print_json({**told, "place": place(settings)})
    else:
        meaning = "liked" if told["liked"] else "not wanted" if dismiss else "seen"
        typer.echo(f"noted: {user}, {key}, {meaning}; {place(settings)}")
    if not told["is_there"]:
        note(
            f"{key} is not in the collection, so nothing is learned from it; load it, then media-gateway learn rebuild"
        )


def _action(completion: float | None, rating: float | None, *, dismiss: bool) -> "WatchAction":
    if dismiss:
        return "dismiss"
    return "rating" if rating is not None and completion is None else "watch"


async def _watch(settings: "Settings", event: "WatchEvent", *, learn: bool) -> dict[str, Any]:
    from media_gateway.learning.interests.model import is_like
    from media_gateway.wiring import open_learning

    async with open_learning(settings) as desk:
        new = await desk.events.write([event])
        learned = await desk.learner.run() if learn else None
        is_there = await desk.interests.knows(event.key)
    return {
        "user": event.user,
        "key": event.key,
        "new": new,
        "liked": is_like(event),
        "is_there": is_there,
        "learned_from": 0 if learned is None else learned.events,
    }
