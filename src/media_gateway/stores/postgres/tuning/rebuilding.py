"""Whether a width can help at all, or the index should be built anew."""

from typing import Any

from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.stores.postgres.indexes.advice import read_rebuild_advice
from media_gateway.stores.postgres.indexes.catalogue import read_indexes, read_table


async def rebuild_reason(connection: AsyncConnection[Any], engine: Engine, index: str, target: float) -> str | None:
    """Return why the *index* should be built anew, None where nothing tells for it."""
    found = next((state for state in await read_indexes(connection, engine) if state.name == index), None)
    if found is None:
        return None
    advice = await read_rebuild_advice(connection, found, await read_table(connection), target)
    return advice.reason if advice.is_advised else None
