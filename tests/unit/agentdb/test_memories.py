"""Patterns, episodes and skills: stored, found, counted and pruned as the controllers of npm do."""

import asyncio

import numpy as np
import pytest

from media_gateway.agentdb import AgentDb, NewEpisode, NewPattern, NewSkill, columns
from media_gateway.agentdb.columns import VectorColumn
from media_gateway.agentdb.moat import moat_of
from media_gateway.errors import InvalidInputError, InvalidMetadataError, InvalidVectorError
from tests.unit.agentdb.samples import DAY, NOW, contents, counts, episode, rows, vector, vectors

pytestmark = pytest.mark.anyio


async def test_patterns_are_stored_found_and_counted(db: AgentDb):
    first, second = await db.patterns.store_many(
        [
            NewPattern(task_type="search", approach="ask for the mood first", success_rate=0.9, tags=("mood", "talk")),
            NewPattern(task_type="content", approach="movie: Jaws", success_rate=0.4, metadata={"a": [1, None, "ü"]}),
        ]
    )
    found = await db.patterns.search("which mood is the user in")
    assert found[0].row.id == first
    assert found == sorted(found, key=lambda hit: -hit.score)
    for filters, expected in (
        ({"task_type": "content"}, {second}),
        ({"min_success_rate": 0.5}, {first}),
        ({"tags": ["nothing", "talk"]}, {first}),
        ({"tags": ["nothing"]}, set()),
        ({"threshold": 0.999}, set()),
    ):
        assert {hit.row.id for hit in await db.patterns.search("x", **{"threshold": -1, **filters})} == expected
    row = await db.patterns.get(second)
    assert row is not None
    assert (row.metadata, row.ts, row.tags) == ({"a": [1, None, "ü"]}, NOW, ())
    assert rows(db.path, "SELECT metadata FROM reasoning_patterns WHERE id = ?", [second]) == [('{"a":[1,null,"ü"]}',)]
    await db.patterns.record_use(first, success=False, reward=1.0)
    await db.patterns.record_use(first, success=True, reward=0.5)
    used = await db.patterns.get(first)
    assert used is not None
    assert (used.uses, used.success_rate, used.avg_reward) == (2, 0.5, 0.75)
    stats = await db.patterns.statistics()
    assert (stats.patterns, stats.recent, stats.high_performing, stats.avg_uses) == (2, 2, 0, 1.0)
    assert stats.top_task_types == {"content": 1, "search": 1}
    assert await db.patterns.remove(first)
    assert not await db.patterns.remove(first)
    assert [hit.row.id for hit in await db.patterns.search("mood", threshold=-1)] == [second]
    with pytest.raises(InvalidInputError, match="there is no pattern 1"):
        await db.patterns.record_use(first, success=True, reward=1)


async def test_what_is_stored_is_384_unit_float32(db: AgentDb):
    await db.episodes.store(episode("u", "t", vector=7 * vector(1)))
    await db.episodes.store(episode("u", "t", vector=vector(1, 768)))
    await db.episodes.store(episode("u", "t", vector=None))
    stored = [np.frombuffer(data, dtype="<f4") for (data,) in rows(db.path, "SELECT embedding FROM episode_embeddings")]
    assert [len(row) for row in stored] == [384] * 3
    assert [float(np.linalg.norm(row)) for row in stored] == pytest.approx([1] * 3, abs=1e-6)
    assert stored[0] == pytest.approx(vector(1), abs=1e-6)
    assert rows(db.path, "SELECT kind, owner, dimension FROM gateway_vectors") == [("episode", "2", 768)]
    found = await db.episodes.retrieve(vector=vector(1, 768), session_id="u")
    assert [(hit.row.id, hit.similarity) for hit in found] == [(2, pytest.approx(1))]
    assert await db.episodes.retrieve(vector=vector(1, 768), session_id="other") == []


async def test_episodes_are_filtered(db: AgentDb):
    made = vectors(6)
    await db.episodes.store_many(
        [
            episode("a", "t", vector=made[0], reward=0.9, success=True, output="did it", time=NOW - 10),
            episode("a", "t", vector=made[1], reward=0.1, critique="too long", time=NOW - 10 * DAY),
            episode("a", "t", vector=made[2], reward=0.2, time=NOW - 10),
            episode("b", "t", vector=made[3], reward=0.8, success=True, time=NOW - 10),
            episode("b", "u", vector=made[4], reward=0.6, success=True, time=NOW - 20 * DAY),
        ]
    )
    await db.episodes.store(episode("b", "u", vector=made[5], reward=0.3, critique="wrong mood", time=NOW))

    async def ids(**filters: object) -> set[int]:
        return {
            hit.row.id for hit in await db.episodes.retrieve(vector=made[0], **{"k": 10, "session_id": None, **filters})
        }

    assert await ids() == {1, 2, 3, 4, 5, 6}
    assert await ids(session_id="a") == {1, 2, 3}
    assert await ids(session_id="nobody") == set()
    assert await ids(min_reward=0.6) == {1, 4, 5}
    assert await ids(success=True, session_id="b") == {4, 5}
    assert await ids(success=False) == {2, 3, 6}
    assert await ids(days=15) == {1, 2, 3, 4, 6}
    assert await ids(days=15, success=True, session_id="b") == {4}
    assert len(await ids(k=2)) == 2
    assert [hit.row.id for hit in await db.episodes.critiques("t", session_id="a")] == [2]
    assert [hit.row.id for hit in await db.episodes.strategies("t", session_id="a")] == [1]
    assert [row.id for row in await db.episodes.recent("b", limit=2)] == [6, 4]


async def test_text_finds_what_it_means(db: AgentDb):
    await db.episodes.store_many(
        [
            NewEpisode(session_id="u", task="watch a shark film", critique="too scary"),
            NewEpisode(session_id="u", task="bake a cake"),
        ]
    )
    found = await db.episodes.retrieve("horror at the sea", state="the user is easily frightened", session_id="u")
    assert [hit.row.id for hit in found] == [1, 2]


async def test_statistics_of_tasks_and_users(db: AgentDb):
    await db.episodes.store_many(
        [
            episode("a", "t", reward=0.4, success=False, latency_ms=100, time=NOW - 8 * DAY),
            episode("a", "t", reward=0.6, success=True, latency_ms=300, time=NOW - DAY),
            episode("b", "t", reward=1.0, success=True, time=NOW - DAY),
        ]
    )
    task = await db.episodes.task_statistics("t")
    assert (task.attempts, task.tasks, task.first_at, task.last_at) == (3, 1, NOW - 8 * DAY, NOW - DAY)
    assert (task.success_rate, task.avg_reward, task.avg_latency_ms) == pytest.approx((2 / 3, 2 / 3, 200))
    assert task.trend == pytest.approx((0.8 - 0.4) / 0.4)
    assert (await db.episodes.task_statistics("t", session_id="b")).attempts == 1
    assert (await db.episodes.task_statistics("t", days=2)).attempts == 2
    nothing = await db.episodes.task_statistics("other")
    assert (nothing.attempts, nothing.success_rate, nothing.trend, nothing.last_at) == (0, 0, 0, None)


async def test_pruning_keeps_the_best_five_of_a_task(db: AgentDb):
    old = [episode("u", "t", reward=0.01 * number, time=NOW - 31 * DAY) for number in range(8)]
    kept = [
        episode("u", "t", reward=0.0, time=NOW - 29 * DAY),
        episode("u", "t", reward=0.3, time=NOW - 99 * DAY),
        episode("u", "other", reward=0.0, time=NOW - 99 * DAY),
    ]
    await db.episodes.store_many([*old, *kept])
    await db.skills.create(NewSkill(name="s", created_from_episode=1, vector=vector()))
    assert await db.episodes.prune() == 3
    assert [row.id async for row in db.episodes.scan()] == [4, 5, 6, 7, 8, 9, 10, 11]
    assert counts(db.path)["episode_embeddings"] == 8
    assert len(await db.episodes.retrieve(vector=vector(), session_id=None, k=50)) == 8
    assert await db.episodes.prune() == 0
    assert await db.check() == []


async def test_skills_rank_by_more_than_similarity(db: AgentDb):
    near, proven = (
        await db.skills.create(NewSkill(name="near", vector=vector(1))),
        await db.skills.create(NewSkill(name="proven", vector=vector(2), success_rate=1.0, uses=2000, avg_reward=1.0)),
    )
    found = await db.skills.search(vector=vector(1))
    by_id = {hit.row.id: hit for hit in found}
    assert by_id[near].score == pytest.approx(0.4)
    assert by_id[proven].score == pytest.approx(0.4 * by_id[proven].similarity + 0.3 + 0.1 + 0.2)
    assert found[0].row.id == proven
    assert [hit.row.id for hit in await db.skills.search(vector=vector(1), min_success_rate=0.5)] == [proven]
    await db.skills.record_use(near, success=True, reward=0.5, latency_ms=10)
    await db.skills.record_use(near, success=False, reward=0.7, latency_ms=20)
    row = await db.skills.get(near)
    assert row is not None
    assert (row.uses, row.success_rate, row.avg_reward, row.avg_latency_ms) == (2, 0.5, pytest.approx(0.6), 15)
    assert row.last_used_at is not None


async def test_skills_are_linked_updated_and_pruned(db: AgentDb):
    first, second, third = [
        await db.skills.create(NewSkill(name=name, description="old", success_rate=0.3)) for name in "abc"
    ]
    await db.skills.link(first, second, "prerequisite", weight=0.5)
    await db.skills.link(first, second, "prerequisite", weight=0.7)
    await db.skills.link(first, third, "alternative", metadata={"why": "x"})
    assert [(link.child_skill_id, link.weight) for link in await db.skills.links(first)] == [
        (third, 1.0),
        (second, 0.7),
    ]
    assert [link.metadata for link in await db.skills.links(first, "alternative")] == [{"why": "x"}]
    await db.skills.update(second, description="finds shark films", metadata={"k": 1})
    row = await db.skills.named("b")
    assert row is not None
    assert (row.description, row.metadata, row.signature) == (
        "finds shark films",
        {"k": 1},
        {"inputs": {}, "outputs": {}},
    )
    assert (await db.skills.search("sharks"))[0].row.id == second
    for call in (
        db.skills.create(NewSkill(name="a")),
        db.skills.create(NewSkill(name="z", created_from_episode=99)),
        db.skills.link(first, 99, "x"),
        db.skills.link(first, first, "x"),
        db.skills.update(99, code="x"),
        db.skills.record_use(99, success=True, reward=1),
    ):
        with pytest.raises(InvalidInputError, match="there is (a skill named|no (episode|skill) 99)|with itself"):
            await call
    assert await db.skills.prune() == 0
    await db.skills.record_use(third, success=True, reward=1)
    db._context.clock = lambda: NOW + 61 * DAY
    assert await db.skills.prune() == 2
    assert [skill.name async for skill in db.skills.scan()] == ["c"]
    assert counts(db.path)["skill_embeddings"] == 1


@pytest.mark.parametrize(
    ("item", "error", "said"),
    [
        (NewEpisode(session_id="", task="t"), InvalidInputError, "session_id is ''"),
        (NewEpisode(session_id="s", task="a\x00b"), InvalidInputError, "a NUL character"),
        (NewEpisode(session_id="s", task="t", output="\ud800"), InvalidInputError, "a lone surrogate"),
        (NewEpisode(session_id="s", task="t", reward=float("nan")), InvalidInputError, "reward is nan"),
        (NewEpisode(session_id="s", task="t", metadata={"x": float("nan")}), InvalidMetadataError, "nan"),
        (NewEpisode(session_id="s", task="t", latency_ms=-1), InvalidInputError, "latency_ms is -1"),
        (NewEpisode(session_id="s", task="t", vector=np.zeros(384, np.float32)), InvalidVectorError, "the norm 0"),
        (NewEpisode(session_id="s", task="t", vector=np.full(768, np.nan)), InvalidVectorError, "NaN"),
    ],
)
async def test_what_the_file_cannot_hold_is_refused_as_a_whole(db: AgentDb, item, error, said):
    with pytest.raises(error, match=said):
        await db.episodes.store_many([episode("s", "good"), item])
    assert counts(db.path)["episodes"] == 0


async def test_a_search_asks_for_one_thing(db: AgentDb):
    for query in ({}, {"task": "x", "vector": vector()}):
        with pytest.raises(InvalidInputError, match="give one of them"):
            await db.episodes.retrieve(session_id=None, **query)
    with pytest.raises(InvalidInputError, match="k is 0"):
        await db.episodes.retrieve("x", session_id=None, k=0)


async def test_many_tasks_store_at_once_and_a_cancelled_one_is_whole(db: AgentDb):
    batches = [[episode(f"s{number}", "t") for _ in range(20)] for number in range(10)]
    tasks = [asyncio.create_task(db.episodes.store_many(batch)) for batch in batches]
    await asyncio.sleep(0)
    tasks[-1].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    ids = [key for one in done if isinstance(one, list) for key in one]
    assert len(set(ids)) == len(ids) >= 180
    assert counts(db.path)["episodes"] % 20 == 0
    assert len(await db.episodes.retrieve(vector=vector(), session_id="s3", k=50)) == 20


async def test_ids_are_not_given_out_twice(db: AgentDb):
    first = await db.patterns.store(NewPattern(task_type="a", approach="b", vector=vector()))
    await db.patterns.remove(first)
    assert await db.patterns.store(NewPattern(task_type="a", approach="b", vector=vector())) == first + 1


def test_the_graph_finds_what_the_scan_finds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(columns, "EXACT_ROWS", 500)
    table = vectors(3000)
    column = VectorColumn()
    column.extend(range(1, 2001), table[:2000])
    queries = vectors(60, seed=0)[:50] + 0.3 * vectors(50, seed=9)
    column.wait_for_index()
    column.extend(range(2001, 3001), table[2000:])
    some = np.arange(0, 3000, 3)
    for positions in (None, some, np.arange(100)):
        found = total = 0
        for query in queries.astype(np.float32):
            exact = {near.id for near in column._exact(query / np.linalg.norm(query), 10, positions)}
            answer = [near.id for near in column.nearest(query, 10, positions)]
            assert len(answer) == len(exact)
            found += len(exact & set(answer))
            total += len(exact)
        assert found / total >= 0.95
    assert column.is_indexed


def test_the_index_is_built_when_enough_was_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(columns, "EXACT_ROWS", 100)
    column = VectorColumn()
    column.extend(range(500), vectors(500))
    for _ in range(columns.SEARCHES_BEFORE_INDEX - 1):
        column.nearest(vector(), 5)
    assert column._builder is None
    column.nearest(vector(), 5)
    assert column._builder is not None
    column._builder.join()
    assert column.is_indexed


def test_equal_rows_are_ordered_by_id():
    column = VectorColumn()
    column.extend([5, 9, 12], np.stack([vector()] * 3))
    assert [near.id for near in column.nearest(vector(), 2)] == [5, 9]


def test_no_part_of_the_moat_outgrows_its_weight():
    names = ("episodes", "patterns", "skills", "edges", "sessions")
    assert moat_of(dict.fromkeys(names, 0)).score == 0
    few = moat_of({**dict.fromkeys(names, 0), "skills": 5})
    assert (few.score, few.parts["skills"]) == (1.0, 1.0)
    full = moat_of(dict.fromkeys(names, 10**9))
    assert full.score == 100
    assert full.parts == {"episodes": 30, "patterns": 20, "skills": 20, "edges": 15, "sessions": 15}
    assert moat_of({**dict.fromkeys(names, 0), "skills": 10**9}).score == 20


async def test_an_edge_with_an_impossible_confidence_is_refused(db: AgentDb):
    key = await db.edges.add(1, 0, to_type="skill", uplift=0.2, confidence=1.0, mechanism="m", evidence_ids=[1, 2])
    (edge,) = [edge async for edge in db.edges.scan()]
    assert (edge.id, edge.evidence_ids, edge.to_memory_type) == (key, [1, 2], "skill")
    with pytest.raises(InvalidInputError, match="confidence is 1.1"):
        await db.edges.add(1, 2, uplift=0.2, confidence=1.1)
    before = contents(db.path)
    await db.moat()
    assert contents(db.path) == before
