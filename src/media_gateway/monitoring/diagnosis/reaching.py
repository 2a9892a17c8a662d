"""Connecting: which of the many ways in which that fails it was.

libpq tells of them by text alone, its own and the server's, so they are told apart by its English words.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio.to_thread
import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from media_gateway.database.faults import first_line
from media_gateway.database.schema import connect_dedicated
from media_gateway.monitoring.diagnosis.embedded import STARTING
from media_gateway.monitoring.diagnosis.findings import Finding, Kind
from media_gateway.monitoring.surroundings import is_local
from media_gateway.settings import Settings

_NOTHING_WORKS: Final = "every search and write fails until it is mended"
REFUSED: Final = Kind(code="connection_refused", severity="error", matters=_NOTHING_WORKS)
HUNG: Final = Kind(
    code="server_hung",
    severity="error",
    matters="every caller waits for its time limit, which is worse than a refusal",
)
SILENT: Final = Kind(code="host_silent", severity="error", matters=_NOTHING_WORKS)
UNKNOWN_HOST: Final = Kind(code="host_unknown", severity="error", matters=_NOTHING_WORKS)
PASSWORD: Final = Kind(code="password_refused", severity="error", matters=_NOTHING_WORKS)
LOGIN: Final = Kind(code="login_refused", severity="error", matters=_NOTHING_WORKS)
DATABASE: Final = Kind(code="database_missing", severity="error", matters=_NOTHING_WORKS)
TLS_MISSING: Final = Kind(
    code="tls_missing", severity="error", matters="the settings ask for an encrypted connection, so none is made"
)
TLS_REQUIRED: Final = Kind(
    code="tls_required", severity="error", matters="the server takes encrypted connections alone, so none is made"
)
TLS_CERTIFICATE: Final = Kind(
    code="tls_certificate",
    severity="error",
    matters="nobody knows who answers there, so no password is sent and nothing works",
)
FULL: Final = Kind(
    code="connections_exhausted",
    severity="error",
    matters="new connections are refused, also to those who would look after the server",
)
NOT_POSTGRES: Final = Kind(code="not_postgres", severity="error", matters=_NOTHING_WORKS)
FAILED: Final = Kind(code="connection_failed", severity="error", matters=_NOTHING_WORKS)
KINDS: Final = (
    REFUSED,
    HUNG,
    SILENT,
    UNKNOWN_HOST,
    PASSWORD,
    LOGIN,
    DATABASE,
    TLS_MISSING,
    TLS_REQUIRED,
    TLS_CERTIFICATE,
    FULL,
    NOT_POSTGRES,
    FAILED,
)

# The first that fits counts. A refusal for want of TLS is worded as one of the login, and TLS speaks of missing files too.
_WORDS: Final[tuple[tuple[Kind, str], ...]] = (
    (TLS_REQUIRED, r"no encryption|ssl off|connection is insecure"),
    (TLS_MISSING, r"does not support ssl|ssl was required"),
    (TLS_CERTIFICATE, r"certificate|ssl error|ssl alert"),
    (PASSWORD, r"authentication failed|no password supplied"),
    (DATABASE, r'database "[^"]*" does not exist'),
    (LOGIN, r'role "[^"]*" does not exist|no pg_hba.conf entry|not permitted to log in|permission denied for database'),
    (FULL, r"too many clients|connection slots are reserved|too many connections"),
    (STARTING, r"starting up|shutting down|recovery mode|not (yet )?accepting connections"),
    (UNKNOWN_HOST, r"failed to resolve host|translate host name|name or service not known"),
    (REFUSED, r"connection refused|no such file or directory"),
    (SILENT, r"no route to host|network is unreachable|host is down|timeout expired|timed out"),
    (NOT_POSTGRES, r"received invalid response|closed the connection unexpectedly|invalid protocol"),
)
_BEFORE_REASON: Final = re.compile(r"^.*failed: ")
_COMMON_PORTS: Final = (5432, 5433, 6432)
_LOOK_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the settings say that the server is."""

    host: str
    port: int
    user: str
    database: str
    is_embedded: bool
    is_local: bool

    @property
    def start_command(self) -> str:
        """How the server is started, as far as anybody can know from here."""
        if self.is_embedded:
            return "media-gateway db stop; media-gateway db start"
        if self.is_local:
            return "docker compose up -d ruvector-postgres, or: sudo systemctl start postgresql"
        return f"on {self.host}: sudo systemctl start postgresql"


def address_of(settings: Settings, conninfo: Mapping[str, Any]) -> Address:
    """Return where *conninfo*, which *settings* led to, points."""
    return Address(
        host=str(conninfo.get("host") or conninfo.get("hostaddr") or "localhost"),
        port=int(str(conninfo.get("port") or 5432).partition(",")[0]),
        user=str(conninfo.get("user") or ""),
        database=str(conninfo.get("dbname") or ""),
        is_embedded=settings.is_embedded,
        is_local=is_local(conninfo),
    )


async def connected(settings: Settings, conninfo: Mapping[str, Any]) -> AsyncConnection[Any] | Finding:
    """Return a connection in autocommit mode, or why there is none."""
    address = address_of(settings, conninfo)
    named = {"application_name": "media-gateway doctor", **conninfo}
    try:
        return await connect_dedicated(named)
    except psycopg.errors.ConnectionTimeout:
        return await _timed_out(address)
    except psycopg.Error as error:
        kind = told_apart(str(error))
        elsewhere = await _answering_port(address) if kind in {REFUSED, NOT_POSTGRES} else None
        return refusal(kind, first_line(error), address, elsewhere=elsewhere)


def told_apart(message: str) -> Kind:
    """Return the kind of failure that the driver's *message* tells of."""
    fitting = (kind for kind, words in _WORDS if re.search(words, message, re.IGNORECASE))
    return next(fitting, FAILED)


def refusal(kind: Kind, reason: str, address: Address, *, elsewhere: int | None = None) -> Finding:
    """Return the finding of *kind* for a connection to *address* that failed for *reason*.

    *elsewhere* is another port of that host on which a PostgreSQL answers.
    """
    place = address.host if address.host.startswith("/") else f"{address.host}:{address.port}"
    # libpq names the address again before the reason.
    seen = f"{place}: {_BEFORE_REASON.sub('', reason)}"
    if elsewhere is not None:
        return kind.found(f"{seen}; a PostgreSQL answers on port {elsewhere}", f"POSTGRES_PORT={elsewhere}")
    return kind.found(seen, _command(kind, address))


def _command(kind: Kind, address: Address) -> str:
    by_code = {
        HUNG.code: f"{address.start_command} (a hung process may need: kill -9)",
        SILENT.code: f"ping {address.host}; look at firewalls and at POSTGRES_HOST",
        UNKNOWN_HOST.code: "correct POSTGRES_HOST, or the host in DATABASE_URL",
        PASSWORD.code: f"correct POSTGRES_PASSWORD; to set it anew: ALTER ROLE \"{address.user}\" PASSWORD '...'",
        LOGIN.code: f"correct POSTGRES_USER, or: CREATE ROLE \"{address.user}\" LOGIN PASSWORD '...', and a line for it in "
        "pg_hba.conf",
        DATABASE.code: f'correct POSTGRES_DB, or: CREATE DATABASE "{address.database}"',
        TLS_MISSING.code: "switch ssl on in the server's postgresql.conf; inside a private network: sslmode=prefer",
        TLS_REQUIRED.code: "add ?sslmode=verify-full&sslrootcert=FILE to DATABASE_URL",
        TLS_CERTIFICATE.code: "give the authority's certificate with sslrootcert=FILE, and the host's name as the "
        "certificate has it",
        FULL.code: "end clients that are not needed, lower POSTGRES_POOL_MAX, or raise max_connections on the server",
        STARTING.code: "wait, then run media-gateway doctor again",
        NOT_POSTGRES.code: "correct POSTGRES_PORT: something else listens there",
    }
    return by_code.get(kind.code, address.start_command)


async def _timed_out(address: Address) -> Finding:
    if await _accepts(address):
        reason = "it takes the connection and then says nothing"
        return refusal(HUNG, reason, address)
    return refusal(SILENT, "no answer to the connection", address)


async def _accepts(address: Address) -> bool:
    """Whether a process listens there, which a machine or a firewall that swallows packets does not tell."""
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            if address.host.startswith("/"):
                _, writer = await asyncio.open_unix_connection(f"{address.host}/.s.PGSQL.{address.port}")
            else:
                _, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _answering_port(address: Address) -> int | None:
    if address.is_embedded:
        return None
    others = [port for port in _COMMON_PORTS if port != address.port]
    return await anyio.to_thread.run_sync(lambda: next((port for port in others if _pings(address.host, port)), None))


def _pings(host: str, port: int) -> bool:
    target = make_conninfo(host=host, port=port, dbname="postgres", user="postgres", connect_timeout=2)
    return PGconn.ping(target.encode()) in {Ping.OK, Ping.REJECT}
