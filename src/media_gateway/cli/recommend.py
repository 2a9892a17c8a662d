"""`recommend`: what suits a user, and why."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from media_gateway.cli.options import BackendOption, JsonOption, examples, place, read_settings
from media_gateway.cli.output import note, print_json, print_table
from media_gateway.cli.run import run
from media_gateway.cli.search import CountOption

if TYPE_CHECKING:
    from media_gateway.filters import Condition
    from media_gateway.models import Recommendations, Recommended
    from media_gateway.settings import Settings

RECOMMEND_EXAMPLES = examples(
    "media-gateway recommend ann --backend postgres",
    "media-gateway recommend ann -k 5 --type movie --genre Comedy --backend postgres",
    "media-gateway recommend ann --from 2010 --backend postgres --json",
)


def recommend(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="For whom.", show_default=False)],
    k: CountOption = 10,
    media_type: TypeOption = None,
    genre: GenreOption = None,
    min_rating: MinRatingOption = None,
    max_rating: MaxRatingOption = None,
    since: FromOption = None,
    until: ToOption = None,
    where: WhereOption = None,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recommend to USER what suits what they like, without what they have seen, each with its reason.

    A user of whom nothing is known gets what is popular.
    """
    condition = condition_of(
        media_type=media_type, genres=genre or (), rating=(min_rating, max_rating), released=(since, until), where=where
    )
    settings = read_settings(context, backend)
    found, milliseconds = run(lambda: _recommend(settings, user, k, condition))
    line = f"{_history(found)}; {milliseconds:.1f} ms; {place(settings)}"
    if as_json:
        print_json(as_dict(found))
        note(line)
        return
    if found.items:
        print_table(
            ("#", "title", "year", "type", "why", "taste", "popular", "key"),
            [_row(rank, item) for rank, item in enumerate(found.items, start=1)],
            right=("#", "taste", "popular"),
        )
    typer.echo(line)


def as_dict(found: "Recommendations") -> dict[str, Any]:
    """Return what programs get of a list."""
    return {
        "user": found.user,
        "list_id": str(found.list_id),
        "version": found.version,
        "likes": found.likes,
        "items": [
            {
                "rank": rank,
                "key": item.key,
                "score": item.score,
                "title": item.metadata.get("title"),
                "media_type": item.metadata.get("media_type"),
                "reason": item.reason,
                "because": item.because,
                "shares": dict(item.shares),
            }
            for rank, item in enumerate(found.items, start=1)
        ],
    }


async def _recommend(
    settings: "Settings", user: str, k: int, where: "Condition | None"
) -> "tuple[Recommendations, float]":
    from media_gateway.wiring import open_learning

    async with open_learning(settings) as desk:
        began = time.perf_counter()
        found = await desk.learning.recommend(user, k=k, where=where, exclude=(), at=time.time())
        return found, (time.perf_counter() - began) * 1000


def _row(rank: int, item: "Recommended") -> tuple[str, ...]:
    taste = sum(share for name, share in item.shares.items() if name in {"behaviour", "ials", "text"})
    is_shared = item.by is None
    return (
        str(rank),
        str(item.metadata.get("title") or ""),
        str(item.metadata.get("release_date") or "")[:4],
        str(item.metadata.get("media_type") or ""),
        item.reason,
        f"{taste:.0%}" if is_shared else "",
        f"{1 - taste:.0%}" if is_shared else "",
        item.key,
    )


def _history(found: "Recommendations") -> str:
    if not found.likes:
        by_records = bool(found.items) and all(item.by is not None for item in found.items)
        what = "what records say of themselves, since nobody else does" if by_records else "what is popular"
        return f"nothing is known to be liked by {found.user} yet, so this is {what}"
    return f"by {found.likes:,} like{'' if found.likes == 1 else 's'} of {found.user}"
