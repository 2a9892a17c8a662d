"""Reading a whole table without holding it."""

from collections.abc import AsyncIterator
from typing import Any, Final

from media_gateway.agentdb.file import AgentFile
from media_gateway.agentdb.statements import statement

_ROWS: Final = 1000


async def paged(file: AgentFile, query: str) -> AsyncIterator[tuple[Any, ...]]:
    """Yield the rows of *query*, which takes the id to start behind and a number of rows, by ascending id."""
    after = 0
    while True:
        values = (after, _ROWS)
        rows = await file.run(lambda connection, values=values: connection.execute(statement(query), values).fetchall())
        for row in rows:
            yield row
        if not rows:
            return
        after = rows[-1][0]
