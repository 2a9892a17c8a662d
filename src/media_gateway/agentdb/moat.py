"""How much an application has learned that a competitor would have to learn anew: the 'moat' score."""

from dataclasses import dataclass
from typing import Final

_WEIGHTS: Final = {"episodes": 30.0, "patterns": 20.0, "skills": 20.0, "edges": 15.0, "sessions": 15.0}
_FULL_AT: Final = {"episodes": 10_000, "patterns": 1_000, "skills": 100, "edges": 100, "sessions": 1_000}
"""Counts at which a part reaches its weight: orders of magnitude of a product that is in use, chosen here."""


@dataclass(frozen=True, kw_only=True)
class Moat:
    """The *score*, 0..100, and its *parts*: each is its weight times min(count / full, 1), so that none outgrows it."""

    score: float
    parts: dict[str, float]
    counts: dict[str, int]


def moat_of(counts: dict[str, int]) -> Moat:
    """Return the score for the *counts* of episodes, patterns, skills, edges and sessions.

    The weights are 30, 20, 20, 15 and 15; they are reached at 10,000, 1,000, 100, 100 and 1,000.
    """
    parts = {name: weight * min(counts[name] / _FULL_AT[name], 1.0) for name, weight in _WEIGHTS.items()}
    return Moat(score=sum(parts.values()), parts=parts, counts={name: counts[name] for name in _WEIGHTS})
