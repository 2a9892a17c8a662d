"""Whether a width can help at all, or the index should be built anew."""

from typing import Any

from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.stores.postgres.indexes.advice import rebuild_advice, sampled_recall
from media_gateway.stores.postgres.indexes.catalogue import read_indexes, read_table


async def rebuild_reason(connection: AsyncConnection[Any], engine: Engine, index: str, target: float) -> str | None:
    """Return why the *index* should be built anew, None where nothing tells for it."""
    found = next((state for state in await read_indexes(connection, engine) if state.name == index), None)
    if found is None:
        return None
    table = await read_table(connection)
    then, now = await sampled_recall(connection, found)
    advice = rebuild_advice(
        rows=table.rows,
        dead=table.dead,
        updates_since_build=table.changes_since(found.note),
        recall_then=then,
        recall_now=now,
        target=target,
    )
    return advice.reason if advice.is_advised else None
