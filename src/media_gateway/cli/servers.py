"""The PostgreSQL that the `db` commands speak of: the embedded one, or the one that the settings name."""

from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from media_gateway.database.engine import ENGINES
from media_gateway.database.faults import faults_translated
from media_gateway.database.schema import connect_dedicated, extension_version, schema_state
from media_gateway.database.server import EmbeddedServer, ServerStatus
from media_gateway.errors import UnsupportedError
from media_gateway.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ServerFacts:
    """What a server that answers says of itself: versions, and which migrations are applied and still to come.

    *extension* is None where the engine's extension is not created in the database.
    """

    version: str
    extension: str | None
    applied: list[int]
    pending: list[str]


def embedded(settings: Settings, what: str, *, port: int | None = None) -> EmbeddedServer:
    """Return the embedded server; raises UnsupportedError, naming *what* was wanted, when another one is configured."""
    if not settings.is_embedded:
        raise UnsupportedError(
            f"{settings.server()} is not ours to {what}; do it with that server's own tools, or unset DATABASE_URL and "
            "the POSTGRES_ variables to mean the embedded one",
            feature=f"db {what}",
            store="postgres",
        )
    return EmbeddedServer(settings.embedded_path, port=port)


async def start_embedded(settings: Settings, *, port: int | None = None) -> ServerStatus:
    """Start the embedded server, also after it was stopped on purpose, and return its state."""
    return await anyio.to_thread.run_sync(embedded(settings, "start", port=port).start)


async def stop_embedded(settings: Settings) -> bool:
    """Stop the embedded server and return whether it ran."""
    return await anyio.to_thread.run_sync(embedded(settings, "stop").stop)


async def read_facts(settings: Settings, conninfo: dict[str, Any]) -> ServerFacts:
    """Return what the server of *conninfo* says of itself; nothing is changed there."""
    engine = ENGINES[settings.engine]
    with faults_translated(settings.server()):
        connection = await connect_dedicated(conninfo)
        try:
            state = await schema_state(connection)
            version = connection.info.parameter_status("server_version")
            extension = await extension_version(connection, engine)
        finally:
            await connection.close()
    return ServerFacts(
        version=version or "unknown",
        extension=None if extension is None else f"{engine.name} {extension}",
        applied=list(state.applied),
        pending=[f"{migration.version} ({migration.name})" for migration in state.pending],
    )
