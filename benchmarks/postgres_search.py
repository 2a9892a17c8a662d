"""Load made-up vectors into PostgreSQL and search them, beside the same statement over bare psycopg.

python benchmarks/postgres_search.py [--rows 100000] [--dimension 768] [--json FILE]

Starts an embedded PostgreSQL in a temporary folder. The vectors are unit rows in clusters with a decaying spectrum, as
embeddings of texts have. One client, warm, k = 10; recall@10 is measured against the exact answer of the same store.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import AsyncConnection

from media_gateway.database.engine import PGVECTOR
from media_gateway.database.server import EmbeddedServer
from media_gateway.database.vectors import register_vectors
from media_gateway.models import ContentVector, Matrix, SearchRequest, VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.postgres import PostgresStore, open_postgres_store

QUERIES = 500
BARE = """
SELECT id, 1 - (vector <=> %(vector)s) AS score, metadata
FROM content_vectors ORDER BY vector <=> %(vector)s LIMIT 10
"""


def clustered(rows: int, dimension: int) -> Matrix:
    generator = np.random.default_rng(0)
    spectrum = (1 / np.sqrt(1 + np.arange(dimension))).astype(np.float32)
    centres = generator.standard_normal((max(1, rows // 50), dimension), dtype=np.float32)
    made = centres[generator.integers(0, len(centres), rows)]
    made += generator.standard_normal((rows, dimension), dtype=np.float32)
    made *= spectrum
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def metadata(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "title": f"Title number {number}",
        "overview": "Somebody wakes up in a town by the sea and cannot remember who rang the bell. " * 2,
        "media_type": "movie" if number % 2 else "tv",
        "genre_ids": [28, number % 19],
        "vote_average": number % 100 / 10,
        "release_date": f"{1950 + number % 70}-02-{number % 28 + 1:02d}",
    }


async def batches(rows: Matrix) -> AsyncIterator[Sequence[ContentVector]]:
    for start in range(0, len(rows), 1000):
        yield [
            ContentVector(key=f"movie-{start + offset}", vector=row, metadata=metadata(start + offset))
            for offset, row in enumerate(rows[start : start + 1000])
        ]


async def timed_store(store: PostgresStore, queries: Matrix, *, exact: bool) -> tuple[list[float], list[set[str]]]:
    times: list[float] = []
    found: list[set[str]] = []
    for query in queries:
        request = SearchRequest(vector=query, exact=exact)
        started = time.perf_counter()
        result = await store.search(request)
        times.append((time.perf_counter() - started) * 1000)
        found.append({hit.key for hit in result.hits})
    return times, found


async def timed_bare(conninfo: dict[str, Any], queries: Matrix, ef_search: int) -> list[float]:
    connection = await AsyncConnection.connect(autocommit=True, **conninfo)
    async with connection:
        await register_vectors(connection, PGVECTOR)
        await connection.execute("SELECT set_config('hnsw.ef_search', %s, false)", [str(ef_search)])
        times: list[float] = []
        for query in queries:
            started = time.perf_counter()
            cursor = await connection.execute(BARE, {"vector": query}, prepare=True, binary=True)
            await cursor.fetchall()
            times.append((time.perf_counter() - started) * 1000)
        return times


def figures(times: list[float]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    return {"p50_ms": round(p50, 3), "p95_ms": round(p95, 3), "p99_ms": round(p99, 3)}


async def measure(folder: Path, count: int, dimension: int) -> list[dict[str, Any]]:
    server = EmbeddedServer(folder)
    server.start()
    try:
        conninfo = server.conninfo()
        rows = clustered(count + QUERIES, dimension)
        rows, queries = rows[:count], rows[count:]
        settings = Settings.read(backend="postgres")
        space = VectorSpace(model="benchmark", dimension=dimension)
        store = await open_postgres_store(settings, conninfo=conninfo, space=space)
        started = time.perf_counter()
        await store.bulk_load(batches(rows))
        load_seconds = time.perf_counter() - started
        stats = await store.stats()
        _, exact = await timed_store(store, queries[:100], exact=True)
        await timed_store(store, queries, exact=False)
        times, found = await timed_store(store, queries, exact=False)
        bare = await timed_bare(conninfo, queries, stats.details["ef_search"])
        recall = float(np.mean([len(truth & hits) / 10 for truth, hits in zip(exact, found, strict=False)]))
        await store.aclose()
    finally:
        server.stop()
    common = {"n": count, "dimension": dimension, "k": 10, "recall": round(recall, 4)}
    return [
        {
            "system": "postgres",
            **common,
            **figures(times),
            "load_and_build_s": round(load_seconds, 1),
            "table_bytes": stats.table_bytes,
            "index_bytes": stats.index_bytes,
        },
        {"system": "bare psycopg", **common, **figures(bare)},
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(measure(Path(folder), given.rows, given.dimension))
    print(f"PostgreSQL by psycopg {psycopg.__version__}, one client, warm")
    for result in results:
        print("  ".join(f"{name} {value}" for name, value in result.items()))
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
