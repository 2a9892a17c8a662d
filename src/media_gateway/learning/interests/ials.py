"""Vectors of implicit-feedback matrix factorisation, by the package `implicit`.

Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.
"""

from importlib import import_module
from typing import Any

import numpy as np

from media_gateway.learning.interests.arrays import Ids, Numbers, solved_for


def item_factors(
    users: Ids,
    items: Ids,
    *,
    shape: tuple[int, int],
    dimension: int,
    regularization: float,
    confidence: float,
    iterations: int,
) -> Numbers:
    """Return the items' vectors (n, dimension) of likes by *users* of *items*; zero for items without likes.

    The same likes give the same vectors.
    """
    if not len(users):
        return np.zeros((shape[1], dimension))
    sparse: Any = import_module("scipy.sparse")
    als: Any = import_module("implicit.cpu.als")
    pools: Any = import_module("threadpoolctl")
    # Loaded before its threads are limited; the package itself loads it later.
    import_module("scipy.linalg")
    matrix = sparse.csr_matrix((np.ones(len(users), dtype=np.float32), (users, items)), shape=shape)
    # A pair that comes twice is one like.
    matrix.data[:] = 1.0
    # The package warns of threads of the linear algebra: many small systems are quicker with one.
    with pools.threadpool_limits(1, "blas"):
        model = als.AlternatingLeastSquares(
            factors=dimension,
            regularization=regularization,
            alpha=confidence,
            iterations=iterations,
            random_state=0,
            num_threads=1,
            dtype=np.float64,
        )
        model.fit(matrix, show_progress=False)
    return np.asarray(model.item_factors, dtype=np.float64)


def folding(liked: Numbers, gram: Numbers, *, regularization: float, confidence: float) -> Numbers:
    """Return the (d, m) matrix whose sum over columns is the vector of a user who likes items of vectors *liked* (m, d).

    Each column is the part of one liked item. *gram* (d, d) is the sum of outer products of all items' vectors.
    """
    weighted = gram + regularization * np.eye(gram.shape[0]) + (confidence - 1.0) * (liked.T @ liked)
    return solved_for(weighted, confidence * liked.T)
