"""Filtered search on both stores: recall and time for filters of every kind and share, like the query or unlike it.

python benchmarks/filter_table.py [--rows 100000] [--dimension 768] [--queries 50] [--stores postgres,memory]
    [--index vector] [--ef-construction 64] [--json FILE]

Starts an embedded PostgreSQL in a temporary folder, loads made-up records, builds an index on the one field of metadata that
ranges are asked for, tunes by logged searches, and asks the same queries under each filter, one client, k = 10, one after the other and after three
rounds of warming up, the first of which is the exact one of the same store that recall is measured against: in the others the store learns how the
filter is answered best.
Ratings follow the vectors: `like` passes records around the query's own, `unlike` those at the other end. The other
attributes are drawn at random. The way is the one that most of the searches went, by their own explanation.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from media_gateway.benchmarking.generator import Generator
from media_gateway.benchmarking.systems.registry import checked_index
from media_gateway.database.index_definitions import IndexDefinition
from media_gateway.database.server import EmbeddedServer
from media_gateway.filters import (
    Condition,
    GenresAny,
    MediaTypeIs,
    MetadataEquals,
    MetadataRange,
    RatingBetween,
    ReleasedBetween,
)
from media_gateway.models import ContentVector, LoggedSearch, Matrix, SearchRequest, VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.memory import MemoryStore, open_memory_store
from media_gateway.stores.postgres import PostgresStore, open_postgres_store
from media_gateway.stores.postgres.indexes import build_index
from media_gateway.wiring import search_log_table

SHARES = (0.5, 0.1, 0.05, 0.01, 0.001)
GENRES = {share: number for number, share in enumerate(SHARES, start=1)}
K = 10
LOGGED = 500
FIRST_DAY = date(1930, 1, 1).toordinal()
DAYS = 30_000


@dataclass(frozen=True)
class Cell:
    """A filter that passes *share* of the records; *condition* makes it for a query's place from 0 to 1."""

    kind: str
    share: float
    condition: Callable[[float], Condition]


def cells() -> list[Cell]:
    """Return every filter of the table."""
    made: list[Cell] = [
        Cell("type", 0.9, lambda _: MediaTypeIs("movie")),
        Cell("type", 0.1, lambda _: MediaTypeIs("tv")),
    ]
    for share in SHARES:
        made += [
            Cell("genre", share, lambda _, s=share: GenresAny([GENRES[s]])),
            Cell("date", share, lambda _, s=share: ReleasedBetween(last=date.fromordinal(FIRST_DAY + int(s * DAYS)))),
            Cell("rating like", share, lambda place, s=share: _around(place, s)),
            Cell("rating unlike", share, lambda place, s=share: _opposite(place, s)),
            Cell("metadata equals", share, lambda _, s=share: MetadataEquals(f"in_{s:g}", True)),
            Cell("metadata range", share, lambda _, s=share: MetadataRange("draw", below=s)),
            Cell("type and date", share, lambda _, s=share: MediaTypeIs("movie") & _dated(s / 0.9)),
            Cell("genre or date", share, lambda _, s=share: GenresAny([GENRES[0.001]]) | _dated(s)),
        ]
    return made


def _dated(share: float) -> Condition:
    return ReleasedBetween(last=date.fromordinal(FIRST_DAY + int(share * DAYS)))


def _around(place: float, share: float) -> Condition:
    low = min(max(place - share / 2, 0.0), 1.0 - share)
    return RatingBetween(low=low * 10, high=(low + share) * 10)


def _opposite(place: float, share: float) -> Condition:
    return RatingBetween(high=share * 10) if place > 0.5 else RatingBetween(low=(1 - share) * 10)


def places(vectors: Matrix, among: Matrix) -> "np.ndarray[Any, Any]":
    """Return the place of each row among others, 0 to 1, by its first coordinate."""
    return np.searchsorted(np.sort(among[:, 0]), vectors[:, 0]) / len(among)


def records(vectors: Matrix) -> list[ContentVector]:
    """Return the records of *vectors* with their attributes."""
    draws = np.random.default_rng(1).random((len(vectors), 5))
    ratings = places(vectors, vectors)
    return [
        ContentVector(
            key=f"movie-{number}",
            vector=vector,
            metadata={
                "id": number,
                "title": f"Title number {number}",
                "overview": "Somebody wakes up in a town by the sea and cannot remember who rang the bell. " * 2,
                "media_type": "tv" if draw[0] < 0.1 else "movie",
                "genre_ids": [GENRES[share] for share in SHARES if draw[1] < share],
                "release_date": date.fromordinal(FIRST_DAY + int(draw[2] * DAYS)).isoformat(),
                "vote_average": round(float(rating) * 10, 4),
                "draw": round(float(draw[3]), 6),
                **{f"in_{share:g}": True for share in SHARES if draw[4] < share},
            },
        )
        for number, (vector, draw, rating) in enumerate(zip(vectors, draws, ratings, strict=True))
    ]


async def measure(store: PostgresStore | MemoryStore, queries: Matrix, at: Sequence[float]) -> list[dict[str, Any]]:
    """Return a row of the table for each filter."""
    rows: list[dict[str, Any]] = []
    for cell in cells():
        requests = [
            SearchRequest(vector=query, where=cell.condition(place)) for query, place in zip(queries, at, strict=True)
        ]
        worst = [await _worst(store, request) for request in requests]
        for request in requests * 2:
            await store.search(request)
        ways = Counter([(await store.explain(request)).way for request in requests[:10]])
        if isinstance(store, MemoryStore):
            await store.settle()
        times: list[float] = []
        recalls: list[float] = []
        for request, score in zip(requests, worst, strict=True):
            began = time.perf_counter()
            result = await store.search(request)
            times.append((time.perf_counter() - began) * 1000)
            recalls.append(sum(hit.score >= score for hit in result.hits) / K)
        rows.append(
            {
                "system": (await store.stats()).backend,
                "filter": cell.kind,
                "share": cell.share,
                "way": ways.most_common(1)[0][0],
                "recall": round(float(np.mean(recalls)), 4),
                "p50_ms": round(float(np.percentile(times, 50)), 3),
                "p95_ms": round(float(np.percentile(times, 95)), 3),
            }
        )
        print("  ".join(str(value) for value in rows[-1].values()), flush=True)
    return rows


async def log_searches(store: PostgresStore, vectors: Matrix) -> None:
    """Log searches like those that are asked later, as a service does: tuning goes by them."""
    table = search_log_table(store)
    assert table is not None
    now = datetime.now(UTC)
    searches = [
        LoggedSearch(at=now, kind="vector", vector=vector, k=K, where=None, keys=[], exact=False, latency_ms=1.0)
        for vector in vectors
    ]
    await table.write([table.row(search) for search in searches])


async def _worst(store: PostgresStore | MemoryStore, request: SearchRequest) -> float:
    """Return the score that a hit must have to be one of the best; the exact answer is asked for before anything is timed."""
    exact = await store.search(replace(request, exact=True))
    if len(exact.hits) < K:
        raise SystemExit(f"only {len(exact.hits)} records pass {request.where}; ask for more --rows")
    return exact.hits[-1].score - 1e-6


async def batches(items: Sequence[ContentVector]) -> AsyncIterator[Sequence[ContentVector]]:
    for start in range(0, len(items), 1000):
        yield items[start : start + 1000]


async def run(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    generator = Generator(dimension=given.dimension)
    vectors = np.concatenate(list(generator.blocks(given.rows)))
    drawn = generator.queries(given.queries + LOGGED, given.rows)
    queries, logged = drawn[: given.queries], drawn[given.queries :]
    at = places(queries, vectors).tolist()
    space = VectorSpace(model="made up", dimension=given.dimension)
    items = records(vectors)
    index = checked_index(given.index, ef_construction=given.ef_construction)
    rows: list[dict[str, Any]] = []
    for name in given.stores.split(","):
        async with opened(name, folder, space, index) as store:
            print(f"loading {len(items):,} records into {name}", flush=True)
            await store.bulk_load(batches(items))
            if isinstance(store, PostgresStore):
                await store.index_field("draw", "number")
                await log_searches(store, logged)
                report = await store.tune(sample=LOGGED)
                print(f"tuned by {report.queries_from}: ef_search {report.ef_search}, turn {report.turn:,}", flush=True)
                for one in report.classes:
                    print(f"  passes {one.share:.1%}: factor {one.factor:g}, recall {one.recall:.3f}", flush=True)
            else:
                await store.settle()
            rows += await measure(store, queries, at)
    return rows


class opened:  # noqa: N801  used as a statement
    """A store of that *name* for as long as the block runs."""

    def __init__(self, name: str, folder: Path, space: VectorSpace, index: IndexDefinition) -> None:
        self._name, self._folder, self._space, self._index = name, folder, space, index
        self._server: EmbeddedServer | None = None
        self._store: PostgresStore | MemoryStore | None = None

    async def __aenter__(self) -> PostgresStore | MemoryStore:
        if self._name == "memory":
            self._store = await open_memory_store(self._folder / "memory.snap", space=self._space)
            return self._store
        self._server = EmbeddedServer(self._folder / "postgres")
        self._server.start()
        store = await self._open()
        if self._index != IndexDefinition(kind=self._index.kind):
            # Loading builds the indexes that the empty table has; a store knows those that it found.
            await build_index(store.endpoint, self._index, replaces=True)
            await store.aclose()
            store = await self._open()
        self._store = store
        return store

    async def _open(self) -> PostgresStore:
        if self._server is None:
            raise RuntimeError("there is no server")
        settings = Settings.read(backend="postgres", index=self._index.kind)
        return await open_postgres_store(settings, conninfo=self._server.conninfo(), space=self._space)

    async def __aexit__(self, *_: object) -> None:
        if self._store is not None:
            await self._store.aclose()
        if self._server is not None:
            self._server.stop()


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table: a line a filter and share, p50 / p95 in ms, recall and way for each store."""
    systems = list(dict.fromkeys(row["system"] for row in rows))
    found = {(row["system"], row["filter"], row["share"]): row for row in rows}
    lines = [
        "| filter | passes | " + " | ".join(f"{name}: p50, p95 ms | recall@10 | way" for name in systems) + " |",
        "|---|---|" + "---|---|---|" * len(systems),
    ]
    for kind, share in dict.fromkeys((row["filter"], row["share"]) for row in rows):
        parts: list[str] = []
        for name in systems:
            row = found[name, kind, share]
            parts.append(f"{row['p50_ms']:.2f}, {row['p95_ms']:.2f} | {row['recall']:.3f} | {row['way']}")
        lines.append(f"| {kind} | {share:.1%} | {' | '.join(parts)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--stores", default="postgres,memory")
    parser.add_argument("--index", default="vector")
    parser.add_argument("--ef-construction", type=int, default=64)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(run(Path(folder), given))
    print(as_table(rows))
    if given.json:
        common = {"n": given.rows, "dimension": given.dimension, "k": 10}
        given.json.write_text(json.dumps([{**row, **common} for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
