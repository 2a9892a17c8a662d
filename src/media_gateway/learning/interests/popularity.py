"""Popularity that fades: counts of likes in which each loses half its weight after a half-life.

A count is kept as its *heat*, log2 of the sum over likes of 2^(time / half-life). It never has to be decayed, and the
order of items by heat is their order by decayed count at any time, so an ordinary index serves it (forward decay:
Cormode, Shkapenyuk, Srivastava and Xu, "Forward Decay", ICDE 2009).
"""

import numpy as np

from media_gateway.learning.interests.arrays import Ids, Numbers

NO_HEAT = -np.inf


def heated(heats: Numbers, items: Ids, times: Numbers, halflives: Numbers) -> None:
    """Add likes of *items* at *times* to *heats* (n, h) in place; an item may come several times."""
    for column, halflife in enumerate(halflives):
        np.logaddexp2.at(heats[:, column], items, times / halflife)


def decayed_counts(heats: Numbers, at: float, halflives: Numbers) -> Numbers:
    """Return the counts (n, h) as they stand at the time *at*; 0 for items that nobody liked."""
    # Likes after *at* would not overflow before they lie a thousand half-lives ahead.
    return np.exp2(np.minimum(heats - at / halflives, 1000.0))
