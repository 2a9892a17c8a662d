"""The items that are known to learning: a row for each record of the collection, and the measures of all texts."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString

import numpy as np
from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.statements import filled
from media_gateway.learning.interests import bridge
from media_gateway.learning.interests.arrays import Ids, Numbers
from media_gateway.learning.interests.moments import Moments
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.postgres.packing import integers, layout, unpacked
from media_gateway.learning.postgres.parameters import Parameters
from media_gateway.learning.postgres.rows import RowReader

_PAGE: Final = 2_000
"""Records of one pass: 12 MB of vectors of 768 numbers in float64."""

_TEXTS: Final = """
SELECT max(id), count(*), string_agg({{type}}_send(vector), '')
FROM (SELECT id, vector FROM content_vectors WHERE id > %s ORDER BY id LIMIT %s) AS page
"""
# Numbers are taken for new items alone: ON CONFLICT would use one up for each that is there.
_ADD: Final = """
INSERT INTO interest_items (key)
SELECT id FROM content_vectors AS c
WHERE id > %(after)s AND NOT EXISTS (SELECT FROM interest_items AS i WHERE i.key = c.id)
ORDER BY id LIMIT %(limit)s
RETURNING number, key
"""
_ADD_NAMED: Final = """
INSERT INTO interest_items (key)
SELECT id FROM content_vectors AS c
WHERE id = ANY(%(keys)s) AND NOT EXISTS (SELECT FROM interest_items AS i WHERE i.key = c.id)
ORDER BY id
RETURNING number, key
"""
_SHOW_NEW: Final = """
INSERT INTO interest_vectors (item, shown) SELECT * FROM unnest(%s::integer[], %b::{{type}}[])
"""
_NEW_TEXTS: Final = """
SELECT string_agg(int4send(i.number) || {{type}}_send(c.vector), '')
FROM interest_items AS i JOIN content_vectors AS c ON c.id = i.key WHERE i.number = ANY(%s)
"""
_NUMBERS: Final = "SELECT string_agg(int4send(number), '' ORDER BY number) FROM interest_items"
_NUMBERED: Final = "SELECT key, number FROM interest_items WHERE key = ANY(%s)"


class Catalogue:
    """Keeps `interest_items` and the vectors of new items in step with the collection, on the caller's transaction."""

    def __init__(self, engine: Engine, settings: InterestSettings, dimension: int) -> None:
        names = {"type": engine.vector_type}
        self._texts: LiteralString = filled(_TEXTS, names)
        self._show_new: LiteralString = filled(_SHOW_NEW, names)
        self._new_texts: LiteralString = filled(_NEW_TEXTS, names)
        self._dimension = dimension
        self._settings = settings
        self.reader = RowReader(engine, settings, dimension)

    async def measure_texts(self, connection: AsyncConnection[Any], parameters: Parameters) -> None:
        """Take mean and moments of all texts anew; where there is no bridge yet it follows their principal directions."""
        total, gram, count = np.zeros(self._dimension), np.zeros((self._dimension, self._dimension)), 0
        after = ""
        form = layout(("text", self._dimension))
        while True:
            cursor = await connection.execute(self._texts, [after, _PAGE], binary=True)
            last, rows, packed = await cursor.fetchone() or (None, 0, None)
            if not rows:
                break
            text = unpacked(packed, form)["text"].astype(np.float64)
            total += text.sum(axis=0)
            gram += text.T @ text
            count, after = count + rows, last
        if not count:
            return
        mean = total / count
        centred = gram - count * np.outer(mean, mean)
        parameters.text_mean = mean
        parameters.text = Moments(count=float(count), total=np.zeros(self._dimension), gram=centred)
        if not parameters.bridge.any():
            parameters.bridge = bridge.principal_directions(_root(centred), self._settings.dimension)

    async def add(
        self, connection: AsyncConnection[Any], parameters: Parameters, keys: Sequence[str] | None = None
    ) -> int:
        """Make the records of *keys*, or all, known that are not yet, as their texts suggest; return how many there were."""
        if keys is not None:
            cursor = await connection.execute(_ADD_NAMED, {"keys": list(keys)}, binary=True)
            rows = await cursor.fetchall()
            await self._show(connection, parameters, [number for number, _ in rows])
            return len(rows)
        after, added = "", 0
        while True:
            cursor = await connection.execute(_ADD, {"after": after, "limit": _PAGE}, binary=True)
            rows = await cursor.fetchall()
            if not rows:
                return added
            await self._show(connection, parameters, [number for number, _ in rows])
            after, added = max(key for _, key in rows), added + len(rows)

    async def _show(self, connection: AsyncConnection[Any], parameters: Parameters, items: Sequence[int]) -> None:
        if not items:
            return
        cursor = await connection.execute(self._new_texts, [integers(list(items))], binary=True)
        (packed,) = await cursor.fetchone() or (None,)
        rows = unpacked(packed, layout("item", ("text", self._dimension)))
        shown = ((rows["text"] - parameters.text_mean) @ parameters.bridge).astype(np.float32)
        await connection.execute(self._show_new, [integers(rows["item"]), list(shown)])
        kept = shown.astype(np.float64)
        moments = parameters.behaviour
        moments.replace(np.zeros((0, kept.shape[1])), kept)
        moments.count += len(kept)


async def numbers(connection: AsyncConnection[Any]) -> Ids:
    """Return the numbers of all items in ascending order."""
    cursor = await connection.execute(_NUMBERS, binary=True)
    (packed,) = await cursor.fetchone() or (None,)
    return unpacked(packed, layout("item"))["item"].astype(np.int64)


async def numbered(connection: AsyncConnection[Any], keys: Sequence[str]) -> dict[str, int]:
    """Return the numbers of those of *keys* that are known."""
    cursor = await connection.execute(_NUMBERED, [list(keys)], binary=True)
    return dict(await cursor.fetchall())


def _root(gram: Numbers) -> Numbers:
    """Return a matrix r (d, d) whose r' r is *gram*."""
    values, directions = np.linalg.eigh(gram)
    return (directions * np.sqrt(np.maximum(values, 0.0))).T
