"""Queries made of records, to measure the recall of an index with where nobody's real queries are known.

Records themselves flatter an index: they are nodes of its graph, linked to the very neighbours that are looked for. So
each trial moves a record x by the distance d to its third nearest other record, half along the data's local directions
and half along its global ones:

    q = unit(x + d * unit(L + G)),  L = unit(a - b), G = unit(e - f)

a and b are drawn from the 50 records nearest to x, e and f from all. Only local differences make it too easy, only global
ones too hard. Recall@10 at widths 20 / 40 / 64 of HNSW (M 16, efConstruction 64) over 30,000 to 40,000 rows:

    data                           queries held out     these                x + (a - b) / 2      x + d10 * G
    one-line texts, MiniLM         .917 / .958 / .972   .938 / .965 / .979   .975 / .984 / .989   .825 / .904 / .926
    clusters of 50, noise 0.5      .983 / .993 / .999   .959 / .993 / .997   .996 / .997 / 1.0    .909 / .957 / .973
    clusters of 50, noise 1.0      .937 / .973 / .983   .894 / .954 / .973   .974 / .995 / .996   .812 / .892 / .943
    clusters of 500                .945 / .984 / .986   .857 / .935 / .955   .953 / .978 / .992   .886 / .918 / .944

At 40 and 64 they are within .02 of the truth, but for the large clusters, where they ask for more than is needed. On
texts they are easier by up to .007 there, which whoever aims at a target has to leave room for. Where vectors have no
structure at all (random directions, 32 numbers) they are far too easy for narrow searches: .963 for .917 at a width of
32, .988 for .966 at 48.
"""

from typing import Final

import numpy as np

from media_gateway.models import Matrix, Vector
from media_gateway.vector_math import Scores, units

NEIGHBOURS: Final = 50
"""Nearest other records among which the local difference is drawn."""
REACH: Final = 3
"""Which of the nearest other records is as far away as a query is moved."""


def local_places(available: int, generator: np.random.Generator) -> tuple[int, int]:
    """Return two places among a record's nearest others, counted from 1, of which *available* are there.

    Different ones, but with fewer than two available both are the same.
    """
    if available < 2:  # noqa: PLR2004
        return available, available
    first, second = generator.choice(np.arange(1, min(NEIGHBOURS, available) + 1), 2, replace=False).tolist()
    return first, second


def distances_of(scores: Vector | Scores) -> Scores:
    """Return how far apart unit vectors with these cosine similarities are."""
    return np.sqrt(np.maximum(2 - 2 * scores.astype(np.float64), 0))


def moved(records: Matrix, distances: Scores, near: tuple[Matrix, Matrix], far: tuple[Matrix, Matrix]) -> Matrix:
    """Return unit queries (m, d) float32, made of unit *records* (n, d), each moved by its one of *distances* (n,).

    Rows of *near* and *far* belong together by twos, and their differences are the directions. A difference of equal
    rows counts for nothing; where both do, or cancel out, the record stays where it is. A query that comes to zero is
    left out, so m may be less than n.
    """
    directions = units(units(near[0] - near[1]) + units(far[0] - far[1]))
    queries = records + distances[:, np.newaxis] * directions
    usable = np.linalg.norm(queries, axis=1) > np.finfo(np.float32).eps
    return units(queries[usable])
