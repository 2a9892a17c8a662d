"""What is shown of recommended items: their records, and the titles of the liked ones behind them."""

from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

from media_gateway.database.statements import filled
from media_gateway.learning.interests.arrays import Ids, Numbers
from media_gateway.learning.postgres.packing import integers
from media_gateway.learning.postgres.rows import ItemRows, RowReader

_SHOWN: Final = """
SELECT i.number, i.key, c.metadata, {{packed}} FROM {{tables}} WHERE i.number = ANY(%(items)s) AND c.id IS NOT NULL
"""
_NAMED: Final = """
SELECT i.number, i.key, CASE WHEN jsonb_typeof(c.metadata -> 'title') = 'string' THEN c.metadata ->> 'title' END
FROM interest_items AS i LEFT JOIN content_vectors AS c ON c.id = i.key WHERE i.number = ANY(%s)
"""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The keys and the metadata of items by their numbers, and their *rows*; items whose record was removed are left out."""

    keys: dict[int, str]
    metadata: dict[int, dict[str, Any]]
    rows: ItemRows


@dataclass(frozen=True, kw_only=True)
class Named:
    """The key of an item, and the title of its record where that has one."""

    key: str
    title: str | None


class ShownReader:
    """Reads what is shown, the rows of items as *reader* has them packed."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        self._shown: LiteralString = filled(_SHOWN, {"packed": reader.packed, "tables": reader.tables})

    async def shown(self, connection: AsyncConnection[Any], items: Ids, text_mean: Numbers) -> Shown:
        """Return what is shown of *items*, their text centred by *text_mean*."""
        values = {**self._reader.values, "items": integers(items)}
        cursor = await connection.execute(self._shown, values, binary=True, prepare=True)
        rows = await cursor.fetchall()
        return Shown(
            keys={number: key for number, key, _, _ in rows},
            metadata={number: metadata for number, _, metadata, _ in rows},
            rows=self._reader.read(b"".join(packed for _, _, _, packed in rows), text_mean),
        )

    async def named(self, connection: AsyncConnection[Any], items: Ids) -> dict[int, Named]:
        """Return how those of *items* that are known are called."""
        if not len(items):
            return {}
        cursor = await connection.execute(_NAMED, [integers(items)], binary=True, prepare=True)
        return {number: Named(key=key, title=title) for number, key, title in await cursor.fetchall()}
