"""Where a server is, and a connection that serves there."""

import select
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, LiteralString, Protocol, Self

from psycopg import AsyncConnection, OperationalError

from media_gateway.database.direct import DirectConnection
from media_gateway.database.engine import PGVECTOR, Engine
from media_gateway.database.statements import trusted
from media_gateway.database.tls import with_reason


@dataclass(frozen=True, kw_only=True, repr=False)
class Endpoint:
    """Where the server is, and how sessions on it are set up.

    *conninfo* are libpq's parameters, the password among them, so an endpoint shows itself as *server* only.
    *session* are run-time settings by name, set for each serving session. *patience* are the seconds after which a
    server that answers nothing at all counts as hung; it lies above the server's own statement timeout.
    """

    conninfo: Mapping[str, Any]
    server: str
    engine: Engine = PGVECTOR
    session: Mapping[str, str] = field(default_factory=dict[str, str])
    transaction_pooler: bool = False
    patience: float | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.server})"


class PoolObserver(Protocol):
    """Hears how callers of a pool get their connections; neither method waits or fails."""

    def waited(self, seconds: float) -> None:
        """Take note that a caller got one after *seconds*."""
        ...

    def timed_out(self) -> None:
        """Take note that a caller got none in time."""
        ...


class ServingConnection(DirectConnection):
    """A connection that knows when (monotonic seconds) it became ready to serve, left the pool and was last used."""

    born: float = 0.0
    lent: float = 0.0
    used: float = 0.0

    @classmethod
    async def connect(cls, conninfo: str = "", **arguments: Any) -> Self:
        """Connect as the driver does; an error tells why the server's certificate is not believed."""
        try:
            return await super().connect(conninfo, **arguments)
        except OperationalError as error:
            raise await with_reason(error, arguments) from error


def set_config(settings: Mapping[str, str], *, is_local: bool) -> tuple[LiteralString, list[Any]]:
    """Return the statement, and its parameters, that sets run-time *settings* in one round trip."""
    calls = ", ".join("set_config(%s, %s, %s)" for _ in settings)
    return trusted(f"SELECT {calls}"), [part for name, value in settings.items() for part in (name, value, is_local)]


def looks_dead(connection: AsyncConnection[Any]) -> bool:
    """Whether the server closed this idle connection: its socket then has something to read."""
    if connection.closed:
        return True
    poller = select.poll()
    poller.register(connection.pgconn.socket, select.POLLIN)
    return bool(poller.poll(0))
