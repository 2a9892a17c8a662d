"""Working on what is learned, beside a gateway or without one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from media_gateway.database.engine import ENGINES
from media_gateway.errors import SchemaError, UnsupportedError
from media_gateway.learning.opening import LearningDesk, open_desk, scratch_interests
from media_gateway.learning.postgres.interests import PostgresInterests
from media_gateway.models import VectorSpace
from media_gateway.settings import Settings
from media_gateway.wiring.servers import server_conninfo
from media_gateway.wiring.stores import open_existing


@asynccontextmanager
async def open_learning(settings: Settings) -> AsyncGenerator[LearningDesk]:
    """Lend what works on what is learned, on a connection of its own to the PostgreSQL that *settings* mean.

    Raises UnsupportedError under `memory`, StoreUnavailableError, and SchemaError where there is no collection yet.
    """
    if settings.backend == "memory":
        raise UnsupportedError(
            "learning lives in PostgreSQL; choose it with --backend postgres or RUVECTOR_BACKEND=postgres",
            feature="learning",
            store="memory",
        )
    if (store := await open_existing(settings)) is None:
        raise SchemaError(
            f"{settings.server()} has no collection to learn for yet; load one with media-gateway load sample"
        )
    await store.aclose()
    conninfo = await server_conninfo(settings)
    async with open_desk(conninfo, server=settings.server(), engine=ENGINES[settings.engine]) as desk:
        yield desk


@asynccontextmanager
async def open_scratch_interests(settings: Settings, *, space: VectorSpace) -> AsyncGenerator[PostgresInterests]:
    """Lend an empty recommender for texts of *space* in a database of its own on the PostgreSQL that *settings* mean.

    The embedded server is started. The database is dropped in the end. Raises StoreUnavailableError, and SchemaError when
    the role may not create databases.
    """
    conninfo = await server_conninfo(settings)
    engine = ENGINES[settings.engine]
    async with scratch_interests(conninfo, server=settings.server(), engine=engine, space=space) as interests:
        yield interests
