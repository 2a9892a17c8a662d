"""Recommending from the tables: who the user is, candidates by index, their fused scores, and the reasons."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.faults import faults_translated
from media_gateway.database.where import Where, where_clause
from media_gateway.filters import Condition
from media_gateway.learning.events.table import Lend
from media_gateway.learning.interests.arrays import Ids, Numbers, ids
from media_gateway.learning.interests.fusion import SOURCES, segment, shares
from media_gateway.learning.interests.model import Recommendation, is_like, is_seen
from media_gateway.learning.interests.scoring import UserProfile, VectorRows, profile, reasons, standard_scores
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.postgres.arrays import load_arrays
from media_gateway.learning.postgres.candidates import Candidates, heats_of, products_of
from media_gateway.learning.postgres.catalogue import numbered
from media_gateway.learning.postgres.packing import Packed, integers, layout, unpacked
from media_gateway.learning.postgres.parameters import Parameters
from media_gateway.learning.postgres.rows import ItemRows, RowReader
from media_gateway.models import Vector, WatchEvent

FRESH_SECONDS: Final = 1.0
"""How old weights and sums may be where many are served: a batch changes them, though by little."""

_USER: Final = """
SELECT s.revision, s.clock, u.first_time, p.preference_vector, v.number,
    (SELECT string_agg(int4send(item) || int4send(coalesce(place, 0)), '') FROM interest_seen
        WHERE user_number = u.number)
FROM interest_state AS s LEFT JOIN interest_users AS u ON u.user_id = %(user)s
    LEFT JOIN user_preference_vectors AS p ON p.user_id = %(user)s AND vector_dims(p.preference_vector) = %(dimension)s
    LEFT JOIN interest_versions AS v ON v.state = 'current'
"""
_RECORDS: Final = """
SELECT i.number, i.key, c.metadata FROM interest_items AS i LEFT JOIN content_vectors AS c ON c.id = i.key
WHERE i.number = ANY(%s)
"""
_SEEN_ROW: Final = layout("item", "place")


@dataclass(frozen=True, kw_only=True)
class Taste:
    """What is known of a user: the items *seen* and *liked*, in their order, the time of the first event, a preference.

    *version* is that of the model in use, None before there is one; *clock* is the time of the latest event of all.
    """

    seen: Ids
    liked: Ids
    first_time: float | None
    preference: Vector | None
    clock: float
    revision: int
    version: int | None


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A recommendation, the record's metadata, and the title of the liked record behind it."""

    recommendation: Recommendation
    metadata: dict[str, Any]
    because_title: str | None


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The best items for a user, best first, who has so many *likes*, by the model's *version*."""

    items: list[Ranked]
    likes: int
    version: int | None


class Recommender:
    """Recommends, on connections that *lend* gives; it changes nothing.

    Weights and sums over all vectors may be *fresh* seconds old. Without *is_guarded* the weights are those that are learned,
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
                taste = await self._taste(connection, None)
                seen = [known[event.key] for event in history if event.key in known and is_seen(event)]
                liked = [known[event.key] for event in history if event.key in known and is_like(event)]
                guest = Taste(
                    seen=np.unique(ids(seen)),
                    liked=ids(list(dict.fromkeys(liked))),
                    first_time=history[0].time if history else None,
                    preference=None,
                    clock=taste.clock,
                    revision=taste.revision,
                    version=taste.version,
                )
                ranking = await self._rank(connection, guest, k=k, at=at, excluded=excluded, where=where_clause(None))
        return [ranked.recommendation for ranked in ranking.items]

    async def rank(
        self, user: str, *, k: int, at: float, excluded: Collection[str] = (), where: Condition | None = None
    ) -> Ranking:
        """Return the *k* best items for *user* that pass *where*, without *excluded* and what was seen."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                taste = await self._taste(connection, user)
                return await self._rank(connection, taste, k=k, at=at, excluded=excluded, where=where_clause(where))

    async def _taste(self, connection: AsyncConnection[Any], user: str | None) -> Taste:
        cursor = await connection.execute(_USER, {"user": user, "dimension": self._dimension}, binary=True)
        row = await cursor.fetchone() or (0, 0.0, None, None, None, None)
        revision, clock, first_time, preference, version, packed = row
        rows = unpacked(packed, _SEEN_ROW)
        rows = rows[np.argsort(rows["place"], kind="stable")]
        return Taste(
            seen=rows["item"].astype(np.int64),
            liked=rows["item"][rows["place"] > 0].astype(np.int64),
            first_time=first_time,
            preference=preference,
            clock=clock,
            revision=revision,
            version=version,
        )

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
        spreads = parameters.spreads(taste.clock)
        liked = taste.liked[-self._settings.history_cap :]
        rows, source = await self._liked_rows(connection, taste, liked, parameters)
        user = profile(rows, spreads, self._settings)
        left_out = np.concatenate((taste.seen, await self._numbers(connection, excluded)))
        found = await self._find(connection, user, left_out, where, items=parameters.behaviour.count)
        scores = standard_scores(
            user, products_of(found, user, parameters.text_mean), heats_of(found), spreads, self._settings
        )
        age = 0.0 if taste.first_time is None else at - taste.first_time
        kind = segment(
            len(taste.liked),
            age,
            steps=self._settings.history_steps,
            newcomer_time=self._settings.newcomer_time,
        )
        weights = (parameters.serving if self._is_guarded else parameters.weights).of(kind)
        parts = weights * scores
        totals = parts.sum(axis=1)
        # Ties by the number, which says as little as a hash does: it follows the order of the keys.
        best = np.lexsort((found["item"], -totals))[:k]
        best_rows = await self._reader.items(connection, found["item"][best], parameters.text_mean)
        why = reasons(user, best_rows.chosen(found["item"][best].astype(np.int64)), weights)
        because: list[int | None] = [None] * len(best)
        if len(source) and len(best):
            because = source[why.argmax(axis=1)].tolist()
        ranking = await self._ranking(
            connection,
            items=found["item"][best].tolist(),
            totals=totals[best].tolist(),
            share=shares(parts[best]),
            because=because,
            taste=taste,
        )
        if len(ranking.items) < k:
            keys = [*excluded, *(ranked.recommendation.key for ranked in ranking.items)]
            await self._fill(connection, ranking, k, seen=left_out, keys=keys, where=where)
        return ranking

    async def _fill(
        self,
        connection: AsyncConnection[Any],
        ranking: Ranking,
        k: int,
        *,
        seen: Ids,
        keys: list[str],
        where: Where,
    ) -> None:
        """Bring *ranking* to *k* items by what is well rated and neither *seen* nor among *keys*."""
        for key, metadata in await self._candidates.rest(connection, seen, keys, where, k - len(ranking.items)):
            none: dict[str, float] = dict.fromkeys((str(name) for name in SOURCES), 0.0)
            made = Recommendation(key=key, score=0.0, shares=none, because=None)
            ranking.items.append(Ranked(recommendation=made, metadata=metadata, because_title=None))

    async def _liked_rows(
        self, connection: AsyncConnection[Any], taste: Taste, liked: Ids, parameters: Parameters
    ) -> tuple[VectorRows, Ids]:
        """Return the vectors of what the user likes, and their numbers; of one who likes nothing, the preference's."""
        if len(liked):
            rows: ItemRows = await self._reader.items(connection, liked, parameters.text_mean)
            return rows.vectors, rows.items
        count = 0 if taste.preference is None else 1
        text = np.zeros((count, self._dimension))
        if taste.preference is not None:
            text[0] = taste.preference.astype(np.float64) - parameters.text_mean
        none = np.zeros((count, self._settings.ials_dimension))
        return VectorRows(behaviour=text @ parameters.bridge, ials=none, text=text), ids([])

    async def _find(
        self, connection: AsyncConnection[Any], user: UserProfile, seen: Ids, where: Where, *, items: float
    ) -> Packed:
        if len(user.rows.behaviour):
            return await self._candidates.near(connection, user, seen, where, items=items)
        return await self._candidates.popular(connection, seen, where)

    async def _ranking(
        self,
        connection: AsyncConnection[Any],
        *,
        items: list[int],
        totals: list[float],
        share: Numbers,
        because: list[int | None],
        taste: Taste,
    ) -> Ranking:
        wanted = sorted({*items, *(item for item in because if item is not None)})
        cursor = await connection.execute(_RECORDS, [integers(wanted)], binary=True)
        records: dict[int, tuple[str, dict[str, Any] | None]] = {
            number: (key, metadata) for number, key, metadata in await cursor.fetchall()
        }
        ranked: list[Ranked] = []
        for place, item in enumerate(items):
            key, metadata = records.get(item, ("", None))
            liked = because[place]
            behind, its_metadata = (None, None) if liked is None else records[liked]
            # One that was removed a moment ago has none.
            if metadata is not None:
                made = Recommendation(
                    key=key,
                    score=totals[place],
                    shares=dict(zip(SOURCES, share[place].tolist(), strict=True)),
                    because=behind,
                )
                ranked.append(Ranked(recommendation=made, metadata=metadata, because_title=_title(its_metadata)))
        return Ranking(items=ranked, likes=len(taste.liked), version=taste.version)

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


def _title(metadata: dict[str, Any] | None) -> str | None:
    title = (metadata or {}).get("title")
    return title if isinstance(title, str) else None
