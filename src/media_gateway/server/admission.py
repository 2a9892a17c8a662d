"""How many requests are worked on at once, and how many may wait for it: the rest is turned away at once.

A queue without bounds makes everybody wait until everybody has given up. Here one is as long as can be worked off
within the time that callers wait, so an answer comes soon, if only that there is none to be had now.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Literal

ShedReason = Literal["queue-full", "queue-timeout", "bodies", "connections"]


class ShedError(Exception):
    """There is no room for a request; *reason* says what is full."""

    def __init__(self, reason: ShedReason) -> None:
        super().__init__(reason)
        self.reason: ShedReason = reason


class CallerGoneError(Exception):
    """The caller hung up while its request waited."""


class Admission:
    """Room for *most_at_once* requests, and for *most_waiting* more that wait their turn, *seconds* at most."""

    def __init__(self, *, most_at_once: int, most_waiting: int, seconds: float) -> None:
        self._most_at_once = most_at_once
        self._most_waiting = most_waiting
        self._seconds = seconds
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_flight = 0

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def enter(self, gone: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Return when there is room; whoever entered must `leave`.

        *gone* ends when the caller has hung up; it is called for those who wait. Raises ShedError when there is no
        room, and CallerGoneError; nobody has entered then.
        """
        if self.in_flight < self._most_at_once:
            # Nobody waits now: room that becomes free goes to whoever waits first.
            self.in_flight += 1
            return
        if len(self._waiting) >= self._most_waiting:
            raise ShedError("queue-full")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        hung_up = asyncio.create_task(gone())
        try:
            await asyncio.wait({turn, hung_up}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self._give_up(turn)
            raise
        finally:
            has_hung_up = hung_up.done()
            hung_up.cancel()
        if has_hung_up:
            self._give_up(turn)
            raise CallerGoneError
        if not turn.done():
            self._give_up(turn)
            raise ShedError("queue-timeout")

    def leave(self) -> None:
        """Make room for the next."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self.in_flight -= 1

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if turn.done():
            self.leave()
        else:
            self._waiting.remove(turn)
