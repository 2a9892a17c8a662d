"""Learning from one batch of events, within the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

import numpy as np
from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.statements import filled
from media_gateway.learning.guard import compared
from media_gateway.learning.interests import behaviour, bridge
from media_gateway.learning.interests.arrays import Ids, Numbers, ids
from media_gateway.learning.interests.fusion import segment
from media_gateway.learning.interests.model import is_like, is_seen
from media_gateway.learning.interests.popularity import heated
from media_gateway.learning.interests.scoring import Spreads, products, profile, standard_scores
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.postgres.catalogue import numbered
from media_gateway.learning.postgres.packing import integers
from media_gateway.learning.postgres.pairs import new_pairs, summed
from media_gateway.learning.postgres.parameters import Parameters
from media_gateway.learning.postgres.people import MOST_LIKES_A_DAY, User, extremes, users_of
from media_gateway.learning.postgres.rows import ItemRows, RowReader, SeenRows, pairs_of, seen_by
from media_gateway.models import WatchEvent

Connection = AsyncConnection[Any]

_USERS_SEEN: Final = """
UPDATE interest_users AS u
SET first_time = least(u.first_time, given.first), last_time = greatest(u.last_time, given.last),
    likes = u.likes + given.likes, day = given.day, day_likes = given.day_likes
FROM unnest(%s::integer[], %s::float8[], %s::float8[], %s::integer[], %s::integer[], %s::integer[])
    AS given (number, first, last, likes, day, day_likes)
WHERE u.number = given.number
"""
_SEE: Final = """
INSERT INTO interest_seen (user_number, item, place, liked_time)
SELECT user_number, item, nullif(place, 0), CASE WHEN place > 0 THEN liked_time END
FROM unnest(%s::integer[], %s::integer[], %s::integer[], %s::float8[]) AS given (user_number, item, place, liked_time)
ON CONFLICT (user_number, item) DO UPDATE SET place = excluded.place, liked_time = excluded.liked_time
WHERE interest_seen.place IS NULL AND excluded.place IS NOT NULL
"""
_COUNT_PAIRS: Final = """
INSERT INTO interest_pairs (a, b, users) SELECT * FROM unnest(%s::integer[], %s::integer[], %s::integer[])
ON CONFLICT (a, b) DO UPDATE SET users = interest_pairs.users + excluded.users
"""
_ITEMS: Final = """
UPDATE interest_items AS i
SET likes = given.likes, heat_lasting = given.lasting, heat_recent = given.recent, heat_newest = given.newest
FROM unnest(%s::integer[], %s::integer[], %s::float8[], %s::float8[], %s::float8[])
    AS given (number, likes, lasting, recent, newest)
WHERE i.number = given.number
"""
_SHOW: Final = """
UPDATE interest_vectors AS v SET learned = given.learned, shown = given.shown
FROM unnest(%s::integer[], %b::{{type}}[], %b::{{type}}[]) AS given (item, learned, shown) WHERE v.item = given.item
"""


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What a batch was: *events*, of which so many were *passed_over*, new *likes*, and the latest *time*."""

    events: int
    passed_over: int
    likes: int
    time: float


@dataclass(kw_only=True)
class _Batch:
    """The events that say something of known items, and what was known of their users before."""

    events: list[WatchEvent]
    items: dict[str, int]
    users: dict[str, User]
    seen: dict[int, SeenRows]
    likes: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    times: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])

    @property
    def liked(self) -> Ids:
        """The items that somebody likes newly, in ascending order."""
        return np.unique(ids([item for items in self.likes.values() for item in items]))


class BatchLearner:
    """Applies batches to the tables and to *parameters*; *sample* draws the items among which a like has to be told."""

    def __init__(self, engine: Engine, settings: InterestSettings, reader: RowReader) -> None:
        self._settings = settings
        self._reader = reader
        self._show: LiteralString = filled(_SHOW, {"type": engine.vector_type})
        self._halflives = np.array(settings.halflives)

    async def apply(
        self,
        connection: Connection,
        events: Sequence[WatchEvent],
        parameters: Parameters,
        *,
        clock: float,
        sample: Ids,
    ) -> Applied:
        """Learn from *events*; see `InterestModel.apply`. Events of items without a number are passed over.

        *clock* is the time of the latest event before. All or nothing happens to the tables, as the transaction ends;
        *parameters* are changed in any case, and must be read again where it fails.
        """
        batch = await self._read(connection, events)
        if batch.likes:
            await self._learn_weights(connection, batch, parameters, clock=clock, sample=sample)
        await self._see(connection, batch)
        if batch.likes:
            await self._count_pairs(connection, batch)
            await self._solve(connection, batch, parameters)
        return Applied(
            events=len(events),
            passed_over=sum(event.key not in batch.items for event in events if is_seen(event)),
            likes=sum(len(items) for items in batch.likes.values()),
            time=max((event.time for event in batch.events), default=clock),
        )

    async def _read(self, connection: Connection, events: Sequence[WatchEvent]) -> _Batch:
        wanted = [event for event in events if is_seen(event)]
        items = await numbered(connection, sorted({event.key for event in wanted}))
        known = [event for event in wanted if event.key in items]
        users = await users_of(connection, known)
        seen = await seen_by(connection, [user.number for user in users.values()])
        batch = _Batch(events=known, items=items, users=users, seen=seen)
        already = {name: set(seen[user.number].liked.tolist()) for name, user in users.items()}
        for event in known:
            item = items[event.key]
            if is_like(event) and item not in already[event.user] and users[event.user].may_like(event.time):
                already[event.user].add(item)
                batch.likes.setdefault(event.user, []).append(item)
                batch.times[event.user, item] = event.time
        return batch

    async def _learn_weights(
        self, connection: Connection, batch: _Batch, parameters: Parameters, *, clock: float, sample: Ids
    ) -> None:
        """Move the weights of the sources toward what would have told the new likes from a sample of other items."""
        cap = self._settings.history_cap
        histories = {name: batch.seen[batch.users[name].number] for name in batch.likes}
        wanted = [sample, batch.liked, *(history.liked[-cap:] for history in histories.values())]
        rows = await self._reader.items(connection, np.unique(np.concatenate(wanted)), parameters.text_mean)
        spreads = parameters.spreads(clock)
        first_times = {event.user: event.time for event in reversed(batch.events)}
        for name, likes in batch.likes.items():
            history, user = histories[name], batch.users[name]
            kept = sample[~np.isin(sample, history.seen) & ~np.isin(sample, likes)]
            self._learn_user(
                rows,
                history.liked[-cap:],
                np.concatenate((ids(likes), kept)),
                count=len(likes),
                kind=(len(history.liked), first_times[name] - user.first_time),
                parameters=parameters,
                spreads=spreads,
            )

    def _learn_user(
        self,
        rows: ItemRows,
        history: Ids,
        items: Ids,
        *,
        count: int,
        kind: tuple[int, float],
        parameters: Parameters,
        spreads: Spreads,
    ) -> None:
        """Take one step for a user of *kind*, likes before and age, who likes the first *count* of *items* now."""
        settings = self._settings
        user = profile(rows.chosen(history), spreads, settings)
        inner = products(user, rows.chosen(items))
        scores = standard_scores(user, inner, rows.heats[rows.places(items)], spreads, settings)
        of = segment(*kind, steps=settings.history_steps, newcomer_time=settings.newcomer_time)
        liked = np.arange(len(items)) < count
        # Judged before they are moved: what is liked next is news to both.
        parameters.shadow = parameters.shadow + compared(
            scores, liked, parameters.serving.of(of), parameters.weights.of(of)
        )
        parameters.weights.learn(
            of,
            scores,
            liked,
            rate=settings.learning_rate,
            segment_rate=settings.segment_rate,
        )

    async def _see(self, connection: Connection, batch: _Batch) -> None:
        """Write what the users have seen and liked."""
        places = {
            (name, item): batch.users[name].likes + offset
            for name, items in batch.likes.items()
            for offset, item in enumerate(items, start=1)
        }
        pairs = sorted({(event.user, batch.items[event.key]) for event in batch.events})
        if not pairs:
            return
        await connection.execute(
            _SEE,
            [
                integers([batch.users[name].number for name, _ in pairs]),
                integers([item for _, item in pairs]),
                integers([places.get(pair, 0) for pair in pairs]),
                [batch.times.get(pair, 0.0) for pair in pairs],
            ],
        )
        names = sorted(batch.users)
        first, last = extremes(batch.events, latest=False), extremes(batch.events, latest=True)
        await connection.execute(
            _USERS_SEEN,
            [
                integers([batch.users[name].number for name in names]),
                [first[name] for name in names],
                [last[name] for name in names],
                integers([len(batch.likes.get(name, ())) for name in names]),
                integers([batch.users[name].day for name in names]),
                integers([min(batch.users[name].day_likes, MOST_LIKES_A_DAY) for name in names]),
            ],
        )

    async def _count_pairs(self, connection: Connection, batch: _Batch) -> None:
        counted = [
            new_pairs(batch.seen[batch.users[name].number].liked, items, self._settings.history_cap)
            for name, items in batch.likes.items()
        ]
        a, b, users = summed(np.concatenate([one for one, _ in counted]), np.concatenate([two for _, two in counted]))
        if len(a):
            await connection.execute(_COUNT_PAIRS, [integers(a), integers(b), integers(users)])

    async def _solve(self, connection: Connection, batch: _Batch, parameters: Parameters) -> None:
        """Count the new likes of items, and solve their vectors for the similarities that follow."""
        changed = batch.liked
        rows = await self._reader.items(connection, changed, parameters.text_mean)
        likes, heats = rows.likes.copy(), rows.heats.copy()
        given = [(item, batch.times[name, item]) for name, items in batch.likes.items() for item in items]
        places = rows.places(ids([item for item, _ in given]))
        np.add.at(likes, places, 1.0)
        heated(heats, places, np.array([time for _, time in given]), self._halflives)
        await write_counts(connection, changed, likes, heats)
        bridged = rows.vectors.text @ parameters.bridge
        await self.solve(connection, parameters, changed=changed, likes=likes, bridged=bridged, shown=rows)

    async def solve(
        self,
        connection: Connection,
        parameters: Parameters,
        *,
        changed: Ids,
        likes: Numbers,
        bridged: Numbers,
        shown: ItemRows,
    ) -> None:
        """Solve the vectors of the items *changed*, now with so many *likes*, whose texts suggest *bridged*.

        *shown* are their rows as they were.
        """
        settings = self._settings
        first, second, users = await pairs_of(connection, changed)
        others, other_likes, learned = await self._reader.learned(connection, np.union1d(changed, second))
        old, is_new = np.zeros((len(changed), settings.dimension)), ~np.isin(changed, others)
        old[~is_new] = learned[np.searchsorted(others, changed[~is_new])]
        parameters.solving.replace(old[is_new], bridged[is_new])
        parameters.solving.count += int(is_new.sum())
        old[is_new] = bridged[is_new]
        others, order = np.unique(np.concatenate((others, changed)), return_index=True)
        learned = np.concatenate((learned, old))[order]
        other_likes = np.concatenate((other_likes, likes))[order]
        other_likes[np.searchsorted(others, changed)] = likes
        table = np.zeros((len(changed), len(others)))
        kept = np.isin(second, others)
        table[np.searchsorted(changed, first[kept]), np.searchsorted(others, second[kept])] = users[kept]
        table[np.arange(len(changed)), np.searchsorted(others, changed)] = likes
        similar = behaviour.similarities(table, likes[:, np.newaxis], other_likes, settings.shrink)
        solved = behaviour.solved(similar, learned, parameters.solving.gram, settings.ridge).astype(np.float32)
        blended = bridge.blended(solved.astype(np.float64), bridged, likes, settings.bridge_trust).astype(np.float32)
        parameters.solving.replace(old, solved.astype(np.float64))
        parameters.behaviour.replace(shown.vectors.behaviour, blended.astype(np.float64))
        await connection.execute(self._show, [integers(changed), list(solved), list(blended)])


async def write_counts(connection: Connection, items: Ids, likes: Numbers, heats: Numbers) -> None:
    """Write how many like each of *items*, and their heats (n, 3); no heat is NULL."""
    columns = [[None if heat == -np.inf else heat for heat in column.tolist()] for column in heats.T]
    await connection.execute(_ITEMS, [integers(items), integers(likes), *columns])
