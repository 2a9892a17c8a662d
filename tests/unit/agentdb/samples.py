"""Files and rows to test AgentDB with."""

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from media_gateway.agentdb import NewEpisode
from media_gateway.models import Matrix, Vector
from tests.samples import clustered

FIXTURE = Path(__file__).parents[2] / "fixtures" / "agentdb-written-by-npm.db"
NOW = 1_800_000_000
DAY = 86_400


def copy_of_fixture(folder: Path) -> Path:
    return Path(shutil.copy(FIXTURE, folder / "application.db"))


def vectors(count: int, *, seed: int = 0) -> Matrix:
    return clustered(count, 384, seed=seed)


def vector(seed: int = 0, length: int = 384) -> Vector:
    return clustered(1, length, seed=seed)[0]


def episode(session: str, task: str, **facts: Any) -> NewEpisode:
    """An episode with a ready vector."""
    known: dict[str, Any] = {"vector": vector(), **facts}
    return NewEpisode(session_id=session, task=task, **known)


def rows(path: Path, query: str, values: Sequence[Any] = ()) -> list[Any]:
    """What another program reads in the file."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def counts(path: Path) -> dict[str, int]:
    """How many rows each table of AgentDB has."""
    tables = ("reasoning_patterns", "episodes", "skills", "causal_edges", "episode_embeddings", "skill_embeddings")
    return {table: rows(path, f"SELECT count(*) FROM {table}")[0][0] for table in tables}


def contents(path: Path) -> list[str]:
    """Everything in the file, as text."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def causal_history(
    *, sessions: int = 120, effect: float = 0.3, seed: int = 0, start: int = NOW - DAY
) -> list[NewEpisode]:
    """Sessions in which "trailer" before "film" lifts the film's reward by *effect*.

    Sessions of good humour see more trailers and reward everything more, so that the plain difference is too large.
    """
    generator = np.random.default_rng(seed)
    ready = vector()
    found: list[NewEpisode] = []
    for number in range(sessions):
        humour = generator.uniform(0, 0.5)
        time = start
        for _ in range(6):
            trailer = generator.random() < 0.1 + 1.6 * humour
            noise = generator.normal(0, 0.02, 2)
            first, second = humour + noise[0], humour + noise[1] + (effect if trailer else 0.0)
            steps = (("trailer" if trailer else "advert", first), ("film", second))
            for task, reward in steps:
                time += 60
                found.append(
                    NewEpisode(session_id=f"s{number}", task=task, reward=float(reward), vector=ready, time=time)
                )
    return found
