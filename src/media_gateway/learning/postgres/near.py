"""The copies of vectors that candidates are looked for among, in catalogues that are too large to look through.

An insertion into a graph costs a millisecond or more, so a copy follows its vector only when that has moved far, and
not at once but every so many batches: an item that is liked ten times meanwhile is inserted once.
"""

from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.statements import filled
from media_gateway.learning.interests.arrays import Ids
from media_gateway.learning.postgres.packing import integers

FEW_ITEMS: Final = 5_000
"""Items up to which all are looked through, as quickly as a graph is walked, and exactly; then there are no copies."""
_FAR: Final = "0.1"
"""In proportion to its length. Candidates are many more than are recommended, so the last of them need not be right."""
_FOLLOW: Final = """
INSERT INTO {{table}} AS near (item, vector)
SELECT v.item, v.{{column}} FROM interest_vectors AS v LEFT JOIN {{table}} AS old ON old.item = v.item
WHERE v.{{column}} IS NOT NULL
    AND (old.item IS NULL OR (old.vector <-> v.{{column}}) > {{far}} * {{norm}}(v.{{column}}))
ORDER BY v.item
ON CONFLICT (item) DO UPDATE SET vector = excluded.vector
"""
_TABLES: Final = (("interest_near_behaviour", "shown"), ("interest_near_ials", "factors"))
_NO_FACTORS: Final = """
DELETE FROM interest_near_ials AS near USING interest_vectors AS v WHERE v.item = near.item AND v.factors IS NULL
"""
_FORGET: Final = "DELETE FROM interest_near_behaviour WHERE item = ANY(%s)"


class Near:
    """Lets the copies follow the vectors, within the caller's transaction."""

    def __init__(self, engine: Engine) -> None:
        self._follow: list[LiteralString] = [
            filled(_FOLLOW, {"table": table, "column": column, "norm": engine.norm_function, "far": _FAR})
            for table, column in _TABLES
        ]

    async def follow(self, connection: AsyncConnection[Any], items: int) -> None:
        """Copy what is new or has moved far, where there are more than a few *items*."""
        if items > FEW_ITEMS:
            for statement in self._follow:
                await connection.execute(statement)
            await connection.execute(_NO_FACTORS)

    async def forget(self, connection: AsyncConnection[Any], items: Ids) -> None:
        """Take the copies of *items* away, so that `follow` makes them anew."""
        await connection.execute(_FORGET, [integers(items)])
