"""Recommending from the tables: who the user is, candidates by index, their fused scores, and the reasons."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.faults import faults_translated
from media_gateway.database.where import Where, where_clause
from media_gateway.filters import Condition
from media_gateway.learning.events.table import Lend
from media_gateway.learning.interests.arrays import Ids, Numbers, ids
from media_gateway.learning.interests.fusion import SOURCES, VECTOR_SOURCES, segment, shares
from media_gateway.learning.interests.model import Recommendation, is_like, is_seen
from media_gateway.learning.interests.scoring import UserProfile, VectorRows, profile, reasons, standard_scores
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.postgres.arrays import load_arrays
from media_gateway.learning.postgres.candidates import Candidates, Effort, heats_of, products_of
from media_gateway.learning.postgres.catalogue import numbered
from media_gateway.learning.postgres.packing import Packed
from media_gateway.learning.postgres.parameters import Parameters
from media_gateway.learning.postgres.rows import RowReader
from media_gateway.learning.postgres.shown import ShownReader
from media_gateway.learning.postgres.standing import best_records
from media_gateway.learning.postgres.tastes import REMEMBERED, Taste, TasteReader
from media_gateway.models import WatchEvent

FRESH_SECONDS: Final = 1.0
"""How old weights and sums may be where many are served: a batch changes them, though by little."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A recommendation, the record's metadata, how many users like it, and the title of the liked record behind it.

    *by* is one of `STANDINGS` where only that speaks for it, None otherwise.
    """

    recommendation: Recommendation
    metadata: dict[str, Any]
    likes: int = 0
    because_title: str | None = None
    by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The best items for a user, best first, who has so many *likes*, by the model's *version*."""

    items: list[Ranked]
    likes: int
    version: int | None


@dataclass(frozen=True, kw_only=True)
class _Person:
    """A taste with what is liked of it: the items *liked* (m,) in ascending order, and the profile of their vectors."""

    taste: Taste
    liked: Ids
    profile: UserProfile

    @property
    def is_stranger(self) -> bool:
        """Whether nothing is known of what suits the user."""
        return not len(self.profile.rows.behaviour)


@dataclass(frozen=True, kw_only=True)
class _Best:
    """The k best candidates, best first: their numbers, scores (k,), and the share (k, s) of each source in these."""

    items: Ids
    scores: Numbers
    shares: Numbers


class Recommender:
    """Recommends, on connections that *lend* gives; it changes nothing.

    Weights and sums over all vectors may be *fresh* seconds old; where that is not 0 users' tastes are remembered. Without *is_guarded* the weights are those that are learned,
    and not those in use.
    """

    def __init__(
        self,
        lend: Lend,
        *,
        server: str,
        engine: Engine,
        settings: InterestSettings,
        dimension: int,
        fresh: float = 0.0,
        is_guarded: bool = True,
    ) -> None:
        self._fresh = fresh
        self._is_guarded = is_guarded
        self._lend = lend
        self._server = server
        self._settings = settings
        self._dimension = dimension
        self._candidates = Candidates(engine)
        self._reader = RowReader(engine, settings, dimension)
        self._tastes = TasteReader(self._reader, settings, dimension, remembered=REMEMBERED if fresh else 0)
        self._shown = ShownReader(self._reader)
        self._arrays: dict[str, Numbers] = {}
        self._revision = -1
        self._looked_at = -1.0

    async def recommend(self, user: str, *, k: int, at: float, excluded: Collection[str] = ()) -> list[Recommendation]:
        """See `InterestModel`."""
        ranking = await self.rank(user, k=k, at=at, excluded=excluded)
        return [ranked.recommendation for ranked in ranking.items]

    async def recommend_from(
        self, history: Sequence[WatchEvent], *, k: int, at: float, excluded: Collection[str] = ()
    ) -> list[Recommendation]:
        """See `InterestModel`."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                known = await numbered(connection, sorted({event.key for event in history}))
                nobody = await self._tastes.taste(connection, None)
                seen = [known[event.key] for event in history if event.key in known and is_seen(event)]
                liked = [known[event.key] for event in history if event.key in known and is_like(event)]
                liked = list(dict.fromkeys(liked))
                guest = replace(
                    nobody,
                    seen=np.unique(ids(seen)),
                    likes=len(liked),
                    liked=await self._reader.packed_items(connection, ids(liked[-self._settings.history_cap :])),
                    first_time=history[0].time if history else None,
                )
                ranking = await self._rank(connection, guest, k=k, at=at, excluded=excluded, where=where_clause(None))
        return [ranked.recommendation for ranked in ranking.items]

    async def rank(
        self, user: str, *, k: int, at: float, excluded: Collection[str] = (), where: Condition | None = None
    ) -> Ranking:
        """Return the *k* best items for *user* that pass *where*, without *excluded* and what was seen."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                taste = await self._tastes.taste(connection, user)
                return await self._rank(connection, taste, k=k, at=at, excluded=excluded, where=where_clause(where))

    async def _rank(
        self,
        connection: AsyncConnection[Any],
        taste: Taste,
        *,
        k: int,
        at: float,
        excluded: Collection[str],
        where: Where,
    ) -> Ranking:
        parameters = await self._parameters(connection, taste.revision)
        person = self._person(taste, parameters)
        left_out = np.concatenate((taste.seen, await self._numbers(connection, excluded)))
        weights = self._weights(parameters, taste, at)
        items, effort = parameters.behaviour.count, Effort.of(weights, k)
        if person.is_stranger:
            found = await self._candidates.popular(connection, left_out, where)
        else:
            found = await self._candidates.near(connection, person.profile, left_out, where, items=items, effort=effort)
        best = self._best(person, found, parameters, weights, k)
        ranked = await self._ranked(connection, person, best, parameters, weights)
        if len(ranked) < k:
            keys = [*excluded, *(one.recommendation.key for one in ranked)]
            ranked.extend(await _filling(connection, k - len(ranked), seen=left_out, keys=keys, where=where))
        return Ranking(items=ranked, likes=taste.likes, version=taste.version)

    def _person(self, taste: Taste, parameters: Parameters) -> _Person:
        """Return the user's profile: of what is liked, or of one who likes nothing, of the preference."""
        liked = self._tastes.liked(taste, parameters.text_mean)
        rows = liked.vectors
        if not len(liked.items) and taste.preference is not None:
            text = taste.preference.astype(np.float64)[np.newaxis] - parameters.text_mean
            none = np.zeros((1, self._settings.ials_dimension))
            rows = VectorRows(behaviour=text @ parameters.bridge, ials=none, text=text)
        of = profile(rows, parameters.spreads(taste.clock), self._settings)
        return _Person(taste=taste, liked=liked.items, profile=of)

    def _weights(self, parameters: Parameters, taste: Taste, at: float) -> Numbers:
        kind = segment(
            taste.likes,
            0.0 if taste.first_time is None else at - taste.first_time,
            steps=self._settings.history_steps,
            newcomer_time=self._settings.newcomer_time,
        )
        return (parameters.serving if self._is_guarded else parameters.weights).of(kind)

    def _best(self, person: _Person, found: Packed, parameters: Parameters, weights: Numbers, k: int) -> _Best:
        """Return the *k* best of the candidates *found*."""
        inner = products_of(found, person.profile, parameters.text_mean)
        spreads = parameters.spreads(person.taste.clock)
        scores = standard_scores(person.profile, inner, heats_of(found), spreads, self._settings)
        parts = weights * scores
        if person.is_stranger:
            # Popularity alone, also where it says little.
            parts, scores = parts[:, VECTOR_SOURCES:], scores[:, VECTOR_SOURCES:]
        totals = parts.sum(axis=1)
        # Ties by the number, which says as little as a hash does: it follows the order of the keys.
        best = np.lexsort((found["item"], -totals))[:k]
        share = shares(parts[best])
        missing = len(SOURCES) - share.shape[1]
        return _Best(
            items=found["item"][best].astype(np.int64),
            scores=totals[best],
            shares=np.pad(share, ((0, 0), (missing, 0))),
        )

    async def _ranked(
        self,
        connection: AsyncConnection[Any],
        person: _Person,
        best: _Best,
        parameters: Parameters,
        weights: Numbers,
    ) -> list[Ranked]:
        """Return what is shown of *best*, each with the liked item that adds most to it."""
        if not len(best.items):
            return []
        shown = await self._shown.shown(connection, best.items, parameters.text_mean)
        because: dict[int, int] = {}
        if len(person.liked) and shown.keys:
            why = reasons(person.profile, shown.rows.vectors, weights).argmax(axis=1)
            because = dict(zip(shown.rows.items.tolist(), person.liked[why].tolist(), strict=True))
        named = await self._shown.named(connection, np.unique(ids(list(because.values()))))
        likes = dict(zip(shown.rows.items.tolist(), shown.rows.likes.tolist(), strict=True))
        ranked: list[Ranked] = []
        for item, score, share in zip(best.items.tolist(), best.scores.tolist(), best.shares.tolist(), strict=True):
            # One that was removed a moment ago is not there.
            if item in shown.keys:
                behind = named.get(because[item]) if item in because else None
                made = Recommendation(
                    key=shown.keys[item],
                    score=score,
                    shares=dict(zip(SOURCES, share, strict=True)),
                    because=behind.key if behind else None,
                )
                ranked.append(
                    Ranked(
                        recommendation=made,
                        metadata=shown.metadata[item],
                        likes=int(likes[item]),
                        because_title=behind.title if behind else None,
                    )
                )
        return ranked

    async def _numbers(self, connection: AsyncConnection[Any], keys: Collection[str]) -> Ids:
        return ids(list((await numbered(connection, sorted(keys))).values())) if keys else ids([])

    async def _parameters(self, connection: AsyncConnection[Any], revision: int) -> Parameters:
        now = time.monotonic()
        if self._revision != revision and (now - self._looked_at >= self._fresh or not self._arrays):
            self._arrays.update(await load_arrays(connection, since=self._revision))
            self._revision, self._looked_at = revision, now
        if len(self._arrays.get("text.mean", ())) != self._dimension:
            return Parameters.fresh(self._settings, self._dimension)
        return Parameters.of(self._arrays)


async def _filling(
    connection: AsyncConnection[Any], count: int, *, seen: Ids, keys: list[str], where: Where
) -> list[Ranked]:
    """Return *count* records that are best by what they say of themselves, neither *seen* nor among *keys*."""
    none: dict[str, float] = dict.fromkeys((str(name) for name in SOURCES), 0.0)
    return [
        Ranked(
            recommendation=Recommendation(key=one.key, score=0.0, shares=none, because=None),
            metadata=one.metadata,
            by=one.by,
        )
        for one in await best_records(connection, seen=seen, keys=keys, where=where, limit=count)
    ]
