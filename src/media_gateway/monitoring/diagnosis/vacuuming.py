"""The tables' upkeep: whether dead rows are cleared away, and whether the planner knows the tables as they are."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from media_gateway.monitoring.diagnosis.findings import Finding, Kind
from media_gateway.monitoring.diagnosis.limits import Limits
from media_gateway.monitoring.diagnosis.view import ServerView

OFF: Final = Kind(
    code="autovacuum_off",
    severity="warning",
    matters="dead rows pile up, searches walk past them, and nobody keeps the planner's statistics true",
)
DEAD: Final = Kind(
    code="dead_rows", severity="warning", matters="searches walk past them, and the table and its indexes grow"
)
STALE: Final = Kind(
    code="statistics_old",
    severity="warning",
    matters="which way a filtered search goes is decided by figures that are no longer true",
)
WRAPAROUND: Final = Kind(
    code="wraparound_near",
    severity="warning",
    matters="at two billion transactions the server takes no more writes, to save what it has",
)
KINDS: Final = (OFF, DEAD, STALE, WRAPAROUND)

_SQL: Final[LiteralString] = """
SELECT pg_class.relname, n_live_tup, n_dead_tup, n_mod_since_analyze, pg_class.reltuples::bigint,
    greatest(last_vacuum, last_autovacuum), greatest(last_analyze, last_autoanalyze),
    coalesce((SELECT option_value::bool FROM pg_options_to_table(reloptions) WHERE option_name = 'autovacuum_enabled'), true)
FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
WHERE relid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)
ORDER BY pg_class.relname
"""
_SERVER: Final[LiteralString] = """
SELECT current_setting('autovacuum')::bool AND current_setting('track_counts')::bool, age(datfrozenxid)
FROM pg_database WHERE datname = current_database()
"""
_TABLES: Final = ("content_vectors", "content_embedding_cache", "vector_search_logs", "content_changes")


@dataclass(frozen=True, kw_only=True)
class TableReading:
    """What the server counts of a table. *known* are the rows that the planner reckons with, -1 when it knows nothing."""

    name: str
    live: int
    dead: int
    changed: int
    known: int
    vacuumed_at: datetime | None
    analyzed_at: datetime | None
    is_vacuumed: bool


async def examine(view: ServerView) -> list[Finding]:
    """Return what is wrong with the upkeep of the tables."""
    is_on, age = await view.row(_SERVER)
    tables = [_reading(row) for row in await view.rows(_SQL, [list(_TABLES)])]
    found = [] if is_on else [_switched_off(view)]
    found += judged_age(age, view.limits, view.database)
    return [*found, *(finding for table in tables for finding in judged(table, view.limits))]


def judged(table: TableReading, limits: Limits) -> list[Finding]:
    """Return what is wrong with the upkeep of *table*."""
    found: list[Finding] = []
    if not table.is_vacuumed:
        command = f"ALTER TABLE {table.name} RESET (autovacuum_enabled)"
        found.append(OFF.found(f"autovacuum is switched off for {table.name}", command, subject=table.name))
    # The server forgets what it counted when it crashes, and then counts from nothing.
    rows = max(table.live, table.known) + table.dead
    if table.dead >= limits.dead_rows and table.dead > limits.dead_share * rows:
        when = "never" if table.vacuumed_at is None else f"{table.vacuumed_at:%Y-%m-%d %H:%M}"
        seen = f"{table.dead:,} of {rows:,} rows of {table.name} are dead; it was vacuumed last: {when}"
        found.append(DEAD.found(seen, f"VACUUM (ANALYZE) {table.name}", fix="vacuum", subject=table.name))
    is_unknown = table.known < 0 and table.live >= limits.dead_rows
    is_changed = table.changed >= limits.dead_rows and table.changed > limits.stale_share * max(table.known, 1)
    if is_unknown or is_changed:
        when = "never" if table.analyzed_at is None else f"{table.analyzed_at:%Y-%m-%d %H:%M}"
        seen = f"{table.changed:,} rows of {table.name} were changed since it was analyzed; that was: {when}"
        found.append(STALE.found(seen, f"ANALYZE {table.name}", fix="analyze", subject=table.name))
    return found


def judged_age(age: int, limits: Limits, database: str) -> list[Finding]:
    """Return whether the oldest transaction that *database* remembers, *age* transactions ago, is too old."""
    if age < limits.wraparound:
        return []
    seen = f"the oldest transaction that {database} remembers is {age:,} transactions ago"
    return [
        WRAPAROUND.found(seen, "VACUUM (FREEZE), as a superuser; look for what holds it back: see long_transaction")
    ]


def _switched_off(view: ServerView) -> Finding:
    where = (
        "remove autovacuum and track_counts from operator.conf, then media-gateway db stop; media-gateway db start"
        if view.settings.is_embedded
        else "ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf()"
    )
    return OFF.found("autovacuum is switched off on the server", where)


def _reading(row: tuple[Any, ...]) -> TableReading:
    name, live, dead, changed, known, vacuumed_at, analyzed_at, is_vacuumed = row
    return TableReading(
        name=name,
        live=live,
        dead=dead,
        changed=changed,
        known=known,
        vacuumed_at=vacuumed_at,
        analyzed_at=analyzed_at,
        is_vacuumed=is_vacuumed,
    )
