"""The file that npm wrote: every row, vector, JSON value and time."""

import logging
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from media_gateway.agentdb import Episode, Skill, open_agentdb
from media_gateway.agentdb.provenance import stand_in
from media_gateway.embeddings.local import LocalEmbedder
from media_gateway.models import WatchEvent
from tests.unit.agentdb.samples import FIXTURE, episode, rows, vector

pytestmark = pytest.mark.anyio

WRITTEN = 1_795_345_975
WATCHED = "watch_movie_550\nUser completed 75% of content\n" + '{"duration":5400,"completionRate":0.75,"rating":8}'


def _episode(number: int, user: str) -> Episode:
    return Episode(
        id=number,
        ts=WRITTEN,
        session_id=user,
        task="watch_movie_550",
        input='{"contentId":550,"mediaType":"movie","context":{}}',
        output='{"duration":5400,"completionRate":0.75,"rating":8}',
        critique="User completed 75% of content",
        reward=0.6000000000000001,
        success=True,
        latency_ms=5_400_000,
        tokens_used=None,
        tags=(),
        metadata=None,
        created_at=WRITTEN,
    )


SKILL = Skill(
    id=1,
    name="a",
    description="b",
    signature={"strategy": "c"},
    code="c",
    success_rate=0.8,
    uses=0,
    avg_reward=0.0,
    avg_latency_ms=0.0,
    created_from_episode=None,
    created_at=WRITTEN,
    updated_at=WRITTEN,
    last_used_at=None,
    metadata=None,
)


async def test_every_row_is_read():
    async with await open_agentdb(FIXTURE, read_only=True) as db:
        assert [row async for row in db.episodes.scan()] == [_episode(1, "u1"), _episode(2, "u2")]
        assert [row async for row in db.skills.scan()] == [SKILL]
        assert [row async for row in db.patterns.scan()] == []
        assert [row async for row in db.edges.scan()] == []
        assert await db.episodes.get(2) == _episode(2, "u2")
        assert await db.episodes.get(3) is None
        assert await db.skills.named("a") == SKILL


async def test_every_vector_is_read():
    (episode_blob,), (skill_blob,) = (
        rows(FIXTURE, f"SELECT DISTINCT embedding FROM {kind}_embeddings")[0] for kind in ("episode", "skill")
    )
    async with await open_agentdb(FIXTURE, read_only=True) as db:
        for data, part in ((episode_blob, "episode"), (skill_blob, "skill")):
            stored = np.frombuffer(data, dtype="<f4")
            if part == "episode":
                found = await db.episodes.retrieve(vector=stored, session_id=None)
                assert [hit.row.id for hit in found] == [1, 2]
            else:
                found = await db.skills.search(vector=stored)
                assert found[0].score == pytest.approx(0.4 + 0.3 * 0.8)
            assert [hit.similarity for hit in found] == pytest.approx([1.0] * len(found))


def test_npm_made_those_vectors_without_a_model():
    (blob,) = rows(FIXTURE, "SELECT embedding FROM episode_embeddings")[0]
    assert stand_in(WATCHED) == pytest.approx(np.frombuffer(blob, dtype="<f4"), abs=1e-6)
    (blob,) = rows(FIXTURE, "SELECT embedding FROM skill_embeddings")[0]
    assert stand_in('a\nb\n{"strategy":"c"}') == pytest.approx(np.frombuffer(blob, dtype="<f4"), abs=1e-6)
    assert not stand_in("").any()


async def test_watch_episodes_are_events():
    async with await open_agentdb(FIXTURE, read_only=True) as db:
        assert [event async for event in db.watch_events.events()] == [
            WatchEvent(user=user, key="movie-550", time=WRITTEN, completion=0.75, rating=8.0) for user in ("u1", "u2")
        ]


async def test_vectors_of_a_stand_in_are_told_and_replaced(
    written_by_npm: Path, embedder: LocalEmbedder, caplog: pytest.LogCaptureFixture
):
    async with await open_agentdb(written_by_npm, embedder=embedder) as db:
        before = await db.info()
        assert before.embeddings["episodes"].maker == "npm's hash stand-in"
        assert not before.embeddings["episodes"].is_comparable
        assert before.embeddings["patterns"].maker == "nothing"
        with caplog.at_level(logging.WARNING):
            await db.episodes.retrieve("fight", session_id=None)
            await db.episodes.retrieve("fight", session_id=None)
        assert caplog.text.count("were made by npm's hash stand-in") == 1
        seen: list[int] = []
        done = await db.reembed(seen.append)
        assert (done.episodes, done.skills, done.patterns, done.left_out) == (2, 1, 0, 0)
        assert sum(seen) == 3
        after = await db.info()
        assert {one.maker for one in after.embeddings.values()} == {"all-MiniLM-L6-v2-int8", "nothing"}
        found = await db.episodes.retrieve(WATCHED, session_id="u2")
        assert [(hit.row.id, hit.similarity) for hit in found] == [(2, pytest.approx(1))]
        assert await db.check() == []


async def test_another_model_and_several_are_told(written_by_npm: Path, embedder: LocalEmbedder):
    connection = sqlite3.connect(written_by_npm)
    connection.execute("UPDATE episode_embeddings SET embedding = ?", [vector(3).tobytes()])
    connection.commit()
    connection.close()
    async with await open_agentdb(written_by_npm, embedder=embedder) as db:
        assert (await db.info()).embeddings["episodes"].maker == "another model"
        await db.episodes.store(episode("u1", "a film about chess", vector=None))
        assert (await db.info()).embeddings["episodes"].maker == "several models"
    async with await open_agentdb(written_by_npm, read_only=True) as db:
        assert (await db.info()).embeddings["episodes"].maker == "an unknown model"


async def test_rows_without_a_usable_vector_are_counted_reported_and_passed_over(
    written_by_npm: Path, embedder: LocalEmbedder
):
    connection = sqlite3.connect(written_by_npm)
    connection.execute("UPDATE episode_embeddings SET embedding = zeroblob(3072) WHERE episode_id = 1")
    connection.execute("INSERT INTO episodes (session_id, task, metadata, success) VALUES ('u3', 't', '{bad', 7)")
    connection.commit()
    connection.close()
    async with await open_agentdb(written_by_npm, embedder=embedder) as db:
        told = (await db.info()).embeddings["episodes"]
        assert (told.rows, told.embedded, told.unusable) == (3, 2, 1)
        problems = {problem.what: problem.rows for problem in await db.check()}
        assert problems == {
            "episodes whose vector is not 384 finite numbers that are not all zero": [1],
            "episodes without a vector, which no search finds": [3],
            "episodes whose metadata is no JSON": [3],
            "episodes whose success is neither 0 nor 1": [3],
        }
        assert [hit.row.id for hit in await db.episodes.retrieve(vector=stand_in("x"), session_id=None, k=9)] == [2]
        row = await db.episodes.get(3)
        assert row is not None
        assert row.metadata == "{bad"
        await db.reembed()
        assert [problem.rows for problem in await db.check()] == [[3], [3]]
