"""Patterns of which there is one row a name: a user's profile, a title."""

import sqlite3
from collections.abc import Callable

from media_gateway.agentdb.context import Context
from media_gateway.agentdb.patterns import Patterns, checked_pattern, pattern_of
from media_gateway.agentdb.records import NewPattern, Pattern
from media_gateway.agentdb.statements import statement

IsIt = Callable[[Pattern], bool]


async def put_one(
    context: Context,
    patterns: Patterns,
    pattern: NewPattern,
    is_it: IsIt,
    also: Callable[[sqlite3.Connection], None] | None = None,
) -> int:
    """Make *pattern* the one row of its name for which *is_it* holds, and return its id.

    The latest such row is changed and others go, as npm leaves them with every save; *also* is done in the same
    transaction.
    """
    context.file.check_may_write()
    row = checked_pattern(pattern)
    vectors = await context.vectors_for([pattern.text], [pattern.vector], "pattern")
    time = pattern.time if pattern.time is not None else context.now

    def stored(connection: sqlite3.Connection) -> int:
        if also is not None:
            also(connection)
        there = named(connection, pattern.task_type, pattern.approach, is_it)
        patterns.remove_rows(connection, [former.id for former in there[1:]])
        if not there:
            return patterns.add_rows(connection, [row], [pattern.time], vectors)[0]
        patterns.change_row(connection, there[0].id, row, time, vectors)
        return there[0].id

    return await context.file.write(stored, lambda key: patterns.follow_one(key, vectors))


def named(connection: sqlite3.Connection, task_type: str, approach: str, is_it: IsIt) -> list[Pattern]:
    """Return the patterns of that type and approach for which *is_it* holds, the latest first."""
    rows = connection.execute(statement("pattern_named"), (task_type, approach)).fetchall()
    return [row for row in map(pattern_of, rows) if is_it(row)]


def facts_of(row: Pattern) -> dict[str, object]:
    """Return the metadata of *row*, an empty object where it has none."""
    return row.metadata if isinstance(row.metadata, dict) else {}  # pyright: ignore[reportUnknownVariableType]
