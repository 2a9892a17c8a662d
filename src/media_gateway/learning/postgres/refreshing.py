"""What is too slow to follow each event: iALS factors, the bridge from text, and how it shows in all vectors."""

from typing import Any, Final, LiteralString

import anyio.to_thread
import numpy as np
from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.statements import filled
from media_gateway.learning.interests import bridge, ials
from media_gateway.learning.interests.arrays import Ids, Numbers
from media_gateway.learning.interests.moments import Moments
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.postgres.catalogue import numbers
from media_gateway.learning.postgres.packing import integers, layout, unpacked
from media_gateway.learning.postgres.parameters import Parameters
from media_gateway.learning.postgres.rows import RowReader

_PAGE: Final = 2_000
_USERS_AT_ONCE: Final = 50_000
_TEACHERS: Final = 20_000
"""Items that the bridge is fitted to at most, those with most likes: 60 MB of text vectors of 384 numbers."""
_UNCHANGED: Final = 1e-3
"""A shown vector that moves by less, in proportion, is not written."""

_LIKES: Final = """
SELECT string_agg(int4send(user_number) || int4send(item), '' ORDER BY user_number, place)
FROM interest_seen WHERE place IS NOT NULL AND user_number > %s AND user_number <= %s
"""
_LAST_USER: Final = "SELECT coalesce(max(number), 0) FROM interest_users"
_FACTORS: Final = """
UPDATE interest_vectors AS v SET factors = given.factors
FROM unnest(%s::integer[], %b::{{type}}[]) AS given (item, factors) WHERE v.item = given.item
"""
_NO_FACTORS: Final = "UPDATE interest_vectors SET factors = NULL WHERE factors IS NOT NULL AND NOT item = ANY(%s)"
_MOST_LIKED: Final = """
SELECT string_agg(int4send(number), '') FROM (
    SELECT number FROM interest_items WHERE likes > 0 ORDER BY likes DESC, number LIMIT %s
) AS liked
"""
_SHOW: Final = """
UPDATE interest_vectors AS v SET shown = given.shown
FROM unnest(%s::integer[], %b::{{type}}[]) AS given (item, shown) WHERE v.item = given.item
"""

Connection = AsyncConnection[Any]


class Refresher:
    """Makes anew what `BatchLearner` leaves as it is, within the caller's transaction."""

    def __init__(self, engine: Engine, settings: InterestSettings, reader: RowReader) -> None:
        names = {"type": engine.vector_type}
        self._factors: LiteralString = filled(_FACTORS, names)
        self._show: LiteralString = filled(_SHOW, names)
        self._settings = settings
        self._reader = reader

    async def refresh_ials(self, connection: Connection, parameters: Parameters) -> None:
        """Factorise all likes anew."""
        known = await numbers(connection)
        users, items = await _likes(connection)
        if not len(items):
            await connection.execute(_NO_FACTORS, [integers([])])
            parameters.ials = Moments.of(np.zeros((0, self._settings.ials_dimension)))
            return
        _, people = np.unique(users, return_inverse=True)
        factors = await anyio.to_thread.run_sync(self._factorise, people, np.searchsorted(known, items), len(known))
        kept = np.flatnonzero(factors.any(axis=1))
        stored = factors.astype(np.float32)
        await connection.execute(_NO_FACTORS, [integers(known[kept])])
        for start in range(0, len(kept), _PAGE):
            rows = kept[start : start + _PAGE]
            await connection.execute(self._factors, [integers(known[rows]), list(stored[rows])])
        parameters.ials = Moments.of(stored.astype(np.float64))

    async def refresh_bridge(self, connection: Connection, parameters: Parameters) -> None:
        """Fit the bridge from text anew to what was learned, and show all items by it."""
        cursor = await connection.execute(_MOST_LIKED, [_TEACHERS], binary=True)
        (packed,) = await cursor.fetchone() or (None,)
        liked = np.sort(unpacked(packed, layout("item"))["item"].astype(np.int64))
        if len(liked):
            items, likes, learned = await self._reader.learned(connection, liked)
            rows = await self._reader.items(connection, items, parameters.text_mean)
            parameters.bridge = bridge.fitted(
                rows.vectors.text,
                learned,
                likes,
                ridge=self._settings.bridge_ridge,
                trust=self._settings.bridge_trust,
            )
        await self.show_all(connection, parameters)

    async def show_all(self, connection: Connection, parameters: Parameters) -> None:
        """Blend the vectors of all items anew with what the bridge suggests, and take their moments."""
        known = await numbers(connection)
        total = Moments.of(np.zeros((0, self._settings.dimension)))
        for start in range(0, len(known), _PAGE):
            shown = await self._show_page(connection, parameters, known[start : start + _PAGE])
            total.replace(np.zeros((0, self._settings.dimension)), shown)
            total.count += len(shown)
        parameters.behaviour = total

    async def _show_page(self, connection: Connection, parameters: Parameters, page: Ids) -> Numbers:
        """Write the shown vectors of *page* where they move, and return them all as they are stored."""
        rows = await self._reader.items(connection, page, parameters.text_mean)
        there, _, learned = await self._reader.learned(connection, page)
        table = np.zeros((len(rows.items), self._settings.dimension))
        table[rows.places(there)] = learned
        bridged = rows.vectors.text @ parameters.bridge
        wanted = bridge.blended(table, bridged, rows.likes, self._settings.bridge_trust)
        before = rows.vectors.behaviour
        moved = np.linalg.norm(wanted - before, axis=1) > _UNCHANGED * np.linalg.norm(before, axis=1)
        stored = wanted.astype(np.float32)
        if moved.any():
            await connection.execute(self._show, [integers(rows.items[moved]), list(stored[moved])])
        return np.where(moved[:, np.newaxis], stored.astype(np.float64), before)

    def _factorise(self, people: Ids, items: Ids, count: int) -> Numbers:
        settings = self._settings
        return ials.item_factors(
            people,
            items,
            shape=(int(people.max()) + 1, count),
            dimension=settings.ials_dimension,
            regularization=settings.ials_regularization,
            confidence=settings.ials_confidence,
            iterations=settings.ials_iterations,
        )


async def _likes(connection: Connection) -> tuple[Ids, Ids]:
    """Return users and items of all likes."""
    (last,) = await (await connection.execute(_LAST_USER)).fetchone() or (0,)
    form = layout("user", "item")
    pages = [unpacked(None, form)]
    for start in range(0, last, _USERS_AT_ONCE):
        cursor = await connection.execute(_LIKES, [start, start + _USERS_AT_ONCE], binary=True)
        (packed,) = await cursor.fetchone() or (None,)
        pages.append(unpacked(packed, form))
    rows = np.concatenate(pages)
    return rows["user"].astype(np.int64), rows["item"].astype(np.int64)
