"""The sample of searches that is kept: which searches it is of, and how they are written."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from media_gateway.contracts import SearchLog
from media_gateway.database.batch_writer import BatchWriter, Pace
from media_gateway.database.search_log import SearchLogTable
from media_gateway.errors import MediaGatewayError
from media_gateway.models import LoggedSearch

MOST_WAITING: Final = 1_000
"""Searches that wait to be written at most: 4 MB at 768 numbers, and 10 s of a sample of 100 a second."""


@dataclass(frozen=True, kw_only=True)
class LogRules:
    """What is kept: a *share* of the searches, with or without their text, for *days*, and *most_rows* at most."""

    share: float
    keep_text: bool
    days: int
    most_rows: int


@dataclass(frozen=True, kw_only=True)
class LogPace(Pace):
    """The pace of searches, which nobody waits to read."""

    linger: float = 1.0
    rest: float = 5.0
    tidy: float = 600.0
    closing: float = 2.0


_PACE: Final = LogPace()


class SampledSearchLog(BatchWriter[LoggedSearch], SearchLog):
    """A `SearchLog` on the *table*, by *rules*; to be used from one event loop.

    What cannot be written is dropped and counted, and told of once a minute. While the table cannot be reached the
    queue fills; what comes when it is full is dropped. Writing goes on by itself when the table is back.
    """

    def __init__(
        self,
        table: SearchLogTable,
        rules: LogRules,
        *,
        pace: LogPace = _PACE,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(most=MOST_WAITING, pace=pace, complaint="searches cannot be logged, and go on without it")
        self._table = table
        self._rules = rules
        self._draw = draw
        self._logged = 0

    def wants(self) -> bool:
        """Return whether the next search is in the sample."""
        return self._draw() < self._rules.share

    def add(self, search: LoggedSearch) -> None:
        """Take *search* to be written soon, without its text unless that is kept; when the queue is full it is dropped."""
        self._put([search if self._rules.keep_text else replace(search, text=None)])

    def measures(self) -> dict[str, Any]:
        """Return the share, and how many searches were logged, were dropped and are waiting in this process.

        *failures* counts the batches and deletions that the server refused or did not answer.
        """
        return {
            "share": self._rules.share,
            "logged": self._logged,
            "dropped": self._dropped,
            "waiting": len(self._waiting),
            "failures": self._failures,
        }

    async def _write_batch(self, batch: list[LoggedSearch]) -> None:
        """Write *batch*, which leaves the queue in any case: a search has no id by which it could be tried again."""
        self._take(len(batch))
        self._dropped += len(batch)
        rows: list[tuple[Any, ...]] = []
        for search in batch:
            try:
                rows.append(self._table.row(search))
            except MediaGatewayError as error:
                self._note_failure(error)
        if rows:
            await self._table.write(rows)
            self._logged += len(rows)
            self._dropped -= len(rows)

    async def _tidy(self) -> None:
        """Delete what is old, and what is too many."""
        await self._table.tidy(days=self._rules.days, most_rows=self._rules.most_rows)
