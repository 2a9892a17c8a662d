"""A pool of serving connections that fails fast, recovers by itself and never checks a connection by a round trip.

psycopg_pool keeps the connections. What is added: callers fail at once when a reconnect has just failed, instead of
queueing for half a minute; a dead connection is noticed by a look at its socket (a microsecond, where a query costs
0.3 ms); a read that loses its connection is tried once more on a new one.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString, Self

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from media_gateway.database.connections import Endpoint, PoolObserver, ServingConnection, looks_dead, set_config
from media_gateway.database.direct import DirectStatement
from media_gateway.database.faults import is_connection_lost, translated, unavailable
from media_gateway.database.hot import IDLE_SECONDS as HOT_SECONDS
from media_gateway.database.hot import HotConnections
from media_gateway.database.limits import AnswerLimit
from media_gateway.database.vectors import register_vectors
from media_gateway.errors import ExtensionMissingError, MediaGatewayError, StoreUnavailableError

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]

CONNECT_TIMEOUT: Final = 2
"""Seconds that one attempt to connect may take (libpq's smallest)."""
IDLE_SECONDS: Final = 30.0

# The pool tells of every lost connection; callers get one typed error each, which is enough.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


class Pool:
    """Serving connections to one server: autocommit, prepared, with the vector type registered.

    Every method raises StoreUnavailableError when the server cannot be reached, at once when an attempt to connect
    has just failed, and StoreTimeoutError when no connection becomes free within *timeout* seconds.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        min_size: int = 2,
        max_size: int = 20,
        timeout: float = 30.0,
        observer: PoolObserver | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._observer = observer
        self._failure: Exception | None = None
        self._is_closed = False
        self._last_use = 0.0
        self._drained_at = 0.0
        self._waiting: set[asyncio.Timeout] = set()
        self._hot = HotConnections()
        self._cooling: asyncio.Task[None] | None = None
        self._pool: AsyncConnectionPool[ServingConnection] = AsyncConnectionPool(
            kwargs=self._connection_arguments(),
            connection_class=self._recording_connection(),
            configure=self._configure,
            reconnect_failed=self._on_reconnect_failed,
            # One attempt: the next caller triggers the next one, so that a restart is noticed at once.
            reconnect_timeout=0,
            min_size=min_size,
            max_size=max_size,
            max_idle=IDLE_SECONDS,
            timeout=timeout,
            open=False,
        )

    async def __aenter__(self) -> Self:
        await self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Start connecting in the background; the first caller learns whether it works."""
        await self._pool.open()

    async def aclose(self) -> None:
        """Close every connection; statements that still run get a few seconds to end."""
        self._is_closed = True
        if self._cooling is not None:
            self._cooling.cancel()
        await self._return(self._hot.all())
        await self._pool.close()

    def measures(self) -> dict[str, int]:
        """Return the pool's counters, as psycopg_pool names them: pool_size, pool_available, requests_waiting, ..."""
        measures = self._pool.get_stats()
        return {**measures, "pool_available": measures.get("pool_available", 0) + len(self._hot)}

    async def fetch(
        self,
        statement: LiteralString,
        parameters: Parameters = (),
        *,
        local: Mapping[str, str] | None = None,
        prepare: bool = True,
    ) -> list[Row]:
        """Run a reading *statement* and return its rows; it is tried again once when its connection turns out dead.

        *local* are settings for this statement alone; they cost a transaction, sent in the same round trip. A statement
        that is not to *prepare* is planned anew with its values each time.
        """
        is_limited = local is None or "statement_timeout" not in local

        async def run(connection: ServingConnection) -> list[Row]:
            if local or self.endpoint.transaction_pooler:
                return await self._fetch_locally(connection, statement, parameters, local or {}, prepare=prepare)
            cursor = await connection.execute(statement, parameters, prepare=prepare, binary=True)
            return await cursor.fetchall()

        return await self._read(run, self.endpoint.patience if is_limited else None)

    async def fetch_direct(self, statement: DirectStatement, parameters: list[Buffer]) -> list[Row]:
        """Run a direct *statement*, which cannot be done behind a transaction pooler, and return its rows as `fetch` does."""
        return await self._read(lambda connection: connection.read(statement, parameters), self.endpoint.patience)

    async def _read(
        self, run: Callable[[ServingConnection], Awaitable[list[Row]]], patience: float | None
    ) -> list[Row]:
        try:
            return await self._read_once(run, patience)
        except StoreUnavailableError as error:
            if error.__cause__ is None or not is_connection_lost(error.__cause__):
                raise
        return await self._read_once(run, patience)

    async def _read_once(
        self, run: Callable[[ServingConnection], Awaitable[list[Row]]], patience: float | None
    ) -> list[Row]:
        connection = await self._acquire()
        limit = AnswerLimit(connection, patience)
        try:
            with limit:
                rows = await run(connection)
            self._last_use = time.monotonic()
            return rows
        except psycopg.Error as error:
            await self._forget_stale(connection, error)
            if limit.was_reached:
                # Without a cause: a server that hangs is not asked again.
                raise self._hung() from None
            raise translated(error, self.endpoint.server) from error
        finally:
            await self._release(connection)

    async def _fetch_locally(
        self,
        connection: AsyncConnection[Row],
        statement: LiteralString,
        parameters: Parameters,
        local: Mapping[str, str],
        *,
        prepare: bool,
    ) -> list[Row]:
        settings = {**self.endpoint.session, **local} if self.endpoint.transaction_pooler else local
        if self.endpoint.transaction_pooler:
            async with connection.transaction():
                await connection.execute(*set_config(settings, is_local=True))
                cursor = await connection.execute(statement, parameters, binary=True)
                return await cursor.fetchall()
        async with connection.pipeline(), connection.transaction():
            await connection.execute(*set_config(settings, is_local=True))
            cursor = await connection.execute(statement, parameters, prepare=prepare, binary=True)
            return await cursor.fetchall()

    @asynccontextmanager
    async def connection(self, *, patience: float | None = None) -> AsyncGenerator[AsyncConnection[Row]]:
        """Lend a serving connection; the driver's errors pass through, for callers who must tell them apart.

        It is cut after *patience* seconds, where that is given.
        """
        connection = await self._acquire()
        try:
            with AnswerLimit(connection, patience):
                yield connection
            self._last_use = time.monotonic()
        except psycopg.Error as error:
            await self._forget_stale(connection, error)
            raise
        finally:
            await self._release(connection)

    async def _acquire(self) -> ServingConnection:
        if self._observer is None:
            return await self._sound_connection()
        began = time.perf_counter()
        connection = await self._sound_connection()
        self._observer.waited(time.perf_counter() - began)
        return connection

    async def _sound_connection(self) -> ServingConnection:
        while True:
            connection = self._hot.take() or await self._next_connection()
            if connection.born >= self._drained_at and not looks_dead(connection):
                return connection
            if connection.born >= self._drained_at:
                await connection.close()
                await self._forget_stale(connection, None)
            await self._pool.putconn(connection)

    async def _release(self, connection: ServingConnection) -> None:
        """Keep *connection* at hand, unless others wait for the pool to have one."""
        if self._waiting or self._is_closed or not self._hot.keep(connection):
            await self._pool.putconn(connection)
        elif self._cooling is None:
            self._cooling = asyncio.create_task(self._cool())

    async def _cool(self) -> None:
        """Give back what nobody uses, until nothing is at hand any more."""
        while len(self._hot):
            await asyncio.sleep(HOT_SECONDS)
            await self._return(self._hot.idle())
        self._cooling = None

    async def _return(self, connections: Sequence[ServingConnection]) -> None:
        for connection in connections:
            await self._pool.putconn(connection)

    async def _next_connection(self) -> ServingConnection:
        try:
            async with asyncio.timeout(None) as patience:
                self._waiting.add(patience)
                try:
                    connection = await self._pool.getconn()
                    connection.lent = time.monotonic()
                    return connection
                finally:
                    self._waiting.discard(patience)
        except TimeoutError as error:
            raise self._refusal() from error
        except psycopg.Error as error:
            if self._observer is not None and isinstance(error, PoolTimeout):
                self._observer.timed_out()
            raise translated(error, self.endpoint.server) from error

    def _hung(self) -> StoreUnavailableError:
        reason = f"no answer within {self.endpoint.patience:g} s"
        return StoreUnavailableError(
            f"{self.endpoint.server} gave {reason} and counts as hung; look at the server's process and its machine, "
            "or raise POSTGRES_STATEMENT_TIMEOUT",
            server=self.endpoint.server,
            reason=reason,
        )

    def _refusal(self) -> MediaGatewayError:
        if isinstance(self._failure, MediaGatewayError):
            return self._failure
        return unavailable(self._failure or psycopg.OperationalError("connection failed"), self.endpoint.server)

    async def _forget_stale(self, connection: ServingConnection, error: psycopg.Error | None) -> None:
        """Replace all idle connections when a lost one was made after they were last replaced."""
        if error is not None and not is_connection_lost(error):
            return
        if connection.born >= self._drained_at:
            self._drained_at = time.monotonic()
            await self._pool.drain()

    async def _on_reconnect_failed(self, pool: AsyncConnectionPool[Any]) -> None:
        """Fail those who wait, unless other connections still serve."""
        is_serving = time.monotonic() - self._last_use < CONNECT_TIMEOUT and pool.get_stats().get("pool_size", 0) > 0
        if not is_serving:
            now = asyncio.get_running_loop().time()
            for patience in list(self._waiting):
                patience.reschedule(now)

    async def _configure(self, connection: ServingConnection) -> None:
        try:
            await self._set_up(connection)
        except Exception as error:
            self._failure = error
            raise
        connection.born = time.monotonic()

    async def _set_up(self, connection: AsyncConnection[Row]) -> None:
        engine = self.endpoint.engine
        if not await register_vectors(connection, engine):
            raise ExtensionMissingError(
                f"{self.endpoint.server} has no type {engine.vector_type!r} in this database; install the extension "
                "on the server, then run media-gateway db migrate",
                extension=engine.name,
            )
        if self.endpoint.session and not self.endpoint.transaction_pooler:
            await connection.execute(*set_config(self.endpoint.session, is_local=False))

    def _connection_arguments(self) -> dict[str, Any]:
        arguments = {"connect_timeout": CONNECT_TIMEOUT, **self.endpoint.conninfo, "autocommit": True}
        if self.endpoint.transaction_pooler:
            arguments["prepare_threshold"] = None
        return arguments

    def _recording_connection(self) -> type[ServingConnection]:
        """Return a connection class that remembers here why connecting failed: the pool hands no reason on."""
        pool = self

        class RecordingConnection(ServingConnection):
            @classmethod
            async def connect(cls, conninfo: str = "", **arguments: Any) -> Self:
                try:
                    return await super().connect(conninfo, **arguments)
                except Exception as error:
                    pool._failure = error
                    raise

        return RecordingConnection
