"""Putting learning together: on a store's connections, or on one of its own."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import numpy as np
from psycopg import AsyncConnection, sql

from media_gateway.database.collection import claim_space, recorded_space
from media_gateway.database.connections import Endpoint, set_config
from media_gateway.database.engine import Engine
from media_gateway.database.faults import faults_translated
from media_gateway.database.schema import connect_dedicated, migrate
from media_gateway.database.scratch import scratch_database
from media_gateway.database.vectors import register_vectors
from media_gateway.errors import SchemaError
from media_gateway.learning.events import EventTable, EventWriter
from media_gateway.learning.events.table import Lend
from media_gateway.learning.guard import Shadow
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.learner import Learner
from media_gateway.learning.postgres.arrays import load_arrays
from media_gateway.learning.postgres.interests import PostgresInterests
from media_gateway.learning.postgres.recommending import FRESH_SECONDS, Recommender
from media_gateway.learning.preferences import PreferenceTable
from media_gateway.learning.service import PostgresLearning
from media_gateway.learning.users import UserData
from media_gateway.learning.versions import Version, versions
from media_gateway.models import VectorSpace


@dataclass(frozen=True, kw_only=True)
class LearningDesk:
    """All that works on what is learned, on one connection: for commands, not for serving."""

    interests: PostgresInterests
    preferences: PreferenceTable
    events: EventTable
    users: UserData
    learner: Learner
    learning: PostgresLearning
    lend: Lend

    async def versions(self) -> tuple[list[Version], Shadow]:
        """Return the latest versions of the weights, the newest first, and how new weights compare with those in use."""
        with faults_translated(self.events.server):
            async with self.lend() as connection:
                arrays = await load_arrays(connection)
                sums = arrays.get("shadow")
                return await versions(connection), Shadow.of(np.zeros(5) if sums is None else sums)


def serving_learning(
    endpoint: Endpoint, lend: Lend, *, dimension: int, writable: bool, days: int | None
) -> PostgresLearning:
    """Return the learning of the collection at *endpoint* on serving connections that *lend* gives.

    Events are kept for *days*, or for ever where that is None. With *writable* false it only recommends.
    """
    events = EventTable(lend, server=endpoint.server)
    return PostgresLearning(
        lend,
        server=endpoint.server,
        events=events,
        writer=EventWriter(events, days=days) if writable else None,
        recommender=Recommender(
            lend,
            server=endpoint.server,
            engine=endpoint.engine,
            settings=InterestSettings(),
            dimension=dimension,
            fresh=FRESH_SECONDS,
        ),
        preferences=PreferenceTable(lend, server=endpoint.server, engine=endpoint.engine),
    )


@asynccontextmanager
async def open_desk(
    conninfo: Mapping[str, Any],
    *,
    server: str,
    engine: Engine,
    settings: InterestSettings | None = None,
    is_guarded: bool = True,
) -> AsyncGenerator[LearningDesk]:
    """Connect to the collection of *conninfo*, whose schema is up to date, and lend all that works on what is learned.

    Without *is_guarded* recommendations follow the learned weights at once, whether they are better or not.

    Raises StoreUnavailableError, and SchemaError where there is no collection yet.
    """
    with faults_translated(server):
        connection = await connect_dedicated(conninfo)
    try:
        with faults_translated(server):
            await register_vectors(connection, engine)
            if engine.iterative_scan is not None:
                await connection.execute(*set_config({engine.iterative_scan: "relaxed_order"}, is_local=False))
            space = await recorded_space(connection)
        if space is None:
            raise SchemaError(f"{server} has no collection to learn for yet; load one with media-gateway load sample")
        yield _desk(
            _alone(connection),
            server=server,
            engine=engine,
            dimension=space.dimension,
            settings=settings,
            is_guarded=is_guarded,
        )
    finally:
        with anyio.CancelScope(shield=True):
            await connection.close()


@asynccontextmanager
async def scratch_interests(
    conninfo: Mapping[str, Any],
    *,
    server: str,
    engine: Engine,
    space: VectorSpace,
    settings: InterestSettings | None = None,
) -> AsyncGenerator[PostgresInterests]:
    """Make a database of its own beside that of *conninfo*, lend an empty recommender in it, and drop it in the end.

    Recommendations follow the learned weights at once, as those of the model in memory do. For evaluations. Raises SchemaError when
    the role may not create databases.
    """
    async with scratch_database(conninfo, server) as scratch:
        with faults_translated(server):
            connection = await connect_dedicated(scratch.conninfo)
        try:
            with faults_translated(server):
                await connection.execute(
                    sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(engine.name))
                )
                await migrate(connection, engine, space.dimension)
                await claim_space(connection, engine, space)
                await register_vectors(connection, engine)
            yield PostgresInterests(
                _alone(connection),
                server=server,
                engine=engine,
                dimension=space.dimension,
                settings=settings,
                is_guarded=False,
            )
        finally:
            with anyio.CancelScope(shield=True):
                await connection.close()


def _alone(connection: AsyncConnection[Any]) -> Lend:
    """Return a lender of the only *connection*, to one borrower after another."""
    lock = anyio.Lock()

    @asynccontextmanager
    async def lend() -> AsyncGenerator[AsyncConnection[Any]]:
        async with lock:
            yield connection

    return lend


def _desk(
    lend: Lend, *, server: str, engine: Engine, dimension: int, settings: InterestSettings | None, is_guarded: bool
) -> LearningDesk:
    events = EventTable(lend, server=server)
    preferences = PreferenceTable(lend, server=server, engine=engine)
    interests = PostgresInterests(
        lend, server=server, engine=engine, dimension=dimension, settings=settings, is_guarded=is_guarded
    )
    return LearningDesk(
        interests=interests,
        preferences=preferences,
        events=events,
        users=UserData(lend, server=server, engine=engine, interests=interests, preferences=preferences, events=events),
        learner=Learner(interests, preferences),
        lend=lend,
        learning=PostgresLearning(
            lend, server=server, events=events, writer=None, recommender=interests.recommender, preferences=preferences
        ),
    )
