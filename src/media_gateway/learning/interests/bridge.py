"""From text to behaviour: where an item that nobody has liked yet is likely to belong."""

import numpy as np

from media_gateway.learning.interests.arrays import Numbers, solved_for


def principal_directions(text: Numbers, dimension: int) -> Numbers:
    """Return the (d, dimension) map onto the directions in which centred *text* (n, d) varies most.

    What behaviour vectors begin with before anything was learned. Columns beyond the rank are 0.
    """
    values, directions = np.linalg.eigh(text.T @ text)
    bridge = np.zeros((text.shape[1], dimension))
    kept = min(dimension, text.shape[1])
    bridge[:, :kept] = directions[:, ::-1][:, :kept] * (values[::-1][:kept] > 0)
    return bridge


def fitted(text: Numbers, learned: Numbers, likes: Numbers, *, ridge: float, trust: float) -> Numbers:
    """Return the (d, e) map from centred *text* (n, d) to *learned* behaviour vectors (n, e) by ridge regression.

    An item weighs likes / (likes + trust): what was learned from few likes is mostly noise.
    """
    weights = likes / (likes + trust)
    weighted = text * weights[:, np.newaxis]
    return solved_for(text.T @ weighted + ridge * np.eye(text.shape[1]), weighted.T @ learned)


def blended(learned: Numbers, bridged: Numbers, likes: Numbers, trust: float) -> Numbers:
    """Return the learned vectors (n, e) blended with the bridged ones: a share of likes / (likes + trust) is learned."""
    share = (likes / (likes + trust))[:, np.newaxis]
    return share * learned + (1.0 - share) * bridged
