"""Connections: whether there are enough of them, and whether the pool asks for more than there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from media_gateway.monitoring.diagnosis.findings import Finding, Kind
from media_gateway.monitoring.diagnosis.limits import Limits
from media_gateway.monitoring.diagnosis.reaching import FULL
from media_gateway.monitoring.diagnosis.view import ServerView
from media_gateway.monitoring.surroundings import is_local

NEARLY_FULL: Final = Kind(
    code="connections_nearly_exhausted",
    severity="warning",
    matters="when the last one is taken, new ones are refused",
)
POOL_LARGE: Final = Kind(
    code="pool_too_large",
    severity="warning",
    matters="under load the pool asks for connections that the server refuses, and searches fail",
)
POOL_EXHAUSTED: Final = Kind(
    code="pool_exhausted",
    severity="warning",
    matters="callers wait for a connection, and fail after POSTGRES_POOL_TIMEOUT",
)
HIDDEN: Final = Kind(
    code="readings_hidden",
    severity="info",
    matters="what other roles' sessions do, and how far standbys are, cannot be judged",
)
UNENCRYPTED: Final = Kind(
    code="connection_unencrypted",
    severity="warning",
    matters="whoever can listen on the way sees every record, and may change them",
)
KINDS: Final = (NEARLY_FULL, POOL_LARGE, POOL_EXHAUSTED, HIDDEN, UNENCRYPTED)

_SQL: Final[LiteralString] = """
SELECT current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0),
    (SELECT sum(numbackends)::int FROM pg_stat_database),
    rolconnlimit,
    (SELECT count(*) FROM pg_stat_activity WHERE usesysid = pg_roles.oid AND backend_type = 'client backend'),
    datconnlimit,
    numbackends,
    pg_has_role('pg_read_all_stats', 'USAGE') OR rolsuper,
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
FROM pg_roles, pg_database JOIN pg_stat_database ON pg_stat_database.datid = pg_database.oid
WHERE rolname = current_user AND pg_database.datname = current_database()
"""


@dataclass(frozen=True, kw_only=True)
class SessionsReading:
    """How many connections there may be and are: on the server, of this role, and to this database.

    A limit of -1 is none. *sees_all* tells whether the role may see what others' sessions do.
    """

    most: int
    used: int
    role_limit: int
    role_used: int
    database_limit: int
    database_used: int
    sees_all: bool
    is_encrypted: bool

    def limits(self) -> list[tuple[str, int, int]]:
        """Return what is limited, how many are used and how many there may be."""
        found = [("the server", self.used, self.most)]
        if self.role_limit >= 0:
            found.append(("this role", self.role_used, self.role_limit))
        if self.database_limit >= 0:
            found.append(("this database", self.database_used, self.database_limit))
        return found


async def examine(view: ServerView) -> list[Finding]:
    """Return what is wrong with the connections."""
    row = await view.row(_SQL)
    reading = _reading(row)
    found = judged(reading, view)
    if view.parts.pool is not None:
        found += judged_pool(view.parts.pool, view.settings.pool_timeout)
    return found


def _reading(row: tuple[Any, ...]) -> SessionsReading:
    most, used, role_limit, role_used, database_limit, database_used, sees_all, is_encrypted = row
    return SessionsReading(
        most=most,
        used=used,
        role_limit=role_limit,
        role_used=role_used,
        database_limit=database_limit,
        database_used=database_used,
        sees_all=sees_all,
        is_encrypted=is_encrypted,
    )


def judged(reading: SessionsReading, view: ServerView) -> list[Finding]:
    """Return what *reading* says."""
    found = [finding for limit in reading.limits() for finding in _crowded(*limit, view.limits)]
    what, _, most = min(reading.limits(), key=lambda limit: limit[2])
    if view.settings.pool_max > most:
        found.append(
            POOL_LARGE.found(
                f"POSTGRES_POOL_MAX is {view.settings.pool_max}, and {what} has {most} connections",
                f"POSTGRES_POOL_MAX={max(1, most // 2)}, or raise {_raising(what, view)}",
            )
        )
    if not reading.sees_all:
        found.append(
            HIDDEN.found(
                f"the role {view.role} may not see what other roles' sessions do", f'GRANT pg_monitor TO "{view.role}"'
            )
        )
    return [*found, *judged_encryption(view.server, is_encrypted=reading.is_encrypted, is_near=is_local(view.conninfo))]


def judged_encryption(server: str, *, is_encrypted: bool, is_near: bool) -> list[Finding]:
    """Return whether others can read along on the way to *server*, which *is_near* where there is no way."""
    if is_encrypted or is_near:
        return []
    command = "add ?sslmode=verify-full&sslrootcert=FILE to DATABASE_URL"
    return [UNENCRYPTED.found(f"the connection to {server} is not encrypted", command)]


def judged_pool(pool: Mapping[str, int], timeout: float) -> list[Finding]:
    """Return whether callers wait for the *pool* of this process, by its counters."""
    waiting = pool.get("requests_waiting", 0)
    if not waiting:
        return []
    size, most = pool.get("pool_size", 0), pool.get("pool_max", 0)
    return [
        POOL_EXHAUSTED.found(
            f"{waiting} callers wait for one of {size} connections ({most} at most); each gives up after {timeout:g} s",
            "raise POSTGRES_POOL_MAX, or look for what holds them: media-gateway monitor",
        )
    ]


def _crowded(what: str, used: int, most: int, limits: Limits) -> list[Finding]:
    share = used / most if most else 1.0
    seen = f"{used} of the {most} connections that {what} may have are in use ({share:.0%})"
    command = "media-gateway monitor shows whose they are; end what is not needed, or lower POSTGRES_POOL_MAX"
    if share >= limits.connections_full:
        return [FULL.found(seen, command)]
    return [NEARLY_FULL.found(seen, command)] if share >= limits.connections_share else []


def _raising(what: str, view: ServerView) -> str:
    if what == "this role":
        return f'it: ALTER ROLE "{view.role}" CONNECTION LIMIT {view.settings.pool_max + 5}'
    if what == "this database":
        return f'it: ALTER DATABASE "{view.database}" CONNECTION LIMIT {view.settings.pool_max + 5}'
    return "max_connections on the server"
