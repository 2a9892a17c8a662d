"""The audit of tunings, the table `content_tuning_audit`."""

import os
import socket
from dataclasses import asdict
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from media_gateway.models import TuningEntry

_NAMES: Final = (
    "process, trigger, action, reason, recall_sampled, samples, target, table_rows, ef_before, ef_after, recall_after, "
    "advice, seconds"
)
_INSERT: Final = f"""
INSERT INTO content_tuning_audit ({_NAMES})
VALUES (%(process)s, %(trigger)s, %(action)s, %(reason)s, %(recall_sampled)s, %(samples)s, %(target)s, %(table_rows)s,
    %(ef_before)s, %(ef_after)s, %(recall_after)s, %(advice)s::text[], %(seconds)s)
"""  # noqa: S608  a constant
_LATEST: Final = f"SELECT at, {_NAMES} FROM content_tuning_audit ORDER BY id DESC LIMIT %s"  # noqa: S608
_MISSING: Final = (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege)


def this_process() -> str:
    """Return how this process is named to others: its host and number."""
    return f"{socket.gethostname()}:{os.getpid()}"


async def note(connection: AsyncConnection[Any], entry: TuningEntry) -> bool:
    """Add *entry* by *connection*, in autocommit mode; return False where the schema or the role's rights do not allow it."""
    values = {**asdict(entry), "advice": list(entry.advice)}
    try:
        await connection.execute(_INSERT, values)
    except _MISSING:
        return False
    return True


async def latest(connection: AsyncConnection[Any], limit: int) -> list[TuningEntry]:
    """Return the last *limit* entries, the latest first; none where the schema or the role's rights do not allow it."""
    names = ["at", *_NAMES.split(", ")]
    try:
        cursor = await connection.execute(_LATEST, [limit])
        rows = await cursor.fetchall()
    except _MISSING:
        return []
    return [TuningEntry(**dict(zip(names, row, strict=True))) for row in rows]
