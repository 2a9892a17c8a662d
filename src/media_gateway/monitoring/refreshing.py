"""Readings that take time, made in the background, so that Prometheus never waits for one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from psycopg import AsyncConnection

from media_gateway.database.faults import faults_translated
from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import MediaGatewayError
from media_gateway.monitoring.families import Reading
from media_gateway.monitoring.postgres import PostgresReading, read_postgres

_log = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 5.0
"""Seconds that a server has to answer a whole look at it."""
_PATIENCE: Final = 30.0
"""Seconds after which any reading is given up, whatever it waits for."""

Reader = Callable[[], Awaitable[Reading]]


class Refresher:
    """Asks *readers* every *seconds*, each on its own, and keeps what they said last.

    A reader that fails has no samples until it succeeds again: what is stale is not shown.
    """

    def __init__(self, readers: Sequence[Reader], *, seconds: float) -> None:
        self._readers = readers
        self._seconds = seconds
        self._readings: dict[Reader, Reading] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; the first readings are there a moment later."""
        self._tasks = [asyncio.create_task(self._keep(reader)) for reader in self._readers]

    def reading(self) -> Reading:
        """Return the last samples of all readers, at once."""
        return {name: samples for reading in self._readings.values() for name, samples in reading.items()}

    async def aclose(self) -> None:
        """Stop; closing twice does no harm."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _keep(self, reader: Reader) -> None:
        while True:
            try:
                async with asyncio.timeout(_PATIENCE):
                    self._readings[reader] = await reader()
            except Exception as error:  # noqa: BLE001  the next round may succeed
                self._readings.pop(reader, None)
                _log.info("a reading for the metrics failed: %s", error or "it took too long")
            await asyncio.sleep(self._seconds)


class PostgresReader:
    """Looks at the server of *conninfo* on a connection of its own, which is kept from look to look."""

    def __init__(self, conninfo: Callable[[], Awaitable[Mapping[str, Any]]], *, server: str) -> None:
        self._conninfo = conninfo
        self._server = server
        self._connection: AsyncConnection[Any] | None = None
        self.last: PostgresReading | None = None
        """What was seen last, however long ago."""

    async def samples(self) -> Reading:
        """Return what is seen now as samples; a server that does not answer is down."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return (await self.read()).samples()
        except (MediaGatewayError, TimeoutError) as error:
            _log.info("PostgreSQL cannot be read for the metrics: %s", error or "it does not answer")
            return {"postgres_up": 0.0}

    async def read(self) -> PostgresReading:
        """Return what is seen now; raises StoreUnavailableError, and the next call connects anew."""
        try:
            with faults_translated(self._server):
                if self._connection is None or self._connection.closed:
                    self._connection = await connect_dedicated(
                        {**await self._conninfo(), "application_name": "media-gateway monitor"}
                    )
                    # Poolers in transaction mode know nothing of prepared statements.
                    self._connection.prepare_threshold = None
                self.last = await read_postgres(self._connection)
                return self.last
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
