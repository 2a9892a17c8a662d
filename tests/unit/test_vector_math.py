"""Vector helpers: what they compute, and what they do at the edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from media_gateway.errors import DimensionMismatchError, InvalidVectorError
from media_gateway.vector_math import cosine, cosines, unit, units

ROWS = arrays(np.float32, st.tuples(st.integers(1, 5), st.just(4)), elements=st.floats(-100, 100, width=32))


def test_cosine_of_known_angles():
    assert cosine([1, 0], [1, 0]) == 1
    assert cosine([1, 0], [0, 2]) == 0
    assert cosine([1, 0], [-3, 0]) == -1
    assert cosine([1, 1], [1, 0]) == pytest.approx(2**-0.5)


def test_a_zero_vector_is_like_nothing_and_stays_zero():
    assert cosine([0, 0], [1, 0]) == 0
    assert cosines([1, 0], [[0, 0], [2, 0]]).tolist() == [0, 1]
    assert unit([0.0, 0.0]).tolist() == [0, 0]


@pytest.mark.parametrize(
    "call", [lambda: cosine([1, 2], [1, 2, 3]), lambda: cosines([1, 2], [[1, 2, 3]])], ids=["pair", "batch"]
)
def test_lengths_that_differ_are_refused(call):
    with pytest.raises(DimensionMismatchError, match="3 numbers a vector, the other 2") as refused:
        call()
    assert (refused.value.given, refused.value.expected) == (3, 2)


@pytest.mark.parametrize("bad", [[float("nan"), 1], [float("inf"), 1], ["a", "b"], [[1, 2]], [[1], [1, 2]], [1j, 0]])
def test_what_is_no_vector_is_refused(bad):
    with pytest.raises(InvalidVectorError):
        cosine(bad, [1, 0])


def test_no_rows_give_no_scores():
    assert cosines([1, 2], []).shape == (0,)
    assert units(np.empty((0, 3))).shape == (0, 3)


def test_extreme_numbers_keep_their_direction():
    assert unit([3e-30, 4e-30]) == pytest.approx([0.6, 0.8])
    assert unit([3e30, 4e30]) == pytest.approx([0.6, 0.8])


@given(ROWS)
def test_units_have_length_one_or_are_zero(rows: np.ndarray):
    lengths = np.linalg.norm(units(rows).astype(np.float64), axis=1)
    zero = ~rows.any(axis=1)
    assert lengths[zero] == pytest.approx(0)
    assert lengths[~zero] == pytest.approx(1, abs=1e-6)


@given(ROWS)
def test_a_batch_scores_as_its_rows_do(rows: np.ndarray):
    batch = cosines(rows[0], rows)
    assert batch.tolist() == [cosine(rows[0], row) for row in rows]
    assert ((batch >= -1) & (batch <= 1)).all()
