"""Arithmetic on vectors, vectorised: the one home of cosine similarity and of unit length.

Sums run in float64, so that scores are exact to about 1e-12 for float32 vectors. A zero vector has no direction: its
similarity to anything is 0, and it stays zero when it is brought to length 1.
"""

import numpy as np
import numpy.typing as npt

from media_gateway.errors import DimensionMismatchError, InvalidVectorError, shown
from media_gateway.models import Matrix, Vector

Scores = npt.NDArray[np.float64]


def cosine(first: object, second: object) -> float:
    """Return the cosine similarity of two vectors, in [-1, 1]; 0 when either is zero.

    Raises DimensionMismatchError when they differ in length, InvalidVectorError for NaN, infinity or no numbers.
    """
    row = _row(first, "first")
    other = _row(second, "second")
    _check_lengths(len(other), len(row), "second")
    return float(cosines(row, other[np.newaxis, :])[0])


def cosines(query: object, rows: object) -> Scores:
    """Return the cosine similarity of *query* (d,) to each of *rows* (n, d): (n,) float64 in [-1, 1].

    Zero vectors score 0; no rows give no scores. Raises as `cosine` does.
    """
    row = _row(query, "query")
    table = _rows(rows, "rows")
    if not len(table):
        return np.empty(0, dtype=np.float64)
    _check_lengths(table.shape[1], len(row), "rows")
    # A sum along the last axis adds in the same order for every row: equal rows score equal to the last bit.
    products = (table * row).sum(axis=1)
    lengths = np.sqrt((table * table).sum(axis=1)) * np.sqrt((row * row).sum())
    scores = np.divide(products, lengths, out=np.zeros(len(table), dtype=np.float64), where=lengths > 0)
    return np.clip(scores, -1.0, 1.0)


def unit(vector: object) -> Vector:
    """Return *vector* brought to length 1 as float32; a zero vector stays zero.

    Raises InvalidVectorError for NaN, infinity, or something that is not a row of numbers.
    """
    return units(_row(vector, "vector")[np.newaxis, :])[0]


def units(rows: object) -> Matrix:
    """Return each of *rows* (n, d) brought to length 1: (n, d) float32; zero rows stay zero. Raises as `unit` does."""
    table = _rows(rows, "rows")
    # Scaled by the largest number first, so that the squares of numbers far from 1 neither vanish nor overflow.
    largest = np.abs(table).max(axis=1, keepdims=True, initial=0.0)
    scaled = np.divide(table, largest, out=np.zeros_like(table), where=largest > 0)
    lengths = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    return np.divide(scaled, lengths, out=np.zeros_like(table), where=lengths > 0).astype(np.float32)


def _row(vector: object, field: str) -> Scores:
    row = _numbers(vector, field)
    if row.ndim != 1:
        raise _wrong_shape(row, field, "one row of numbers")
    return row


def _rows(rows: object, field: str) -> Scores:
    table = _numbers(rows, field)
    if table.ndim == 1 and not table.size:
        return table.reshape(0, 0)
    if table.ndim != 2:  # noqa: PLR2004
        raise _wrong_shape(table, field, "rows of equal length")
    return table


def _numbers(given: object, field: str) -> Scores:
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise _not_numbers(given, field) from error
    # Texts and complex numbers would be cast, silently or with a warning; an empty list has no type yet.
    if array.dtype.kind not in "fiu" and array.size:
        raise _not_numbers(given, field)
    wide = array.astype(np.float64)
    if not np.isfinite(wide).all():
        raise InvalidVectorError(
            f"{field} holds NaN or infinity; expected finite numbers", field=field, given=given, expected="finite"
        )
    return wide


def _not_numbers(given: object, field: str) -> InvalidVectorError:
    return InvalidVectorError(
        f"{field} is {shown(given)}; expected numbers", field=field, given=given, expected="numbers"
    )


def _wrong_shape(given: Scores, field: str, expected: str) -> InvalidVectorError:
    return InvalidVectorError(
        f"{field} has the shape {given.shape}; expected {expected}", field=field, given=given.shape, expected=expected
    )


def _check_lengths(given: int, expected: int, field: str) -> None:
    if given != expected:
        raise DimensionMismatchError(
            given=given,
            expected=expected,
            field=field,
            message=f"{field} has {given} numbers a vector, the other {expected}; compare vectors of one model",
        )
