"""What tuning makes of its measurements."""

import numpy as np
import pytest

from media_gateway.models import IndexTrial, TunedClass
from media_gateway.stores.postgres.tuning.advice import IndexFacts, sentences
from media_gateway.stores.postgres.tuning.bench import Measure, interval, smallest
from media_gateway.stores.postgres.tuning.profiles import knobs_of

pytestmark = pytest.mark.anyio


def measure(low: float) -> Measure:
    return Measure(recall=low + 0.01, low=low, high=low + 0.02, p50_ms=1.0)


def tuned(share: float, *, factor: float = 1.0, ef_search: int = 40, reached: bool = True) -> TunedClass:
    return TunedClass(
        share=share,
        ef_search=ef_search,
        factor=factor,
        recall=0.96,
        recall_low=0.95,
        recall_high=0.97,
        p50_ms=1.0,
        reached=reached,
    )


def trial(kind: str, *, p50_ms: float, index_bytes: int) -> IndexTrial:
    return IndexTrial(
        kind=kind,
        m=16,
        ef_construction=64,
        rows=20_000,
        ef_search=40,
        recall=0.97,
        p50_ms=p50_ms,
        build_seconds=10,
        index_bytes=index_bytes,
        whole_build_seconds=60,
        whole_index_bytes=index_bytes * 5,
    )


def test_the_interval_holds_the_mean_and_narrows_with_the_sample() -> None:
    recalls = np.random.default_rng(1).choice([0.8, 0.9, 1.0], 50).tolist()
    low, high = interval(recalls)
    assert low < np.mean(recalls) < high
    narrow = interval(recalls * 16)
    assert (high - low) / 5 < narrow[1] - narrow[0] < (high - low) / 3
    assert interval([1.0] * 20) == (1.0, 1.0)


@pytest.mark.parametrize("needed", range(7))
async def test_the_smallest_step_whose_lower_bound_reaches_the_target_is_found(needed: int) -> None:
    ladder = (10, 20, 40, 80, 160, 320)
    tried: list[int] = []

    async def at(step: int) -> Measure:
        tried.append(step)
        return measure(0.95 if ladder.index(step) >= needed else 0.949)

    step, found, is_reached = await smallest(ladder, 0.95, at)
    assert step == ladder[min(needed, 5)]
    assert is_reached == (needed < 6)
    assert is_reached == (found.low >= 0.95)
    assert len(tried) <= 4


def test_rarer_filters_never_fetch_fewer_candidates_than_common_ones() -> None:
    knobs = knobs_of([tuned(1.0), tuned(0.3, factor=2.0), tuned(0.1, factor=1.5), tuned(0.03, factor=3.0)], 4.0, 10)
    assert knobs.factors == ((0.3, 2.0), (0.1, 2.0), (0.03, 3.0), (0.0, 3.0))
    assert (knobs.ef_search, knobs.k) == (40, 10)


def test_filters_keep_a_margin_over_what_drawn_ones_need() -> None:
    knobs = knobs_of([tuned(1.0), tuned(0.3), tuned(0.1, factor=1.5)], 4.0, 10)
    assert knobs.factors == ((0.3, 1.25), (0.1, 1.5), (0.0, 1.5))


def test_advice_by_rule_calls_itself_an_estimate() -> None:
    facts = IndexFacts(bytes=2**30, buffers=2**28, m=16, ef_construction=64, is_halved=False)
    said = sentences([tuned(1.0, ef_search=200)], facts, [], 0.95)
    assert len(said) == 2
    assert all("estimate" in sentence for sentence in said)
    assert "m = 24" in said[0]
    assert "halfvec" in said[1]
    small = IndexFacts(bytes=2**20, buffers=2**28, m=16, ef_construction=64, is_halved=False)
    assert sentences([tuned(1.0)], small, [], 0.95) == []


def test_advice_by_trial_tells_gain_and_cost() -> None:
    facts = IndexFacts(bytes=400 << 20, buffers=2**30, m=16, ef_construction=64, is_halved=False)
    base = trial("vector", p50_ms=1.0, index_bytes=80 << 20)
    (said,) = sentences([tuned(1.0)], facts, [base, trial("halfvec", p50_ms=1.0, index_bytes=40 << 20)], 0.95)
    assert "200 MiB instead of 400" in said
    assert "60 s" in said
    (nothing,) = sentences([tuned(1.0)], facts, [base, trial("vector", p50_ms=0.95, index_bytes=81 << 20)], 0.95)
    assert "worth a rebuild" in nothing


def test_a_target_that_is_out_of_reach_is_told() -> None:
    facts = IndexFacts(bytes=2**20, buffers=2**28, m=16, ef_construction=64, is_halved=False)
    (said,) = sentences([tuned(1.0, ef_search=1000, reached=False)], facts, [], 0.99)
    assert "no width reaches" in said
    (said,) = sentences([tuned(1.0), tuned(0.03, reached=False)], facts, [], 0.99)
    assert "3.0%" in said
