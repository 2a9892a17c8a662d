"""The application's calls: one profile a user, found by id; watch events; matches and connections that stay."""

import asyncio
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from media_gateway.agentdb import AgentDb, NewSkill, Preferences, open_agentdb
from media_gateway.errors import DimensionMismatchError, InvalidInputError
from media_gateway.models import MediaContent, WatchEvent
from tests.unit.agentdb.samples import NOW, rows, vector

pytestmark = pytest.mark.anyio


async def test_a_watch_event_is_stored_as_the_application_does_it(db: AgentDb):
    event = WatchEvent(user="u1", key="movie-550", time=NOW - 5, completion=0.75, rating=8)
    await db.application.record_watch(event, seconds=5400)
    (row,) = [row async for row in db.episodes.scan()]
    assert (row.session_id, row.task, row.ts, row.success) == ("u1", "watch_movie_550", NOW - 5, True)
    assert row.input == '{"contentId":550,"mediaType":"movie","context":{}}'
    assert row.output == '{"duration":5400,"completionRate":0.75,"rating":8}'
    assert (row.critique, row.latency_ms) == ("User completed 75% of content", 5_400_000)
    assert row.reward == pytest.approx(0.6)
    assert [one async for one in db.watch_events.events()] == [event]


async def test_events_come_by_time_and_others_are_passed_over(db: AgentDb):
    for time, key in ((30, "tv-2"), (10, "movie-1"), (20, "movie-3")):
        await db.application.record_watch(WatchEvent(user="u", key=key, time=time, completion=0.5))
    connection = sqlite3.connect(db.path)
    connection.executemany(
        "INSERT INTO episodes (session_id, task, output, ts) VALUES ('u', ?, ?, 15)",
        [("watch_movie_x", "{}"), ("other", None), ("watch_movie_9", '{"completionRate":"half","rating":99}')],
    )
    connection.commit()
    connection.close()
    events = [event async for event in db.watch_events.events()]
    assert [event.key for event in events] == ["movie-1", "movie-9", "movie-3", "tv-2"]
    assert (events[1].completion, events[1].rating) == (None, None)


async def test_many_events_come_once_each(db: AgentDb):
    connection = sqlite3.connect(db.path)
    connection.executemany(
        "INSERT INTO episodes (session_id, task, ts) VALUES ('u', ?, ?)",
        [(f"watch_movie_{number}", number // 700) for number in range(1, 2600)],
    )
    connection.commit()
    connection.close()
    keys = [event.key async for event in db.watch_events.events()]
    assert keys == [f"movie-{number}" for number in range(1, 2600)]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (WatchEvent(user="u", key="book-1", time=1, completion=1), "names no film or series"),
        (WatchEvent(user="u", key="movie-1", time=1), "has no completion"),
        (WatchEvent(user="u", key="movie-1", time=1, completion=1.5), "completion is 1.5"),
        (WatchEvent(user="u", key="movie-1", time=1, completion=1, rating=11), "rating is 11"),
    ],
)
async def test_an_event_that_makes_no_episode_is_refused(db: AgentDb, event: WatchEvent, said: str):
    with pytest.raises(InvalidInputError, match=said):
        await db.application.record_watch(event)


async def test_a_profile_moves_with_what_is_watched(db: AgentDb):
    event = WatchEvent(user="u1", key="movie-1", time=NOW, completion=1.0, rating=10)
    first = await db.profiles.learn(event, vector=vector(1, 768), genres=["drama"])
    assert first.confidence == pytest.approx(0.55)
    assert first.genre_affinities == {"drama": pytest.approx(0.57)}
    assert first.vector == pytest.approx(vector(1, 768), abs=1e-6)
    await db.profiles.learn(event, vector=vector(2, 768), genres=["horror"])
    stored = await db.profiles.get("u1")
    assert stored is not None
    rate = 0.3 * (2 - 0.55) * (0.5 + 0.5 * 0.7)
    blend = (1 - rate) * vector(1, 768) + rate * vector(2, 768)
    assert stored.vector == pytest.approx(blend / np.linalg.norm(blend), abs=1e-5)
    assert set(stored.genre_affinities) == {"drama", "horror"}
    assert (await db.application.user_statistics("u1")).attempts == 2
    with pytest.raises(DimensionMismatchError):
        await db.profiles.learn(event, vector=vector(2, 384))


async def test_events_of_one_user_at_once_are_all_learned(db: AgentDb):
    event = WatchEvent(user="u1", key="movie-1", time=NOW, completion=1.0, rating=10)
    await asyncio.gather(*(db.profiles.learn(event, genres=[f"g{number}"]) for number in range(5)))
    profile = await db.profiles.get("u1")
    assert profile is not None
    assert len(profile.genre_affinities) == 5


async def test_a_title_has_one_pattern_also_when_another_bears_its_name(db: AgentDb):
    film = MediaContent(id=1, media_type="movie", title="It", vote_average=7.3)
    other = MediaContent(id=2, media_type="movie", title="It")
    keys = [await db.application.save_content(content) for content in (film, other, film)]
    assert keys[0] == keys[2] != keys[1]
    row = await db.patterns.get(keys[0])
    assert row is not None
    assert (row.task_type, row.approach, row.success_rate) == ("content", "movie: It", pytest.approx(0.73))


async def test_a_recommendation_skill_is_written_as_the_application_does_it(db: AgentDb):
    key = await db.application.create_recommendation_skill("a", "b", "c")
    row = await db.skills.get(key)
    assert row is not None
    assert (row.name, row.description, row.signature, row.code, row.success_rate) == (
        "a",
        "b",
        {"strategy": "c"},
        "c",
        0.8,
    )
    with pytest.raises(InvalidInputError, match="there is a skill named 'a'"):
        await db.skills.create(NewSkill(name="a"))


async def test_matches_and_connections_are_still_there_after_closing(tmp_path: Path):
    path = tmp_path / "x.db"
    async with await open_agentdb(path, clock=lambda: NOW) as db:
        await db.connections.save_match("movie-603", "netflix", "n1", confidence=0.4)
        await db.connections.save_match("movie-603", "netflix", "n2", confidence=0.9, metadata={"by": "title"})
        await db.connections.save_match("movie-604", "netflix", "n2", confidence=0.5)
        await db.connections.connect("bea", "ann", strength=0.7)
        await db.connections.connect("ann", "cyd", relationship="family")
        with pytest.raises(InvalidInputError, match="with themselves"):
            await db.connections.connect("ann", "ann")
    async with await open_agentdb(path) as db:
        (match,) = await db.connections.matches("movie-603")
        assert (match.platform_id, match.confidence, match.metadata) == ("n2", 0.9, {"by": "title"})
        assert [one.content_key for one in await db.connections.matched("netflix", "n2")] == ["movie-603", "movie-604"]
        assert [(one.other_id, one.relationship) for one in await db.connections.of("ann")] == [
            ("cyd", "family"),
            ("bea", "friend"),
        ]
        assert [one.other_id for one in await db.connections.of("bea")] == ["ann"]
        assert await db.connections.disconnect("ann", "bea")
        assert await db.connections.of("bea") == []


async def test_profiles_that_npm_wrote_are_read_and_brought_to_one(db: AgentDb):
    connection = sqlite3.connect(db.path)
    connection.executemany(
        "INSERT INTO reasoning_patterns (task_type, approach, success_rate, tags, metadata, ts)"
        " VALUES ('user_preference', 'User u1 preference profile', ?, '[\"preference\",\"u1\"]', ?, ?)",
        [
            (0.5, '{"userId":"u1","genreAffinities":{"drama":0.5},"updatedAt":"2026-01-01T00:00:00.000Z"}', NOW - 9),
            (0.6, '{"userId":"u1","genreAffinities":[["drama",0.9]],"watchHistory":[1]}', NOW - 5),
        ],
    )
    connection.commit()
    connection.close()
    found = await db.profiles.get("u1")
    assert found is not None
    assert (found.confidence, found.genre_affinities, found.updated_at) == (0.6, {"drama": 0.9}, NOW - 5)
    assert found.metadata == {"watchHistory": [1]}
    await db.profiles.save(Preferences(user_id="u1", confidence=0.7, metadata=found.metadata))
    assert rows(db.path, "SELECT count(*), max(success_rate) FROM reasoning_patterns") == [(1, 0.7)]
