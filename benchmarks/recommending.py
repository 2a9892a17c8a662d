"""How long a recommendation takes: users with 200 likes, on a made-up collection and model in a PostgreSQL of its own.

    python benchmarks/recommending.py --items 100000 --dimension 768
    python benchmarks/recommending.py --folder DIR      keep the server there, and find it ready the next time
    python benchmarks/recommending.py --json FILE       the figures as JSON too

Prints percentiles of `Gateway.recommend` as a service calls it, of the same over HTTP to `media-gateway serve` in a process
of its own, and where the time goes. All is warm: a round of all users comes before those that count. Linear algebra runs on one thread, as in the service.
"Anew" is after something was learned: as long as nothing is, a service remembers what the latest users like.

What is learned is made up, of the shape of what is, and written by a few statements: learning it would take hours. So the
quality of what is recommended is not measured here. Making it takes some minutes.
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
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg
from learned_collection import LIKES, MODEL, NOW, USERS, prepared
from threadpoolctl import threadpool_limits

from media_gateway.database.server import EmbeddedServer
from media_gateway.filters import Condition, GenresAny, MediaTypeIs
from media_gateway.json_values import dump
from media_gateway.learning.events.table import Lend
from media_gateway.learning.opening import serving_learning
from media_gateway.learning.service import PostgresLearning
from media_gateway.stores.postgres import PostgresStore

STATEMENTS = {
    "interest_users": "SQL: the user, and the vectors of what they like",
    "WITH behaviour": "SQL: candidates and their scores",
    "interest_arrays": "SQL: weights and sums",
    "interest_vectors": "SQL: the ten best, with their vectors",
    "content_vectors": "SQL: titles of what they like",
}
"""What statements are for, by the first of these words that they hold."""


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


async def asked(
    learning: PostgresLearning, where: Condition | None, rounds: int, *, news: Callable[[], None] | None = None
) -> list[float]:
    """Return the milliseconds of each call; *news* is called before each round."""
    taken: list[float] = []
    for _ in range(rounds):
        if news:
            news()
        for user in range(USERS):
            began = time.perf_counter()
            found = await learning.recommend(f"user-{user}", k=10, where=where, exclude=(), at=NOW)
            taken.append(1000 * (time.perf_counter() - began))
            assert len(found.items) == 10
    return taken


def something_learned(conninfo: Mapping[str, Any]) -> None:
    """Let what is remembered of users be out of date."""
    with psycopg.connect(**conninfo, autocommit=True) as connection:
        connection.execute("UPDATE interest_state SET revision = revision + 1")


async def divided(store: PostgresStore, rounds: int, news: Callable[[], None]) -> dict[str, float]:
    """Return the mean milliseconds of a call by what they are spent on."""
    watch = Stopwatch(store.serving_connection)
    learning = learning_of(store, watch.lend)
    await asked(learning, None, 1)
    watch.seconds.clear()
    taken = await asked(learning, None, rounds, news=news)
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


def over_http(
    connection: http.client.HTTPConnection, rounds: int, news: Callable[[], None]
) -> tuple[list[float], dict[str, float]]:
    """Return the milliseconds of each request, and the mean of their parts; *news* is called before each round."""
    taken: list[float] = []
    inside: list[float] = []
    body = b"{}"
    for place in range((rounds + 1) * USERS):
        if place % USERS == 0:
            news()
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


async def run(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    server = EmbeddedServer(folder / "server")
    server.start()
    try:
        store = await prepared(server, given.items, given.dimension)
        learning = learning_of(store, store.serving_connection)
        news = partial(something_learned, server.conninfo())
        filters = {"all": None, "half of them (tv)": MediaTypeIs("tv"), "two sevenths (genres)": GenresAny([3, 4])}
        figures: dict[str, Any] = {"items": given.items, "dimension": given.dimension, "likes": LIKES, "library": {}}
        for name, where in filters.items():
            taken = await asked(learning, where, given.rounds + 1)
            figures["library"][name] = percentiles(taken[USERS:])
        figures["library"]["all, anew"] = percentiles(
            (await asked(learning, None, given.rounds + 1, news=news))[USERS:]
        )
        figures["call_parts_ms"] = await divided(store, given.rounds, news)
        await store.aclose()
        with service(folder, server.conninfo(), given.dimension) as connection:
            taken, _ = over_http(connection, given.rounds, lambda: None)
            figures["service"] = {"over HTTP": percentiles(taken)}
            taken, figures["request_parts_ms"] = over_http(connection, given.rounds, news)
            figures["service"]["over HTTP, anew"] = percentiles(taken)
    finally:
        server.stop()
    return figures


def show(figures: dict[str, Any]) -> None:
    print(f"{figures['items']:,} items of {figures['dimension']} numbers, {USERS} users with {LIKES} likes, k = 10")
    for name, row in {**figures["library"], **figures["service"]}.items():
        print(f"{name:<24} " + "   ".join(f"{of[:3]} {value:6.2f} ms" for of, value in row.items()))
    for title, parts in (("a call anew", figures["call_parts_ms"]), ("a request anew", figures["request_parts_ms"])):
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
    threadpool_limits(1, "blas")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = asyncio.run(run(given, folder))
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
