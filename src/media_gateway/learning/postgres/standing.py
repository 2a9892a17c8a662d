"""What fills a list that likes do not fill: the records that are best by what they say of themselves.

By their ratings, then by their popularity where they come from, then by their release, and last in the order of keys. Each
of the first three has an index, so that a stranger is answered as quickly before anybody has liked anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

from media_gateway.database.statements import filled
from media_gateway.database.where import Where
from media_gateway.learning.interests.arrays import Ids
from media_gateway.learning.postgres.packing import integers

STANDINGS: Final = ("rated", "famous", "released", "listed")
"""What a record that nobody liked may be recommended by, in the order in which lists are filled."""

_ESTEEM: Final = "content_esteem(vote_average, metadata -> 'vote_count')"
_FAME: Final = "content_fame(metadata -> 'popularity')"
_ORDERS: Final = {
    "rated": (f"{_ESTEEM} IS NOT NULL", f"{_ESTEEM} DESC, id"),
    "famous": (f"{_ESTEEM} IS NULL AND {_FAME} IS NOT NULL", f"{_FAME} DESC, id"),
    "released": (f"{_ESTEEM} IS NULL AND {_FAME} IS NULL AND release_date <= CURRENT_DATE", "release_date DESC, id"),
    "listed": ("true", "id"),
}
# The number is looked up row by row: joined, all records would be, to be sorted.
_BEST: Final = """
SELECT id, metadata FROM content_vectors AS c
WHERE {{kind}} AND coalesce((SELECT number FROM interest_items WHERE key = c.id), 0) <> ALL(%(seen)s)
    AND id <> ALL(%(keys)s) {{where}}
ORDER BY {{order}} LIMIT %(limit)s
"""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A record that fills a list, and which of `STANDINGS` it does so by."""

    key: str
    metadata: dict[str, Any]
    by: str


async def best_records(
    connection: AsyncConnection[Any], *, seen: Ids, keys: Sequence[str], where: Where, limit: int
) -> list[Standing]:
    """Return *limit* records that pass *where*, or all there are, neither *seen* nor among *keys*, the best first."""
    found: list[Standing] = []
    for by in STANDINGS:
        if len(found) < limit:
            taken = [*keys, *(one.key for one in found)]
            values = {**where.values, "seen": integers(seen), "keys": taken, "limit": limit - len(found)}
            # How selective a filter is shows in its values only.
            cursor = await connection.execute(_statement(by, where.text), values, prepare=False, binary=True)
            found.extend(Standing(key=key, metadata=metadata, by=by) for key, metadata in await cursor.fetchall())
    return found


def _statement(by: str, where: str) -> LiteralString:
    kind, order = _ORDERS[by]
    return filled(_BEST, {"kind": kind, "order": order, "where": f"AND {where}" if where else ""})
