"""Bringing the schema of the server that the settings mean up to date."""

from media_gateway.database.collection import column_dimension
from media_gateway.database.engine import ENGINES
from media_gateway.database.faults import faults_translated
from media_gateway.database.schema import connect_dedicated, migrate
from media_gateway.embeddings.choice import build_embedder
from media_gateway.settings import Settings
from media_gateway.wiring import server_conninfo


async def apply_migrations(settings: Settings) -> list[str]:
    """Bring the schema of the configured server up to date and return what was applied.

    A new table gets the dimension of RUVECTOR_DIMENSION, or else of the model that the settings choose; the first load
    of another model changes it.
    """
    engine = ENGINES[settings.engine]
    conninfo = await server_conninfo(settings)
    with faults_translated(settings.server()):
        connection = await connect_dedicated(conninfo)
        try:
            wanted = settings.dimension or build_embedder(settings).space.dimension
            dimension = await column_dimension(connection) or wanted
            applied = await migrate(connection, engine, dimension)
        finally:
            await connection.close()
    return [f"{migration.version} ({migration.name})" for migration in applied]
