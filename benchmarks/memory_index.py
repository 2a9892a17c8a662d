"""Compare in-process indexes for the memory store: usearch, hnswlib and faiss, whichever are installed.

    python benchmarks/memory_index.py --rows 20000 --dimension 768

Vectors are unit length, in clusters with a decaying spectrum, as embeddings of texts are. Every library builds HNSW
with M 16 and efConstruction 128 on one thread, and is asked one query at a time on one thread. "After churn" replaces
half of the rows by others, in the library's own way, and counts the rows that are no longer their own nearest neighbour.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

M, EF_CONSTRUCTION, K = 16, 128, 10
EF_SEARCH = (16, 32, 64, 128)


def made(rows: int, dimension: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    spectrum = 1 / np.sqrt(1 + np.arange(dimension))
    centres = np.random.default_rng(1).standard_normal((200, dimension))
    vectors = (
        centres[generator.integers(0, 200, rows)] + 0.7 * generator.standard_normal((rows, dimension))
    ) * spectrum
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Candidate(Protocol):
    """One library behind the same few calls."""

    def add(self, labels: np.ndarray, vectors: np.ndarray) -> None: ...
    def search(self, query: np.ndarray, ef: int) -> np.ndarray: ...
    def filtered(self, query: np.ndarray, ef: int, allowed: np.ndarray) -> np.ndarray | None: ...
    def remove(self, labels: np.ndarray) -> bool: ...
    def save(self, path: Path) -> None: ...
    def load(self, path: Path) -> None: ...


class Usearch:
    def __init__(self, dimension: int, dtype: str) -> None:
        from usearch.index import Index  # noqa: PLC0415

        self._index = Index(ndim=dimension, metric="ip", dtype=dtype, connectivity=M, expansion_add=EF_CONSTRUCTION)

    def add(self, labels: np.ndarray, vectors: np.ndarray) -> None:
        self._index.add(labels.astype(np.uint64), vectors, threads=1)

    def search(self, query: np.ndarray, ef: int, count: int = K) -> np.ndarray:
        self._index.expansion_search = ef
        return np.asarray(self._index.search(query, count, threads=1).keys)

    def filtered(self, query: np.ndarray, ef: int, allowed: np.ndarray) -> np.ndarray | None:
        # No predicate in Python: more candidates, then the filter.
        count = int(1.2 * K / allowed.mean())
        found = self.search(query, max(ef, count), count)
        return found[allowed[found.astype(int)]][:K]

    def remove(self, labels: np.ndarray) -> bool:
        self._index.remove(labels.astype(np.uint64))
        return True

    def save(self, path: Path) -> None:
        self._index.save(str(path))

    def load(self, path: Path) -> None:
        self._index.load(str(path))


class Hnswlib:
    def __init__(self, dimension: int, capacity: int) -> None:
        import hnswlib  # noqa: PLC0415

        self._capacity = capacity
        self._index = hnswlib.Index(space="ip", dim=dimension)
        self._index.init_index(capacity, M=M, ef_construction=EF_CONSTRUCTION, allow_replace_deleted=True)
        self._index.set_num_threads(1)
        self._has_gaps = False

    def add(self, labels: np.ndarray, vectors: np.ndarray) -> None:
        self._index.add_items(vectors, labels, replace_deleted=self._has_gaps)

    def search(self, query: np.ndarray, ef: int) -> np.ndarray:
        self._index.set_ef(max(ef, K))
        return self._index.knn_query(query, K)[0][0]

    def filtered(self, query: np.ndarray, ef: int, allowed: np.ndarray) -> np.ndarray | None:
        self._index.set_ef(max(ef, K))
        try:
            return self._index.knn_query(query, K, filter=lambda label: bool(allowed[label]))[0][0]
        except RuntimeError:  # it found fewer than k
            return None

    def remove(self, labels: np.ndarray) -> bool:
        for label in labels.tolist():
            self._index.mark_deleted(label)
        self._has_gaps = True
        return True

    def save(self, path: Path) -> None:
        self._index.save_index(str(path))

    def load(self, path: Path) -> None:
        self._index.load_index(str(path), max_elements=self._capacity)


class Faiss:
    def __init__(self, dimension: int, kind: str) -> None:
        import faiss  # noqa: PLC0415

        faiss.omp_set_num_threads(1)
        self._faiss = faiss
        metric = faiss.METRIC_INNER_PRODUCT
        if kind == "f16":
            self._index = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_fp16, M, metric)
        else:
            self._index = faiss.IndexHNSWFlat(dimension, M, metric)
        self._index.hnsw.efConstruction = EF_CONSTRUCTION

    def add(self, labels: np.ndarray, vectors: np.ndarray) -> None:  # noqa: ARG002
        if not self._index.is_trained:
            self._index.train(vectors)
        self._index.add(vectors)  # labels are positions

    def _search(self, query: np.ndarray, **parameters: Any) -> np.ndarray:
        chosen = self._faiss.SearchParametersHNSW(**parameters)
        return self._index.search(query[np.newaxis], K, params=chosen)[1][0]

    def search(self, query: np.ndarray, ef: int) -> np.ndarray:
        return self._search(query, efSearch=ef)

    def filtered(self, query: np.ndarray, ef: int, allowed: np.ndarray) -> np.ndarray | None:
        selector = self._faiss.IDSelectorBatch(np.flatnonzero(allowed))
        return self._search(query, efSearch=ef, sel=selector)

    def remove(self, labels: np.ndarray) -> bool:  # noqa: ARG002
        return False  # HNSW in faiss cannot remove

    def save(self, path: Path) -> None:
        self._faiss.write_index(self._index, str(path))

    def load(self, path: Path) -> None:
        self._index = self._faiss.read_index(str(path))


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result


def measured(make: Callable[[], Candidate], rows: np.ndarray, queries: np.ndarray) -> dict[str, Any]:
    index = make()
    count = len(rows)
    labels = np.arange(count)
    findings: dict[str, Any] = {"build_s": round(timed(lambda: index.add(labels, rows))[0], 1)}
    truth = np.argsort(-(queries @ rows.T), axis=1)[:, :K]
    for ef in EF_SEARCH:
        answers = [timed(lambda query=query, ef=ef: index.search(query, ef)) for query in queries]
        found = sum(
            len(set(keys.tolist()) & set(best.tolist())) for (_, keys), best in zip(answers, truth, strict=True)
        )
        findings[f"ef {ef}"] = (
            f"{np.median([seconds for seconds, _ in answers]) * 1e3:.2f} ms, {found / truth.size:.3f}"
        )
    for share in (0.5, 0.1, 0.01):
        findings[f"filter {share}"] = filtered(index, rows, queries[:50], share)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        save = timed(lambda: index.save(path))[0]
        findings["file_mb"] = round(path.stat().st_size / 1e6, 1)
        fresh = make()
        load = timed(lambda: fresh.load(path))[0]
        findings["save_load_s"] = f"{save:.2f} / {load:.2f}"
    findings["after churn"] = churned(index, rows)
    return findings


def filtered(index: Candidate, rows: np.ndarray, queries: np.ndarray, share: float) -> str:
    allowed = np.random.default_rng(3).random(len(rows)) < share
    scores = np.where(allowed, queries @ rows.T, -2)
    truth = np.argsort(-scores, axis=1)[:, :K]
    answers = [timed(lambda query=query: index.filtered(query, 64, allowed)) for query in queries]
    found = sum(
        len(set(keys.tolist()) & set(best.tolist()))
        for (_, keys), best in zip(answers, truth, strict=True)
        if keys is not None
    )
    return f"{np.median([seconds for seconds, _ in answers]) * 1e3:.2f} ms, {found / truth.size:.3f}"


def churned(index: Candidate, rows: np.ndarray) -> str:
    """Replace half of the rows three times, and count those that a search for themselves does not find."""
    count, current, labels = len(rows), rows.copy(), np.arange(len(rows))
    generator = np.random.default_rng(4)
    for number in range(1, 4):
        chosen = generator.choice(count, count // 2, replace=False)
        if not index.remove(labels[chosen]):
            return "cannot remove"
        current[chosen] = made(len(chosen), rows.shape[1], 10 + number)
        labels[chosen] = np.arange(number * count, number * count + len(chosen))
        index.add(labels[chosen], current[chosen])
    lost = sum(
        int(label) not in index.search(row, 64).tolist() for row, label in zip(current[::5], labels[::5], strict=True)
    )
    return f"{lost} of {len(current[::5])} lost"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=384)
    arguments = parser.parse_args()
    rows, dimension = arguments.rows, arguments.dimension
    data, queries = made(rows, dimension, 0), made(200, dimension, 99)
    candidates: dict[str, Callable[[], Candidate]] = {
        "usearch f16": lambda: Usearch(dimension, "f16"),
        "usearch f32": lambda: Usearch(dimension, "f32"),
        "hnswlib f32": lambda: Hnswlib(dimension, rows),
        "faiss f32": lambda: Faiss(dimension, "f32"),
        "faiss f16": lambda: Faiss(dimension, "f16"),
    }
    for name, make in candidates.items():
        try:
            findings = measured(make, data, queries)
        except ImportError as error:
            findings = {"skipped": str(error)}
        print(json.dumps({"index": name, "rows": rows, "dimension": dimension, **findings}), flush=True)


if __name__ == "__main__":
    main()
