"""A made-up collection in PostgreSQL, and in the tables of learning what long learning would leave there.

Written by a few statements: learning it would take hours. So what is recommended from it says nothing of quality.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from psycopg import sql

from media_gateway.database.engine import PGVECTOR
from media_gateway.database.server import EmbeddedServer
from media_gateway.learning.interests.moments import Moments
from media_gateway.learning.opening import LearningDesk, open_desk
from media_gateway.learning.postgres.packing import integers
from media_gateway.models import ContentVector, Matrix, VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.postgres import PostgresStore, open_postgres_store

MODEL = "made-up"
USERS = 50
LIKES = 200
TASTES = 4
"""Kinds of items that a user likes."""
NOW = time.time() // 86_400 * 86_400
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
USER = "INSERT INTO interest_users (user_id, first_time, last_time, likes) VALUES (%s, %s, %s, %s)"
GRAPHS = """
SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'interest_near_%%_hnsw_idx' ORDER BY indexname
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
                    "vote_average": number % 90 / 10 + 1,
                    "vote_count": number % 997,
                    "overview": "A made-up film. " * 10,
                },
            )
            for number in range(start, min(start + PAGE, len(vectors)))
        ]


@asynccontextmanager
async def without_graphs(desk: LearningDesk) -> AsyncGenerator[None]:
    """Take the graphs of copies away, and make them anew in the end: all at once is quicker than row by row."""
    async with desk.lend() as connection:
        graphs = await (await connection.execute(GRAPHS)).fetchall()
        for name, _ in graphs:
            await connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    yield
    async with desk.lend() as connection:
        await connection.execute("SET maintenance_work_mem = '512MB'")
        for _, definition in graphs:
            await connection.execute(definition)


async def learn_something(desk: LearningDesk, vectors: Matrix) -> None:
    """Fill the tables as a model that was learned for long has them."""
    count, chance = len(vectors), np.random.default_rng(0)
    numbers = np.arange(1, count + 1)
    likes = np.where(chance.random(count) < 0.6, chance.zipf(1.3, count).clip(1, 5_000), 0)
    times = NOW - chance.random(count) * 3e7
    halflives = desk.interests.settings.halflives
    heats = [(np.log2(np.maximum(likes, 1)) + times / halflife).tolist() for halflife in halflives]
    factors = made_up(count, 32, 2) * np.sqrt(likes)[:, np.newaxis].astype(np.float32)
    async with without_graphs(desk):
        await desk.interests.know_all()
        async with desk.lend() as connection:
            await connection.execute(COUNTS, [integers(numbers), integers(likes), *heats])
            for start in range(0, count, PAGE):
                page = slice(start, start + PAGE)
                await connection.execute(FACTORS, [integers(numbers[page]), list(factors[page])])
        async with desk.interests.changes.change() as change:
            change.is_thorough = True
            change.parameters.ials = Moments.of(factors.astype(np.float64))
            change.state.clock = NOW
        await desk.interests.know_all()
    await make_users(desk, vectors, chance)
    async with desk.lend() as connection:
        await connection.execute("VACUUM ANALYZE")


async def make_users(desk: LearningDesk, vectors: Matrix, chance: np.random.Generator) -> None:
    each = LIKES // TASTES
    async with desk.lend() as connection:
        for user in range(USERS):
            name = f"user-{user}"
            await connection.execute(USER, [name, NOW - 3_600, NOW, LIKES])
            around = vectors[chance.integers(0, len(vectors), TASTES)]
            near = [np.argpartition(-(vectors @ taste), 4 * each)[: 4 * each] for taste in around]
            liked = np.unique(np.concatenate([chance.choice(some, each, replace=False) for some in near]))
            await connection.execute(SEEN, [NOW, integers(chance.permutation(liked) + 1), name])


async def prepared(server: EmbeddedServer, items: int, dimension: int) -> PostgresStore:
    """Return the store, filled where it was empty."""
    space = VectorSpace(model=MODEL, dimension=dimension)
    store = await open_postgres_store(Settings.read(backend="postgres"), conninfo=server.conninfo(), space=space)
    there = (await store.stats()).count
    if there != items:
        assert not there, f"the folder holds {there:,} records; take another one"
        vectors = made_up(items, dimension, 1)
        await store.bulk_load(contents(vectors))
        async with open_desk(store.endpoint.conninfo, server="the benchmark", engine=PGVECTOR) as desk:
            await learn_something(desk, vectors)
    await store.prewarm()
    return store
