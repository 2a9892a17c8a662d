"""Learning from events in memory: the reference for what any other store of this state must do."""

from collections.abc import Iterator, Sequence

import numpy as np

from media_gateway.learning.interests import behaviour, bridge, ials
from media_gateway.learning.interests.arrays import Ids, Numbers, ids
from media_gateway.learning.interests.fusion import FusionWeights, Segment, negatives, segment
from media_gateway.learning.interests.model import is_like, is_seen
from media_gateway.learning.interests.moments import Moments
from media_gateway.learning.interests.popularity import heated
from media_gateway.learning.interests.scoring import (
    Spreads,
    UserProfile,
    VectorRows,
    popularity,
    products,
    profile,
    standard_scores,
)
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.interests.state import ItemTable, UserHistory, count_pairs
from media_gateway.models import Matrix, WatchEvent


class Learner:
    """What is learned from events, begun with the items' texts alone."""

    def __init__(self, settings: InterestSettings) -> None:
        self.settings = settings
        self.items = ItemTable(settings)
        self.users: dict[str, UserHistory] = {}
        self.weights = FusionWeights.fresh(settings.history_steps)
        self.clock = 0.0
        self._applied = 0
        self._bridge: Numbers = np.zeros((0, settings.dimension))
        self._solving = Moments.of(np.zeros((0, settings.dimension)))
        self._moments: tuple[Moments, ...] | None = None

    def add_items(self, keys: Sequence[str], text: Matrix) -> None:
        """Append those of *keys* that are new, with their embeddings *text* (n, d)."""
        fresh = [index for index, key in enumerate(keys) if key not in self.items.rows]
        if not fresh:
            return
        self.items.add([keys[index] for index in fresh], np.asarray(text, dtype=np.float64)[fresh])
        if not self._bridge.any():
            self._bridge = bridge.principal_directions(self.items.text, self.settings.dimension)
        self._show_all()

    def learn(self, events: Sequence[WatchEvent]) -> None:
        """Learn from *events* in their order; those of unknown items are passed over."""
        for batch in batches(events, self.settings.batch):
            known = [event for event in batch if event.key in self.items.rows and is_seen(event)]
            likes = self._new_likes(known)
            self._learn_weights(likes, known)
            self._count(known, likes)
            self._solve(np.unique(ids([row for rows in likes.values() for row in rows])))
            self._applied += len(batch)

    def refresh_ials(self) -> None:
        """Factorise all likes anew."""
        liked = [ids(history.liked) for history in self.users.values()]
        rows = np.concatenate(liked) if liked else ids([])
        people = np.repeat(np.arange(len(liked)), [len(one) for one in liked])
        settings = self.settings
        self.items.ials = ials.item_factors(
            people,
            rows,
            shape=(len(liked), len(self.items)),
            dimension=settings.ials_dimension,
            regularization=settings.ials_regularization,
            confidence=settings.ials_confidence,
            iterations=settings.ials_iterations,
        )
        self._moments = None

    def refresh_bridge(self) -> None:
        """Fit the bridge from text anew to what was learned."""
        liked = self.items.likes > 0
        if liked.any():
            self._bridge = bridge.fitted(
                self.items.text[liked],
                self.items.learned[liked],
                self.items.likes[liked],
                ridge=self.settings.bridge_ridge,
                trust=self.settings.bridge_trust,
            )
            self._show_all()

    def refresh_behaviour(self) -> None:
        """Replace all behaviour vectors by the eigenfactors of all pair counts, which `apply` comes near to."""
        likes = self.items.likes
        counted = np.flatnonzero(likes > 0)
        table = self.items.pairs[np.ix_(counted, counted)].astype(np.float64)
        similar = behaviour.similarities(table, likes[counted, np.newaxis], likes[counted], self.settings.shrink)
        self.items.learned[counted] = behaviour.eigenfactors(similar, self.settings.dimension)
        self._solving = Moments.of(self.items.learned[counted])
        self._show_all()

    def vectors(self, items: Ids) -> VectorRows:
        """Return the vectors of the rows *items*."""
        table = self.items
        return VectorRows(behaviour=table.shown[items], ials=table.ials[items], text=table.text[items])

    def spreads(self) -> Spreads:
        """Return what scores are standardised by, as things stand."""
        if self._moments is None:
            self._moments = tuple(Moments.of(table) for table in (self.items.shown, self.items.ials, self.items.text))
        shown, factors, text = self._moments
        values = popularity(self.items.heats, self.clock, self.settings)
        return Spreads(
            behaviour=shown,
            ials=factors,
            text=text,
            popularity_means=values.mean(axis=0),
            popularity_spreads=values.std(axis=0),
            clock=self.clock,
        )

    def kind(self, history: UserHistory, at: float) -> Segment:
        """Return the segment that a user with *history* is in at the time *at*."""
        settings = self.settings
        return segment(
            len(history.liked),
            at - history.first_time,
            steps=settings.history_steps,
            newcomer_time=settings.newcomer_time,
        )

    def profile_of(self, history: UserHistory, spreads: Spreads) -> UserProfile:
        """Return the profile of a user with *history*."""
        return profile(self.vectors(history.latest(self.settings.history_cap)), spreads, self.settings)

    def scores(self, user: UserProfile, items: Ids, spreads: Spreads) -> Numbers:
        """Return the standardised scores (n, 6) of *items* for *user*."""
        inner = products(user, self.vectors(items))
        return standard_scores(user, inner, self.items.heats[items], spreads, self.settings)

    def _new_likes(self, batch: Sequence[WatchEvent]) -> dict[str, list[int]]:
        """Return for each user the rows liked in *batch* that were not liked before, in order."""
        likes: dict[str, list[int]] = {}
        for event in batch:
            row = self.items.rows[event.key]
            known = self.users.get(event.user)
            if is_like(event) and (known is None or row not in known.liked):
                rows = likes.setdefault(event.user, [])
                if row not in rows:
                    rows.append(row)
        return likes

    def _learn_weights(self, likes: dict[str, list[int]], batch: Sequence[WatchEvent]) -> None:
        if not likes:
            return
        times = {event.user: event.time for event in reversed(batch)}
        spreads = self.spreads()
        sample = negatives(len(self.items), self._applied, self.settings.negatives)
        for user, rows in likes.items():
            history = self.users.get(user) or UserHistory(first_time=times[user])
            kept = sample[[item not in history.seen and item not in rows for item in sample.tolist()]]
            items = np.concatenate((ids(rows), kept))
            scores = self.scores(self.profile_of(history, spreads), items, spreads)
            self.weights.learn(
                self.kind(history, times[user]),
                scores,
                np.arange(len(items)) < len(rows),
                rate=self.settings.learning_rate,
                segment_rate=self.settings.segment_rate,
            )

    def _count(self, batch: Sequence[WatchEvent], likes: dict[str, list[int]]) -> None:
        for event in batch:
            history = self.users.setdefault(event.user, UserHistory(first_time=event.time))
            history.seen.add(self.items.rows[event.key])
            self.clock = max(self.clock, event.time)
        when = {(event.user, self.items.rows[event.key]): event.time for event in reversed(batch) if is_like(event)}
        cap = self.settings.history_cap
        for user, rows in likes.items():
            history = self.users[user]
            count_pairs(self.items.pairs, history.latest(cap), rows, cap=cap)
            history.liked.extend(rows)
            times = np.array([when[user, row] for row in rows])
            self.items.likes[rows] += 1.0
            heated(self.items.heats, ids(rows), times, np.array(self.settings.halflives))

    def _solve(self, changed: Ids) -> None:
        """Solve the vectors of the rows *changed* for their similarities as they are now."""
        if not len(changed):
            return
        table, settings = self.items, self.settings
        first = changed[~table.learned[changed].any(axis=1)]
        table.learned[first] = table.text[first] @ self._bridge
        self._solving.replace(np.zeros((len(first), settings.dimension)), table.learned[first])
        counted = np.flatnonzero(table.likes > 0)
        similar = behaviour.similarities(
            table.pairs[np.ix_(changed, counted)].astype(np.float64),
            table.likes[changed, np.newaxis],
            table.likes[counted],
            settings.shrink,
        )
        solved = behaviour.solved(similar, table.learned[counted], self._solving.gram, settings.ridge)
        self._solving.replace(table.learned[changed], solved)
        table.learned[changed] = solved
        self._show(changed)

    def _show(self, items: Ids) -> None:
        table = self.items
        shown = bridge.blended(
            table.learned[items], table.text[items] @ self._bridge, table.likes[items], self.settings.bridge_trust
        )
        if self._moments is not None:
            self._moments[0].replace(table.shown[items], shown)
        table.shown[items] = shown

    def _show_all(self) -> None:
        self._moments = None
        self._show(np.arange(len(self.items)))


def batches(events: Sequence[WatchEvent], size: int) -> Iterator[Sequence[WatchEvent]]:
    """Yield *events* in runs of *size* or more: what a user does at one instant is never divided."""
    start = 0
    while start < len(events):
        end = min(start + size, len(events))
        while end < len(events) and _together(events[end - 1], events[end]):
            end += 1
        yield events[start:end]
        start = end


def _together(first: WatchEvent, second: WatchEvent) -> bool:
    return first.time == second.time and first.user == second.user
