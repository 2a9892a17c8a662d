"""How methods answer the cases: baselines tuned for each protocol, and the recommender fed event by event."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from media_gateway.learning.evaluation.baselines import Baseline, Parameters
from media_gateway.learning.evaluation.log import EventLog
from media_gateway.learning.evaluation.metrics import best_rows, ndcg
from media_gateway.learning.evaluation.protocols import DEPTH, Case, Question, Stage
from media_gateway.learning.interests.arrays import Ids, Numbers, ids, places
from media_gateway.learning.interests.model import InterestModel

OURS: Final = "ours"
_TOGETHER: Final = 200
REFRESH_EVERY: Final = 5_000
"""Events after which the recommender refreshes what does not follow each event."""

OnWork: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What *method* ranked first for a case, best first, and its NDCG@10."""

    method: str
    case: Case
    ranked: Ids
    ndcg: float


def answer(method: str, case: Case, ranked: Ids) -> Answer:
    """Return the answer *ranked* to *case* with what it is worth."""
    return Answer(method=method, case=case, ranked=ranked, ndcg=ndcg(ranked, case.relevant, depth=DEPTH))


def baseline_answers(
    baseline: Baseline, log: EventLog, asked: Sequence[Stage], chosen: dict[str, Parameters], *, seed: int = 0
) -> list[Answer]:
    """Return the answers of *baseline* to the cases of each protocol with the parameters *chosen* for it.

    A scorer sees the log up to the stage's cut, and of a case only the likes of its history.
    """
    answers: list[Answer] = []
    for stage in asked:
        past = log.before(stage.cut)
        for parameters in _distinct(chosen.values()):
            cases = [case for case in stage.cases if chosen.get(case.question.protocol) == parameters]
            if not cases:
                continue
            scorer = baseline.fit(past, parameters)
            chance = np.random.default_rng(seed)
            for start in range(0, len(cases), _TOGETHER):
                some = cases[start : start + _TOGETHER]
                scores = scorer(np.array([_marked(log, case.question) for case in some]))
                lists = best_rows(scores, [case.question.left_out for case in some], chance, depth=DEPTH)
                answers.extend(answer(baseline.name, case, ranked) for case, ranked in zip(some, lists, strict=True))
    return answers


def tuned(baseline: Baseline, log: EventLog, asked: Sequence[Stage]) -> dict[str, Parameters]:
    """Return for each protocol in *asked* the parameters under which *baseline* answers its cases best."""
    protocols = sorted({case.question.protocol for stage in asked for case in stage.cases})
    best: dict[str, tuple[float, Parameters]] = {}
    for parameters in baseline.tried:
        worth: defaultdict[str, list[float]] = defaultdict(list)
        if len(baseline.tried) > 1:
            for one in baseline_answers(baseline, log, asked, dict.fromkeys(protocols, parameters)):
                worth[one.case.question.protocol].append(one.ndcg)
        for protocol in protocols:
            mean = float(np.mean(worth[protocol])) if worth[protocol] else 0.0
            if protocol not in best or mean > best[protocol][0]:
                best[protocol] = (mean, parameters)
    return {protocol: parameters for protocol, (_, parameters) in best.items()}


async def model_answers(
    model: InterestModel,
    log: EventLog,
    asked: Sequence[Stage],
    *,
    on_work: OnWork | None = None,
    refresh_every: int = REFRESH_EVERY,
) -> list[Answer]:
    """Return what *model* recommends in each case while *log* is fed to it in order, up to each stage's cut.

    It is refreshed after every *refresh_every* events and at each cut. The model must not know anything yet.
    """
    await model.add_items(log.items.keys, log.items.text.astype(np.float32))
    rows = {key: row for row, key in enumerate(log.items.keys)}
    answers: list[Answer] = []
    done = 0
    for stage in sorted(asked, key=lambda stage: stage.cut):
        while done < stage.cut:
            end = min(stage.cut, (done // refresh_every + 1) * refresh_every)
            await model.apply(log.events[done:end])
            await model.refresh()
            done = end
            if on_work is not None:
                on_work(f"learned {done:,} events")
        for case in stage.cases:
            keys = await _recommended(model, log, case.question)
            answers.append(answer(OURS, case, ids([rows[key] for key in keys])))
    return answers


async def _recommended(model: InterestModel, log: EventLog, question: Question) -> list[str]:
    excluded = [log.items.keys[row] for row in places(question.left_out)]
    if question.is_guest:
        history = [log.events[place] for place in places(question.history)]
        found = await model.recommend_from(history, k=DEPTH, at=question.at, excluded=excluded)
    else:
        found = await model.recommend(log.names[question.user], k=DEPTH, at=question.at, excluded=excluded)
    return [one.key for one in found]


def liked_rows(log: EventLog, question: Question) -> Ids:
    """Return the rows of the items liked in the history of *question*, in order."""
    return log.rows[question.history[log.liked[question.history]]]


def _marked(log: EventLog, question: Question) -> Numbers:
    marks = np.zeros(len(log.items.keys))
    marks[liked_rows(log, question)] = 1.0
    return marks


def _distinct(every: Iterable[Parameters]) -> list[Parameters]:
    found: list[Parameters] = []
    for one in every:
        if one not in found:
            found.append(one)
    return found
