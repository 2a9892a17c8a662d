"""NDCG at 10, and how sure a mean over users is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from media_gateway.learning.interests.arrays import Ids, Numbers

RESAMPLES: Final = 2_000
_OUTSIDE: Final = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean, or a ratio of means, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def ndcg(ranked: Ids, relevant: Ids, *, depth: int = 10) -> float:
    """Return the normalised discounted cumulative gain of the first *depth* of *ranked*, in [0, 1].

    A relevant item at rank r gains 1 / log2(r + 1); the best possible list gains 1. 0 when nothing is relevant.
    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20 (2002).
    """
    discounts = 1.0 / np.log2(np.arange(depth) + 2.0)
    hits = np.isin(ranked[:depth], relevant)
    best = discounts[: min(depth, len(relevant))].sum()
    return float(discounts[: len(hits)][hits].sum() / best) if best else 0.0


def best_rows(scores: Numbers, left_out: Sequence[Ids], chance: np.random.Generator, *, depth: int = 10) -> list[Ids]:
    """Return for each of c users the *depth* columns of the highest *scores* (c, n), best first.

    What is *left_out* for the user is not ranked; equal scores are in random order.
    """
    order = chance.permutation(scores.shape[1])
    shuffled = scores[:, order]
    place = np.argsort(order)
    found: list[Ids] = []
    for row, out in zip(shuffled, left_out, strict=True):
        row[place[out]] = -np.inf
        kept = min(depth, len(row) - len(np.unique(out)))
        best = np.argpartition(-row, min(kept, len(row) - 1))[:kept]
        found.append(order[best[np.argsort(-row[best], kind="stable")]])
    return found


def mean_estimate(values: Sequence[float], users: Sequence[int], *, seed: int = 0) -> Estimate:
    """Return the mean of *values* with the interval of a bootstrap over *users*, each with all its values."""
    return ratio_estimate(values, [1.0] * len(values), users, seed=seed)


def ratio_estimate(
    values: Sequence[float], others: Sequence[float], users: Sequence[int], *, seed: int = 0
) -> Estimate:
    """Return the sum of *values* over the sum of *others*, of the same cases, with its bootstrap interval over *users*.

    The ratio is infinite where *others* sum to 0 and NaN where nothing is given. Percentile interval (Efron 1979).
    """
    if not len(values):
        return Estimate(value=float("nan"), low=float("nan"), high=float("nan"))
    people, place = np.unique(np.asarray(users), return_inverse=True)
    tops = np.bincount(place, weights=np.asarray(values, dtype=np.float64))
    bottoms = np.bincount(place, weights=np.asarray(others, dtype=np.float64))
    drawn = np.random.default_rng(seed).integers(len(people), size=(RESAMPLES, len(people)))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = tops[drawn].sum(axis=1) / bottoms[drawn].sum(axis=1)
        value = float(tops.sum() / bottoms.sum())
    low, high = np.percentile(ratios, _OUTSIDE)
    return Estimate(value=value, low=float(low), high=float(high))
