"""The shapes that arithmetic on interests is written in."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.float64]
Ids: TypeAlias = npt.NDArray[np.int64]
"""Rows of items, counted from 0."""
Flags: TypeAlias = npt.NDArray[np.bool_]


def solved_for(matrix: Numbers, right: Numbers) -> Numbers:
    """Return the x of *matrix* x = *right*."""
    return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)


def places(rows: Ids) -> list[int]:
    """Return *rows* as numbers of Python."""
    return [int(row) for row in rows]


def ids(values: object) -> Ids:
    """Return *values* as rows of items."""
    return np.asarray(values, dtype=np.int64)
