"""The recommender whose state is in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final, LiteralString

import numpy as np

from media_gateway.database.engine import Engine
from media_gateway.database.faults import faults_translated
from media_gateway.database.statements import filled
from media_gateway.learning.events.table import Lend
from media_gateway.learning.interests.arrays import Ids
from media_gateway.learning.interests.fusion import negatives
from media_gateway.learning.interests.learner import batches
from media_gateway.learning.interests.model import Recommendation
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.postgres.applying import Applied, BatchLearner
from media_gateway.learning.postgres.catalogue import Catalogue, numbered, numbers
from media_gateway.learning.postgres.changing import Change, Changes
from media_gateway.learning.postgres.near import Near
from media_gateway.learning.postgres.recommending import Recommender
from media_gateway.learning.postgres.refreshing import Refresher
from media_gateway.learning.postgres.state import LearnedState, read_state
from media_gateway.models import Matrix, WatchEvent

_ADD_CONTENT: Final = """
INSERT INTO content_vectors (id, vector, metadata)
SELECT id, vector, '{}' FROM unnest(%s::text[], %b::{{type}}[]) AS given (id, vector) ON CONFLICT (id) DO NOTHING
"""
_PAGE: Final = 1_000
_BATCHES_A_COPY: Final = 20
"""Batches after which the copies that candidates are looked for among follow."""


class PostgresInterests:
    """An `InterestModel` in PostgreSQL, on connections that *lend* gives; messages call the server *server*.

    Text vectors have *dimension* numbers. Every method raises StoreUnavailableError, SchemaError and what else
    `faults_translated` gives.
    """

    def __init__(
        self,
        lend: Lend,
        *,
        server: str,
        engine: Engine,
        dimension: int,
        settings: InterestSettings | None = None,
        is_guarded: bool = True,
    ) -> None:
        self.settings = settings or InterestSettings()
        self._lend = lend
        self._server = server
        self._add_content: LiteralString = filled(_ADD_CONTENT, {"type": engine.vector_type})
        self.catalogue = Catalogue(engine, self.settings, dimension)
        self.changes = Changes(
            lend, server=server, catalogue=self.catalogue, settings=self.settings, dimension=dimension
        )
        self.learner = BatchLearner(engine, self.settings, self.catalogue.reader)
        self.near = Near(engine)
        self._batches = 0
        self._refresher = Refresher(engine, self.settings, self.catalogue.reader)
        self.recommender = Recommender(
            lend, server=server, engine=engine, settings=self.settings, dimension=dimension, is_guarded=is_guarded
        )

    async def add_items(self, keys: Sequence[str], text: Matrix) -> None:
        """See `InterestModel`; the items become records without metadata where they are none yet."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                for start in range(0, len(keys), _PAGE):
                    rows = [np.asarray(row, dtype=np.float32) for row in text[start : start + _PAGE]]
                    await connection.execute(self._add_content, [list(keys[start : start + _PAGE]), rows])
        await self.know_all()

    async def know_all(self) -> int:
        """Make every record of the collection known that is not yet, and return how many there were."""
        async with self.changes.change() as change:
            return await self.know_within(change)

    async def know_within(self, change: Change) -> int:
        """Make every record known as a part of *change*.

        Where the collection has more than doubled since its texts were measured that is done again, and before anything
        was learned the vectors begin anew from it.
        """
        parameters = change.parameters
        cursor = await change.connection.execute("SELECT count(*) FROM content_vectors")
        (count,) = await cursor.fetchone() or (0,)
        has_grown = count > 2 * parameters.text.count
        if has_grown:
            change.is_thorough = True
            if not change.state.likes:
                parameters.bridge = np.zeros_like(parameters.bridge)
            await self.catalogue.measure_texts(change.connection, parameters)
        added = await self.catalogue.add(change.connection, parameters)
        await self._recount(change, added)
        if has_grown and added < count:
            await self._refresher.show_all(change.connection, parameters)
        await self.near.follow(change.connection, len(change.items))
        return added

    async def apply(self, events: Sequence[WatchEvent]) -> None:
        """See `InterestModel`."""
        for batch in batches(events, self.settings.batch):
            async with self.changes.change() as change:
                await self.apply_within(change, batch)

    async def apply_within(self, change: Change, events: Sequence[WatchEvent]) -> Applied:
        """Learn from one batch of *events* as a part of *change*."""
        keys = sorted({event.key for event in events})
        added = await self.catalogue.add(change.connection, change.parameters, keys)
        await self._recount(change, added)
        state = change.state
        applied = await self.learner.apply(
            change.connection, events, change.parameters, clock=state.clock, sample=self._sample(change)
        )
        state.events += applied.events
        state.passed_over += applied.passed_over
        state.likes += applied.likes
        state.clock = max(state.clock, applied.time)
        state.learned_at = datetime.now(UTC)
        self._batches += 1
        if self._batches % _BATCHES_A_COPY == 0:
            await self.near.follow(change.connection, len(change.items))
        return applied

    async def refresh(self) -> None:
        """See `InterestModel`."""
        async with self.changes.change() as change:
            await self.refresh_within(change)

    async def refresh_within(self, change: Change) -> None:
        """Refresh as a part of *change*."""
        change.is_thorough = True
        await self.catalogue.measure_texts(change.connection, change.parameters)
        added = await self.catalogue.add(change.connection, change.parameters)
        await self._recount(change, added)
        await self._refresher.refresh_ials(change.connection, change.parameters)
        await self._refresher.refresh_bridge(change.connection, change.parameters)
        await self.near.follow(change.connection, len(change.items))
        change.state.refreshed_at = datetime.now(UTC)
        change.state.refreshed_likes = change.state.likes

    async def knows(self, key: str) -> bool:
        """Return whether *key* is one of the items."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                return key in await numbered(connection, [key])

    async def state(self) -> LearnedState:
        """Return how far learning has come."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                return await read_state(connection)

    async def recommend(self, user: str, *, k: int, at: float, excluded: Collection[str] = ()) -> list[Recommendation]:
        """See `InterestModel`."""
        return await self.recommender.recommend(user, k=k, at=at, excluded=excluded)

    async def recommend_from(
        self, history: Sequence[WatchEvent], *, k: int, at: float, excluded: Collection[str] = ()
    ) -> list[Recommendation]:
        """See `InterestModel`."""
        return await self.recommender.recommend_from(history, k=k, at=at, excluded=excluded)

    @staticmethod
    async def _recount(change: Change, added: int) -> None:
        if added:
            change.items = await numbers(change.connection)

    def _sample(self, change: Change) -> Ids:
        """Return the items among which likes are told."""
        return change.items[negatives(len(change.items), change.state.events, self.settings.negatives)]
