"""What each role may do with each table of this project."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from media_gateway.database.schema import HISTORY_TABLE, known_migrations

Duty = Literal["application", "monitoring"]

ROWS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""What the application may do with a table unless it is named below; also with those of later migrations."""

APPLICATION: Final[Mapping[str, Sequence[str]]] = {
    HISTORY_TABLE: ("SELECT",),
    # Tuning is for whoever may build the index that it measures.
    "content_search_profiles": ("SELECT",),
    # An audit: added to, never altered.
    "content_tuning_audit": ("SELECT", "INSERT"),
    # Triggers write these, with the rights of the tables' owner.
    "content_changes": ("SELECT",),
    "content_changes_forgotten": ("SELECT",),
    # The audit of a rollout: added to, never altered.
    "content_rollout": ("SELECT", "INSERT"),
    "content_rollout_comparisons": ("SELECT", "INSERT", "DELETE"),
    "content_embedding_cache": ("SELECT", "INSERT", "DELETE"),
    "vector_search_logs": ("SELECT", "INSERT", "DELETE"),
    # Events are never altered; erasing a user takes them away.
    "user_events": ("SELECT", "INSERT", "DELETE"),
}

MONITORING: Final[Mapping[str, Sequence[str]]] = {
    HISTORY_TABLE: (),
    "content_collection": (),
    "content_vectors": (),
    "content_search_profiles": (),
    "content_tuning_audit": (),
    "content_changes": (),
    "content_changes_forgotten": (),
    "content_rollout": (),
    "content_rollout_comparisons": (),
    "user_events_waiting": (),
    "interest_state": (),
    "interest_versions": (),
    # Neither vectors nor the hashes of texts, by which somebody could ask whether a text was embedded.
    "content_embedding_cache": ("model", "dimension", "purpose", "created_at"),
    # How searches went, and not who searched for what and found what.
    "vector_search_logs": ("id", "logged_at", "kind", "model", "k", "exact", "latency_ms", "store"),
}
"""The tables that the monitoring role may read, with the columns where not all; no other table, also no later one."""

MEMBERSHIPS: Final = ("pg_read_all_stats", "pg_read_all_settings")
"""PostgreSQL's own roles that the monitoring role joins: what others run and how much of it, and every setting."""


def project_tables() -> list[str]:
    """Return the tables that the migrations make, in their order, the table of their history first."""
    return [HISTORY_TABLE, *_made("TABLE")]


def project_functions() -> list[str]:
    """Return the names of the functions that the migrations make."""
    return _made("FUNCTION")


def _made(what: str) -> list[str]:
    statement = re.compile(rf"^CREATE (?:OR REPLACE )?{what} (?:IF NOT EXISTS )?(\w+)", re.MULTILINE)
    return list(dict.fromkeys(name for migration in known_migrations() for name in statement.findall(migration.text)))
