"""The guard of what decides the order of recommendations: when new weights take the place of those in use, and when they go.

New weights are judged by what users like next, before it is learned from (prequential evaluation: Dawid 1984), beside
the weights in use and on the same likes. Once in use they are watched by what is clicked.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from media_gateway.learning.interests.arrays import Flags, Numbers

Verdict: TypeAlias = Literal["promote", "reject"]

FEWEST_COMPARISONS: Final = 200
"""Users whose next likes were told apart by both, before anything is decided."""
MARGIN: Final = 0.005
"""New weights must be better by half a percent; a change that nobody would notice is not worth another version."""
SIGNIFICANT: Final = 3.3
"""Standard errors: one in a thousand by chance, since it is looked at again and again."""
FEWEST_USERS: Final = 50
FEWEST_SHOWN: Final = 1_000
"""Before clicks say anything of a version."""
_DEPTH: Final = 10


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """What comparisons of two weights sum up to: *count* of them, the quality of each, the differences and their squares."""

    count: float
    current: float
    candidate: float
    difference: float
    squares: float

    @classmethod
    def of(cls, sums: Numbers) -> "Shadow":
        """Return it from an array of the five."""
        count, current, candidate, difference, squares = (float(value) for value in sums)
        return cls(count=count, current=current, candidate=candidate, difference=difference, squares=squares)

    def verdict(self) -> Verdict | None:
        """Return what is to become of the candidate; None while that is open."""
        if self.count < FEWEST_COMPARISONS:
            return None
        mean = self.difference / self.count
        error = self.standard_error
        if mean > SIGNIFICANT * error and mean > MARGIN * self.current / self.count:
            return "promote"
        return "reject" if mean < -SIGNIFICANT * error else None

    @property
    def standard_error(self) -> float:
        """The standard error of the mean difference."""
        mean = self.difference / self.count
        variance = max(self.squares / self.count - mean * mean, 0.0)
        return float(np.sqrt(variance / self.count))

    def figures(self) -> dict[str, Any]:
        """Return it for people and JSON."""
        if not self.count:
            return {"comparisons": 0}
        return {
            "comparisons": int(self.count),
            "ndcg_current": round(self.current / self.count, 4),
            "ndcg_candidate": round(self.candidate / self.count, 4),
            "difference": round(self.difference / self.count, 5),
            "standard_error": round(self.standard_error, 5),
        }


@dataclass(frozen=True, kw_only=True)
class Clicks:
    """How lists of one version were clicked: *users* saw *shown* items; the mean and the variance of the users' own rates."""

    users: int
    shown: int
    mean: float
    variance: float

    @property
    def says_something(self) -> bool:
        """Whether so many saw so much that it can be compared."""
        return self.users >= FEWEST_USERS and self.shown >= FEWEST_SHOWN


def fell(now: Clicks, before: Clicks) -> bool:
    """Tell whether clicks fell significantly; every user counts alike, however much one clicks."""
    if not (now.says_something and before.says_something):
        return False
    error = float(np.sqrt(now.variance / now.users + before.variance / before.users))
    return before.mean - now.mean > SIGNIFICANT * error


def compared(scores: Numbers, liked: Flags, current: Numbers, candidate: Numbers) -> Numbers:
    """Return the five sums of one comparison: n items with *scores* (n, s), of which some were *liked* next."""
    one, two = (ndcg(scores @ weights, liked) for weights in (current, candidate))
    return np.array([1.0, one, two, two - one, (two - one) ** 2])


def ndcg(values: Numbers, liked: Flags) -> float:
    """Return the NDCG@10 of items ordered by *values*; ties stand as if the liked ones came last."""
    best = np.lexsort((liked, -values))[:_DEPTH]
    gains = 1.0 / np.log2(np.arange(2, _DEPTH + 2))
    ideal = gains[: min(int(liked.sum()), _DEPTH)].sum()
    return float(gains[: len(best)][liked[best]].sum() / ideal) if ideal else 0.0
