"""Each thing that is broken in the npm package, done right here."""

import sqlite3
from pathlib import Path

import pytest

from media_gateway.agentdb import AgentDb, NewPattern, NightlyRules, Preferences, open_agentdb
from media_gateway.models import WatchEvent
from tests.unit.agentdb.samples import DAY, NOW, causal_history, counts, episode, rows, vector

pytestmark = pytest.mark.anyio


async def test_opening_makes_the_tables_of_episodes_and_skills(tmp_path: Path):
    async with await open_agentdb(tmp_path / "new.db") as db:
        await db.episodes.store(episode("u", "t"))
        assert len(await db.episodes.retrieve(vector=vector(), session_id="u")) == 1
    made = {row[0] for row in rows(tmp_path / "new.db", "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert made >= {"reasoning_patterns", "episodes", "skills", "skill_links", "causal_edges"}


async def test_a_supplied_embedding_is_used(db: AgentDb):
    await db.patterns.store(NewPattern(task_type="a", approach="b", vector=vector(1)))
    found = await db.patterns.search(vector=vector(1))
    assert found[0].similarity == pytest.approx(1)


async def test_the_preference_vector_of_768_numbers_is_stored(db: AgentDb):
    await db.profiles.save(Preferences(user_id="u1", vector=vector(3, 768)))
    await db.profiles.save(Preferences(user_id="u1", confidence=0.6))
    found = await db.profiles.get("u1")
    assert found is not None
    assert found.vector == pytest.approx(vector(3, 768), abs=1e-6)
    assert rows(db.path, "SELECT DISTINCT length(embedding) FROM pattern_embeddings") == [(1536,)]


async def test_a_user_gets_their_own_profile_and_there_is_one(db: AgentDb):
    users = ["1", "11", "User 1", "u%", "U1"]
    for confidence in (0.3, 0.4):
        for place, user in enumerate(users):
            await db.profiles.save(Preferences(user_id=user, confidence=confidence, genre_affinities={"g": place / 10}))
    for place, user in enumerate(users):
        found = await db.profiles.get(user)
        assert found is not None
        assert (found.user_id, found.confidence, found.genre_affinities) == (user, 0.4, {"g": place / 10})
    assert await db.profiles.get("111") is None
    assert counts(db.path)["reasoning_patterns"] == len(users)


async def test_similar_episodes_are_of_the_same_user(db: AgentDb):
    for user in ("u1", "u2"):
        await db.application.record_watch(WatchEvent(user=user, key="movie-1", time=NOW, completion=1))
    found = await db.application.similar_watches("u2", "watch_movie_1")
    assert [hit.row.session_id for hit in found] == ["u2"]


async def test_a_users_statistics_are_the_users(db: AgentDb):
    for completion in (0.5, 1.0):
        await db.application.record_watch(WatchEvent(user="u1", key="movie-1", time=NOW, completion=completion))
    await db.application.record_watch(WatchEvent(user="u2", key="movie-1", time=NOW, completion=0.1))
    found = await db.application.user_statistics("u1")
    assert (found.attempts, found.success_rate, found.avg_reward) == (2, 0.5, pytest.approx(0.6))


async def test_consolidation_counts_all_attempts_of_one_user_and_once(db: AgentDb):
    def tried(user: str, rewards: list[float], age: int = 1) -> list[object]:
        return [
            episode(user, "t", reward=reward, success=reward > 0.5, latency_ms=100, time=NOW - age * DAY)
            for reward in rewards
        ]

    await db.episodes.store_many(
        [*tried("u1", [0.9, 0.8, 0.7, 0.1]), *tried("u2", [0.9, 0.9]), *tried("u3", [0.9] * 3, age=8)]
    )
    assert await db.consolidate(dry_run=True) == (1, 0)
    assert counts(db.path)["skills"] == 0
    assert await db.consolidate() == (1, 0)
    (skill,) = [skill async for skill in db.skills.scan()]
    assert (skill.name, skill.uses, skill.success_rate) == ("t (u1)", 4, 0.75)
    assert (skill.avg_reward, skill.avg_latency_ms, skill.created_from_episode) == (pytest.approx(0.625), 100, 1)
    assert await db.consolidate() == (0, 0)
    assert [one async for one in db.skills.scan()] == [skill]
    await db.episodes.store_many(tried("u1", [0.2]))
    assert await db.consolidate() == (0, 1)
    assert await db.consolidate() == (0, 0)
    after = await db.skills.get(skill.id)
    assert after is not None
    assert (after.uses, after.success_rate, after.avg_reward) == (5, pytest.approx(0.6), pytest.approx(0.54))
    assert [hit.row.id for hit in await db.skills.search("t", session_id="u1")] == [skill.id]
    assert await db.skills.search("t", session_id="u2") == []


async def test_tasks_and_sessions_that_make_one_name_do_not_stop_the_run(db: AgentDb):
    for session, task in (("c", "a (b)"), ("b) (c", "a")):
        await db.episodes.store_many([episode(session, task, reward=0.9, time=NOW - DAY) for _ in range(3)])
    assert await db.consolidate() == (1, 0)
    assert await db.consolidate() == (0, 0)


async def test_the_nightly_report_equals_what_changed_and_a_dry_run_writes_nothing(db: AgentDb):
    await db.episodes.store_many(causal_history())
    poor = [episode("p", "poor", reward=0.0, time=NOW - 40 * DAY) for _ in range(8)]
    await db.episodes.store_many([*poor, *(episode("g", "good", reward=0.9, time=NOW - DAY) for _ in range(3))])
    await db.edges.add(1, 2, uplift=0.3, confidence=0.2)
    connection = sqlite3.connect(db.path)
    connection.execute(
        "INSERT INTO skills (name, signature, uses, success_rate, created_at) VALUES ('bad', '{}', 1, 0.1, ?)",
        [NOW - 61 * DAY],
    )
    connection.commit()
    connection.close()
    before, data = counts(db.path), db.path.read_bytes()
    dry = await db.nightly(dry_run=True)
    assert db.path.read_bytes() == data
    report = await db.nightly()
    after = counts(db.path)
    assert (dry.dry_run, report.dry_run) == (True, False)
    assert {**vars(dry), "dry_run": False} == {**vars(report)}
    assert report.edges_discovered > 0
    assert after["causal_edges"] - before["causal_edges"] == report.edges_discovered - report.edges_pruned
    assert after["episodes"] - before["episodes"] == -report.episodes_pruned == -3
    assert after["skills"] - before["skills"] == report.skills_created - report.skills_pruned
    assert (report.edges_pruned, report.skills_pruned, report.edges) == (1, 1, after["causal_edges"])
    again, unchanged = await db.nightly(), counts(db.path)
    assert unchanged == after
    changed = ("edges_discovered", "edges_updated", "edges_pruned", "skills_created", "skills_updated", "skills_pruned")
    assert {name: getattr(again, name) for name in (*changed, "episodes_pruned")} == dict.fromkeys(
        (*changed, "episodes_pruned"), 0
    )
    assert await db.check() == []


async def test_the_nightly_run_finds_the_effect_that_is_there(db: AgentDb):
    await db.episodes.store_many(causal_history(effect=0.3))
    await db.nightly()
    edges = {edge.mechanism: edge async for edge in db.edges.scan()}
    found = edges["doubly robust: trailer -> film"]
    assert found.uplift == pytest.approx(0.3, abs=0.05)
    assert found.metadata["naiveDifference"] > 0.35
    assert found.confidence > 0.99
    assert (found.from_memory_type, found.sample_size, found.similarity) == ("episode", 720, pytest.approx(1))
    first = await db.episodes.get(found.from_memory_id)
    second = await db.episodes.get(found.to_memory_id)
    assert first is not None
    assert second is not None
    assert (first.task, second.task, second.id) == ("trailer", "film", first.id + 1)


async def test_the_nightly_run_finds_nothing_where_there_is_nothing(db: AgentDb):
    await db.episodes.store_many(causal_history(effect=0.0))
    report = await db.nightly(NightlyRules(min_confidence=0.99))
    assert report.edges_discovered == 0


async def test_an_edge_follows_new_episodes_and_goes_when_nothing_confirms_it(db: AgentDb):
    await db.episodes.store_many(causal_history(seed=1))
    first = await db.nightly()
    await db.episodes.store_many(causal_history(seed=2, start=NOW - 2 * DAY))
    second = await db.nightly()
    assert (second.edges_discovered, second.edges_updated) == (0, first.edges_discovered)
    db._context.clock = lambda: NOW + 100 * DAY
    later = await db.nightly()
    assert (later.edges_pruned, later.edges) == (first.edges_discovered, 0)


async def test_five_skills_are_no_moat(db: AgentDb):
    for name in "abcde":
        await db.application.create_recommendation_skill(name, "d", "s")
    moat = await db.moat()
    assert moat.score == moat.parts["skills"] == 1.0
