"""Queries made of records: where they lie, and that the recall they show is that of queries held out."""

import numpy as np
import pytest

from media_gateway.models import Matrix
from media_gateway.stores.memory.calibration import trials_of
from media_gateway.stores.memory.index import Graph, units_of
from media_gateway.stores.memory.records import Records, RecordsView
from media_gateway.stores.memory.tuning import IndexTuning
from media_gateway.trial_queries import distances_of, local_places, moved
from tests.samples import clustered

DIMENSION = 64


def view_of(rows: Matrix) -> RecordsView:
    keys = [f"movie-{number}" for number in range(len(rows))]
    return Records.loaded(keys, [b"{}"] * len(rows), rows).view()


def test_a_query_is_a_record_moved_half_along_each_difference() -> None:
    axes = np.eye(5, dtype=np.float32)
    (query,) = moved(axes[:1], np.array([0.5]), (axes[1:2], axes[2:3]), (axes[3:4], axes[4:5]))
    expected = np.array([1, 0.25, -0.25, 0.25, -0.25])
    np.testing.assert_allclose(query, expected / np.linalg.norm(expected), atol=1e-6)


def test_equal_records_and_opposite_differences_leave_a_direction_out() -> None:
    axes = np.eye(4, dtype=np.float32)
    one, other = (axes[1:2], axes[2:3]), (axes[2:3], axes[1:2])
    same = (axes[3:], axes[3:])
    (by_near,) = moved(axes[:1], np.array([1.0]), one, same)
    (by_far,) = moved(axes[:1], np.array([1.0]), same, one)
    np.testing.assert_array_equal(by_near, by_far)
    for near, far in ((same, same), (one, other)):
        np.testing.assert_array_equal(moved(axes[:1], np.array([1.0]), near, far), axes[:1])
    # Moved onto the origin, nothing is left to look for.
    assert len(moved(axes[:1], np.array([1.0]), (-axes[:1], axes[:1]), same)) == 0


def test_places_differ_as_far_as_there_are_two() -> None:
    generator = np.random.default_rng(0)
    drawn = [local_places(3, generator) for _ in range(100)]
    assert {place for places in drawn for place in places} == {1, 2, 3}
    assert all(first != second for first, second in drawn)
    assert max(max(local_places(10_000, generator)) for _ in range(1_000)) == 50
    assert (local_places(0, generator), local_places(1, generator)) == ((0, 0), (1, 1))


def test_distances() -> None:
    np.testing.assert_allclose(distances_of(np.array([1.0000001, 0.5, -1.0])), [0, 1, 2])


@pytest.mark.parametrize("count", [1, 2, 3, 30])
def test_trials_on_few_records_find_all_of_them(count: int) -> None:
    rows = clustered(count, DIMENSION)
    view = view_of(rows)
    trials = trials_of(view, np.arange(count))
    assert len(trials) == count
    for trial in trials:
        scores = rows @ trial.query.unit
        assert trial.worst == pytest.approx(np.sort(scores)[-min(10, count)], abs=1e-5)
        assert trial.hits(view, np.arange(count)) == min(10, count)


def test_trials_do_not_flatter_and_do_not_ask_for_much_more_than_queries_held_out() -> None:
    rows = clustered(6_400, DIMENSION)
    view = view_of(rows[:6_000])
    slots = np.arange(6_000)
    graph = Graph(DIMENSION, IndexTuning(connectivity=6, expansion_add=32))
    graph.add(slots, units_of(view.vectors, view.inverse_norms, slots))
    best = np.argpartition(-(rows[6_000:] @ rows[:6_000].T), 10, axis=1)[:, :10]
    trials = trials_of(view, slots)
    for width in (16, 32, 64):
        held_out = np.mean(
            [
                len(set(graph.search(row, 10, width).best(10)[:10].tolist()) & set(wanted.tolist())) / 10
                for row, wanted in zip(rows[6_000:], best, strict=True)
            ]
        )
        tried = sum(trial.hits(view, graph.search(trial.query.unit, 10, width).best(10)) for trial in trials)
        assert held_out - 0.1 < tried / sum(trial.count for trial in trials) < held_out + 0.02
