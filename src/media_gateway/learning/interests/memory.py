"""The recommender in memory, for small catalogues, trials and as what other stores are compared with."""

from collections.abc import Collection, Sequence

import numpy as np

from media_gateway.learning.interests.arrays import ids, places
from media_gateway.learning.interests.fusion import SOURCES, shares
from media_gateway.learning.interests.learner import Learner
from media_gateway.learning.interests.model import Recommendation, is_like, is_seen
from media_gateway.learning.interests.scoring import reasons
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.interests.state import UserHistory
from media_gateway.models import Matrix, WatchEvent


class MemoryInterests:
    """An `InterestModel` in this process; nothing is kept when it ends. Its methods compute before they return."""

    def __init__(self, settings: InterestSettings | None = None) -> None:
        self.learner = Learner(settings or InterestSettings())

    async def add_items(self, keys: Sequence[str], text: Matrix) -> None:
        """See `InterestModel`."""
        self.learner.add_items(keys, text)

    async def apply(self, events: Sequence[WatchEvent]) -> None:
        """See `InterestModel`."""
        self.learner.learn(events)

    async def refresh(self) -> None:
        """See `InterestModel`."""
        self.learner.refresh_ials()
        self.learner.refresh_bridge()

    async def recommend(self, user: str, *, k: int, at: float, excluded: Collection[str] = ()) -> list[Recommendation]:
        """See `InterestModel`."""
        history = self.learner.users.get(user) or UserHistory(first_time=at)
        return self._recommend(history, k=k, at=at, excluded=excluded)

    async def recommend_from(
        self, history: Sequence[WatchEvent], *, k: int, at: float, excluded: Collection[str] = ()
    ) -> list[Recommendation]:
        """See `InterestModel`."""
        guest = UserHistory(first_time=history[0].time if history else at)
        for event in history:
            row = self.learner.items.rows.get(event.key)
            if row is not None and is_seen(event):
                guest.seen.add(row)
                if is_like(event) and row not in guest.liked:
                    guest.liked.append(row)
        return self._recommend(guest, k=k, at=at, excluded=excluded)

    def _recommend(self, history: UserHistory, *, k: int, at: float, excluded: Collection[str]) -> list[Recommendation]:
        learner = self.learner
        left_out = history.seen | {learner.items.rows[key] for key in excluded if key in learner.items.rows}
        open_to = np.ones(len(learner.items), dtype=bool)
        open_to[list(left_out)] = False
        candidates = np.flatnonzero(open_to)
        spreads, liked = learner.spreads(), history.latest(learner.settings.history_cap)
        mine = learner.profile_of(history, spreads)
        weights = learner.weights.of(learner.kind(history, at))
        parts = weights * learner.scores(mine, candidates, spreads)
        totals = parts.sum(axis=1)
        best = ids(np.lexsort((learner.items.ties[candidates], -totals))[:k])
        keys = learner.items.keys
        likes, chosen = places(liked), places(candidates[best])
        why = reasons(mine, learner.vectors(candidates[best]), weights)
        share = shares(parts[best])
        return [
            Recommendation(
                key=keys[row],
                score=float(totals[best[place]]),
                shares={name: float(part) for name, part in zip(SOURCES, share[place], strict=True)},
                because=keys[likes[int(why[place].argmax())]] if likes else None,
            )
            for place, row in enumerate(chosen)
        ]
