"""Whether searches find the same on both sides of a transfer."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from media_gateway.contracts import Samples, VectorStore
from media_gateway.models import Hit, SearchRequest, Vector

K: Final = 10
_SAME_SCORE: Final = 1e-6
"""Scores agree to this between stores, and records closer than that may swap."""


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """How *queries* searches for the *k* nearest agree between two stores, as both answer them now.

    *overlap* is the share of common hits, as the mean and the least of all queries; *rank_agreement* the share of pairs
    of common hits that stand in one order; *score_difference* the largest between two scores of one record.
    """

    queries: int
    k: int
    overlap: float
    least_overlap: float
    rank_agreement: float
    score_difference: float


async def compare_searches(first: VectorStore, second: VectorStore, *, queries: int) -> Neighbours | None:
    """Search both stores for *queries* vectors that lie between records of *first*; None where there are too few.

    Records themselves would be too easy: an index finds what is linked to the very record that is asked for.
    """
    vectors = await _between(first, queries)
    if not vectors:
        return None
    answers = [(await _hits(first, vector), await _hits(second, vector)) for vector in vectors]
    overlaps = [_overlap(one, other) for one, other in answers]
    return Neighbours(
        queries=len(vectors),
        k=K,
        overlap=float(np.mean(overlaps)),
        least_overlap=min(overlaps),
        rank_agreement=float(np.mean([_rank_agreement(one, other) for one, other in answers])),
        score_difference=max(_score_difference(one, other) for one, other in answers),
    )


async def _between(store: VectorStore, count: int) -> list[Vector]:
    """Return up to *count* unit vectors, each between two records of *store*."""
    if not isinstance(store, Samples) or count < 1:
        return []
    records = await store.get(await store.sample_keys(count + 1))
    rows = [record.vector.astype(np.float64) for record in records if record is not None]
    units = [row / np.linalg.norm(row) for row in rows]
    sums = [2 * one + other for one, other in pairwise(units)]
    return [(row / np.linalg.norm(row)).astype(np.float32) for row in sums]


async def _hits(store: VectorStore, vector: Vector) -> Sequence[Hit]:
    return (await store.search(SearchRequest(vector=vector, k=K))).hits


def _overlap(one: Sequence[Hit], other: Sequence[Hit]) -> float:
    """Return the share of common hits; one that scores as well as the other side's last is as good as common."""
    if not one or not other:
        return float(len(one) == len(other))
    keys = {hit.key for hit in other}
    last = other[-1].score
    common = sum(hit.key in keys or abs(hit.score - last) <= _SAME_SCORE for hit in one)
    return common / max(len(one), len(other))


def _rank_agreement(one: Sequence[Hit], other: Sequence[Hit]) -> float:
    place = {hit.key: rank for rank, hit in enumerate(other)}
    common = [hit for hit in one if hit.key in place]
    pairs = [(a, b) for position, a in enumerate(common) for b in common[position + 1 :]]
    agreeing = sum(place[a.key] < place[b.key] or abs(a.score - b.score) <= _SAME_SCORE for a, b in pairs)
    return agreeing / len(pairs) if pairs else 1.0


def _score_difference(one: Sequence[Hit], other: Sequence[Hit]) -> float:
    scores = {hit.key: hit.score for hit in other}
    return max((abs(hit.score - scores[hit.key]) for hit in one if hit.key in scores), default=0.0)
