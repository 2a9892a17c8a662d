"""How far learning has come: one row, which whoever changes what is learned locks first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import AsyncConnection

from media_gateway.errors import SchemaError
from media_gateway.learning.interests.settings import InterestSettings

_COLUMNS: Final = "revision, events, passed_over, likes, clock, learned_at, refreshed_at, refreshed_likes"
_READ: Final = f"SELECT {_COLUMNS} FROM interest_state"  # noqa: S608  names of columns of ours
_LOCK: Final = f"SELECT {_COLUMNS} FROM interest_state FOR UPDATE"  # noqa: S608
_SAVE: Final = """
UPDATE interest_state SET revision = %(revision)s, events = %(events)s, passed_over = %(passed_over)s, likes = %(likes)s,
    clock = %(clock)s, learned_at = %(learned_at)s, refreshed_at = %(refreshed_at)s, refreshed_likes = %(refreshed_likes)s
"""
_POPULARITY: Final = """
SELECT coalesce(avg(x), 0), coalesce(stddev_pop(x), 0), coalesce(avg(y), 0), coalesce(stddev_pop(y), 0),
    coalesce(avg(z), 0), coalesce(stddev_pop(z), 0)
FROM (
    SELECT CASE WHEN heat_lasting IS NULL THEN 0
            ELSE ln(1 + power(2::float8, greatest(least(heat_lasting - %(lasting)s, 1000), -1000))) END AS x,
        CASE WHEN heat_recent IS NULL THEN 0
            ELSE ln(1 + power(2::float8, greatest(least(heat_recent - %(recent)s, 1000), -1000))) END AS y,
        CASE WHEN heat_newest IS NULL THEN 0
            ELSE ln(1 + power(2::float8, greatest(least(heat_newest - %(newest)s, 1000), -1000))) END AS z
    FROM interest_items
) AS counts
"""


@dataclass(kw_only=True)
class LearnedState:
    """What the row says: *events* were learned from, of which *passed_over* were of unknown items; *likes* counted.

    *revision* counts every change. *clock* is the time of the latest event in Unix seconds, *learned_at* when events were
    learned from last; *refreshed_likes* were there when all vectors were made anew at *refreshed_at*.
    """

    revision: int
    events: int
    passed_over: int
    likes: int
    clock: float
    learned_at: datetime | None
    refreshed_at: datetime | None
    refreshed_likes: int


async def read_state(connection: AsyncConnection[Any], *, lock: bool = False) -> LearnedState:
    """Return the row; with *lock* nobody else changes what is learned until the transaction ends.

    Raises SchemaError where the row is missing.
    """
    row = await (await connection.execute(_LOCK if lock else _READ, binary=True)).fetchone()
    if row is None:
        raise SchemaError(
            "the table interest_state is empty; restore it with INSERT INTO interest_state DEFAULT VALUES"
        )
    revision, events, passed_over, likes, clock, learned_at, refreshed_at, refreshed_likes = row
    return LearnedState(
        revision=revision,
        events=events,
        passed_over=passed_over,
        likes=likes,
        clock=clock,
        learned_at=learned_at,
        refreshed_at=refreshed_at,
        refreshed_likes=refreshed_likes,
    )


async def save_state(connection: AsyncConnection[Any], state: LearnedState) -> None:
    """Write *state* over the row."""
    await connection.execute(_SAVE, vars(state))


async def measure_popularity(
    connection: AsyncConnection[Any], clock: float, settings: InterestSettings
) -> list[list[float]]:
    """Return the means and the standard deviations (2, 3) of all items' popularities at the time *clock*.

    As `interests.scoring.popularity` computes them, by the server.
    """
    lasting, recent, newest = (clock / halflife for halflife in settings.halflives)
    cursor = await connection.execute(
        _POPULARITY, {"lasting": lasting, "recent": recent, "newest": newest}, binary=True
    )
    row = await cursor.fetchone() or (0.0,) * 6
    return [list(row[0::2]), list(row[1::2])]
