"""Learning as a gateway has it: events are noted, recommendations made."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from media_gateway.contracts import Learning
from media_gateway.errors import InvalidRequestError, UnsupportedError, shown
from media_gateway.filters import Condition
from media_gateway.learning.events import EventTable, EventWriter, new_id
from media_gateway.learning.events.table import Lend
from media_gateway.learning.live import LiveFigures, live_figures
from media_gateway.learning.postgres.recommending import Ranked, Recommender
from media_gateway.learning.preferences import PreferenceTable
from media_gateway.learning.wording import reason_of
from media_gateway.models import MAX_K, Recommendations, Recommended, UserPreferences, WatchEvent
from media_gateway.validation import checked_key, checked_keys


class PostgresLearning(Learning):
    """The `Learning` of a collection in PostgreSQL; without a *writer* it only recommends."""

    def __init__(
        self,
        lend: Lend,
        *,
        server: str,
        events: EventTable,
        writer: EventWriter | None,
        recommender: Recommender,
        preferences: PreferenceTable,
    ) -> None:
        self._lend = lend
        self._server = server
        self._events = events
        self._writer = writer
        self._recommender = recommender
        self._preferences = preferences

    def note(self, events: Sequence[WatchEvent]) -> int:
        """Take *events* to be written soon; see `contracts.Learning`. Raises UnsupportedError when opened for reading."""
        return self._writing().add(events)

    async def record(self, events: Sequence[WatchEvent]) -> int:
        """Write *events* and return how many were new. Raises UnsupportedError when opened for reading."""
        self._writing()
        return await self._events.write(events)

    async def recommend(
        self, user: str, *, k: int, where: Condition | None, exclude: Sequence[str], at: float
    ) -> Recommendations:
        """Return the *k* best records for *user*; see `contracts.Learning`.

        Raises InvalidKeyError for an impossible user, and InvalidRequestError for a *k* outside 1..10,000.
        """
        checked_key(user, name="user")
        if isinstance(k, bool) or not 1 <= k <= MAX_K:
            raise InvalidRequestError(
                f"k is {shown(k)}; expected a whole number from 1 to {MAX_K:,}", field="k", given=k, expected=MAX_K
            )
        ranking = await self._recommender.rank(user, k=k, at=at, excluded=checked_keys(exclude), where=where)
        return Recommendations(
            user=user,
            items=[_recommended(ranked) for ranked in ranking.items],
            likes=ranking.likes,
            list_id=new_id(time.time()),
            version=ranking.version,
            at=at,
        )

    async def preferences(self, user: str) -> UserPreferences | None:
        """Return the preference profile of *user*, or None where there is none."""
        return await self._preferences.get(user)

    def measures(self) -> Mapping[str, Any]:
        """Return what became of the events that were noted in this process."""
        return {} if self._writer is None else self._writer.measures()

    def event_samples(self) -> dict[str, float | dict[tuple[str, ...], float]]:
        """Return what became of noted events as samples of metrics."""
        if self._writer is None:
            return {}
        measures = self._writer.measures()
        return {
            "learning_events_total": {(kind,): float(count) for kind, count in measures["written"].items()},
            "learning_events_dropped_total": float(measures["dropped"]),
            "learning_queue_rows": float(measures["waiting"]),
        }

    async def live_samples(self) -> dict[str, float | dict[tuple[str, ...], float]]:
        """Return how good what is shown is as samples of metrics; it takes some tenths of a second."""
        return (await self.live()).samples()

    async def live(self) -> LiveFigures:
        """Return how good what is shown is, by what is clicked."""
        return await live_figures(self._lend, server=self._server)

    async def aclose(self) -> None:
        """Write what waits, for a few seconds at most."""
        if self._writer is not None:
            await self._writer.aclose()

    def _writing(self) -> EventWriter:
        if self._writer is None:
            raise UnsupportedError(
                "this gateway is open for reading; open it with writable=True to keep events",
                feature="events",
                store="postgres",
            )
        return self._writer


def exposures(recommendations: Recommendations) -> list[WatchEvent]:
    """Return the events that say that *recommendations* were shown, from rank 1 on."""
    return [
        WatchEvent(
            user=recommendations.user,
            key=item.key,
            time=recommendations.at,
            action="exposure",
            rank=rank,
            source=item.source,
            version=recommendations.version,
            list_id=recommendations.list_id,
        )
        for rank, item in enumerate(recommendations.items, start=1)
    ]


def _recommended(ranked: Ranked) -> Recommended:
    made = ranked.recommendation
    return Recommended(
        key=made.key,
        score=made.score,
        metadata=ranked.metadata,
        shares=made.shares,
        because=made.because,
        because_title=ranked.because_title,
        reason=reason_of(ranked),
        by=ranked.by,
    )
