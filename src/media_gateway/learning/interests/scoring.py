"""How well items suit a user, source by source, from rows that any store can fetch.

The steps of a recommendation: `profile` of the liked items' rows; inner products of items with its three vectors, by
`products` or by the server; `standard_scores`; times the weights of the user's segment; `fusion.shares` and `reasons`
for the best.
"""

from dataclasses import dataclass

import numpy as np

from media_gateway.learning.interests.arrays import Numbers
from media_gateway.learning.interests.fusion import VECTOR_SOURCES
from media_gateway.learning.interests.ials import folding
from media_gateway.learning.interests.moments import Moments
from media_gateway.learning.interests.popularity import decayed_counts
from media_gateway.learning.interests.settings import InterestSettings


@dataclass(frozen=True, kw_only=True)
class VectorRows:
    """Vectors of n items: of behaviour, blended with the bridge; of iALS; of centred text. Each (n, d) for its d."""

    behaviour: Numbers
    ials: Numbers
    text: Numbers


@dataclass(frozen=True, kw_only=True)
class Spreads:
    """What standardises scores over all items: moments of the three vectors; mean and spread (3,) of each popularity.

    *clock* is the time of the latest event that was learned, at which popularities are compared.
    """

    behaviour: Moments
    ials: Moments
    text: Moments
    popularity_means: Numbers
    popularity_spreads: Numbers
    clock: float


@dataclass(frozen=True, kw_only=True)
class UserProfile:
    """A user as three vectors, each the sum of one row (m, d) for each of m liked items.

    *means* and *spreads* (3,) are those of the inner product with each vector over all items.
    """

    rows: VectorRows
    behaviour: Numbers
    ials: Numbers
    text: Numbers
    means: Numbers
    spreads: Numbers


def profile(liked: VectorRows, spreads: Spreads, settings: InterestSettings) -> UserProfile:
    """Return the profile of a user who likes the m items *liked*, of which there may be none."""
    columns = folding(
        liked.ials,
        spreads.ials.gram,
        regularization=settings.ials_regularization,
        confidence=settings.ials_confidence,
    )
    rows = VectorRows(behaviour=liked.behaviour, ials=columns.T, text=liked.text)
    vectors = [row.sum(axis=0) for row in (rows.behaviour, rows.ials, rows.text)]
    over_all = [
        moments.spread(vector)
        for moments, vector in zip((spreads.behaviour, spreads.ials, spreads.text), vectors, strict=True)
    ]
    return UserProfile(
        rows=rows,
        behaviour=vectors[0],
        ials=vectors[1],
        text=vectors[2],
        means=np.array([mean for mean, _ in over_all]),
        spreads=np.array([spread for _, spread in over_all]),
    )


def products(user: UserProfile, items: VectorRows) -> Numbers:
    """Return the inner products (n, 3) of *items* with the user's vectors."""
    return np.column_stack((items.behaviour @ user.behaviour, items.ials @ user.ials, items.text @ user.text))


def standard_scores(
    user: UserProfile, inner: Numbers, heats: Numbers, spreads: Spreads, settings: InterestSettings
) -> Numbers:
    """Return (n, 6) scores of n items from their inner products (n, 3) with *user* and their *heats* (n, 3).

    Each source is standardised over all items that there are; one under which all items are alike scores 0.
    """
    values = np.concatenate((inner, popularity(heats, spreads.clock, settings)), axis=1)
    means = np.concatenate((user.means, spreads.popularity_means))
    deviations = np.concatenate((user.spreads, spreads.popularity_spreads))
    return np.where(deviations > 0, (values - means) / np.where(deviations > 0, deviations, 1.0), 0.0)


def popularity(heats: Numbers, at: float, settings: InterestSettings) -> Numbers:
    """Return log(1 + decayed count) (n, 3) at the time *at*."""
    return np.log1p(decayed_counts(heats, at, np.array(settings.halflives)))


def reasons(user: UserProfile, items: VectorRows, weights: Numbers) -> Numbers:
    """Return (n, m): how much each of the user's m liked items adds to the fused score of each of n *items*."""
    added = np.zeros((len(items.behaviour), len(user.rows.behaviour)))
    pairs = (
        (user.rows.behaviour, items.behaviour),
        (user.rows.ials, items.ials),
        (user.rows.text, items.text),
    )
    for (rows, vectors), spread, weight in zip(pairs, user.spreads, weights[:VECTOR_SOURCES], strict=True):
        if spread > 0:
            added += weight / spread * (vectors @ rows.T)
    return added
