"""What one episode does to the next: a doubly robust estimate over successive episodes of a session.

A pair is an episode and the one before it in its session. For a task u, all pairs whose second episode is of task u are
looked at; *treated* are those whose first episode is of task t, y is the reward of the second. The estimate of what
t before u adds to u's reward is the mean of

    psi = m1(x) - m0(x) + a (y - m1(x)) / e(x) - (1 - a) (y - m0(x)) / (1 - e(x))

with a = 1 for treated pairs, m1 and m0 models of y for treated and untreated ones, and e a model of a: it is right when
either kind of model is (Robins, Rotnitzky and Zhao, JASA 89 (1994) 846; Funk et al., Am J Epidemiol 173 (2011) 761).
x is what was known before the first of the two: the mean reward of the session until then, and how long it was. m is
ridge regression, e logistic regression by Newton's method, kept within 0.05..0.95 as is usual against single pairs that
outweigh the rest. The standard error is that of a mean whose sessions are independent and whose pairs within one are
not. Confidence is 1 less the two-sided p-value of the normal distribution.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LONGEST_GAP: Final = 3600
"""Seconds between two episodes beyond which the first is not held to have led to the second."""
_RIDGE: Final = 1.0
_PROPENSITIES: Final = (0.05, 0.95)
_NEWTON_STEPS: Final = 25
_CONVERGED: Final = 1e-9
_EVIDENCE: Final = 50
METHOD: Final = "doubly robust"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What was estimated from *treated* and *untreated* pairs.

    *uplift* in reward, its *standard_error*, the *confidence* that it is not zero, and the *naive* difference of means
    that an estimate without a look at x would give.
    """

    uplift: float
    standard_error: float
    confidence: float
    naive: float
    treated: int
    untreated: int


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """An edge that the data show: what the episodes of *from_task* do to those of *to_task* right after them."""

    from_task: str
    to_task: str
    from_id: int
    to_id: int
    estimate: Estimate
    evidence: list[int]

    @property
    def mechanism(self) -> str:
        """The text by which the edge is known again."""
        return mechanism_of(self.from_task, self.to_task)


def mechanism_of(from_task: str, to_task: str) -> str:
    """Return what column mechanism says of an edge that was discovered here."""
    return f"{METHOD}: {from_task} -> {to_task}"


def doubly_robust(treated: npt.NDArray[np.bool_], outcome: Array, x: Array, groups: npt.NDArray[Any]) -> Estimate:
    """Return the estimate for pairs with *outcome* (n,), covariates *x* (n, d) and sessions *groups* (n,).

    *treated* (n,) must have at least one pair of each kind.
    """
    design = _standardized(x)
    a = treated.astype(np.float64)
    propensity = np.clip(_logistic(design, a), *_PROPENSITIES)
    with_it = _ridge(design, outcome, treated)
    without = _ridge(design, outcome, ~treated)
    psi = (
        with_it - without + a * (outcome - with_it) / propensity - (1.0 - a) * (outcome - without) / (1.0 - propensity)
    )
    uplift = float(psi.mean())
    _, codes = np.unique(groups, return_inverse=True)
    sums = np.bincount(codes, weights=psi - uplift)
    error = float(np.sqrt((sums * sums).sum())) / len(psi)
    # Equal rewards everywhere have no error, and are no chance either unless nothing is lifted.
    sureness = math.erf(abs(uplift) / (error * math.sqrt(2.0))) if error > 0 else float(abs(uplift) > _CONVERGED)
    return Estimate(
        uplift=uplift,
        standard_error=error,
        confidence=sureness,
        naive=float(outcome[treated].mean() - outcome[~treated].mean()),
        treated=int(treated.sum()),
        untreated=int((~treated).sum()),
    )


def discover(pairs: Sequence[Sequence[Any]], *, min_pairs: int, min_group: int) -> list[Discovery]:
    """Return an estimate for each two tasks that follow one another often enough.

    *pairs* are rows (id, session, task, before id, before task, gap, reward, mean before, count before), ordered by
    task. There must be *min_pairs* pairs of the second task, and *min_group* of them treated and untreated.
    """
    found: list[Discovery] = []
    begin = 0
    while begin < len(pairs):
        end = begin
        while end < len(pairs) and pairs[end][2] == pairs[begin][2]:
            end += 1
        if end - begin >= min_pairs:
            found += _of_one_task(pairs[begin:end], min_group)
        begin = end
    return found


def _of_one_task(pairs: Sequence[Sequence[Any]], min_group: int) -> list[Discovery]:
    outcome = np.array([pair[6] for pair in pairs], dtype=np.float64)
    unknown = float(outcome.mean())
    x = np.array([[unknown if pair[7] is None else pair[7], math.log1p(pair[8])] for pair in pairs], dtype=np.float64)
    groups, _ = _coded([pair[1] for pair in pairs])
    codes, names = _coded([pair[4] for pair in pairs])
    counts = np.bincount(codes)
    found: list[Discovery] = []
    common = np.flatnonzero((counts >= min_group) & (len(pairs) - counts >= min_group))
    for code in common.tolist():
        treated = codes == code
        places: list[int] = np.flatnonzero(treated).tolist()
        last = max((pairs[place] for place in places), key=lambda pair: pair[0])
        found.append(
            Discovery(
                from_task=names[code],
                to_task=pairs[0][2],
                from_id=last[3],
                to_id=last[0],
                estimate=doubly_robust(treated, outcome, x, groups),
                evidence=sorted(pairs[place][0] for place in places)[-_EVIDENCE:],
            )
        )
    return found


def _coded(names: list[str]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return a number for each of *names*, and the name of each number."""
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(name, len(numbers)) for name in names]
    return np.array(codes, dtype=np.int64), list(numbers)


def _standardized(x: Array) -> Array:
    spread = x.std(axis=0)
    scaled = np.divide(x - x.mean(axis=0), spread, out=np.zeros_like(x), where=spread > _CONVERGED)
    return np.column_stack([np.ones(len(x)), scaled])


def _ridge(design: Array, outcome: Array, chosen: npt.NDArray[np.bool_]) -> Array:
    """Return what ridge regression on the *chosen* rows expects of every row; the constant is not shrunk."""
    rows = design[chosen]
    weights = np.linalg.solve(rows.T @ rows + _penalty(design.shape[1]), rows.T @ outcome[chosen])
    return design @ weights


def _logistic(design: Array, a: Array) -> Array:
    """Return the probability of *a* = 1 for every row by logistic regression with a ridge penalty."""
    weights = np.zeros(design.shape[1])
    weights[0] = math.log(a.mean() / (1.0 - a.mean()))
    penalty = _penalty(design.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30.0, 30.0)))
        gradient = design.T @ (a - p) - penalty @ weights
        step = np.linalg.solve(design.T @ (design * (p * (1.0 - p))[:, np.newaxis]) + penalty, gradient)
        weights += step
        if np.abs(step).max() < _CONVERGED:
            break
    return 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30.0, 30.0)))


def _penalty(width: int) -> Array:
    penalty = np.eye(width) * _RIDGE
    penalty[0, 0] = 1e-9
    return penalty
