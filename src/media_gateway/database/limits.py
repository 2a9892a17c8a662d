"""A client's own limit on how long a server may stay silent.

The server's statement_timeout ends statements that are slow. It cannot end those of a server that hangs: a stopped
process, a frozen machine, a network that swallows packets. There the client must give up by itself.
"""

import asyncio
import os
import socket
from types import TracebackType
from typing import Any, Self

from psycopg import AsyncConnection


class AnswerLimit:
    """A block in which *connection* is cut after *seconds*; whatever waits on it then fails as for a lost connection.

    None sets no limit. `was_reached` tells afterwards whether the limit, not the server, ended the connection.
    """

    __slots__ = ("_connection", "_seconds", "_timer", "was_reached")

    def __init__(self, connection: AsyncConnection[Any], seconds: float | None) -> None:
        self._connection = connection
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self.was_reached = False

    def __enter__(self) -> Self:
        if self._seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._cut)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _cut(self) -> None:
        self.was_reached = True
        if self._connection.closed:
            return
        # Cancelling the task would not do: the driver then asks the server to cancel and waits for its answer.
        with socket.socket(fileno=os.dup(self._connection.pgconn.socket)) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
