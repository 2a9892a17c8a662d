"""Six scores become one: weights for each kind of user, learned from what was liked next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from media_gateway.learning.interests.arrays import Flags, Ids, Numbers, ids

SOURCES: Final = ("behaviour", "ials", "text", "popularity", "recent", "newest")
"""The scores that are fused, in the order of their columns; the last three are popularities that fade ever faster."""
FEW_LIKES: Final = 6
NEWCOMER: Final = (0.79, 0.0, 0.11, 0.14, 0.02, 0.02)
"""What each source weighs at first for a user of the first day who likes few items yet."""
EXPLORER: Final = (0.86, 0.03, 0.1, 0.07, 0.01, 0.0)
"""The same from `FEW_LIKES` likes on, which leave less to popularity."""
RETURNING: Final = (0.0, 0.1, 0.2, 0.05, 0.0, 0.6)
"""The same for one who came back, who looks for what is new. All were chosen on events before 70 % (docs/learning.md)."""
CONTENDERS: Final = 8
"""Of the items among which a like has to be told, so many that each source ranks first are contended with."""
VECTOR_SOURCES: Final = 3
"""The first so many come from vectors and can be traced to liked items."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A kind of user: the step that the history has reached, and whether the user came back after the first day."""

    step: int
    returning: bool

    @property
    def row(self) -> int:
        """Its row among the weights."""
        return 2 * self.step + self.returning


def segment(likes: int, age: float, *, steps: Sequence[int], newcomer_time: float) -> Segment:
    """Return the kind of a user with *likes* likes whose first event is *age* seconds ago."""
    return Segment(step=sum(likes >= step for step in steps), returning=age >= newcomer_time)


@dataclass(kw_only=True)
class FusionWeights:
    """Weights (s,) that all users share, and what each segment adds to them (g, s), with their AdaGrad sums.

    Changed by `learn`. AdaGrad: Duchi, Hazan and Singer, JMLR 12 (2011).
    """

    shared: Numbers
    added: Numbers
    shared_squares: Numbers
    added_squares: Numbers

    @classmethod
    def fresh(cls, steps: Sequence[int]) -> "FusionWeights":
        """Return the weights before anything is learned, a row for each `Segment` of histories that reach *steps*."""
        first = [EXPLORER if step >= FEW_LIKES else NEWCOMER for step in (0, *steps)]
        added = np.array([weights for newcomer in first for weights in (newcomer, RETURNING)])
        return cls(
            shared=np.zeros(len(SOURCES)),
            added=added,
            shared_squares=np.full(len(SOURCES), 1.0),
            added_squares=np.ones_like(added),
        )

    def of(self, kind: Segment) -> Numbers:
        """Return the weights (s,) for users of *kind*; none is negative, since no source may count against an item."""
        return np.maximum(self.shared + self.added[kind.row], 0.0)

    def learn(self, kind: Segment, scores: Numbers, liked: Flags, *, rate: float, segment_rate: float) -> float:
        """Move the weights toward those under which the liked ones of n items stand out, and return the mean loss.

        *scores* (n, s) are standardised scores as they were before the likes; *liked* (n,) tells which were liked.
        One step on the conditional logit (McFadden 1974): each liked item competes with those that were not. Only items
        that some source ranks among its first take part, since lists are made of these; among all, most of the loss is
        in telling likes from what nobody would be shown.
        """
        taking_part = contenders(scores)
        scores, liked = scores[taking_part], liked[taking_part]
        if not liked.any() or liked.all():
            return 0.0
        values = scores @ (self.shared + self.added[kind.row])
        others, chosen = scores[~liked], scores[liked]
        top = values.max()
        mass = np.exp(values - top)
        rest = mass[~liked].sum()
        own = mass[liked]
        total = rest + own
        # The mean over liked items of (own features) - (features expected under the softmax).
        expected = (own / total)[:, np.newaxis] * chosen + (mass[~liked] @ others)[np.newaxis, :] / total[:, np.newaxis]
        gradient = (chosen - expected).sum(axis=0) / np.sqrt(liked.sum())
        self.shared_squares += gradient**2
        self.added_squares[kind.row] += gradient**2
        self.shared += rate * gradient / np.sqrt(self.shared_squares)
        self.added[kind.row] += rate * segment_rate * gradient / np.sqrt(self.added_squares[kind.row])
        return float(-np.log(own / total).mean())


def contenders(scores: Numbers, count: int = CONTENDERS) -> Flags:
    """Return which of n items (n,) at least one source, a column of *scores* (n, s), ranks among its first *count*."""
    taking_part = np.zeros(len(scores), dtype=bool)
    if len(scores) <= count:
        return ~taking_part
    for column in scores.T:
        # A source that tells nothing apart, such as the vectors of a user without likes, ranks nobody first.
        if column.max() > column.min():
            taking_part[np.argpartition(-column, count)[:count]] = True
    return taking_part


def negatives(items: int, applied: int, count: int) -> Ids:
    """Return *count* of *items* rows, or all if there are fewer, drawn evenly by the number of events *applied* before.

    So a replay of the same events learns the same weights.
    """
    return ids(np.random.default_rng(applied).choice(items, size=min(count, items), replace=False))


def shares(parts: Numbers) -> Numbers:
    """Return the share (n, s) that each source has in the score: of the parts (n, s) that speak for an item.

    Parts that speak against it have no share; where none speaks for it all sources share alike.
    """
    positive = np.maximum(parts, 0.0)
    total = positive.sum(axis=1, keepdims=True)
    return np.divide(positive, total, out=np.full_like(positive, 1.0 / parts.shape[1]), where=total > 0)
