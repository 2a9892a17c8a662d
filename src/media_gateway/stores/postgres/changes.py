"""The change log of a PostgreSQL collection, which triggers keep (migration 6).

Numbers are handed out in another order than transactions commit in. So entries are read in the order of their
transactions, and only those of transactions below the oldest that still runs: none of them can get company later.
"""

from typing import Final

from media_gateway.database.pool import Pool
from media_gateway.errors import UnsupportedError
from media_gateway.models import ChangedKeys, ChangePosition

_POSITION: Final = """
SELECT (SELECT system_identifier FROM pg_control_system()) || '.' ||
        (SELECT oid FROM pg_database WHERE datname = current_database()),
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
    (SELECT up_to::text::bigint FROM content_changes_forgotten),
    EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'content_vectors'::regclass AND tgname = 'content_vectors_changes'
        AND tgenabled <> 'D')
"""
_CHANGES: Final = """
SELECT transaction::text::bigint, number, id
FROM content_changes
WHERE (transaction, number) >= (%(transaction)s::text::xid8, %(number)s::bigint)
    AND (transaction < %(horizon)s::text::xid8 OR %(beyond)s)
ORDER BY content_changes.transaction, number
LIMIT %(limit)s
"""


class ChangeLog:
    """Reads the change log on connections of *pool*."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def position(self) -> ChangePosition:
        """Return the place up to which everything is decided: later readings begin there and miss nothing."""
        log, horizon, _ = await self._read_position()
        return ChangePosition(log=log, transaction=horizon, number=0)

    async def read(self, since: ChangePosition, *, limit: int, beyond: bool) -> ChangedKeys:
        """Return the keys of at most *limit* entries from *since* on.

        With *beyond* also what was committed beside transactions that still run; the position stays before those, so
        that it is read again. Raises UnsupportedError where the collection keeps no log.
        """
        # The horizon first: what commits between the two statements is then beyond it.
        log, horizon, forgotten = await self._read_position()
        end = ChangePosition(log=log, transaction=horizon, number=0)
        if since.log != log or since.transaction <= forgotten or since.transaction > horizon:
            return ChangedKeys(keys=(), is_everything=True, is_end=True, position=end)
        rows = await self._pool.fetch(
            _CHANGES,
            {
                "transaction": str(since.transaction),
                "number": since.number,
                "horizon": str(horizon),
                "beyond": beyond,
                "limit": limit,
            },
        )
        keys = [key for _, _, key in rows if key is not None]
        decided = [(transaction, number) for transaction, number, _ in rows if transaction < horizon]
        is_end = len(rows) < limit if beyond else len(rows) < limit or not decided
        if len(rows) == limit and len(decided) == limit:
            transaction, number = decided[-1]
            end = ChangePosition(log=log, transaction=transaction, number=number + 1)
        return ChangedKeys(
            keys=list(dict.fromkeys(keys)), is_everything=len(keys) < len(rows), is_end=is_end, position=end
        )

    async def _read_position(self) -> tuple[str, int, int]:
        ((log, horizon, forgotten, has_triggers),) = await self._pool.fetch(_POSITION)
        if not has_triggers:
            raise UnsupportedError(
                f"{self._pool.endpoint.server} keeps no change log: the trigger content_vectors_changes is missing or "
                "disabled; enable it (ALTER TABLE content_vectors ENABLE TRIGGER content_vectors_changes), or move the "
                "collection while nothing writes to it",
                feature="change log",
                store="postgres",
            )
        return log, horizon, forgotten
