"""Versions of the weights: promoted when better, rolled back when clicked less, and what is measured of shown lists."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from media_gateway.learning.events import new_id
from media_gateway.learning.postgres.changing import Change
from media_gateway.learning.versions import decide
from media_gateway.models import WatchEvent
from media_gateway.stores.postgres import PostgresStore
from tests.learning import SPACE, desk_of, ratings, rows_of
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio
STATES = "SELECT number, state FROM interest_versions ORDER BY number"


@pytest.fixture
async def store(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    store = await postgres.open_store(SPACE)
    await store.upsert(records(40))
    yield store
    await store.aclose()


def shadow(difference: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the sums of 400 comparisons, all with that *difference*."""
    return np.array([400.0, 120.0, 120.0 + 400 * difference, 400 * difference, 400 * difference**2 + 0.01])


async def decided(change: Change, difference: float) -> str | None:
    change.parameters.weights.shared[:] = [9.0, 0, 0, 0, 0, 0]
    change.parameters.weights.added[:] = 0.0
    change.parameters.shadow = shadow(difference)
    return await decide(change)


async def test_better_weights_come_into_use_and_worse_ones_are_dropped(store: PostgresStore) -> None:
    async with desk_of(store) as desk:
        await desk.events.write(ratings(users=5, items=40, count=150))
        await desk.learner.run()
        assert await rows_of(store, STATES) == [(1, "current")]
        first = await desk.learning.recommend("user-1", k=5, where=None, exclude=(), at=1.5e9)
        assert first.version == 1
        async with desk.interests.changes.change() as change:
            assert await decided(change, 0.0001) is None
        async with desk.interests.changes.change() as change:
            assert await decided(change, 0.02) == "promote"
        assert await rows_of(store, STATES) == [(1, "retired"), (2, "current")]
        behaviour_alone = await desk.learning.recommend("user-1", k=5, where=None, exclude=(), at=1.5e9)
        assert behaviour_alone.version == 2
        assert all(item.shares["behaviour"] == 1 for item in behaviour_alone.items if item.score > 0)
        async with desk.interests.changes.change() as change:
            change.parameters.serving.shared[:] = 0.5
            assert await decided(change, -0.02) == "reject"
            assert change.parameters.weights.shared.tolist() == [0.5] * 6
        assert await rows_of(store, STATES) == [(1, "retired"), (2, "current"), (3, "rejected")]
        versions, compared = await desk.versions()
        assert [(one.number, one.state) for one in versions] == [(3, "rejected"), (2, "current"), (1, "retired")]
        assert versions[1].metrics["shadow"]["comparisons"] == 400
        assert compared.count == 0


def lists(version: int, users: int, clicks: int, *, bot: bool = False) -> list[WatchEvent]:
    """Return what *users* were shown, 20 items each, of which each clicked so many."""
    now = time.time() - 3_600
    events: list[WatchEvent] = []
    for user in range(users):
        of_list = new_id(now)
        for rank in range(1, 21):
            shown = WatchEvent(
                user=f"{version}-{user}", key=f"movie-{rank}", time=now + rank / 1000, action="exposure",
                rank=rank, source="behaviour", version=version, list_id=of_list,
            )  # fmt: skip
            events.append(shown)
            if rank <= (20 if bot and user == 0 else clicks):
                click = WatchEvent(
                    user=shown.user, key=shown.key, time=shown.time + 60, action="click", rank=rank, list_id=of_list
                )
                events.append(click)
    return events


async def test_a_version_that_is_clicked_less_is_rolled_back(store: PostgresStore) -> None:
    async with desk_of(store) as desk:
        await desk.events.write(ratings(users=5, items=40, count=50))
        await desk.learner.run()
        async with desk.interests.changes.change() as change:
            await decided(change, 0.02)
        await desk.events.write(lists(1, 60, 4))
        await desk.events.write(lists(2, 60, 1, bot=True))
        live = await desk.learning.live()
        assert live.by_source[1, "behaviour"] == (1200, 240)
        assert live.by_source[2, "behaviour"] == (1200, 79)
        foreign = [replace(event, source=f"mine-{event.rank}", version=1000 + event.rank) for event in lists(7, 1, 0)]
        await desk.events.write(foreign)
        # No caller can make labels of metrics.
        assert (await desk.learning.live()).by_source == {**live.by_source, (0, "other"): (20, 0)}
        assert live.by_rank[1] == (120, 120)
        assert live.by_rank[20 // 2] == (120, 1)
        assert live.quality[2] == pytest.approx(1.0)
        assert live.coverage == pytest.approx(20 / 40)
        assert live.version == 2
        assert live.waiting == 0
        # A bot that clicks everything does not keep it: each user counts alike.
        assert await desk.learner.look_at_clicks()
        assert await rows_of(store, STATES) == [(1, "current"), (2, "rolled back")]
        assert not await desk.learner.look_at_clicks()
        found = await desk.learning.recommend("user-1", k=3, where=None, exclude=(), at=1.5e9)
        assert found.version == 1


async def test_a_version_that_is_clicked_as_much_stays(store: PostgresStore) -> None:
    async with desk_of(store) as desk:
        await desk.events.write(ratings(users=5, items=40, count=50))
        await desk.learner.run()
        async with desk.interests.changes.change() as change:
            await decided(change, 0.02)
        await desk.events.write([*lists(1, 60, 3), *lists(2, 60, 3)])
        assert not await desk.learner.look_at_clicks()
        assert await rows_of(store, STATES) == [(1, "retired"), (2, "current")]
