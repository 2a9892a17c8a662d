"""One prepared reading statement, run on libpq itself.

A cursor of the driver costs more than an index search of PostgreSQL takes: it adapts parameters by their types, keeps
descriptions of columns, and may do much that a search never needs. Here a statement is prepared once a connection, its
parameters come as bytes and its columns are read by functions chosen beforehand (measured: half the client's processor
time, 0.3 ms less a search).
"""

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from psycopg import AsyncConnection, errors, sql
from psycopg.abc import Buffer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from media_gateway.json_values import parse
from media_gateway.models import Vector

Decoder: TypeAlias = Callable[[bytes], Any]

_MOST_PREPARED: Final = 64
"""Statements that are kept prepared on one connection; beyond them the oldest is forgotten."""
_BINARY: Final = 1
_SETTLE_SECONDS: Final = 2.0

_double = struct.Struct(">d")
_vector_header = struct.Struct(">HH")


def decode_text(data: bytes) -> str:
    """Return the value of a column of type text."""
    return data.decode()


def decode_double(data: bytes) -> float:
    """Return the value of a column of type double precision."""
    (value,) = _double.unpack(data)
    return value


def decode_jsonb(data: bytes) -> Any:
    """Return the value of a column of type jsonb, which is sent as a version number of one byte and text."""
    return parse(data[1:])


def encode_vector(vector: Vector) -> bytes:
    """Return *vector* as the extension receives it; see `media_gateway.database.vectors`."""
    return _vector_header.pack(vector.shape[0], 0) + vector.astype(">f4").tobytes()


@dataclass(frozen=True, kw_only=True)
class DirectStatement:
    """A statement with $1, $2, ... for its parameters, whose types it must make plain itself, and its columns' readers.

    *columns* has one function for each column; none of them may be NULL.
    """

    text: bytes
    columns: tuple[Decoder, ...]


class DirectConnection(AsyncConnection[tuple[Any, ...]]):
    """A connection that keeps direct statements prepared."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._names: dict[bytes, bytes] = {}
        self._made = 0

    async def read(self, statement: DirectStatement, parameters: list[Buffer]) -> list[tuple[Any, ...]]:
        """Return the rows of *statement*; *parameters* are in the binary form of their types.

        Raises the driver's errors. When it is cancelled, the server is told to stop.
        """
        name = self._names.get(statement.text)
        try:
            try:
                result = await self._run(name or await self._prepare(statement.text), parameters)
            except errors.FeatureNotSupported:
                # "cached plan must not change result type": the table was altered since.
                await self._forget(statement.text)
                result = await self._run(await self._prepare(statement.text), parameters)
        except asyncio.CancelledError:
            await self._settle()
            raise
        value, columns = result.get_value, tuple(enumerate(statement.columns))
        return [tuple([decode(value(row, column)) for column, decode in columns]) for row in range(result.ntuples)]  # pyright: ignore[reportArgumentType]

    async def _prepare(self, text: bytes) -> bytes:
        if len(self._names) >= _MOST_PREPARED:
            await self._forget(next(iter(self._names)))
        self._made += 1
        name = b"direct_%d" % self._made
        self.pgconn.send_prepare(name, text)
        _checked(await _result(self.pgconn), self)
        self._names[text] = name
        return name

    async def _forget(self, text: bytes) -> None:
        name = self._names.pop(text, None)
        if name is not None:
            await self.execute(sql.SQL("DEALLOCATE {}").format(sql.Identifier(name.decode())))

    async def _run(self, name: bytes, parameters: list[Buffer]) -> PGresult:
        formats = [_BINARY] * len(parameters)
        self.pgconn.send_query_prepared(name, parameters, formats, _BINARY)
        return _checked(await _result(self.pgconn), self)

    async def _settle(self) -> None:
        """End what runs, so that the connection can be used again; close it where that does not work."""
        try:
            await self.cancel_safe(timeout=_SETTLE_SECONDS)
            async with asyncio.timeout(_SETTLE_SECONDS):
                await _result(self.pgconn)
        except (errors.Error, TimeoutError, asyncio.CancelledError):
            self.pgconn.finish()


async def _result(connection: PGconn) -> PGresult | None:
    """Send what is left to send and return the last result that comes."""
    loop = asyncio.get_running_loop()
    socket = connection.socket
    while connection.flush():
        await _until(loop.add_writer, loop.remove_writer, socket)
    last = None
    while True:
        while connection.is_busy():
            await _until(loop.add_reader, loop.remove_reader, socket)
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            return last
        last = result


async def _until(add: Callable[..., Any], remove: Callable[[int], Any], socket: int) -> None:
    ready = asyncio.get_running_loop().create_future()
    add(socket, _resolve, ready)
    try:
        await ready
    finally:
        remove(socket)


def _resolve(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def _checked(result: PGresult | None, connection: AsyncConnection[Any]) -> PGresult:
    if result is not None and result.status in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}:
        return result
    if result is None:
        raise errors.OperationalError("the server closed the connection")
    raise errors.error_from_result(result, encoding=connection.info.encoding)
