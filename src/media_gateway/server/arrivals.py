"""Requests that have come whole and were not answered yet, counted where they come in.

A search in memory takes a millisecond or two and waits for nothing, so such requests never meet in the queue before the
work: they wait in the event loop's own, which knows no bound. This is its bound. What is beyond it is turned away by the
protocol, before it takes up time of the event loop.
"""

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

ARRIVAL: Final = "media_gateway.arrival"
"""Where a request's scope has its arrival, when it came through a protocol that counts."""


class Backlog:
    """How many requests wait or are worked on, of which there may be *most*."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.count = 0

    @property
    def is_full(self) -> bool:
        """Whether a further one is too many."""
        return self.count >= self._most


@dataclass(kw_only=True, slots=True)
class Arrival:
    """One request. It *is_surplus* when there were too many before it by the time that it was whole."""

    backlog: Backlog
    is_surplus: bool = False
    is_counted: bool = False

    def is_whole(self) -> None:
        """Count the request, all of which has come."""
        self.is_surplus = self.backlog.is_full
        self.backlog.count += 1
        self.is_counted = True

    def is_over(self) -> None:
        """Count it no longer."""
        if self.is_counted:
            self.backlog.count -= 1
            self.is_counted = False


def arrival_of(scope: Scope) -> Arrival | None:
    """Return the arrival of the request in *scope*, None where nobody counts."""
    found: Arrival | None = scope.get(ARRIVAL)
    return found
