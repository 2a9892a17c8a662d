"""What a poisoned stream does to what others are recommended, on MovieLens-100K, learned event by event in PostgreSQL."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from media_gateway.cli.evaluation_log import rated_log
from media_gateway.embeddings import LocalEmbedder
from media_gateway.learning.evaluation.log import EventLog
from media_gateway.learning.evaluation.metrics import Estimate, ndcg, ratio_estimate
from media_gateway.learning.evaluation.protocols import PROTOCOLS, Case, reported_stages
from media_gateway.learning.evaluation.ranking import _recommended
from media_gateway.learning.interests.arrays import ids
from media_gateway.learning.interests.settings import DAY
from media_gateway.learning.postgres.interests import PostgresInterests
from media_gateway.models import Matrix, WatchEvent
from tests.learning import desk_of
from tests.postgres import TestServer

pytestmark = [pytest.mark.anyio, pytest.mark.drill, pytest.mark.timeout(3_000)]

LOG = logging.getLogger(__name__)
AT_ONCE = 250
REFRESH_EVERY = 5_000
GREEDY_EVENTS = 10_000
FLOOD = 1_000


@dataclass(frozen=True, kw_only=True)
class Poison:
    """What is mixed into a stream: *events* of one user, new items with their *texts*, and the bot that clicks rank 1."""

    events: Sequence[WatchEvent]
    keys: list[str]
    texts: Matrix


def poison(log: EventLog, cut: int) -> Poison:
    """Return one user's likes, half over the whole time and half on the last day, and new items that are nearly known ones."""
    chance = np.random.default_rng(4)
    texts = log.items.text[chance.integers(len(log.items.keys), size=FLOOD)]
    texts = texts + 0.02 * chance.normal(size=texts.shape)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    keys = [f"flood-{number}" for number in range(FLOOD)]
    last = log.times[cut - 1]
    half = GREEDY_EVENTS // 2
    times = np.sort(
        np.concatenate((chance.uniform(log.times[0], last, size=half), chance.uniform(last - DAY, last, size=half)))
    )
    liked = chance.choice([*log.items.keys, *keys], size=GREEDY_EVENTS)
    events = [
        WatchEvent(user="greedy", key=str(key), time=float(time), action="rating", rating=10.0)
        for key, time in zip(liked, times, strict=True)
    ]
    return Poison(events=events, keys=keys, texts=texts.astype(np.float32))


async def learn(model: PostgresInterests, log: EventLog, cut: int, added: Poison | None) -> None:
    """Feed *model* the first *cut* events of *log*, and among them what is *added*, in the order of their times."""
    await model.add_items(log.items.keys, log.items.text.astype(np.float32))
    greedy = list(added.events) if added is not None else []
    for start in range(0, cut, AT_ONCE):
        honest = log.events[start : min(start + AT_ONCE, cut)]
        end = honest[-1].time
        due = [event for event in greedy if event.time <= end]
        greedy = greedy[len(due) :]
        await model.apply(sorted([*honest, *due], key=lambda event: event.time))
        if added is not None:
            await click_rank_one(model, end)
            if start <= cut // 2 < start + AT_ONCE:
                await model.add_items(added.keys, added.texts)
        if start % REFRESH_EVERY == 0 or start + AT_ONCE >= cut:
            await model.refresh()


async def click_rank_one(model: PostgresInterests, time: float) -> None:
    """Do as a bot does that asks what it is recommended, clicks on the first and watches it."""
    for first in await model.recommend("bot", k=1, at=time):
        click = WatchEvent(user="bot", key=first.key, time=time, action="click", rank=1)
        watch = WatchEvent(user="bot", key=first.key, time=time, completion=1.0)
        await model.apply([click, watch])


async def worth(model: PostgresInterests, log: EventLog, cases: Sequence[Case]) -> list[float]:
    rows = {key: row for row, key in enumerate(log.items.keys)}
    values = []
    for case in cases:
        keys = await _recommended(model, log, case.question)
        values.append(ndcg(ids([rows.get(key, -1) for key in keys]), case.relevant))
    return values


async def test_a_poisoned_stream_takes_little_of_what_others_are_recommended(
    postgres: TestServer, movielens_100k: Path
) -> None:
    async with aclosing(LocalEmbedder()) as embedder:
        log, _ = await rated_log(movielens_100k, embedder)
    stage = reported_stages(log)[0]

    async def measured(added: Poison | None) -> list[float]:
        store = await postgres.open_store(embedder.space)
        async with aclosing(store), desk_of(store, is_guarded=False) as desk:
            await learn(desk.interests, log, stage.cut, added)
            return await worth(desk.interests, log, stage.cases)

    clean, poisoned = await asyncio.gather(measured(None), measured(poison(log, stage.cut)))
    kept = by_protocol(stage.cases, clean, poisoned)
    for protocol, (before, after, ratio) in kept.items():
        # Shown by pytest -m full --log-cli-level INFO.
        LOG.info(
            "%s: %.3f, poisoned %.3f, %.3f (%.3f-%.3f)", protocol, before, after, ratio.value, ratio.low, ratio.high
        )
    assert set(kept) == set(PROTOCOLS)
    assert {protocol: ratio.value for protocol, (_, _, ratio) in kept.items() if ratio.value < 0.95} == {}


def by_protocol(
    cases: Sequence[Case], clean: Sequence[float], poisoned: Sequence[float]
) -> dict[str, tuple[float, float, Estimate]]:
    """Return for each protocol what lists are worth without poison and with it, and the ratio."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, case in enumerate(cases):
        places[case.question.protocol].append(place)
    found = {}
    for protocol, some in places.items():
        before, after = ([values[place] for place in some] for values in (clean, poisoned))
        ratio = ratio_estimate(after, before, [cases[place].question.user for place in some])
        found[protocol] = (float(np.mean(before)), float(np.mean(after)), ratio)
    return found
