"""Transactions that hold others up: left open, running for long, waiting for one another, prepared and forgotten."""

from typing import Any, Final, LiteralString

from media_gateway.monitoring.diagnosis.findings import Finding, Kind, in_time
from media_gateway.monitoring.diagnosis.view import ServerView

_HOLDS_UP: Final = "dead rows cannot be cleared away meanwhile, and concurrent builds of an index wait for it"
IDLE: Final = Kind(code="idle_in_transaction", severity="warning", matters=_HOLDS_UP)
LONG: Final = Kind(code="long_transaction", severity="warning", matters=_HOLDS_UP)
WAITING: Final = Kind(
    code="session_waiting", severity="warning", matters="searches or writes stand still behind a lock"
)
PREPARED: Final = Kind(
    code="prepared_transaction",
    severity="warning",
    matters="it holds its locks and dead rows through every restart, until somebody ends it by name",
)
KINDS: Final = (IDLE, LONG, WAITING, PREPARED)

_SESSIONS: Final[LiteralString] = """
SELECT pid, usename, application_name, state LIKE 'idle in transaction%%',
    extract(epoch FROM clock_timestamp() - xact_start)::float8,
    extract(epoch FROM clock_timestamp() - state_change)::float8,
    CASE WHEN wait_event_type = 'Lock' THEN extract(epoch FROM clock_timestamp() - query_start)::float8 END,
    CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(pid) ELSE '{}' END,
    query ~* '^\\s*(create\\s+index|reindex|vacuum|copy)'
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    AND xact_start IS NOT NULL
ORDER BY xact_start
"""
_PREPARED: Final[LiteralString] = """
SELECT gid, owner, extract(epoch FROM clock_timestamp() - prepared)::float8
FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared
"""


async def examine(view: ServerView) -> list[Finding]:
    """Return the transactions of the database that are open for too long."""
    found = [finding for row in await view.rows(_SESSIONS) for finding in _judged(row, view)]
    return [*found, *(_orphan(*row) for row in await view.rows(_PREPARED) if row[2] >= view.limits.prepared_seconds)]


def _judged(row: tuple[Any, ...], view: ServerView) -> list[Finding]:
    pid, user, application, is_idle, seconds, idle_seconds, waits, blockers, is_maintenance = row
    who = f"session {pid} of {user}{f' ({application})' if application else ''}"
    ending = f"SELECT pg_terminate_backend({pid})"
    if is_idle and idle_seconds >= view.limits.idle_seconds:
        seen = f"{who} has had a transaction open for {in_time(seconds)} and has been idle for {in_time(idle_seconds)}"
        return [IDLE.found(seen, f"end it in that program, or: {ending}", subject=str(pid))]
    if waits is not None and waits >= view.limits.waiting_seconds:
        seen = f"{who} has been waiting for a lock of {_named(blockers)} for {in_time(waits)}"
        return [WAITING.found(seen, f"look at {_named(blockers)}; {ending} ends the one that waits", subject=str(pid))]
    # Builds, dumps and loads take long by nature, and show themselves elsewhere.
    if not is_idle and not is_maintenance and seconds >= view.limits.transaction_seconds:
        seen = f"{who} has been in one transaction for {in_time(seconds)}"
        return [LONG.found(seen, f"wait for it, or: {ending}", subject=str(pid))]
    return []


def _orphan(gid: str, owner: str, seconds: float) -> Finding:
    quoted = gid.replace("'", "''")
    return PREPARED.found(
        f"{owner} prepared the transaction '{gid}' {in_time(seconds)} ago, and nobody ended it",
        f"ROLLBACK PREPARED '{quoted}', or COMMIT PREPARED where its manager says so",
        subject=gid,
    )


def _named(blockers: list[int]) -> str:
    return "session " + ", ".join(map(str, blockers)) if blockers else "a session that has just ended"
