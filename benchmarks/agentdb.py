"""An AgentDB file of 100,000 episodes: storing them in batches, and finding the ten nearest of a session.

Vectors are ready, made as those of texts lie: clusters with a decaying spectrum. Sessions are of three sizes: a hundred
episodes, ten thousand, and everybody's. Times are medians of one client, warm.

    python benchmarks/agentdb.py [--episodes 100000]
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from media_gateway.agentdb import NewEpisode, open_agentdb

DIMENSION = 384
BATCH = 1_000
K = 10
CLUSTERS = 200


def made(count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    spectrum = np.arange(1, DIMENSION + 1) ** -0.5
    centres = np.random.default_rng(0).normal(size=(CLUSTERS, DIMENSION)) * spectrum
    rows = (
        centres[generator.integers(CLUSTERS, size=count)] + 0.8 * generator.normal(size=(count, DIMENSION)) * spectrum
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def session_of(place: int, count: int) -> str:
    """A tenth of the episodes is one session's, the others' sessions have a hundred each."""
    return "large" if place % 10 == 0 else f"user-{place % (count // 100)}"


async def median(call: Callable[[np.ndarray], Awaitable[Any]], queries: np.ndarray) -> float:
    times: list[float] = []
    for query in queries:
        begun = time.perf_counter()
        await call(query)
        times.append(time.perf_counter() - begun)
    return round(1e3 * float(np.median(times)), 2)


async def measured(path: Path, count: int) -> dict[str, Any]:
    vectors = made(count, 1)
    items = [
        NewEpisode(session_id=session_of(place, count), task=f"watch_movie_{place % 5000 + 1}", vector=vectors[place])
        for place in range(count)
    ]
    found: dict[str, Any] = {"episodes": count}
    async with await open_agentdb(path) as db:
        begun = time.perf_counter()
        for start in range(0, count, BATCH):
            await db.episodes.store_many(items[start : start + BATCH])
        found["stored a second"] = round(count / (time.perf_counter() - begun))
    found["megabytes"] = round(os.stat(path).st_size / 1e6)  # noqa: PTH116
    begun = time.perf_counter()
    async with await open_agentdb(path, read_only=True) as db:
        found["open s"] = round(time.perf_counter() - begun, 2)
        queries = made(100, 2)
        begun = time.perf_counter()
        await db.episodes.retrieve(vector=queries[0], session_id="user-1", k=K)
        found["first search s"] = round(time.perf_counter() - begun, 2)

        async def search(query: np.ndarray, session: str | None) -> list[int]:
            hits = await db.episodes.retrieve(vector=query, session_id=session, k=K)
            return [hit.row.id for hit in hits]

        found["session of 100, ms"] = await median(lambda query: search(query, "user-1"), queries)
        found["session of a tenth, ms"] = await median(lambda query: search(query, "large"), queries)
        found["everybody, exact, ms"] = await median(lambda query: search(query, None), queries[:5])
        exact = [set((np.argsort(-(vectors @ query))[:K] + 1).tolist()) for query in queries]
        begun = time.perf_counter()
        await db.episodes.build_index()
        found["index s"] = round(time.perf_counter() - begun, 1)
        found["everybody, indexed, ms"] = await median(lambda query: search(query, None), queries)
        answers = [set(await search(query, None)) for query in queries]
        found["recall"] = round(sum(len(a & b) for a, b in zip(answers, exact, strict=True)) / (K * len(queries)), 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=100_000)
    count = parser.parse_args().episodes
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measured(Path(folder) / "agentdb.db", count))))


if __name__ == "__main__":
    main()
