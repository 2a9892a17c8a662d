"""Replication: a server that only reads, standbys that fall behind, slots that nobody reads."""

from dataclasses import dataclass
from typing import Final, LiteralString

from media_gateway.monitoring.diagnosis.findings import Finding, Kind, in_bytes, in_time
from media_gateway.monitoring.diagnosis.limits import Limits
from media_gateway.monitoring.diagnosis.view import ServerView

READ_ONLY: Final = Kind(code="server_read_only", severity="error", matters="searches work, and every write fails")
LAG: Final = Kind(
    code="replica_lag",
    severity="warning",
    matters="what is read there is old, and should the first server be lost, so is what was written since",
)
SLOT: Final = Kind(
    code="slot_inactive",
    severity="warning",
    matters="the server keeps its log for it, until the disk is full",
)
KINDS: Final = (READ_ONLY, LAG, SLOT)

_STATE: Final[LiteralString] = """
SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool,
    CASE WHEN pg_is_in_recovery() AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
        THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END
"""
_STANDBYS: Final[LiteralString] = """
SELECT coalesce(nullif(application_name, ''), client_addr::text, pid::text), state,
    extract(epoch FROM replay_lag)::float8, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint
FROM pg_stat_replication WHERE state <> 'backup'
"""
_SLOTS: Final[LiteralString] = """
SELECT slot_name, slot_type, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
FROM pg_replication_slots WHERE NOT active
"""


@dataclass(frozen=True, kw_only=True)
class Standby:
    """A standby as its first server sees it: *seconds* and *bytes* behind, None where nobody knows."""

    name: str
    state: str
    seconds: float | None
    bytes: int | None


async def examine(view: ServerView) -> list[Finding]:
    """Return what is wrong with replication to and from the server."""
    # Asked within a transaction that only reads, so what sessions begin with is looked at instead.
    is_standby, is_read_only, behind = await view.row(_STATE)
    if is_standby:
        own = (
            []
            if behind is None
            else judged(Standby(name=view.server, state="replay", seconds=behind, bytes=None), view.limits)
        )
        return [_read_only(view, "it is a standby"), *own]
    found = [_read_only(view, "default_transaction_read_only is on")] if is_read_only else []
    for row in await view.rows(_STANDBYS):
        name, state, seconds, size = row
        found += judged(Standby(name=name, state=state or "unknown", seconds=seconds, bytes=size), view.limits)
    return [*found, *(_slot(*row) for row in await view.rows(_SLOTS))]


def judged(standby: Standby, limits: Limits) -> list[Finding]:
    """Return whether *standby* is too far behind."""
    is_late = standby.seconds is not None and standby.seconds >= limits.replica_seconds
    is_far = standby.bytes is not None and standby.bytes >= limits.replica_bytes
    if not is_late and not is_far:
        return []
    behind = [
        *([] if standby.seconds is None else [in_time(standby.seconds)]),
        *([] if standby.bytes is None else [f"{in_bytes(standby.bytes)} of log"]),
    ]
    return [
        LAG.found(
            f"the standby {standby.name} ({standby.state}) is {' and '.join(behind)} behind",
            "look at the standby's log, disk and network: SELECT * FROM pg_stat_replication",
            subject=standby.name,
        )
    ]


def _slot(name: str, kind: str, size: int | None) -> Finding:
    kept = "nothing yet" if size is None else f"{in_bytes(max(0, size))} of log"
    quoted = name.replace("'", "''")
    return SLOT.found(
        f"nobody reads the {kind} replication slot {name}; {kept} is kept for it",
        f"start its reader, or, where that is gone for good: SELECT pg_drop_replication_slot('{quoted}')",
        subject=name,
    )


def _read_only(view: ServerView, reason: str) -> Finding:
    return READ_ONLY.found(
        f"{view.server} takes no writes: {reason}",
        "name the first server with POSTGRES_HOST; several: DATABASE_URL with target_session_attrs=read-write"
        if reason == "it is a standby"
        else "ALTER DATABASE or ALTER ROLE ... RESET default_transaction_read_only, or make room where a full disk led to it",
    )
