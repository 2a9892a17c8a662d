"""Searches that tune themselves, on a real PostgreSQL: what is done, within which bounds, and what the audit says."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from media_gateway.database.search_log import SearchLogTable
from media_gateway.errors import StoreError
from media_gateway.models import ContentVector, LoggedSearch, TuningReport, VectorSpace
from media_gateway.stores.postgres import PostgresStore
from media_gateway.stores.postgres.tuning.self_tuning import SelfTuning, SelfTuningRules
from media_gateway.stores.postgres.tuning.tuner import Wanted
from tests.postgres import TestServer
from tests.samples import clustered, records

pytestmark = pytest.mark.anyio

SPACE = VectorSpace(model="test", dimension=24)
COUNT = 1_300


class Sampled:
    """The recall that real searches are said to have."""

    def __init__(self, recall: float | None = None) -> None:
        self.recall = recall
        self.count = 0 if recall is None else 100
        self.forgotten = 0

    @property
    def interval(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.recall is None else (self.recall - 0.01, self.recall + 0.01)

    def forget(self) -> None:
        self.forgotten += 1
        self.recall, self.count = None, 0


@pytest.fixture
async def store(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    store = await postgres.open_store(SPACE)

    async def batches() -> AsyncIterator[Sequence[ContentVector]]:
        yield records(COUNT, SPACE.dimension)

    await store.bulk_load(batches())
    yield store
    await store.aclose()


async def log_searches(store: PostgresStore, count: int) -> None:
    table = SearchLogTable(store.serving_connection, server="here", space=store.space, vector_type="vector")
    searches = [
        LoggedSearch(
            at=datetime.now(UTC), kind="text", vector=vector, k=10, where=None, keys=[], exact=False, latency_ms=1.0
        )
        for vector in clustered(count, SPACE.dimension, seed=5)
    ]
    await table.write([table.row(search) for search in searches])


def tuning(store: PostgresStore, sampled: Sampled | None = None, **changes: Any) -> SelfTuning:
    tune, busy = changes.pop("tune", store.tune_as), changes.pop("busy", False)
    rules: dict[str, Any] = {
        "mode": "on",
        "target": 0.95,
        "least_width": 24,
        "largest_width": 200,
        "pause": timedelta(hours=6),
        "sample": 40,
    }
    rules = SelfTuningRules(**(rules | changes))
    return SelfTuning(store.endpoint, store.space, rules, tune=tune, sampled=sampled, is_busy=lambda: busy)


async def width_of(store: PostgresStore) -> int:
    return (await store.stats()).details["ef_search"]


async def test_a_recall_that_fell_is_tuned_within_bounds_and_put_on_record(store: PostgresStore):
    await log_searches(store, 60)
    sampled = Sampled(0.8)
    entry = await tuning(store, sampled, target=0.9).look()
    assert entry is not None
    assert (entry.trigger, entry.action, entry.recall_sampled, entry.samples) == ("recall", "tuned", 0.8, 100)
    assert "recall of 100 real searches is 0.800" in entry.reason
    assert entry.ef_after is not None
    assert 24 <= entry.ef_after <= 200
    assert entry.table_rows == COUNT
    assert entry.at is not None
    assert await width_of(store) == entry.ef_after
    assert sampled.forgotten == 1, "samples of the former searches say nothing about the present ones"
    assert await store.tuning_history(5) == [entry]
    # Whatever is sampled now, there is a pause.
    assert await tuning(store, Sampled(0.5)).look() is None


@pytest.mark.full
async def test_where_no_width_within_the_bounds_suffices_the_widest_is_taken_and_a_rebuild_advised(
    store: PostgresStore,
):
    async with store.serving_connection() as connection:
        await connection.execute("DROP INDEX content_vectors_hnsw_idx")
        await connection.execute(
            "CREATE INDEX content_vectors_hnsw_idx ON content_vectors USING hnsw (vector vector_cosine_ops) "
            "WITH (m = 2, ef_construction = 4)"
        )
    store._search.forget_size()
    await log_searches(store, 60)
    entry = await tuning(store, Sampled(0.4), largest_width=28, target=0.99).look()
    assert entry is not None
    assert entry.ef_after == 28
    assert entry.recall_after is not None
    assert entry.recall_after < 0.99
    assert any("the largest, 28, gives" in sentence and "rebuild the index" in sentence for sentence in entry.advice)


@pytest.mark.full
async def test_a_collection_that_was_never_tuned_or_has_grown(store: PostgresStore):
    assert await tuning(store).look() is None, "there are no real searches to tune on"
    await log_searches(store, 60)
    entry = await tuning(store).look()
    assert entry is not None
    assert (entry.trigger, entry.recall_sampled) == ("untuned", None)
    for number, seed in enumerate((11, 12)):
        await store.upsert(records(400, SPACE.dimension, seed=seed, prefix=f"tv{number}"))
    async with store.serving_connection() as connection:
        await connection.execute("ANALYZE content_vectors")
    assert await tuning(store).look() is None
    entry = await tuning(store, pause=timedelta(0)).look()
    assert entry is not None
    assert entry.trigger == "growth"
    assert "grew from 1,300 to 2,100 records" in entry.reason
    assert [one.trigger for one in await store.tuning_history(5)] == ["growth", "untuned"]


async def test_to_advise_measures_nothing(store: PostgresStore):
    before = await width_of(store)
    entry = await tuning(store, Sampled(0.8), mode="advise").look()
    assert entry is not None
    assert (entry.action, entry.ef_after, entry.advice) == ("advised", None, ["run media-gateway tune"])
    assert await width_of(store) == before
    assert await tuning(store, Sampled(0.8), mode="advise").look() is None, "once is enough for a while"
    (kept,) = await store.tuning_history(5)
    assert (kept.action, kept.reason) == ("advised", entry.reason)


async def test_one_process_at_a_time_and_none_while_the_pool_is_busy(store: PostgresStore):
    assert await tuning(store, Sampled(0.8), busy=True).look() is None
    entries = []

    async def tune(wanted: Wanted) -> TuningReport:
        entries.append(await tuning(store, Sampled(0.8)).look())
        raise StoreError("given up")

    entry = await tuning(store, Sampled(0.8), tune=tune).look()
    assert entries == [None]
    assert entry is not None
    assert (entry.action, list(entry.advice)) == ("failed", ["given up"])
    assert [one.action for one in await store.tuning_history(5)] == ["failed"]


async def test_a_profile_of_somebody_else_makes_former_samples_void(store: PostgresStore):
    await log_searches(store, 60)
    await store.tune(sample=40)
    sampled = Sampled(0.97)
    ours = tuning(store, sampled)
    assert await ours.look() is None
    assert sampled.forgotten == 0
    await store.tune(sample=40, target=0.9)
    assert await ours.look() is None
    assert sampled.forgotten == 1
    assert {entry.trigger for entry in await store.tuning_history(5)} == {"asked"}
