"""Advisory locks that a session takes at once or not at all."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import anyio
import psycopg
from psycopg import AsyncConnection

_SECONDS: Final = 2.0


@asynccontextmanager
async def advisory_lock(connection: AsyncConnection[Any], key: int) -> AsyncGenerator[bool]:
    """Tell whether *connection*, which commits by itself, got the lock *key*, and hold it that long.

    It is given back in so many words: a session's end does so too, but only a moment after its connection was closed,
    and who asks in that moment would be refused.
    """
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", [key])
    is_ours = await cursor.fetchone() == (True,)
    try:
        yield is_ours
    finally:
        if is_ours and not connection.closed:
            with anyio.move_on_after(_SECONDS, shield=True), suppress(psycopg.Error):
                await connection.execute("SELECT pg_advisory_unlock(%s)", [key])
