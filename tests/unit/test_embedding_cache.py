"""The cache: what is remembered, for how long, what callers of one moment share, and what a table may do to it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_gateway.contracts import EmbeddingPurpose, ReportsUsage
from media_gateway.embeddings import LocalEmbedder
from media_gateway.embeddings.cache import CachedEmbedder
from media_gateway.embeddings.lru import LruCache
from media_gateway.embeddings.openai import OpenAIEmbedder
from media_gateway.embeddings.retries import RetryPolicy
from media_gateway.errors import (
    EmbeddingError,
    EmbeddingRefusedError,
    InvalidInputError,
    SchemaError,
)
from media_gateway.models import Vector, VectorSpace
from tests.standin import StandIn, slow, standin, status

pytestmark = pytest.mark.anyio

MODEL = "text-embedding-3-small"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class MemoryTable:
    """A table that lives in memory, and fails on demand: what a caller may bring for `VectorTable`."""

    def __init__(self) -> None:
        self.rows: dict[tuple[VectorSpace, EmbeddingPurpose, bytes], Vector] = {}
        self.calls: list[tuple[str, int]] = []
        self.is_broken = False

    async def read(
        self, space: VectorSpace, purpose: EmbeddingPurpose, digests: Sequence[bytes]
    ) -> dict[bytes, Vector]:
        self._note("read", len(digests))
        keys = [(space, purpose, digest) for digest in digests]
        return {key[2]: self.rows[key] for key in keys if key in self.rows}

    async def write(self, space: VectorSpace, purpose: EmbeddingPurpose, vectors: Mapping[bytes, Vector]) -> None:
        self._note("write", len(vectors))
        self.rows.update({(space, purpose, digest): vector for digest, vector in vectors.items()})

    def _note(self, what: str, count: int) -> None:
        self.calls.append((what, count))
        if self.is_broken:
            raise SchemaError("the table is gone")


@pytest.fixture
def server() -> Iterator[StandIn]:
    with standin() as server:
        yield server


def remote(server: StandIn) -> OpenAIEmbedder:
    return OpenAIEmbedder(base_url=server.openai_url, policy=RetryPolicy(attempts=1, timeout=10))


@pytest.fixture
async def cache(server: StandIn) -> AsyncIterator[CachedEmbedder]:
    made = CachedEmbedder(remote(server))
    yield made
    await made.aclose()


async def test_a_text_is_embedded_once_for_each_purpose(server: StandIn, cache: CachedEmbedder):
    first = await cache.embed(["Jaws", "Up", "Jaws"])
    again = await cache.embed(["Up", "Jaws"])
    np.testing.assert_array_equal(again, first[[1, 0]])
    np.testing.assert_array_equal(first[0], first[2])
    assert server.texts == ["Jaws", "Up"]
    await cache.embed(["Jaws"], "query")
    assert server.texts == ["Jaws", "Up", "Jaws"]
    stats = cache.stats
    assert (stats.memory, stats.misses, stats.entries) == (2, 3, 3)
    assert stats.hit_rate == pytest.approx(0.4)


async def test_what_callers_do_to_their_vectors_stays_theirs(cache: CachedEmbedder):
    vectors = await cache.embed(["Jaws"])
    vectors[:] = 0
    assert np.linalg.norm(await cache.embed(["Jaws"])) == pytest.approx(1)


async def test_vectors_are_forgotten_by_age_and_by_number(server: StandIn):
    clock = Clock()
    cache = CachedEmbedder(remote(server), seconds=300, size=2, clock=clock)
    await cache.embed(["Jaws"])
    clock.now = 299.9
    await cache.embed(["Jaws"])
    assert server.texts == ["Jaws"]
    clock.now = 300
    await cache.embed(["Jaws"])
    assert server.texts == ["Jaws"] * 2
    await cache.embed(["Up"])
    await cache.embed(["Jaws"])
    await cache.embed(["Heat"])  # Up was not used for longest
    await cache.embed(["Jaws"])
    assert server.texts == ["Jaws", "Jaws", "Up", "Heat"]
    await cache.embed(["Up"])
    assert server.texts[-1] == "Up"
    assert cache.stats.entries == 2
    await cache.aclose()


async def test_a_cache_of_no_size_still_shares_requests(server: StandIn):
    cache = CachedEmbedder(remote(server), seconds=0)
    server.faults.append(slow(0.2))
    await asyncio.gather(*(cache.embed(["Jaws"]) for _ in range(5)))
    assert server.texts == ["Jaws"]
    await cache.embed(["Jaws"])
    assert server.texts == ["Jaws"] * 2
    await cache.aclose()


async def test_callers_of_one_moment_share_one_request(server: StandIn, cache: CachedEmbedder):
    server.faults.append(slow(0.3))
    wanted = [["Jaws", "Up"], ["Up"], ["Jaws"], ["Up", "Heat"]]
    answers = await asyncio.gather(*(cache.embed(texts) for texts in wanted))
    assert sorted(server.texts) == ["Heat", "Jaws", "Up"]
    for texts, vectors in zip(wanted, answers, strict=True):
        for text, vector in zip(texts, vectors, strict=True):
            np.testing.assert_allclose(vector, server.expected(MODEL, text, 768), atol=1e-6)
    assert cache.stats.shared == 3


async def test_a_cancelled_caller_does_not_disturb_the_others(server: StandIn, cache: CachedEmbedder):
    server.faults.append(slow(0.3))
    first = asyncio.create_task(cache.embed(["Jaws"]))
    second = asyncio.create_task(cache.embed(["Jaws"]))
    await asyncio.sleep(0.1)
    first.cancel()
    assert (await second).shape == (1, 768)
    assert first.cancelled()
    assert server.texts == ["Jaws"]


async def test_work_that_nobody_waits_for_ends_and_can_begin_anew(server: StandIn, cache: CachedEmbedder):
    before = asyncio.all_tasks()
    server.faults.append(slow(9))
    callers = [asyncio.create_task(cache.embed(["Jaws"])) for _ in range(2)]
    while not server.under_way:
        await asyncio.sleep(0.01)
    for caller in callers:
        caller.cancel()
    await asyncio.sleep(0)
    assert (await cache.embed(["Jaws"])).shape == (1, 768)
    assert all(caller.cancelled() for caller in callers)
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == before


async def test_a_failure_reaches_all_who_wait_and_is_not_remembered(server: StandIn, cache: CachedEmbedder):
    server.faults.append(status(400))
    answers = await asyncio.gather(*(cache.embed(["Jaws"]) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(answer, EmbeddingRefusedError) for answer in answers)
    assert (await cache.embed(["Jaws"])).shape == (1, 768)


async def test_a_bad_text_is_its_callers_alone(server: StandIn, cache: CachedEmbedder):
    answers = await asyncio.gather(cache.embed(["Jaws", ""]), cache.embed(["Jaws"]), return_exceptions=True)
    assert isinstance(answers[0], InvalidInputError)
    assert isinstance(answers[1], np.ndarray)


async def test_closing_ends_what_is_under_way(server: StandIn):
    cache = CachedEmbedder(remote(server))
    server.faults.append(slow(9))
    caller = asyncio.create_task(cache.embed(["Jaws"]))
    while not server.under_way:
        await asyncio.sleep(0.01)
    await cache.aclose()
    with pytest.raises(EmbeddingError, match="closed"):
        await caller
    with pytest.raises(EmbeddingError, match="closed"):
        await cache.embed(["Jaws"])
    await cache.aclose()


async def test_no_texts(cache: CachedEmbedder):
    assert (await cache.embed([])).shape == (0, 768)
    assert cache.stats.hit_rate is None


async def test_a_table_is_read_and_written_once_for_a_call(server: StandIn):
    table = MemoryTable()
    cache = CachedEmbedder(remote(server), table=table)
    await cache.embed(["Jaws", "Up"])
    assert table.calls == [("read", 2), ("write", 2)]
    await cache.aclose()
    fresh = CachedEmbedder(remote(server), table=table)
    vectors = await fresh.embed(["Up", "Heat", "Jaws"])
    np.testing.assert_allclose(vectors[0], server.expected(MODEL, "Up", 768), atol=1e-6)
    assert table.calls[2:] == [("read", 3), ("write", 1)]
    assert server.texts == ["Jaws", "Up", "Heat"]
    await fresh.embed(["Up", "Heat", "Jaws"])
    assert len(table.calls) == 4
    stats = fresh.stats
    assert (stats.table, stats.misses, stats.memory) == (2, 1, 3)
    digest = hashlib.sha256(b"Up").digest()
    assert (fresh.space, "document", digest) in table.rows
    await fresh.aclose()


async def test_what_a_long_call_has_finished_is_kept_when_it_fails_later(server: StandIn):
    table = MemoryTable()
    cache = CachedEmbedder(remote(server), table=table)
    texts = [f"film {number}" for number in range(2_500)]

    def refuse_late(handler: Any, answer: dict[str, Any]) -> None:
        while len(table.rows) < 1_500:
            server.stopping.wait(0.01)
        status(400)(handler, answer)

    server.faults.extend([slow(0), slow(0), refuse_late])
    with pytest.raises(EmbeddingRefusedError):
        await cache.embed(texts)
    kept = len(table.rows)
    assert 1_500 <= kept < 2_500
    server.received.clear()
    await cache.embed(texts)
    assert len(server.texts) == 2_500 - kept
    await cache.aclose()


async def test_a_table_that_fails_costs_its_help_and_one_line_of_log(server: StandIn, caplog: pytest.LogCaptureFixture):
    table = MemoryTable()
    table.is_broken = True
    cache = CachedEmbedder(remote(server), table=table)
    assert (await cache.embed(["Jaws"])).shape == (1, 768)
    assert (await cache.embed(["Up"])).shape == (1, 768)
    assert cache.stats.table_failures == 1
    assert len(table.calls) == 1  # it is left alone for a while
    assert caplog.text.count("the table is gone") == 1
    await cache.aclose()


async def test_usage_has_the_embedders_and_the_caches(server: StandIn, cache: CachedEmbedder):
    await cache.embed(["Jaws"])
    assert isinstance(cache, ReportsUsage)
    usage = cache.usage()
    assert usage["requests"] == 1
    assert usage["cache"]["misses"] == 1
    assert usage["cache"]["hit_rate"] == 0
    assert "127.0.0.1" in repr(cache)


async def test_the_local_model_behind_the_cache():
    cache = CachedEmbedder(LocalEmbedder(threads=1))
    vectors = await cache.embed(["Jaws"], "query")
    np.testing.assert_array_equal(await cache.embed(["Jaws"], "query"), vectors)
    assert cache.usage()["cache"]["memory"] == 1
    assert cache.space == LocalEmbedder().space
    await cache.aclose()


@given(st.lists(st.tuples(st.sampled_from("gp"), st.integers(0, 5), st.floats(0, 3)), max_size=60))
def test_the_lru_behaves_like_a_list_of_uses(steps: list[tuple[str, int, float]]):
    clock = Clock()
    lru: LruCache[int, int] = LruCache(size=3, seconds=10, clock=clock)
    model: list[tuple[int, float, int]] = []  # key, end, value; what was used last at the end
    for number, (what, key, passed) in enumerate(steps):
        clock.now += passed
        if what == "p":
            lru.put(key, number)
            model = [entry for entry in model if entry[0] != key]
            model = [*model, (key, clock.now + 10, number)][-3:]
        else:
            entry = next((entry for entry in model if entry[0] == key), None)
            expected = None if entry is None or clock.now >= entry[1] else entry[2]
            assert lru.get(key) == expected
            if entry is not None:
                model.remove(entry)
                if expected is not None:
                    model.append(entry)
    assert len(lru) == len(model)
