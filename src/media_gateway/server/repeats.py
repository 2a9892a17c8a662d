"""What happens again and again: logged when it begins, and then as a count of what came since."""

import asyncio
import logging
import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from media_gateway.server.logs import FIELDS

_log = logging.getLogger(__name__)

_SECONDS: Final = 10.0
_MOST_KINDS: Final = 1_000
"""Kinds that are counted at a time; routes, problems and errors are few, so that there are never as many."""


@dataclass(kw_only=True)
class _Kind:
    level: int
    where: str
    last: str
    since: float
    count: int = 0


class Repeats:
    """Logs the first event of a kind at once, and every *seconds* how many more there were, until a while brings none.

    Used on one event loop. Nothing is lost by it: metrics count each answer, and each request has its own line.
    """

    def __init__(self, *, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._kinds: dict[Hashable, _Kind] = {}
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}

    def tell(
        self, kind: Hashable, text: str, *, where: str, level: int = logging.WARNING, with_trace: bool = False
    ) -> None:
        """Log *text*, which happened at *where*, unless *kind* is being counted.

        *with_trace* adds the exception that is being handled, by its kind and places.
        """
        known = self._kinds.get(kind)
        if known is not None:
            known.count += 1
            known.last = text
            return
        _log.log(level, "%s", text, exc_info=with_trace)
        if len(self._kinds) < _MOST_KINDS:
            self._kinds[kind] = _Kind(level=level, where=where, last=text, since=time.monotonic())
            self._wait(kind)

    def close(self) -> None:
        """Log what was counted so far, and count no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        kinds, self._kinds = self._kinds, {}
        for known in kinds.values():
            self._log_count(known)

    def _wait(self, kind: Hashable) -> None:
        self._timers[kind] = asyncio.get_running_loop().call_later(self._seconds, self._over, kind)

    def _over(self, kind: Hashable) -> None:
        known = self._kinds[kind]
        if not known.count:
            del self._kinds[kind], self._timers[kind]
            return
        self._log_count(known)
        known.count, known.since = 0, time.monotonic()
        self._wait(kind)

    def _log_count(self, known: _Kind) -> None:
        if not known.count:
            return
        seconds = round(time.monotonic() - known.since, 1)
        fields = {
            "event": "repeated",
            "where": known.where,
            "count": known.count,
            "seconds": seconds,
            "message": f"{known.count:,} more in {seconds:g} s, the last: {known.last}",
        }
        # The timer has the context of the first request, whose id these do not bear.
        _log.log(known.level, "repeated", extra={FIELDS: {**fields, "request_id": None}})
