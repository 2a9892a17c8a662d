"""Learning in PostgreSQL: as in memory, each event once, bounded, and without anybody who was erased."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from media_gateway.errors import StoreUnavailableError
from media_gateway.filters import GenresAny, MediaTypeIs
from media_gateway.learning.interests.memory import MemoryInterests
from media_gateway.learning.opening import serving_learning
from media_gateway.learning.postgres import candidates, near
from media_gateway.learning.postgres.people import MOST_LIKES_A_DAY
from media_gateway.models import WatchEvent
from media_gateway.stores.postgres import PostgresStore
from tests.learning import SPACE, TASTES, counted, desk_of, ratings, rows_of, taste_of
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio

ITEMS = 60
LATER = 1_700_000_000.0
AT_FIRST = 1_000_000_000.0
"""On the first day of all users, when what they like weighs most."""


@pytest.fixture
async def store(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    store = await postgres.open_store(SPACE)
    await store.upsert(records(ITEMS))
    yield store
    await store.aclose()


async def test_it_learns_what_the_model_in_memory_learns(store: PostgresStore) -> None:
    films = sorted(records(ITEMS), key=lambda film: film.key)
    memory, events = MemoryInterests(), ratings()
    await memory.add_items([film.key for film in films], np.stack([film.vector for film in films]))
    async with desk_of(store, is_guarded=False) as desk:
        await desk.interests.know_all()
        for refreshed in (False, True):
            if refreshed:
                await memory.refresh()
                await desk.interests.refresh()
            else:
                await memory.apply(events)
                await desk.interests.apply(events)
            at = events[-1].time + 60
            for user in (0, 1, 7, 99):
                expected = await memory.recommend(f"user-{user}", k=10, at=at)
                found = await desk.interests.recommend(f"user-{user}", k=10, at=at)
                assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=2e-3)
                # Of a stranger all may score the same.
                if user < 20:
                    assert {one.key for one in found[:8]} <= {one.key for one in expected}
                    assert found[0].because == expected[0].because
                    assert found[0].shares == pytest.approx(expected[0].shares, abs=2e-3)


async def test_recommendations_follow_tastes_and_leave_out_what_was_seen(store: PostgresStore) -> None:
    async with desk_of(store) as desk:
        await desk.events.write(ratings(count=300))
        learned = await desk.learner.run()
        assert (learned.events, learned.passed_over) == (300, 0)
        seen = {key for (key,) in await rows_of(store, "SELECT key FROM user_events WHERE user_id = 'user-2'")}
        found = await desk.learning.recommend("user-2", k=5, where=None, exclude=(), at=AT_FIRST)
        assert not seen & {item.key for item in found.items}
        first = found.items[0]
        assert sum(first.shares.values()) == pytest.approx(1)
        assert first.because in seen
        assert first.because_title in first.reason
        left_out = await desk.learning.recommend("user-2", k=5, where=None, exclude=[first.key], at=AT_FIRST)
        assert first.key not in {item.key for item in left_out.items}
    # By chance it would be a quarter, and what is unseen of a taste is little by now.
    assert await hits_of(store) > 0.4


async def test_filters_hold_and_a_list_is_full_when_enough_pass(store: PostgresStore) -> None:
    async with desk_of(store) as desk:
        await desk.events.write(ratings(count=300))
        await desk.learner.run()
        where = MediaTypeIs("tv") & GenresAny([3])
        passing = {
            film.key
            for film in records(ITEMS)
            if film.metadata["media_type"] == "tv" and 3 in film.metadata["genre_ids"]
        }
        seen = {key for (key,) in await rows_of(store, "SELECT key FROM user_events WHERE user_id = 'user-5'")}
        found = await desk.learning.recommend("user-5", k=50, where=where, exclude=(), at=LATER)
        assert {item.key for item in found.items} == passing - seen
        nobody = await desk.learning.recommend("stranger", k=50, where=where, exclude=(), at=LATER)
        assert {item.key for item in nobody.items} == passing


async def test_a_stranger_gets_what_is_popular_and_one_with_a_profile_what_is_near_it(store: PostgresStore) -> None:
    async with desk_of(store) as desk:
        empty = await desk.learning.recommend("stranger", k=3, where=None, exclude=(), at=LATER)
        best = sorted(records(ITEMS), key=lambda film: (-film.metadata["vote_average"], film.key))
        assert [(item.key, item.reason) for item in empty.items] == [
            (film.key, f"rated {film.metadata['vote_average']:g} of 10") for film in best[:3]
        ]
        await desk.events.write(ratings(count=400))
        await desk.learner.run()
        found = await desk.learning.recommend("stranger", k=3, where=None, exclude=(), at=LATER)
        assert found.likes == 0
        assert found.items[0].source in {"popularity", "recent", "newest"}
        assert found.items[0].because is None
        ((most,),) = await rows_of(store, "SELECT max(likes) FROM interest_items")
        ((likes,),) = await rows_of(store, "SELECT likes FROM interest_items WHERE key = %s", found.items[0].key)
        assert likes >= most - 2
        half = WatchEvent(user="half", key="movie-7", time=LATER, completion=0.5)
        await desk.events.write([half])
        await desk.learner.run()
        assert (await desk.preferences.get("half")) is not None
        lukewarm = await desk.learning.recommend("half", k=3, where=None, exclude=(), at=LATER)
        assert lukewarm.likes == 0
        assert "movie-7" not in {item.key for item in lukewarm.items}


async def test_erasing_a_user_leaves_what_would_have_been_learned_without_them(
    store: PostgresStore, postgres: TestServer
) -> None:
    events = ratings(count=500)
    gone = "user-3"
    async with desk_of(store) as desk:
        await desk.events.write(events)
        await desk.learner.run()
        await desk.interests.refresh()
        await desk.events.write([WatchEvent(user=gone, key="movie-1", time=LATER, action="click", rank=1)])
        exported = await desk.users.known(gone)
        assert exported.preferences is not None
        assert len(exported.liked) > 3
        erased = await desk.users.erase(gone)
        assert erased.likes == len(exported.liked)
        assert erased.events == len({event.key + str(event.time) for event in events if event.user == gone}) + 1
        assert erased.had_preferences
        assert (await desk.users.erase(gone)).events == 0
        after = await counted(store)
        for table in ("user_events", "user_preference_vectors", "interest_users", "vector_search_logs"):
            assert await rows_of(store, f"SELECT count(*) FROM {table} WHERE user_id = %s", gone) == [(0,)]
        vectors = "SELECT key, learned FROM interest_vectors JOIN interest_items ON number = item WHERE learned IS NULL"
        unlearned = {key for key, _ in await rows_of(store, vectors)}
        assert unlearned == {key for (key,) in await rows_of(store, "SELECT key FROM interest_items WHERE likes = 0")}
        # The factors were made of the likes that are gone too: with the next event they are made anew.
        await desk.events.write([WatchEvent(user="user-1", key="movie-1", time=LATER, completion=1.0)])
        assert [(await desk.learner.run()).refreshes for _ in range(2)] == [1, 0]
    other = await postgres.open_store(SPACE)
    await other.upsert(records(ITEMS))
    async with desk_of(other) as desk:
        await desk.events.write([event for event in events if event.user != gone])
        await desk.learner.run()
        expected = await counted(other)
    await other.aclose()
    assert [after[name] for name in ("items", "pairs", "users")] == [
        expected[name] for name in ("items", "pairs", "users")
    ]


async def test_learning_again_gives_the_same(store: PostgresStore) -> None:
    async with desk_of(store) as desk:
        await desk.events.write(ratings(count=300))
        await desk.learner.run()
        before = await counted(store)
        await desk.users.begin_again()
        assert await rows_of(store, "SELECT count(*) FROM interest_items") == [(0,)]
        assert (await desk.learner.run()).events == 300
        assert await counted(store) == before


async def test_one_user_counts_once_an_item_and_so_often_a_day(store: PostgresStore) -> None:
    await store.upsert(records(MOST_LIKES_A_DAY + 100))
    day = 1_000_000 * 1_000.0
    start = day - day % 86_400
    async with desk_of(store) as desk:
        again = [WatchEvent(user="bot", key="movie-1", time=start + n, completion=1.0) for n in range(200)]
        many = [
            WatchEvent(user="bot", key=f"movie-{n}", time=start + 300 + n, completion=1.0)
            for n in range(MOST_LIKES_A_DAY + 100)
        ]
        await desk.events.write(again + many)
        await desk.learner.run()
        assert await rows_of(store, "SELECT max(likes), sum(likes) FROM interest_items") == [(1, MOST_LIKES_A_DAY)]
        assert await rows_of(store, "SELECT max(users) FROM interest_pairs") == [(1,)]
        # The next day begins anew, and what was passed over counts when it is liked again.
        late = replace(many[-1], time=start + 86_400 + 5)
        await desk.events.write([late])
        assert (await desk.learner.run()).likes == 1


async def test_events_of_unknown_records_are_passed_over_until_it_is_learned_again(store: PostgresStore) -> None:
    async with desk_of(store) as desk:
        event = WatchEvent(user="ann", key="movie-5000", time=time.time(), completion=1.0)
        await desk.events.write([event])
        learned = await desk.learner.run()
        assert (learned.likes, learned.passed_over) == (0, 1)
        await store.upsert([replace(records(1)[0], key="movie-5000")])
        await desk.users.begin_again()
        assert (await desk.learner.run()).likes == 1


async def test_records_that_come_later_are_recommended_too(store: PostgresStore) -> None:
    async with desk_of(store) as desk:
        await desk.events.write(ratings(count=300))
        await desk.learner.run()
        near = records(ITEMS)[2]
        await store.upsert([replace(near, key="movie-new")])
        await desk.learner.run()
        found = await desk.learning.recommend("user-2", k=61, where=None, exclude=(), at=LATER)
        assert "movie-new" in {item.key for item in found.items}


async def test_a_service_remembers_tastes_until_something_is_learned(store: PostgresStore) -> None:
    learning = serving_learning(
        store.endpoint, store.serving_connection, dimension=SPACE.dimension, writable=False, days=None
    )

    async def found() -> tuple[int, list[str]]:
        made = await learning.recommend("user-1", k=10, where=None, exclude=(), at=AT_FIRST)
        return made.likes, [item.key for item in made.items]

    async with desk_of(store) as desk:
        await desk.events.write(ratings(count=300))
        await desk.learner.run()
        likes, keys = await found()
        # Changed behind the learner's back, which nobody else does.
        await rows_of(store, "DELETE FROM interest_seen WHERE place IS NOT NULL RETURNING item")
        assert await found() == (likes, keys)
        await desk.events.write([WatchEvent(user="user-1", key=keys[0], time=LATER, completion=1.0)])
        await desk.learner.run()
        assert (await found())[0] == 1
        assert keys[0] not in (await found())[1]
        await desk.users.erase("user-1")
        assert (await found())[0] == 0


async def test_profiles_move_by_the_formulae(store: PostgresStore) -> None:
    async with desk_of(store) as desk:
        film = records(ITEMS)[4]
        await desk.events.write([WatchEvent(user="ann", key=film.key, time=LATER, completion=0.9, rating=9.0)])
        await desk.learner.run()
        profile = await desk.preferences.get("ann")
        assert profile is not None
        assert profile.vector == pytest.approx(film.vector, abs=1e-6)
        # Signal .36 + .27 = .63, above a half.
        assert profile.confidence == pytest.approx(0.55)
        assert profile.genre_affinities == pytest.approx({"28": 0.563, "4": 0.563})
        assert (profile.model, profile.interactions) == (SPACE.model, 1)
        await desk.events.write([WatchEvent(user="ann", key=film.key, time=LATER + 9, action="dismiss")])
        await desk.learner.run()
        after = await desk.preferences.get("ann")
        assert after is not None
        assert after.confidence == pytest.approx(0.95 * 0.55)
        assert after.vector == pytest.approx(profile.vector, abs=1e-6)


async def test_a_learner_that_is_cut_off_anywhere_loses_nothing_and_applies_nothing_twice(
    store: PostgresStore, postgres: TestServer
) -> None:
    events = ratings(count=700, seed=3)
    async with desk_of(store) as desk:
        await desk.events.write(events)
    chance = np.random.default_rng(1)
    for _ in range(12):
        with contextlib.suppress(TimeoutError, StoreUnavailableError):
            async with desk_of(store) as desk, asyncio.timeout(0.02 + 0.25 * chance.random()):
                await desk.learner.run()
    async with desk_of(store) as desk:
        await desk.learner.run()
    other = await postgres.open_store(SPACE)
    await other.upsert(records(ITEMS))
    async with desk_of(other) as desk:
        await desk.events.write(events)
        assert (await desk.learner.run()).events == 700
    assert await counted(store) == await counted(other)
    await other.aclose()


async def test_two_learners_take_turns(store: PostgresStore) -> None:
    events = ratings(count=400)
    async with desk_of(store) as one, desk_of(store) as two:
        await one.events.write(events)
        done = await asyncio.gather(one.learner.run(), two.learner.run())
        assert sum(learned.events for learned in done) == 400
    ((learned, likes),) = await rows_of(store, "SELECT events, likes FROM interest_state")
    assert (learned, likes) == (400, sum(run.likes for run in done))


async def hits_of(store: PostgresStore, users: int = 20) -> float:
    """Return the share of what the users are recommended that is of their taste; items of others count as none."""
    found = 0
    async with desk_of(store) as desk:
        for user in range(users):
            answer = await desk.learning.recommend(f"user-{user}", k=5, where=None, exclude=(), at=AT_FIRST)
            numbers = [item.key.removeprefix("movie-") for item in answer.items]
            found += sum(number.isdigit() and int(number) % TASTES == taste_of(user) for number in numbers)
    return found / (5 * users)


@pytest.mark.full
async def test_a_poisoned_stream_changes_little(postgres: TestServer) -> None:
    items = 200
    honest = ratings(items=items, count=3_000)
    hits: dict[str, float] = {}
    for name in ("clean", "poisoned"):
        store = await postgres.open_store(SPACE)
        await store.upsert(records(items))
        async with desk_of(store) as desk:
            await desk.events.write(honest)
            await desk.learner.run()
            if name == "poisoned":
                start = honest[-1].time + 10
                bot = [
                    WatchEvent(user="bot", key=f"movie-{n % items}", time=start + n, action="rating", rating=10.0)
                    for n in range(10_000)
                ]
                clicks = [
                    WatchEvent(user=f"user-{n % 20}", key="movie-1", time=start + n / 7, action="click", rank=1)
                    for n in range(2_000)
                ]
                await desk.events.write([*bot, *clicks])
                flood = records(300, seed=9, prefix="flood")
                await store.upsert(flood)
                await desk.learner.run()
                assert await rows_of(store, "SELECT max(users) FROM interest_pairs WHERE users > 20") == [(None,)]
        hits[name] = await hits_of(store)
        await store.aclose()
    assert hits["clean"] > 0.6
    assert hits["poisoned"] >= 0.95 * hits["clean"]


async def test_a_large_catalogue_is_walked_by_its_graphs_and_recommends_the_same(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answers() -> list[list[str]]:
        async with desk_of(store) as desk:
            found = [await desk.interests.recommend(f"user-{user}", k=10, at=LATER) for user in range(4)]
        return [[one.key for one in list_] for list_ in found]

    async with desk_of(store) as desk:
        await desk.events.write(ratings(count=300))
        await desk.learner.run()
        await desk.interests.refresh()
    few = await answers()
    assert await rows_of(store, "SELECT count(*) FROM interest_near_behaviour") == [(0,)]
    for module in (near, candidates):
        monkeypatch.setattr(module, "FEW_ITEMS", 10)
    async with desk_of(store) as desk:
        await desk.interests.know_all()
        assert await rows_of(store, "SELECT count(*) FROM interest_near_behaviour") == [(ITEMS,)]
        assert await answers() == few
        await desk.events.write(ratings(count=300, seed=8))
        await desk.learner.run()
        await desk.users.erase("user-1")
        lagging = (
            "SELECT count(*) FROM interest_near_behaviour AS n JOIN interest_vectors AS v USING (item) "
            "WHERE (n.vector <-> v.shown) > 0.1001 * vector_norm(v.shown)"
        )
        assert await rows_of(store, lagging) == [(0,)]
