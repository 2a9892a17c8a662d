"""How long a recommendation takes: a user with 200 likes, on a made-up collection and model in a PostgreSQL of its own.

    python benchmarks/recommending.py --items 100000

Prints percentiles of `Gateway.recommend` as a service calls it, with and without a filter. What is
learned is made up, of the shape of what is: its quality is not measured here.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np

from media_gateway.database.engine import PGVECTOR
from media_gateway.database.server import EmbeddedServer
from media_gateway.filters import Condition, GenresAny, MediaTypeIs
from media_gateway.learning.opening import LearningDesk, open_desk, serving_learning
from media_gateway.learning.postgres.packing import integers
from media_gateway.learning.service import PostgresLearning
from media_gateway.models import ContentVector, Matrix, VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.postgres import PostgresStore, open_postgres_store

DIMENSION = 384
USERS = 50
LIKES = 200
NOW = 1.7e9
PAGE = 5_000

COUNTS = """
UPDATE interest_items AS i SET likes = given.likes, heat_lasting = given.lasting, heat_recent = given.recent,
    heat_newest = given.newest
FROM unnest(%s::integer[], %s::integer[], %s::float8[], %s::float8[], %s::float8[])
    AS given (number, likes, lasting, recent, newest)
WHERE i.number = given.number AND given.likes > 0
"""
FACTORS = """
UPDATE interest_vectors AS v SET learned = v.shown, factors = given.factors
FROM unnest(%s::integer[], %b::vector[]) AS given (item, factors) WHERE v.item = given.item
"""
SEEN = """
INSERT INTO interest_seen (user_number, item, place, liked_time)
SELECT u.number, given.item, given.place, %s FROM interest_users AS u,
    unnest(%s::integer[]) WITH ORDINALITY AS given (item, place) WHERE u.user_id = %s
"""


def made_up(count: int, dimension: int, seed: int) -> Matrix:
    """Return unit rows in clusters."""
    chance = np.random.default_rng(seed)
    spectrum = 1 / np.sqrt(1 + np.arange(dimension))
    centres = chance.standard_normal((max(1, count // 50), dimension))
    rows = (centres[chance.integers(0, len(centres), count)] + chance.standard_normal((count, dimension))) * spectrum
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


async def contents(vectors: Matrix) -> AsyncIterator[list[ContentVector]]:
    for start in range(0, len(vectors), PAGE):
        yield [
            ContentVector(
                key=f"movie-{number:07}",
                vector=vectors[number],
                metadata={
                    "id": number,
                    "title": f"Title {number}",
                    "media_type": "movie" if number % 2 else "tv",
                    "genre_ids": [28, number % 7],
                    "overview": "A made-up film. " * 10,
                },
            )
            for number in range(start, min(start + PAGE, len(vectors)))
        ]


async def learn_something(desk: LearningDesk, vectors: Matrix) -> None:
    """Fill the tables as a model that was learned for long has them."""
    count, chance = len(vectors), np.random.default_rng(0)
    await desk.interests.know_all()
    numbers = np.arange(1, count + 1)
    likes = np.where(chance.random(count) < 0.6, chance.zipf(1.3, count).clip(1, 5_000), 0)
    times = NOW - chance.random(count) * 3e7
    halflives = desk.interests.settings.halflives
    heats = [(np.log2(np.maximum(likes, 1)) + times / halflife).tolist() for halflife in halflives]
    factors = made_up(count, 32, 2) * np.sqrt(likes)[:, np.newaxis].astype(np.float32)
    async with desk.lend() as connection:
        await connection.execute(COUNTS, [integers(numbers), integers(likes), *heats])
        for start in range(0, count, PAGE):
            page = slice(start, start + PAGE)
            await connection.execute(FACTORS, [integers(numbers[page]), list(factors[page])])
        for user in range(USERS):
            name = f"user-{user}"
            await connection.execute(
                "INSERT INTO interest_users (user_id, first_time, last_time, likes) VALUES (%s, %s, %s, %s)",
                [name, NOW - 3_600, NOW, LIKES],
            )
            near = np.argsort(-(vectors @ vectors[chance.integers(count)]))[: 4 * LIKES]
            liked = chance.choice(near, LIKES, replace=False) + 1
            await connection.execute(SEEN, [NOW, integers(liked), name])
        await connection.execute("UPDATE interest_state SET clock = %s, revision = revision + 1", [NOW])
    await desk.interests.know_all()
    async with desk.lend() as connection:
        await connection.execute("VACUUM ANALYZE")


async def measure(name: str, learning: PostgresLearning, where: Condition | None, rounds: int) -> None:
    taken: list[float] = []
    for _ in range(rounds):
        for user in range(USERS):
            began = time.perf_counter()
            found = await learning.recommend(f"user-{user}", k=10, where=where, exclude=(), at=NOW)
            taken.append(1000 * (time.perf_counter() - began))
            assert len(found.items) == 10
    # The first round warms the caches.
    p50, p95 = np.percentile(taken[USERS:], [50, 95])
    print(f"{name:<24} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms")


async def opened(server: EmbeddedServer) -> PostgresStore:
    space = VectorSpace(model="made-up", dimension=DIMENSION)
    return await open_postgres_store(Settings.read(backend="postgres"), conninfo=server.conninfo(), space=space)


async def run(items: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder) / "server")
        server.start()
        try:
            store = await opened(server)
            vectors = made_up(items, DIMENSION, 1)
            await store.bulk_load(contents(vectors))
            async with open_desk(store.endpoint.conninfo, server="the benchmark", engine=PGVECTOR) as desk:
                await learn_something(desk, vectors)
            learning = serving_learning(
                store.endpoint, store.serving_connection, dimension=DIMENSION, writable=False, days=None
            )
            print(f"{items:,} items, users with {LIKES} likes")
            await measure("all", learning, None, rounds)
            await measure("half of them (tv)", learning, MediaTypeIs("tv"), rounds)
            await measure("a seventh (a genre)", learning, GenresAny([3]), rounds)
            await store.aclose()
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    asyncio.run(run(given.items, given.rounds))


if __name__ == "__main__":
    main()
