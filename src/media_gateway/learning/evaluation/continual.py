"""Whether learning event by event costs anything: beside a full refresh, and after something else was learned."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from media_gateway.learning.evaluation.log import EventLog
from media_gateway.learning.evaluation.metrics import Estimate, best_rows, ndcg, ratio_estimate
from media_gateway.learning.evaluation.protocols import DEPTH, Case, guest_cases, most_popular
from media_gateway.learning.evaluation.ranking import REFRESH_EVERY, liked_rows
from media_gateway.learning.interests.arrays import Flags, Ids
from media_gateway.learning.interests.arrays import places as listed
from media_gateway.learning.interests.learner import Learner
from media_gateway.learning.interests.settings import InterestSettings

_START = 0.7
_HISTORY = 5


@dataclass(frozen=True, kw_only=True)
class Incremental:
    """NDCG@10 of behaviour vectors on *protocol*, learned event by event and refreshed as a whole, and the ratio."""

    protocol: str
    per_event: float
    refreshed: float
    ratio: Estimate


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """NDCG@10 of behaviour vectors on tasks A and B, learned one after the other.

    *a_kept* is what is left of A after B as a ratio to before, *b_learned* what was learned of B as a ratio to a model that
    learned B alone. Neither means much without the other.
    """

    a_before: float
    a_after: float
    b_after: float
    b_alone: float
    a_kept: Estimate
    b_learned: Estimate


def incremental(log: EventLog, settings: InterestSettings) -> list[Incremental]:
    """Return for guests after 70 % of *log* what following each event costs against eigenfactors of all counts."""
    cut = log.cut(_START)
    cases = guest_cases(log, cut, len(log), most_popular(log, cut))
    model = learned(log, np.arange(cut), settings)
    before = behaviour_ndcg(model, log, cases)
    model.refresh_behaviour()
    after = behaviour_ndcg(model, log, cases)
    found: list[Incremental] = []
    for protocol in sorted({case.question.protocol for case in cases}):
        places = [place for place, case in enumerate(cases) if case.question.protocol == protocol]
        found.append(
            Incremental(
                protocol=protocol,
                per_event=float(np.mean([before[place] for place in places])),
                refreshed=float(np.mean([after[place] for place in places])),
                ratio=_ratio([before[place] for place in places], [after[place] for place in places], cases, places),
            )
        )
    return found


def forgetting(log: EventLog, first: Flags, settings: InterestSettings) -> Forgetting | None:
    """Return what learning task B does to task A, or None where one of them has no cases.

    Task A are the likes of the items marked in *first* (n,), task B those of all others; the events before 70 % of the
    log teach, first all of A's and then all of B's. Asked are guests after 70 %, who have liked five items of the task,
    for what else of it they like.
    """
    cut = log.cut(_START)
    events = np.arange(cut)
    a_events, b_events = events[first[log.rows[events]]], events[~first[log.rows[events]]]
    a_cases, b_cases = (_task_cases(log, cut, mask) for mask in (first, ~first))
    if not (a_cases and b_cases):
        return None
    model = learned(log, a_events, settings)
    a_before = behaviour_ndcg(model, log, a_cases)
    learned(log, b_events, settings, model)
    a_after, b_after = behaviour_ndcg(model, log, a_cases), behaviour_ndcg(model, log, b_cases)
    b_alone = behaviour_ndcg(learned(log, b_events, settings), log, b_cases)
    return Forgetting(
        a_before=float(np.mean(a_before)),
        a_after=float(np.mean(a_after)),
        b_after=float(np.mean(b_after)),
        b_alone=float(np.mean(b_alone)),
        a_kept=_ratio(a_after, a_before, a_cases, range(len(a_cases))),
        b_learned=_ratio(b_after, b_alone, b_cases, range(len(b_cases))),
    )


def learned(log: EventLog, places: Ids, settings: InterestSettings, model: Learner | None = None) -> Learner:
    """Return *model*, by default one that begins with texts alone, after the events of *places* in their order."""
    if model is None:
        model = Learner(settings)
        model.add_items(log.items.keys, log.items.text.astype(np.float32))
    for start in range(0, len(places), REFRESH_EVERY):
        model.learn([log.events[place] for place in listed(places[start : start + REFRESH_EVERY])])
        model.refresh_bridge()
    return model


def behaviour_ndcg(model: Learner, log: EventLog, cases: Sequence[Case]) -> list[float]:
    """Return the NDCG@10 of each case when items are ranked by the behaviour vectors of *model* alone."""
    chance = np.random.default_rng(0)
    values: list[float] = []
    for case in cases:
        liked = liked_rows(log, case.question)
        scores = model.items.shown @ model.items.shown[liked].sum(axis=0)
        (ranked,) = best_rows(scores[np.newaxis], [case.question.left_out], chance, depth=DEPTH)
        values.append(ndcg(ranked, case.relevant, depth=DEPTH))
    return values


def _task_cases(log: EventLog, cut: int, task: Flags) -> list[Case]:
    """Return the cases of guests when the log after *cut* tells of the items of *task* alone."""
    other = np.flatnonzero(~task)
    starts = np.array([places[0] if len(places) else len(log) for places in log.by_user])
    kept = np.flatnonzero(task[log.rows] & (starts >= cut)[log.users])
    narrowed = replace(
        log,
        events=[log.events[place] for place in listed(kept)],
        users=log.users[kept],
        rows=log.rows[kept],
        times=log.times[kept],
        liked=log.liked[kept],
    )
    return [
        Case(
            question=replace(
                case.question,
                history=kept[case.question.history],
                left_out=np.union1d(case.question.left_out, other),
            ),
            relevant=case.relevant,
        )
        for case in guest_cases(narrowed, 0, len(narrowed), other, steps=(_HISTORY,))
        if case.question.protocol == f"C{_HISTORY}"
    ]


def _ratio(values: Sequence[float], others: Sequence[float], cases: Sequence[Case], places: Sequence[int]) -> Estimate:
    return ratio_estimate(values, others, [cases[place].question.user for place in places])
