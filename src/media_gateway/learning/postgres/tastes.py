"""Who a user is: what was seen and liked, with the vectors of the latter, read by one statement."""

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Final, LiteralString

import numpy as np
from psycopg import AsyncConnection

from media_gateway.database.statements import filled
from media_gateway.learning.interests.arrays import Ids, Numbers
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.postgres.packing import layout, unpacked
from media_gateway.learning.postgres.rows import ItemRows, RowReader
from media_gateway.models import Vector

REMEMBERED: Final = 64
"""Users whose tastes a service remembers: 25 MB where each likes 200 records of 384 numbers."""
_REMEMBERED_SECONDS: Final = 60.0
"""Texts of records may change without anything being learned."""

# The state alone where there is no such user; without what was seen and liked where nothing was learned since it was *known*.
_TASTE: Final = """
SELECT s.revision, s.clock, u.first_time, p.preference_vector, v.number,
    CASE WHEN s.revision <> %(known)s THEN (
        SELECT string_agg(int4send(item) || int4send(coalesce(place, 0)), '') FROM interest_seen
        WHERE user_number = u.number) END,
    CASE WHEN s.revision <> %(known)s THEN (
        SELECT string_agg({{packed}}, '') FROM {{tables}} WHERE i.number = ANY(ARRAY(
            SELECT item FROM interest_seen WHERE user_number = u.number AND place IS NOT NULL
            ORDER BY place DESC LIMIT %(cap)s))) END
FROM interest_state AS s LEFT JOIN interest_users AS u ON u.user_id = %(user)s
    LEFT JOIN user_preference_vectors AS p ON p.user_id = %(user)s AND vector_dims(p.preference_vector) = %(dimension)s
    LEFT JOIN interest_versions AS v ON v.state = 'current'
"""
_SEEN_ROW: Final = layout("item", "place")


@dataclass(frozen=True, kw_only=True)
class Taste:
    """What is known of a user: the items *seen*, how many *likes*, the time of the first event, a preference.

    *liked* are the latest likes, packed as `RowReader` reads them. *version* is that of the model in use, None before
    there is one; *clock* is the time of the latest event of all.
    """

    seen: Ids
    likes: int
    liked: bytes | None
    first_time: float | None
    preference: Vector | None
    clock: float
    revision: int
    version: int | None


class TasteReader:
    """Reads tastes, and what is liked as *reader* has it packed; text vectors have *dimension* numbers.

    So many users' tastes are *remembered* for a minute, as long as nothing is learned: pages ask for several lists.
    """

    def __init__(self, reader: RowReader, settings: InterestSettings, dimension: int, *, remembered: int = 0) -> None:
        self._reader = reader
        self._statement: LiteralString = filled(_TASTE, {"packed": reader.packed, "tables": reader.tables})
        self._values = {**reader.values, "cap": settings.history_cap, "dimension": dimension}
        self._most = remembered
        self._remembered: OrderedDict[str, tuple[float, Taste]] = OrderedDict()

    async def taste(self, connection: AsyncConnection[Any], user: str | None) -> Taste:
        """Return what is known of *user*, or of nobody."""
        known = self._known(user)
        values = {**self._values, "user": user, "known": -1 if known is None else known.revision}
        cursor = await connection.execute(self._statement, values, binary=True, prepare=True)
        row = await cursor.fetchone() or (0, 0.0, None, None, None, None, None)
        revision, clock, first_time, preference, version, packed, liked = row
        if known is not None and known.revision == revision:
            return replace(known, preference=preference, version=version)
        rows = unpacked(packed, _SEEN_ROW)
        taste = Taste(
            seen=rows["item"].astype(np.int64),
            likes=int(np.count_nonzero(rows["place"])),
            liked=liked,
            first_time=first_time,
            preference=preference,
            clock=clock,
            revision=revision,
            version=version,
        )
        self._remember(user, taste)
        return taste

    def _known(self, user: str | None) -> Taste | None:
        began, taste = self._remembered.get(user or "", (0.0, None))
        return taste if time.monotonic() - began < _REMEMBERED_SECONDS else None

    def _remember(self, user: str | None, taste: Taste) -> None:
        if user is None or not self._most:
            return
        self._remembered.pop(user, None)
        self._remembered[user] = time.monotonic(), taste
        if len(self._remembered) > self._most:
            self._remembered.popitem(last=False)

    def liked(self, taste: Taste, text_mean: Numbers) -> ItemRows:
        """Return the latest likes of *taste*, in ascending order, their text centred by *text_mean*."""
        return self._reader.read(taste.liked, text_mean)
