"""One evaluation from end to end."""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Final, TypeAlias

import numpy as np
from anyio import to_thread

from media_gateway.learning.evaluation.baselines import BASELINES, Baseline, Parameters
from media_gateway.learning.evaluation.continual import Forgetting, Incremental, forgetting, incremental
from media_gateway.learning.evaluation.log import EventLog
from media_gateway.learning.evaluation.protocols import Stage, reported_stages, tuning_stages
from media_gateway.learning.evaluation.queries import Embed, Narrow, query_results
from media_gateway.learning.evaluation.ranking import OURS, Answer, OnWork, baseline_answers, model_answers, tuned
from media_gateway.learning.evaluation.results import Evaluation
from media_gateway.learning.interests.arrays import Flags
from media_gateway.learning.interests.model import InterestModel
from media_gateway.learning.interests.settings import InterestSettings

OpenModel: TypeAlias = Callable[[], AbstractAsyncContextManager[InterestModel]]
METHODS: Final = (*(baseline.name for baseline in BASELINES), OURS)
_TASK_GENRES = frozenset({"Drama", "Romance", "War", "Documentary", "Film-Noir", "Mystery"})


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is evaluated: the *log*, and the recommender that *open_model* opens, empty, called *learner* in reports."""

    log: EventLog
    open_model: OpenModel
    learner: str
    settings: InterestSettings
    embed: Embed
    narrow: Narrow


async def evaluate(subject: Subject, *, on_work: OnWork, methods: Collection[str] = METHODS) -> Evaluation:
    """Run all protocols on *subject* and return what was found; *on_work* hears what is being done.

    Takes minutes. Arithmetic runs on a thread. Nothing that lies behind a case's time reaches what answers it. Only
    *methods*, some of METHODS, are run; without ours nothing is learned event by event, and nothing can be forgotten.
    """
    # Products of small matrices gain nothing by threads, and on a busy machine lose much.
    pools: Any = import_module("threadpoolctl")
    # Only what is loaded can be limited, and scipy brings a library of its own.
    import_module("scipy.linalg")
    with pools.threadpool_limits(1, "blas"):
        return await _evaluated(subject, on_work, methods)


async def _evaluated(subject: Subject, on_work: OnWork, methods: Collection[str]) -> Evaluation:
    began = time.perf_counter()
    log = subject.log
    asked, tried = reported_stages(log), tuning_stages(log)
    answers: list[Answer] = []
    chosen: dict[str, dict[str, Parameters]] = {}
    for baseline in (one for one in BASELINES if one.name in methods):
        on_work(f"{baseline.name}: tuning on the first 70 %")
        best, found = await to_thread.run_sync(partial(_baseline, baseline, log, tried, asked))
        chosen[baseline.name] = best
        answers.extend(found)
    ours = await _ours(subject, asked, on_work) if OURS in methods else _Ours()
    on_work("queries")
    return Evaluation(
        events=len(log),
        users=len(log.names),
        items=len(log.items.keys),
        learner=None if ours.ms_an_event is None else subject.learner,
        answers=[*answers, *ours.answers],
        chosen=chosen,
        incremental=ours.incremental,
        forgetting=ours.forgetting,
        queries=await query_results(log, subject.embed, subject.narrow),
        seconds=time.perf_counter() - began,
        ms_an_event=ours.ms_an_event,
    )


@dataclass(frozen=True, kw_only=True)
class _Ours:
    """What was found of our method: nothing where it was not asked for."""

    answers: Sequence[Answer] = ()
    incremental: Sequence[Incremental] = ()
    forgetting: Forgetting | None = None
    ms_an_event: float | None = None


async def _ours(subject: Subject, asked: list[Stage], on_work: OnWork) -> _Ours:
    log = subject.log
    started = time.perf_counter()
    async with subject.open_model() as model:
        answers = await model_answers(model, log, asked, on_work=on_work)
    ms_an_event = 1000 * (time.perf_counter() - started) / max(stage.cut for stage in asked)
    on_work("per event against full refresh")
    refreshed = await to_thread.run_sync(partial(incremental, log, subject.settings))
    on_work("forgetting")
    first = first_task(log)
    forgotten = None if first is None else await to_thread.run_sync(partial(forgetting, log, first, subject.settings))
    return _Ours(answers=answers, incremental=refreshed, forgetting=forgotten, ms_an_event=ms_an_event)


def first_task(log: EventLog) -> Flags | None:
    """Return which items are the first task of forgetting: serious genres, about half of all likes; None without genres."""
    if not log.items.genres:
        return None
    return np.array([bool(_TASK_GENRES & set(genres)) for genres in log.items.genres])


def _baseline(
    baseline: Baseline, log: EventLog, tried: list[Stage], asked: list[Stage]
) -> tuple[dict[str, Parameters], list[Answer]]:
    best = tuned(baseline, log, tried)
    protocols = {case.question.protocol for stage in asked for case in stage.cases}
    # A protocol that had no cases to tune on takes the first settings that are tried.
    best = {protocol: best.get(protocol, baseline.tried[0]) for protocol in sorted(protocols)}
    return best, baseline_answers(baseline, log, asked, best)
