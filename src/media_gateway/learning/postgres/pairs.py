"""Which pairs of items a user who likes them counts in."""

from collections.abc import Sequence

import numpy as np

from media_gateway.learning.interests.arrays import Ids, ids


def new_pairs(before: Ids, new: Sequence[int], cap: int) -> tuple[Ids, Ids]:
    """Return both orders of the pairs of each of *new* with the latest *cap* likes before it, *before* the first ones."""
    known = np.concatenate((before[-cap:], ids(new)))
    start = len(known) - len(new)
    first: list[Ids] = []
    second: list[Ids] = []
    for place in range(start, len(known)):
        others = known[max(place - cap, 0) : place]
        first.extend((np.full(len(others), known[place]), others))
        second.extend((others, np.full(len(others), known[place])))
    return (np.concatenate(first), np.concatenate(second)) if first else (ids([]), ids([]))


def summed(first: Ids, second: Ids) -> tuple[Ids, Ids, Ids]:
    """Return distinct pairs in ascending order, so that writers lock rows in one order, and how often each occurs."""
    pairs, counts = np.unique(first << 32 | second, return_counts=True)
    return pairs >> 32, pairs & 0xFFFFFFFF, counts.astype(np.int64)
