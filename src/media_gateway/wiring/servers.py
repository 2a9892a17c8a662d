"""The PostgreSQL server that settings mean: how it is reached, and that the embedded one runs."""

from typing import Any

import anyio.to_thread

from media_gateway.database.server import EmbeddedServer
from media_gateway.settings import Settings


async def running_conninfo(settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters of the server that *settings* mean, without starting it."""
    return EmbeddedServer(settings.embedded_path).conninfo() if settings.is_embedded else settings.conninfo()


async def server_conninfo(settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters of the server that *settings* mean, the embedded one running by then."""
    if not settings.is_embedded:
        return settings.conninfo()
    server = EmbeddedServer(settings.embedded_path)
    await anyio.to_thread.run_sync(server.ensure_running)
    return server.conninfo()
