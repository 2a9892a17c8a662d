"""How long a recommendation takes: users with 200 likes, on a made-up collection and model in a PostgreSQL of its own.

    python benchmarks/recommending.py --items 100000 --dimension 768
    python benchmarks/recommending.py --folder DIR      keep the server there, and find it ready the next time
    python benchmarks/recommending.py --json FILE       the figures as JSON too

Prints percentiles of `Gateway.recommend` as a service calls it, of the same over HTTP to `media-gateway serve` in a process
of its own, and where the time goes. All is warm: a round of all users comes before those that count.

What is learned is made up, of the shape of what is, and written by a few statements: learning it would take hours. So the
quality of what is recommended is not measured here.
"""

import argparse
import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from psycopg import sql

from media_gateway.database.engine import PGVECTOR
from media_gateway.database.server import EmbeddedServer
from media_gateway.filters import Condition, GenresAny, MediaTypeIs
from media_gateway.json_values import dump
from media_gateway.learning.events.table import Lend
from media_gateway.learning.interests.moments import Moments
from media_gateway.learning.opening import LearningDesk, open_desk, serving_learning
from media_gateway.learning.postgres.packing import integers
from media_gateway.learning.service import PostgresLearning
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
STATEMENTS = {
    "interest_users": "SQL: the user and what they like",
    "looked_at AS": "SQL: candidates",
    "WITH behaviour": "SQL: candidates",
    "interest_arrays": "SQL: weights and sums",
    "interest_vectors": "SQL: vectors of items",
    "content_vectors": "SQL: records",
}
"""What statements are for, by the first of these words that they hold."""


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


class Stopwatch:
    """Adds up what the statements take that are sent on connections which `lend` lends on."""

    def __init__(self, lend: Lend) -> None:
        self._lend = lend
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[Any]:
        async with self._lend() as connection:
            yield _Timed(connection, self.seconds)


class _Timed:
    def __init__(self, connection: Any, seconds: defaultdict[str, float]) -> None:
        self._connection = connection
        self._seconds = seconds

    async def execute(self, statement: Any, *arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        cursor = await self._connection.execute(statement, *arguments, **named)
        kind = next((name for words, name in STATEMENTS.items() if words in statement), "SQL: others")
        self._seconds[kind] += time.perf_counter() - began
        return cursor


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    values = np.percentile(milliseconds, [50, 95, 99])
    return dict(zip(("p50_ms", "p95_ms", "p99_ms"), (round(float(value), 2) for value in values), strict=True))


async def asked(learning: PostgresLearning, where: Condition | None, rounds: int) -> list[float]:
    """Return the milliseconds of each call."""
    taken: list[float] = []
    for _ in range(rounds):
        for user in range(USERS):
            began = time.perf_counter()
            found = await learning.recommend(f"user-{user}", k=10, where=where, exclude=(), at=NOW)
            taken.append(1000 * (time.perf_counter() - began))
            assert len(found.items) == 10
    return taken


async def divided(store: PostgresStore, rounds: int) -> dict[str, float]:
    """Return the mean milliseconds of a call by what they are spent on."""
    watch = Stopwatch(store.serving_connection)
    learning = learning_of(store, watch.lend)
    await asked(learning, None, 1)
    watch.seconds.clear()
    taken = await asked(learning, None, rounds)
    parts = {name: 1000 * seconds / len(taken) for name, seconds in sorted(watch.seconds.items())}
    return {**parts, "numpy, and the rest of the call": float(np.mean(taken)) - sum(parts.values())}


def learning_of(store: PostgresStore, lend: Lend) -> PostgresLearning:
    return serving_learning(store.endpoint, lend, dimension=store.space.dimension, writable=False, days=None)


@contextmanager
def service(folder: Path, conninfo: Mapping[str, Any], dimension: int) -> Iterator[http.client.HTTPConnection]:
    """Run `media-gateway serve` until the block ends, and lend a connection to it."""
    variables = {
        "RUVECTOR_BACKEND": "postgres",
        "EMBEDDING_PROVIDER": "own",
        "RUVECTOR_MODEL": MODEL,
        "RUVECTOR_DIMENSION": str(dimension),
        "RUVECTOR_HTTP_RATE_LIMIT": "0",
        **{f"POSTGRES_{name}": str(conninfo[part]) for name, part in _VARIABLES.items()},
    }
    program = Path(sys.executable).with_name("media-gateway")
    with (folder / "service.log").open("w") as log:
        process = subprocess.Popen(
            [program, "serve", "--port", "0", "--json"],
            cwd=folder,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            address = urlsplit(json.loads(process.stdout.readline())["address"])
            connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
            while get(connection, "/health/ready")[0] != http.HTTPStatus.OK:
                time.sleep(0.2)
            yield connection
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


_VARIABLES = {"HOST": "host", "PORT": "port", "DB": "dbname", "USER": "user"}


def get(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def over_http(connection: http.client.HTTPConnection, rounds: int) -> tuple[list[float], dict[str, float]]:
    """Return the milliseconds of each request, and the mean of their parts."""
    taken: list[float] = []
    inside: list[float] = []
    body = b"{}"
    for place in range((rounds + 1) * USERS):
        began = time.perf_counter()
        status, body = get(connection, f"/v1/users/user-{place % USERS}/recommendations?k=10")
        taken.append(1000 * (time.perf_counter() - began))
        assert status == http.HTTPStatus.OK, body
        inside.append(json.loads(body)["milliseconds"])
    taken, inside = taken[USERS:], inside[USERS:]
    answer, began = json.loads(body), time.perf_counter()
    for _ in range(100):
        dump(answer)
    encoding = 10 * (time.perf_counter() - began)
    parts = {"the call": float(np.mean(inside)), "JSON": encoding}
    return taken, {**parts, "HTTP, noting what was shown, this client": float(np.mean(taken)) - sum(parts.values())}


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


async def run(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    server = EmbeddedServer(folder / "server")
    server.start()
    try:
        store = await prepared(server, given.items, given.dimension)
        learning = learning_of(store, store.serving_connection)
        filters = {"all": None, "half of them (tv)": MediaTypeIs("tv"), "two sevenths (genres)": GenresAny([3, 4])}
        figures: dict[str, Any] = {"items": given.items, "dimension": given.dimension, "likes": LIKES, "library": {}}
        for name, where in filters.items():
            taken = await asked(learning, where, given.rounds + 1)
            figures["library"][name] = percentiles(taken[USERS:])
        figures["call_parts_ms"] = await divided(store, given.rounds)
        await store.aclose()
        with service(folder, server.conninfo(), given.dimension) as connection:
            taken, figures["request_parts_ms"] = over_http(connection, given.rounds)
            figures["service"] = percentiles(taken)
    finally:
        server.stop()
    return figures


def show(figures: dict[str, Any]) -> None:
    print(f"{figures['items']:,} items of {figures['dimension']} numbers, {USERS} users with {LIKES} likes, k = 10")
    for name, row in {**figures["library"], "over HTTP": figures["service"]}.items():
        print(f"{name:<24} " + "   ".join(f"{of[:3]} {value:6.2f} ms" for of, value in row.items()))
    for title, parts in (("a call", figures["call_parts_ms"]), ("a request", figures["request_parts_ms"])):
        print(f"Where the time of {title} goes, in the mean:")
        for name, value in parts.items():
            print(f"  {name:<44} {value:6.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=384, help="numbers of a text's vector")
    parser.add_argument("--rounds", type=int, default=10, help="in each of which every user is asked for once")
    parser.add_argument("--folder", type=Path, help="where the server is kept; by default a folder that is removed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = asyncio.run(run(given, folder))
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
