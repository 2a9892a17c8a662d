"""What is counted of a store's operations, and which searches are sampled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from media_gateway import contracts
from media_gateway.errors import InvalidKeyError, StoreUnavailableError
from media_gateway.filters import MetadataEquals
from media_gateway.models import Hit, SearchRequest, SearchResult, VectorSpace
from media_gateway.monitoring.families import PREFIX
from media_gateway.monitoring.metrics import Metrics
from media_gateway.monitoring.observed import ObservedStore, StoreObserver, is_short, observed, plain
from media_gateway.monitoring.recall import RecallRules, RecallSampler, recall_of
from media_gateway.stores.memory import MemoryStore, open_memory_store
from media_gateway.stores.postgres import PostgresStore
from tests.samples import records

pytestmark = pytest.mark.anyio

CAPABILITIES = [
    value
    for value in vars(contracts).values()
    if isinstance(value, type)
    and getattr(value, "_is_runtime_protocol", False)
    and value.__module__.startswith(f"{contracts.__name__}.")
]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(PREFIX + name, labels)


def result(*keys: str, exact: bool = False, exhausted: bool = False, step: float = 0.1) -> SearchResult:
    hits = [Hit(key=key, score=0.9 - step * place, metadata={}) for place, key in enumerate(keys)]
    return SearchResult(hits=hits, exact=exact, exhausted=exhausted)


REQUEST = SearchRequest(vector=np.ones(4, np.float32), k=3)


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    async with await open_memory_store(None, space=VectorSpace(model="test", dimension=8)) as store:
        await store.upsert(records(40, 8))
        yield store


def watched(store: Any, metrics: Metrics, sampler: Any = None) -> ObservedStore:
    return observed(store, StoreObserver(metrics, "memory", records=lambda: 40.0), sampler)


@pytest.mark.parametrize("kind", [MemoryStore, PostgresStore])
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_an_observed_store_can_what_its_store_can_and_no_more(kind: type, capability: type):
    inner = kind.__new__(kind)
    assert isinstance(watched(inner, Metrics()), capability) == isinstance(inner, capability)
    assert plain(watched(inner, Metrics())) is inner


def test_there_are_capabilities_to_be_kept():
    assert {"BulkLoads", "Merges", "Tunes", "Explains", "Changes"} <= {kind.__name__ for kind in CAPABILITIES}


async def test_operations_are_timed_and_searches_counted_by_their_way(memory: MemoryStore):
    metrics = Metrics()
    store = watched(memory, metrics)
    found = await store.search(SearchRequest(vector=records(1, 8)[0].vector, k=5))
    assert len(found.hits) == 5
    assert (await store.get(["movie-1"]))[0] is not None
    await store.upsert(records(2, 8, prefix="tv"))
    assert await store.delete(["tv-0"]) == 1
    for operation in ("search", "get", "upsert", "delete"):
        assert value(metrics, "store_operation_duration_seconds_count", operation=operation, store="memory") == 1
    assert value(metrics, "searches_total", store="memory", plan="exact") == 1
    assert value(metrics, "searches_total", store="memory", plan="index") == 0
    assert value(metrics, "searches_short_total", store="memory") == 0
    assert (await store.stats()).count == 41
    assert [record.key async for page in store.scan() for record in page][:2] == ["movie-0", "movie-1"]


class Failing:
    space = VectorSpace(model="test", dimension=8)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def search(self, request: SearchRequest) -> SearchResult:
        raise self.error

    async def get(self, keys: list[str]) -> list[None]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StoreUnavailableError("away", server="s", reason="r"), "StoreUnavailableError"),
        (RuntimeError("ours"), "other"),
        (InvalidKeyError("it is empty", field="key", given=""), None),
        (asyncio.CancelledError(), None),
    ],
)
async def test_failures_count_by_their_kind_and_bad_input_is_none(error: BaseException, kind: str | None):
    metrics = Metrics()
    store = watched(Failing(error), metrics)
    for operation in (lambda: store.search(REQUEST), lambda: store.get(["a"])):
        with pytest.raises(type(error)):
            await operation()
    failed = [
        sample.labels
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == f"{PREFIX}store_operation_errors_total"
    ]
    expected = [{"operation": name, "store": "memory", "error": kind} for name in ("search", "get")] if kind else []
    assert failed == expected
    timed = value(metrics, "store_operation_duration_seconds_count", operation="search", store="memory")
    assert timed == (1 if kind else 0)


@pytest.mark.parametrize(
    ("request_", "answer", "records_", "short"),
    [
        (REQUEST, result("a", "b", "c"), 100, False),
        (REQUEST, result("a", "b"), 100, True),
        (REQUEST, result("a", "b", exhausted=True, exact=True), 100, True),
        (REQUEST, result("a", "b", exhausted=True, exact=True), 2, False),
        (REQUEST, result("a", "b", exhausted=True, exact=True), None, False),
        (SearchRequest(vector=REQUEST.vector, k=3, exclude=("x",)), result("a", "b", exhausted=True), 3, False),
        (SearchRequest(vector=REQUEST.vector, k=3, min_score=0.5), result("a", exhausted=True), 100, False),
        (SearchRequest(text="words", k=3), result("a", exhausted=True), 100, False),
        (
            SearchRequest(vector=REQUEST.vector, k=3, where=MetadataEquals("a", 1)),
            result(exhausted=True, exact=True),
            100,
            False,
        ),
        (SearchRequest(vector=REQUEST.vector, k=3, where=MetadataEquals("a", 1)), result(exhausted=True), 100, True),
    ],
)
def test_an_answer_is_short_only_where_hits_are_surely_missing(
    request_: SearchRequest, answer: SearchResult, records_: float | None, short: bool
):
    assert is_short(request_, answer, records_) == short


@pytest.mark.parametrize(
    ("found", "exact", "recall"),
    [
        (result("a", "b", "c"), result("a", "b", "c"), 1.0),
        (result("a", "b", "x", step=0.2), result("a", "b", "c"), 2 / 3),
        (result("a"), result("a", "b"), 0.5),
        (result(), result(), 1.0),
        # Equal scores in another order.
        (result("a", "y", step=0), result("a", "b", step=0), 1.0),
    ],
)
def test_recall_is_the_share_of_the_exact_answer(found: SearchResult, exact: SearchResult, recall: float):
    assert recall_of(found, exact) == pytest.approx(recall)


class Exact:
    """Answers exactly, when it is let, and counts."""

    def __init__(self) -> None:
        self.asked: list[SearchRequest] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def __call__(self, request: SearchRequest) -> SearchResult:
        self.asked.append(request)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return result("a", "b", "c", exact=True)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def sampler(exact: Exact, clock: Clock, taken: list[int], **changes: Any) -> RecallSampler:
    rules = RecallRules(**{"share": 1.0, "most_a_minute": 60, **changes})
    return RecallSampler(exact, rules, on_sample=lambda: taken.append(1), draw=lambda: 0.5, clock=clock)


async def test_a_sample_is_answered_exactly_and_the_mean_is_kept():
    exact, clock, taken = Exact(), Clock(), []
    one = sampler(exact, clock, taken)
    assert one.recall is None
    one.saw(REQUEST, result("a", "b", "x", step=0.2))
    await one.settle()
    assert [request.exact for request in exact.asked] == [True]
    assert one.recall == pytest.approx(2 / 3)
    clock.now += 2
    one.saw(REQUEST, result("a", "b", "c", exact=True))
    assert one.recall == pytest.approx(5 / 6)
    assert len(exact.asked) == 1, "an exact answer needs no other one"
    assert len(taken) == one.count == 2
    one.forget()
    assert one.recall is None


async def test_the_interval_narrows_with_the_samples():
    exact, clock, taken = Exact(), Clock(), []
    one = sampler(exact, clock, taken)
    assert one.interval == (0, 1)
    widths = []
    for answer in [result("a", "b", "c"), result("a", "b", "x", step=0.2)] * 20:
        one.saw(REQUEST, answer)
        await one.settle()
        clock.now += 2
        low, high = one.interval
        assert low <= (one.recall or 0) <= high
        widths.append(high - low)
    assert widths[-1] < widths[10] / 1.5
    assert one.interval[1] < 0.95, "surely below the target"


async def test_so_many_a_minute_and_one_at_a_time():
    exact, clock, taken = Exact(), Clock(), []
    one = sampler(exact, clock, taken)
    one.saw(REQUEST, result("a"))
    one.saw(REQUEST, result("a"))
    await one.settle()
    assert len(exact.asked) == 1
    clock.now += 0.9
    one.saw(REQUEST, result("a"))
    assert len(exact.asked) == 1
    clock.now += 0.2
    exact.gate.clear()
    one.saw(REQUEST, result("a"))
    await asyncio.sleep(0)
    clock.now += 60
    one.saw(REQUEST, result("a"))
    await asyncio.sleep(0)
    assert len(exact.asked) == 2, "one is under way"
    exact.gate.set()
    await one.settle()
    # It took 60 s, so 19 times as long is left to others.
    clock.now += 60 * 19 - 1
    one.saw(REQUEST, result("a"))
    assert len(exact.asked) == 2
    clock.now += 2
    one.saw(REQUEST, result("a"))
    await one.settle()
    assert len(exact.asked) == 3


@pytest.mark.parametrize(
    "request_", [SearchRequest(text="words", k=3), SearchRequest(vector=REQUEST.vector, text="both", k=3)]
)
async def test_searches_with_words_are_not_sampled(request_: SearchRequest):
    exact, taken = Exact(), []
    one = sampler(exact, Clock(), taken)
    one.saw(request_, result("a"))
    await one.settle()
    assert (exact.asked, taken) == ([], [])


@pytest.mark.parametrize("make", [lambda: {"share": 0.5}, lambda: {"share": 0.0}])
async def test_only_the_share_is_sampled(make: Callable[[], dict[str, float]]):
    exact, taken = Exact(), []
    one = sampler(exact, Clock(), taken, **make())
    one.saw(REQUEST, result("a"))
    assert taken == exact.asked == []


async def test_a_busy_store_is_left_alone():
    exact = Exact()
    one = RecallSampler(
        exact, RecallRules(share=1, most_a_minute=60), on_sample=lambda: None, is_busy=lambda: True, draw=lambda: 0.5
    )
    one.saw(REQUEST, result("a"))
    await one.settle()
    assert exact.asked == []


@pytest.mark.parametrize("error", [StoreUnavailableError("away", server="s", reason="r"), RuntimeError("ours")])
async def test_a_failure_is_no_sample_and_no_harm(error: Exception, caplog: pytest.LogCaptureFixture):
    exact, clock, taken = Exact(), Clock(), []
    exact.error = error
    one = sampler(exact, clock, taken)
    one.saw(REQUEST, result("a"))
    await one.settle()
    assert (taken, one.recall) == ([], None)
    exact.error = None
    clock.now += 10
    one.saw(REQUEST, result("a"))
    await one.settle()
    assert taken == [1]


async def test_closing_gives_up_what_is_under_way():
    exact, taken = Exact(), []
    exact.gate.clear()
    one = sampler(exact, Clock(), taken, patience=60.0)
    one.saw(REQUEST, result("a"))
    await asyncio.sleep(0)
    await one.aclose()
    await one.aclose()
    one.saw(REQUEST, result("a"))
    assert (len(exact.asked), taken) == (1, [])


async def test_an_exact_answer_that_takes_too_long_is_given_up():
    exact, taken = Exact(), []
    exact.gate.clear()
    one = sampler(exact, Clock(), taken, patience=0.02)
    one.saw(REQUEST, result("a"))
    await one.settle()
    assert (len(exact.asked), taken) == (1, [])
