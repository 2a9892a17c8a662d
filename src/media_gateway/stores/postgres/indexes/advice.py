"""Whether an index should be built anew: by how much was changed since, and by the recall that was sampled."""

from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

from media_gateway.stores.postgres.indexes.catalogue import IndexState, TableState

_DEAD_SHARE: Final = 0.2
_CHURN_SHARE: Final = 0.5
_LOST_RECALL: Final = 0.02
"""A fall of recall that sampling noise does not explain: two standard errors of 500 queries at 0.95."""


_SAMPLED: Final = """
SELECT recall FROM content_search_profiles
WHERE index_kind = %s AND measured_at >= coalesce(%s, '-infinity'::timestamptz)
ORDER BY id
"""


@dataclass(frozen=True, kw_only=True)
class RebuildAdvice:
    """Whether a rebuild is advised, and the *reason* in a sentence."""

    is_advised: bool
    reason: str


async def sampled_recall(connection: AsyncConnection[Any], index: IndexState) -> tuple[float | None, float | None]:
    """Return the recall that tuning sampled first and last since the *index* was built, None where it did not."""
    cursor = await connection.execute("SELECT has_table_privilege(to_regclass('content_search_profiles'), 'SELECT')")
    row = await cursor.fetchone()
    if row is None or not row[0] or index.definition is None:
        return None, None
    built_at = None if index.note is None else index.note.built_at
    cursor = await connection.execute(_SAMPLED, [index.definition.kind, built_at])
    recalls = [float(sampled[0]) for sampled in await cursor.fetchall()]
    return (recalls[0], recalls[-1]) if recalls else (None, None)


async def read_rebuild_advice(
    connection: AsyncConnection[Any], index: IndexState, table: TableState, target: float
) -> RebuildAdvice:
    """Return whether *index* of *table* should be built anew for a recall of *target*, by what was sampled of it."""
    then, now = await sampled_recall(connection, index)
    return rebuild_advice(
        rows=table.rows,
        dead=table.dead,
        updates_since_build=table.changes_since(index.note),
        recall_then=then,
        recall_now=now,
        target=target,
    )


def rebuild_advice(
    *,
    rows: int,
    dead: int,
    updates_since_build: int | None,
    recall_then: float | None,
    recall_now: float | None,
    target: float,
) -> RebuildAdvice:
    """Return whether the vector index should be built anew.

    *rows* and *dead* are the table's; *updates_since_build* counts updates and deletes, None where nobody knows;
    *recall_then* was sampled after the build and *recall_now* lately, None where it was not. Recall decides where
    there are samples: a churned graph that still finds what it should needs no rebuild, unless the rows that are dead
    weigh on it.
    """
    churn = None if updates_since_build is None or not rows else updates_since_build / rows
    if recall_now is not None and recall_now < target:
        if recall_then is None or recall_then - recall_now >= _LOST_RECALL:
            return _advised(_recall_fell(recall_then, recall_now, target))
        return _kept(
            f"recall is {recall_now:.3f}, below the target of {target:g}, but was {recall_then:.3f} after the build: "
            "tune the search width (media-gateway tune) instead"
        )
    if rows and dead / (rows + dead) > _DEAD_SHARE:
        return _advised(
            f"{dead / (rows + dead):.0%} of the table's rows are dead; VACUUM content_vectors, then build the index anew"
        )
    if recall_now is not None:
        return _kept(f"recall is {recall_now:.3f}, the target {target:g}")
    if churn is not None and churn > _CHURN_SHARE:
        return _advised(
            f"{updates_since_build:,} rows were changed since the build, of {rows:,}, and nobody sampled recall since"
        )
    return _kept("little was changed since the build" if churn is not None else "nothing tells against the index")


def _recall_fell(recall_then: float | None, recall_now: float, target: float) -> str:
    before = "" if recall_then is None else f" from {recall_then:.3f}"
    return f"recall fell{before} to {recall_now:.3f}, below the target of {target:g}"


def _advised(reason: str) -> RebuildAdvice:
    return RebuildAdvice(is_advised=True, reason=reason)


def _kept(reason: str) -> RebuildAdvice:
    return RebuildAdvice(is_advised=False, reason=reason)
