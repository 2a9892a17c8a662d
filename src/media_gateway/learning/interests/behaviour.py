"""Behaviour vectors: items that the same users like have a large inner product."""

from importlib import import_module
from typing import Any

import numpy as np

from media_gateway.learning.interests.arrays import Numbers, solved_for


def similarities(pairs: Numbers, likes: Numbers, others: Numbers, shrink: float) -> Numbers:
    """Return pairs / sqrt(likes * others) * pairs / (pairs + shrink), the shrunk cosine of co-likes, in [0, 1).

    *pairs* are the users who like both items of a pair, *likes* and *others*, at least 1, the users who like the one and
    the other; they are broadcast. An item beside itself has as many pairs as likes.
    """
    return pairs / np.sqrt(likes * others) * (pairs / (pairs + shrink))


def eigenfactors(matrix: Numbers, dimension: int) -> Numbers:
    """Return vectors (n, dimension) whose inner products are nearest to *matrix* (n, n, symmetric).

    They are its eigenvectors of the largest eigenvalues, times the roots of these; columns beyond what the matrix has
    are 0 (Eckart and Young 1936).
    """
    vectors = np.zeros((len(matrix), dimension))
    kept = min(dimension, len(matrix) - 1)
    if kept < 1 or not matrix.any():
        return vectors
    linalg: Any = import_module("scipy.sparse.linalg")
    # Begun at a fixed vector, so that equal counts give equal vectors.
    start = np.random.default_rng(0).standard_normal(len(matrix))
    values, directions = linalg.eigsh(matrix, k=kept, which="LA", v0=start)
    vectors[:, :kept] = directions * np.sqrt(np.maximum(values, 0.0))
    return vectors


def solved(similar: Numbers, vectors: Numbers, gram: Numbers, ridge: float) -> Numbers:
    """Return for each of m items the vector whose inner products with all others come nearest to its similarities.

    *similar* (m, n) are its similarities to those n items of which *vectors* (n, d) are given; to all others they are 0.
    *gram* (d, d) is the sum of outer products of all items' vectors. Regularised least squares: (gram + ridge) v =
    vectors' similar.
    """
    d = gram.shape[0]
    # The ridge is relative, so that it means the same while vectors are still small.
    scale = max(float(np.trace(gram)) / d, 1e-12)
    return solved_for(gram + ridge * scale * np.eye(d), vectors.T @ similar.T).T
