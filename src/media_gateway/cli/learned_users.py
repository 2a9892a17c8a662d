"""`learn export`, `erase`: all that is kept of a user."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from media_gateway.cli.options import BackendOption, JsonOption, YesOption, check_yes, examples, place, read_settings
from media_gateway.cli.output import moment, print_json
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.models import WatchEvent
    from media_gateway.settings import Settings

EXPORT_EXAMPLES = examples("media-gateway learn export ann --backend postgres > ann.json")
ERASE_EXAMPLES = examples("media-gateway learn erase ann --backend postgres --yes")

UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The user, as events name them.", show_default=False)]


def export(context: typer.Context, user: UserArgument, backend: BackendOption = None) -> None:
    """Print all that is kept of USER as JSON: events, likes, preference profile, logged searches."""
    settings = read_settings(context, backend)
    print_json(run(lambda: _export(settings, user)))


def erase(
    context: typer.Context,
    user: UserArgument,
    yes: YesOption = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase all that is kept of USER, and take their part out of what was learned.

    Stop sending their events before. Backups that were made before still have them.
    """
    settings = read_settings(context, backend)
    check_yes(f"erase everything of the user {user}; {place(settings)}", yes=yes)
    erased = run(lambda: _erase(settings, user))
    if as_json:
        print_json({"user": user, **erased, "place": place(settings)})
        return
    typer.echo(
        f"erased {erased['events']:,} events, {erased['likes']:,} likes, {erased['searches']:,} logged searches and "
        f"{'the' if erased['had_preferences'] else 'no'} preference profile of {user}; {place(settings)}"
    )


async def _export(settings: "Settings", user: str) -> dict[str, Any]:
    from media_gateway.wiring import open_learning

    async with open_learning(settings) as desk:
        known = await desk.users.known(user)
        events = [_event(event) async for page in desk.users.events(user) for event in page]
    profile = known.preferences
    return {
        "user": user,
        "events": events,
        "liked": known.liked,
        "preferences": None
        if profile is None
        else {
            "model": profile.model,
            "vector": profile.vector.tolist(),
            "confidence": profile.confidence,
            "genre_affinities": dict(profile.genre_affinities),
            "interactions": profile.interactions,
            "updated_at": profile.updated_at.isoformat(),
        },
        "searches": known.searches,
    }


async def _erase(settings: "Settings", user: str) -> dict[str, Any]:
    from media_gateway.wiring import open_learning

    async with open_learning(settings) as desk:
        return asdict(await desk.users.erase(user))


def _event(event: "WatchEvent") -> dict[str, Any]:
    facts = {
        "id": str(event.id),
        "time": moment(event.time),
        "action": event.action,
        "key": event.key,
        "completion": event.completion,
        "rating": event.rating,
        "rank": event.rank,
        "source": event.source,
        "version": event.version,
        "list_id": None if event.list_id is None else str(event.list_id),
        "context": event.context,
    }
    return {name: value for name, value in facts.items() if value is not None}
