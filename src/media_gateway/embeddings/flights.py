"""Work that several callers share: started once, ended when nobody waits for it any more."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class Flight(Generic[_T]):
    """Runs *work* in a task of its own, for everyone who boards.

    A passenger who is cancelled leaves the others unharmed; when the last one leaves, the work is cancelled too.
    """

    def __init__(self, work: Coroutine[Any, Any, _T]) -> None:
        self._task = asyncio.create_task(work)
        # Nobody may be left to look at a failure; asyncio would complain about it in the log.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._passengers = 0
        self._cancelled = False

    @property
    def is_open(self) -> bool:
        """Whether one may still board: the work was not cancelled."""
        return not self._cancelled

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call *callback* when the work has ended, however it did."""
        self._task.add_done_callback(lambda _: callback())

    def board(self) -> None:
        """Count in one more passenger, who must `leave` in the end."""
        self._passengers += 1

    def leave(self) -> None:
        """Count out a passenger; the last one ends the work if it still runs."""
        self._passengers -= 1
        if self._passengers == 0 and not self._task.done():
            self.cancel()

    def cancel(self) -> None:
        """End the work; `arrived` then gives None to those who wait."""
        self._cancelled = True
        self._task.cancel()

    async def arrived(self) -> _T | None:
        """Return the work's result, or None when it was cancelled; raises what the work raised."""
        await asyncio.wait([self._task])
        return None if self._task.cancelled() else self._task.result()

    async def ended(self) -> None:
        """Wait until the work has ended, however it did."""
        await asyncio.wait([self._task])
