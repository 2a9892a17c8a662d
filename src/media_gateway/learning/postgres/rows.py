"""Reading what is known of items and users, many rows as one value each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import numpy as np
from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.statements import filled
from media_gateway.learning.interests.arrays import Ids, Numbers, ids
from media_gateway.learning.interests.scoring import VectorRows
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.postgres.packing import integers, layout, unpacked, vector_bytes

# An item whose record was removed has no text any more: it counts as the mean of all.
_PACKED: Final = """
    int4send(i.number) || int4send(i.likes) || float8send(coalesce(i.heat_lasting, '-Infinity'))
    || float8send(coalesce(i.heat_recent, '-Infinity')) || float8send(coalesce(i.heat_newest, '-Infinity'))
    || {{type}}_send(v.shown) || coalesce({{type}}_send(v.factors), decode(repeat('00', %(factors_bytes)s), 'hex'))
    || int4send((c.id IS NOT NULL)::integer)
    || coalesce({{type}}_send(c.vector), decode(repeat('00', %(text_bytes)s), 'hex'))"""
_TABLES: Final = """
    interest_items AS i JOIN interest_vectors AS v ON v.item = i.number LEFT JOIN content_vectors AS c ON c.id = i.key"""
_ITEMS: Final = "SELECT string_agg({{packed}}, '') FROM {{tables}} WHERE i.number = ANY(%(items)s)"
_LEARNED: Final = """
SELECT string_agg(int4send(i.number) || int4send(i.likes) || {{type}}_send(v.learned), '')
FROM interest_items AS i JOIN interest_vectors AS v ON v.item = i.number
WHERE i.number = ANY(%(items)s) AND v.learned IS NOT NULL
"""
_PAIRS: Final = """
SELECT string_agg(int4send(a) || int4send(b) || int4send(users), '') FROM interest_pairs WHERE a = ANY(%(items)s)
"""
_SEEN: Final = """
SELECT string_agg(int4send(user_number) || int4send(item) || int4send(coalesce(place, 0)), '')
FROM interest_seen WHERE user_number = ANY(%(users)s)
"""
_SEEN_ROW: Final = layout("user", "item", "place")
_PAIR_ROW: Final = layout("a", "b", "users")


@dataclass(frozen=True, kw_only=True)
class ItemRows:
    """n items: their numbers in ascending order, how many users like each, heats (n, 3), and their vectors."""

    items: Ids
    likes: Numbers
    heats: Numbers
    vectors: VectorRows

    def places(self, items: Ids) -> Ids:
        """Return where *items*, all of them among these, stand."""
        return ids(np.searchsorted(self.items, items))

    def of(self, items: Ids) -> "ItemRows":
        """Return the rows of *items*, all of them among these and in ascending order."""
        places = self.places(items)
        return ItemRows(
            items=items,
            likes=self.likes[places],
            heats=self.heats[places],
            vectors=vectors_at(self.vectors, places),
        )

    def chosen(self, items: Ids) -> VectorRows:
        """Return the vectors of *items*, all of them among these."""
        return vectors_at(self.vectors, self.places(items))


@dataclass(frozen=True, kw_only=True)
class SeenRows:
    """What a user has seen, and *liked* of that, in the order of the likes."""

    seen: Ids
    liked: Ids


def vectors_at(vectors: VectorRows, places: Ids) -> VectorRows:
    """Return the rows of *vectors* at *places*."""
    return VectorRows(behaviour=vectors.behaviour[places], ials=vectors.ials[places], text=vectors.text[places])


class RowReader:
    """Reads rows by an engine's types; text vectors have *dimension* numbers."""

    def __init__(self, engine: Engine, settings: InterestSettings, dimension: int) -> None:
        names = {"type": engine.vector_type}
        self.packed: LiteralString = filled(_PACKED, names)
        """An expression of what `read` reads of the item of a row of `tables`."""
        self.tables: LiteralString = _TABLES
        self.values: dict[str, Any] = {
            "factors_bytes": vector_bytes(settings.ials_dimension),
            "text_bytes": vector_bytes(dimension),
        }
        """What `packed` needs to be bound."""
        self._items: LiteralString = filled(_ITEMS, {"packed": self.packed, "tables": self.tables})
        self._learned: LiteralString = filled(_LEARNED, names)
        self._settings = settings
        self._item_row = layout(
            "item",
            "likes",
            "lasting:f8",
            "recent:f8",
            "newest:f8",
            ("behaviour", settings.dimension),
            ("ials", settings.ials_dimension),
            "has_text",
            ("text", dimension),
        )
        self._learned_row = layout("item", "likes", ("learned", settings.dimension))

    async def items(self, connection: AsyncConnection[Any], items: Ids, text_mean: Numbers) -> ItemRows:
        """Return the rows of *items*, their text centred by *text_mean*; unknown ones are left out."""
        return self.read(await self.packed_items(connection, items), text_mean)

    async def packed_items(self, connection: AsyncConnection[Any], items: Ids) -> bytes | None:
        """Return the rows of *items* for `read`; unknown ones are left out."""
        return await _value(connection, self._items, {**self.values, "items": integers(items)})

    def read(self, packed: bytes | None, text_mean: Numbers) -> ItemRows:
        """Return the rows that `packed` made of items, their text centred by *text_mean*; none for NULL."""
        rows = unpacked(packed, self._item_row)
        rows = rows[np.argsort(rows["item"], kind="stable")]
        text = rows["text"].astype(np.float64) - text_mean
        text[rows["has_text"] == 0] = 0.0
        return ItemRows(
            items=rows["item"].astype(np.int64),
            likes=rows["likes"].astype(np.float64),
            heats=np.column_stack([rows[name].astype(np.float64) for name in ("lasting", "recent", "newest")]),
            vectors=VectorRows(
                behaviour=rows["behaviour"].astype(np.float64),
                ials=rows["ials"].astype(np.float64),
                text=text,
            ),
        )

    async def learned(self, connection: AsyncConnection[Any], items: Ids) -> tuple[Ids, Numbers, Numbers]:
        """Return those of *items* that were learned, in ascending order, their likes (n,) and learned vectors (n, d)."""
        rows = unpacked(await _value(connection, self._learned, {"items": integers(items)}), self._learned_row)
        rows = rows[np.argsort(rows["item"], kind="stable")]
        return rows["item"].astype(np.int64), rows["likes"].astype(np.float64), rows["learned"].astype(np.float64)


async def pairs_of(connection: AsyncConnection[Any], items: Ids) -> tuple[Ids, Ids, Numbers]:
    """Return all pairs whose first item is of *items*: the first, the second, and how many users like both."""
    rows = unpacked(await _value(connection, _PAIRS, {"items": integers(items)}), _PAIR_ROW)
    return rows["a"].astype(np.int64), rows["b"].astype(np.int64), rows["users"].astype(np.float64)


async def seen_by(connection: AsyncConnection[Any], users: Sequence[int]) -> dict[int, SeenRows]:
    """Return for each of *users* what was seen and liked."""
    rows = unpacked(await _value(connection, _SEEN, {"users": integers(list(users))}), _SEEN_ROW)
    rows = rows[np.lexsort((rows["place"], rows["user"]))]
    found: dict[int, SeenRows] = {}
    for user in users:
        first, last = np.searchsorted(rows["user"], [user, user + 1])
        mine = rows[first:last]
        found[user] = SeenRows(
            seen=mine["item"].astype(np.int64), liked=mine["item"][mine["place"] > 0].astype(np.int64)
        )
    return found


async def _value(connection: AsyncConnection[Any], statement: Any, values: dict[str, Any]) -> bytes | None:
    cursor = await connection.execute(statement, values, binary=True)
    row = await cursor.fetchone()
    return None if row is None else row[0]
