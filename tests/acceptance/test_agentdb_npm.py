"""A file written here is read, searched and extended by the real npm package, and then read here again."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_gateway.agentdb import NewPattern, NewSkill, Preferences, open_agentdb
from media_gateway.embeddings.local import LocalEmbedder
from media_gateway.models import WatchEvent
from tests.unit.agentdb.samples import rows, vector

pytestmark = [pytest.mark.anyio, pytest.mark.full, pytest.mark.timeout(900)]

PACKAGE = "agentdb@2.0.0-alpha.2.20"
SCRIPT = Path(__file__).with_name("agentdb_npm.mjs")


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package is installed, without native builds."""
    program = shutil.which("npm")
    assert program is not None, "this test needs Node.js 18 or newer with npm"
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    # Its dependencies' native parts are optional, or are built by scripts: sql.js needs none of them.
    options = ["--ignore-scripts", "--omit=optional", "--omit=peer", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(
        [program, "install", *options, PACKAGE], cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return folder


def _driven(npm: Path, path: Path) -> Any:
    # The package's folder is not among its exports, so its modules are imported by their paths.
    text = SCRIPT.read_text().replace('from "agentdb/', f'from "{(npm / "node_modules" / "agentdb").as_uri()}/')
    script = npm / "drive.mjs"
    script.write_text(text)
    done = subprocess.run(
        ["node", str(script), str(path)], cwd=npm, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_a_file_goes_there_and_back(npm: Path, tmp_path: Path):
    path = tmp_path / "application.db"
    embedder = LocalEmbedder()
    async with await open_agentdb(path, embedder=embedder) as db:
        await db.patterns.store(
            NewPattern(
                task_type="mood", approach="ask first", success_rate=0.5, uses=1, tags=("mood",), metadata={"a": "ü"}
            )
        )
        await db.profiles.save(Preferences(user_id="u1", vector=vector(1, 768)))
        for completion in (0.9, 0.5):
            event = WatchEvent(user="u1", key="movie-578", time=1_795_000_000, completion=completion, rating=8)
            await db.application.record_watch(event, seconds=7200)
        await db.skills.create(NewSkill(name="here", description="d", success_rate=0.7, avg_reward=0.4, uses=500))
        await db.edges.add(1, 2, uplift=0.3, confidence=0.9, sample_size=50)
        ours = [row async for row in db.episodes.scan()]
    answer = _driven(npm, path)

    (pattern,) = answer["patterns"]
    assert (pattern["approach"], pattern["tags"], pattern["metadata"]) == ("ask first", ["mood"], {"a": "ü"})
    stored = np.frombuffer(rows(path, "SELECT embedding FROM pattern_embeddings")[0][0], dtype="<f4")
    assert pattern["embedding"] == stored.tolist()
    assert answer["stats"]["totalPatterns"] == 2
    (found,) = answer["episodes"]
    assert (found["sessionId"], found["task"], found["success"]) == ("u1", "watch_movie_578", True)
    assert (found["output"], found["ts"], found["reward"]) == (ours[0].output, ours[0].ts, pytest.approx(0.72))
    assert answer["task"]["totalAttempts"] == 2
    assert answer["task"]["successRate"] == 0.5
    assert [(skill["name"], skill["uses"]) for skill in answer["skills"]] == [("here", 500)]
    assert [(edge["uplift"], edge["confidence"]) for edge in answer["edges"]] == [(0.3, 0.9)]

    async with await open_agentdb(path, embedder=embedder) as db:
        assert await db.check() == []
        first, added = await db.patterns.get(1), await db.patterns.get(answer["pattern"])
        assert first is not None
        assert added is not None
        assert (first.uses, first.success_rate) == (2, 0.75)
        assert (added.approach, added.tags) == ("added there", ("ü",))
        assert [row async for row in db.episodes.scan()][:2] == ours
        events = [event async for event in db.watch_events.events()]
        assert [(event.user, event.key, event.rating) for event in events][-1] == ("u2", "tv-1399", 9.0)
        assert [skill.id async for skill in db.skills.scan()] == [1, answer["skill"]]
        assert [(edge.id, edge.mechanism) async for edge in db.edges.scan()][-1] == (answer["edge"], "seen there")
        profile = await db.profiles.get("u1")
        assert profile is not None
        assert profile.vector == pytest.approx(vector(1, 768), abs=1e-6)
        assert (await db.info()).embeddings["episodes"].maker == "several models"
        await db.reembed()
        assert (await db.info()).embeddings["episodes"].maker == embedder.space.model
        assert (await db.episodes.retrieve("a series", session_id="u2"))[0].row.id == answer["episode"]
    assert _driven_again(npm, path) == 3
    await embedder.aclose()


def _driven_again(npm: Path, path: Path) -> int:
    """Let npm open what was opened here after it; return how many patterns it counts."""
    copied = path.with_name("again.db")
    shutil.copy(path, copied)
    script = npm / "count.mjs"
    base = (npm / "node_modules" / "agentdb").as_uri()
    script.write_text(
        f'import {{ createDatabase }} from "{base}/dist/src/db-fallback.js";\n'
        "console.log = () => {};\n"
        "const db = await createDatabase(process.argv[2]);\n"
        "const n = db.prepare('SELECT count(*) AS n FROM reasoning_patterns').get().n;\n"
        "process.stdout.write(String(n)); process.exit(0);\n"
    )
    done = subprocess.run(["node", str(script), str(copied)], cwd=npm, capture_output=True, text=True, check=True)
    return int(done.stdout)
