"""The recommender's arithmetic against its definitions on small cases."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from media_gateway.errors import UnsupportedError
from media_gateway.learning.interests import behaviour, bridge, ials
from media_gateway.learning.interests.fusion import (
    SOURCES,
    FusionWeights,
    Segment,
    contenders,
    negatives,
    segment,
    shares,
)
from media_gateway.learning.interests.learner import Learner, batches
from media_gateway.learning.interests.memory import MemoryInterests
from media_gateway.learning.interests.model import is_like, is_seen
from media_gateway.learning.interests.moments import Moments
from media_gateway.learning.interests.popularity import NO_HEAT, decayed_counts, heated
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.interests.state import MOST_ITEMS, count_pairs
from media_gateway.models import WatchEvent

pytestmark = pytest.mark.anyio

DAY = 86_400.0
KEYS = [f"film-{number}" for number in range(40)]


def rating(user: str, key: str, time: float, stars: float = 10.0) -> WatchEvent:
    return WatchEvent(user=user, key=key, time=time, action="rating", rating=stars)


def texts(count: int = len(KEYS), seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def two_tastes(users: int = 60, likes: int = 8, seed: int = 1) -> list[WatchEvent]:
    """Users like films of the first half or of the second half, a film an hour."""
    chance = np.random.default_rng(seed)
    events = []
    for user in range(users):
        half = 20 * (user % 2)
        for place, film in enumerate(chance.choice(20, size=likes, replace=False)):
            stars = 10.0 if chance.random() < 0.85 else 4.0
            events.append(rating(f"u{user}", KEYS[half + film], 3600.0 * (user * likes + place), stars))
    return events


@pytest.fixture(scope="module")
def taught() -> Learner:
    learner = Learner(InterestSettings(dimension=8, ials_dimension=8, batch=10))
    learner.add_items(KEYS, texts())
    learner.learn(two_tastes())
    learner.refresh_ials()
    learner.refresh_bridge()
    return learner


@pytest.mark.parametrize(
    ("event", "like", "seen"),
    [
        ({"action": "rating", "rating": 8.0}, True, True),
        ({"action": "rating", "rating": 7.9}, False, True),
        ({"action": "watch", "completion": 0.71}, True, True),
        ({"action": "watch", "completion": 0.7}, False, True),
        ({"action": "watch", "completion": 1.0, "rating": 2.0}, False, True),
        ({"action": "dismiss"}, False, True),
        ({"action": "click"}, False, False),
        ({"action": "exposure"}, False, False),
    ],
)
def test_what_counts_as_liked_and_as_seen(event: dict, like: bool, seen: bool):
    one = WatchEvent(user="u", key="k", time=0.0, **event)
    assert (is_like(one), is_seen(one)) == (like, seen)


def test_pair_counts_are_what_counting_by_hand_gives(taught: Learner):
    likes: dict[str, set[int]] = {}
    for event in two_tastes():
        if is_like(event):
            likes.setdefault(event.user, set()).add(KEYS.index(event.key))
    counted = np.zeros((40, 40))
    for liked in likes.values():
        for first in liked:
            for second in liked:
                counted[first, second] += 1
    assert np.array_equal(taught.items.pairs, counted)
    assert np.array_equal(taught.items.likes, counted.diagonal())


def test_a_like_is_paired_with_the_latest_likes_alone_however_they_are_divided():
    whole, parts = np.zeros((6, 6), dtype=np.float32), np.zeros((6, 6), dtype=np.float32)
    count_pairs(whole, np.array([], dtype=np.int64), [0, 1, 2, 3, 4], cap=2)
    count_pairs(parts, np.array([], dtype=np.int64), [0, 1, 2], cap=2)
    count_pairs(parts, np.array([0, 1, 2]), [3, 4], cap=2)
    assert np.array_equal(whole, parts)
    assert (whole[4, 2], whole[4, 3], whole[4, 1]) == (1, 1, 0)


def test_one_user_adds_at_most_one_to_any_pair():
    learner = Learner(InterestSettings(dimension=4, ials_dimension=4))
    learner.add_items(KEYS, texts())
    learner.learn([rating("bot", KEYS[place % 5], float(place)) for place in range(1000)])
    assert learner.items.pairs.max() == 1
    assert learner.items.likes.sum() == 5


def test_decayed_counts_are_the_sum_of_halving_likes():
    heats = np.full((3, 2), NO_HEAT)
    halflives = np.array([DAY, 7 * DAY])
    start = 1.7e9
    heated(heats, np.array([0, 0, 1, 0]), start + np.array([0.0, DAY, 0.0, 3 * DAY]), halflives)
    counts = decayed_counts(heats, start + 4 * DAY, halflives)
    assert counts[0, 0] == pytest.approx(2**-4 + 2**-3 + 2**-1)
    assert counts[0, 1] == pytest.approx(2 ** (-4 / 7) + 2 ** (-3 / 7) + 2 ** (-1 / 7))
    assert counts[1, 0] == pytest.approx(2**-4)
    assert not counts[2].any()


def test_moments_give_mean_and_spread_over_all_items_also_after_replacements():
    chance = np.random.default_rng(3)
    vectors, fresh, user = chance.normal(size=(50, 6)), chance.normal(size=(4, 6)), chance.normal(size=6)
    moments = Moments.of(vectors)
    moments.replace(vectors[:4], fresh)
    vectors[:4] = fresh
    mean, spread = moments.spread(user)
    assert mean == pytest.approx((vectors @ user).mean())
    assert spread == pytest.approx((vectors @ user).std())
    assert moments.spread(np.zeros(6)) == (0.0, 0.0)
    assert Moments.of(np.ones((5, 6))).spread(user)[1] == 0.0


def test_shrunk_cosine():
    similar = behaviour.similarities(np.array([[3.0]]), np.array([[4.0]]), np.array([9.0]), 10.0)
    assert similar == pytest.approx(np.array([[3 / 6 * 3 / 13]]))


def test_eigenfactors_rebuild_a_matrix_of_their_rank_and_are_the_same_each_time():
    factors = np.random.default_rng(0).normal(size=(30, 4))
    matrix = factors @ factors.T
    found = behaviour.eigenfactors(matrix, 6)
    assert found @ found.T == pytest.approx(matrix, abs=1e-9)
    assert np.array_equal(found, behaviour.eigenfactors(matrix, 6))
    assert not behaviour.eigenfactors(np.zeros((5, 5)), 3).any()


def test_solving_one_item_gives_its_eigenfactor_back():
    factors = np.random.default_rng(0).normal(size=(30, 4))
    vectors = behaviour.eigenfactors(factors @ factors.T, 4)
    similar = (vectors @ vectors.T)[[7, 9]]
    assert behaviour.solved(similar, vectors, vectors.T @ vectors, 0.0) == pytest.approx(vectors[[7, 9]])


def test_vectors_that_follow_each_event_come_near_to_a_full_refresh(taught: Learner):
    settings = taught.settings
    likes = taught.items.likes
    wanted = behaviour.similarities(taught.items.pairs, likes[:, np.newaxis], likes, settings.shrink)
    followed = np.abs(taught.items.learned @ taught.items.learned.T - wanted).mean()
    best = behaviour.eigenfactors(wanted, settings.dimension)
    refreshed = np.abs(best @ best.T - wanted).mean()
    assert refreshed <= followed < 1.6 * refreshed


def test_the_bridge_finds_a_linear_relation_and_items_without_likes_stand_on_it():
    chance = np.random.default_rng(0)
    text, relation = chance.normal(size=(200, 10)), chance.normal(size=(10, 3))
    learned = text @ relation
    found = bridge.fitted(text, learned, np.full(200, 50.0), ridge=1e-6, trust=5.0)
    assert found == pytest.approx(relation, abs=1e-4)
    blended = bridge.blended(np.ones((3, 2)), np.zeros((3, 2)), np.array([0.0, 5.0, 45.0]), 5.0)
    assert blended[:, 0] == pytest.approx([0.0, 0.5, 0.9])


def test_ials_folding_sums_to_the_least_squares_user():
    vectors = np.random.default_rng(0).normal(size=(30, 5))
    gram, liked = vectors.T @ vectors, vectors[[2, 4, 9]]
    confidence, regularization = 6.0, 2.0
    user = ials.folding(liked, gram, regularization=regularization, confidence=confidence).sum(axis=1)
    weights = np.ones(30)
    weights[[2, 4, 9]] = confidence
    wanted = np.zeros(30)
    wanted[[2, 4, 9]] = 1.0
    normal = vectors.T @ (weights[:, np.newaxis] * vectors) + regularization * np.eye(5)
    assert user == pytest.approx(np.linalg.solve(normal, vectors.T @ (weights * wanted)))


def test_ials_is_repeatable_and_gives_items_without_likes_nothing():
    users, items = np.repeat(np.arange(20), 3), np.random.default_rng(0).integers(0, 9, 60)
    first, second = (
        ials.item_factors(users, items, shape=(20, 10), dimension=4, regularization=1.0, confidence=3.0, iterations=5)
        for _ in range(2)
    )
    assert np.array_equal(first, second)
    assert first[:9].any(axis=1).all()
    assert np.abs(first[9]).max() < 1e-6


def test_segments_are_told_by_likes_and_by_the_time_since_the_first_event():
    kinds = [segment(likes, age, steps=(1, 6, 21), newcomer_time=DAY) for likes, age in ((0, 0), (5, DAY), (21, 9e9))]
    assert kinds == [
        Segment(step=0, returning=False),
        Segment(step=1, returning=True),
        Segment(step=3, returning=True),
    ]
    assert sorted(kind.row for kind in kinds) == [0, 3, 7]


def test_weights_move_along_the_gradient_of_the_logit():
    weights = FusionWeights.fresh((1,))
    scores = np.random.default_rng(0).normal(size=(8, len(SOURCES)))
    liked = np.arange(8) < 2
    kind = Segment(step=1, returning=True)

    def loss(shared: np.ndarray) -> float:
        values = scores @ shared
        return float(
            np.mean([np.log(np.exp(values[[place, *range(2, 8)]]).sum()) - values[place] for place in range(2)])
        )

    start, small, own = weights.shared + weights.added[kind.row], 1e-6, weights.added.copy()
    slopes = np.array([(loss(start + small * unit) - loss(start - small * unit)) / (2 * small) for unit in np.eye(6)])
    told = weights.learn(kind, scores, liked, rate=0.01, segment_rate=0.5)
    assert told == pytest.approx(loss(start))
    gradient = -slopes * 2 / math.sqrt(2)
    assert weights.shared == pytest.approx(0.01 * gradient / np.sqrt(1 + gradient**2), rel=1e-4)
    assert weights.added[kind.row] - own[kind.row] == pytest.approx(
        0.005 * gradient / np.sqrt(1 + gradient**2), rel=1e-4
    )
    assert np.array_equal(weights.added[: kind.row], own[: kind.row])


def test_a_source_that_tells_likes_apart_gains_weight_and_noise_does_not():
    weights, chance = FusionWeights.fresh((1,)), np.random.default_rng(0)
    kind = Segment(step=1, returning=False)
    before = weights.of(kind)
    for _ in range(300):
        scores = chance.normal(size=(30, len(SOURCES)))
        scores[0, 2] += 2.0
        weights.learn(kind, scores, np.arange(30) < 1, rate=0.05, segment_rate=0.5)
    moved = weights.of(kind) - before
    assert moved[2] > 0.5
    assert (moved[[0, 1, 3, 4, 5]] < 0.3).all()


def test_likes_are_told_among_what_some_source_ranks_first():
    scores = np.zeros((30, 3))
    scores[:, 0] = np.arange(30)
    scores[:, 1] = -np.arange(30)
    assert np.flatnonzero(contenders(scores, 2)).tolist() == [0, 1, 28, 29]
    assert contenders(scores[:2], 2).all()


def test_shares_are_of_what_speaks_for_an_item():
    found = shares(np.array([[3.0, 1.0, -5.0], [-1.0, -1.0, -1.0]]))
    assert found == pytest.approx(np.array([[0.75, 0.25, 0.0], [1 / 3, 1 / 3, 1 / 3]]))


def test_negatives_depend_on_what_was_applied_alone():
    assert np.array_equal(negatives(1000, 7, 50), negatives(1000, 7, 50))
    assert not np.array_equal(negatives(1000, 7, 50), negatives(1000, 8, 50))
    assert sorted(negatives(5, 0, 50)) == [0, 1, 2, 3, 4]


def test_what_a_user_does_at_one_instant_is_not_divided():
    events = [rating("a", "x", 1.0)] * 5 + [rating("b", "x", 1.0)] + [rating("b", "x", 2.0)] * 3
    assert [len(batch) for batch in batches(events, 2)] == [5, 4]


async def model(settings: InterestSettings | None = None) -> MemoryInterests:
    made = MemoryInterests(settings or InterestSettings(dimension=8, ials_dimension=8, batch=10))
    await made.add_items(KEYS, texts())
    return made


async def test_it_learns_tastes_leaves_out_what_was_seen_and_tells_why():
    recommender = await model()
    events = two_tastes()
    await recommender.apply(events)
    await recommender.refresh()
    found = await recommender.recommend("u0", k=10, at=8 * 3600.0)
    seen = {event.key for event in events if event.user == "u0"}
    liked = {event.key for event in events if event.user == "u0" and is_like(event)}
    own = sum(KEYS.index(one.key) < 20 for one in found)
    assert own >= 9
    assert not seen & {one.key for one in found}
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        assert math.fsum(one.shares.values()) == pytest.approx(1.0)
        assert set(one.shares) == set(SOURCES)
        assert one.because in liked


async def test_a_guest_gets_what_a_user_of_the_same_history_gets_and_leaves_no_trace():
    recommender = await model()
    events = two_tastes()
    await recommender.apply(events)
    await recommender.refresh()
    own = [event for event in events if event.user == "u3"]
    at = events[-1].time
    as_user = await recommender.recommend("u3", k=5, at=at, excluded=[KEYS[25]])
    before = recommender.learner.items.pairs.copy()
    as_guest = await recommender.recommend_from(own, k=5, at=at, excluded=[KEYS[25]])
    assert as_guest == as_user
    assert KEYS[25] not in {one.key for one in as_user}
    assert np.array_equal(before, recommender.learner.items.pairs)
    assert len(recommender.learner.users) == 60


async def test_a_user_without_history_gets_what_is_popular():
    recommender = await model()
    await recommender.apply([rating(f"u{number}", KEYS[7], float(number)) for number in range(20)])
    first, *_ = await recommender.recommend("stranger", k=3, at=100.0)
    assert (first.key, first.because) == (KEYS[7], None)


async def test_new_items_join_and_keep_what_was_learned():
    recommender = await model()
    await recommender.apply(two_tastes())
    before = recommender.learner.items.pairs.copy()
    await recommender.add_items([*KEYS, "new"], np.concatenate((texts(), texts(1, seed=9))))
    assert np.array_equal(recommender.learner.items.pairs[:40, :40], before)
    found = await recommender.recommend("u0", k=40, at=1e6)
    assert "new" in {one.key for one in found}
    await recommender.apply([rating("u0", "new", 2e6)])
    assert recommender.learner.items.likes[40] == 1


async def test_events_of_unknown_items_are_passed_over():
    recommender = await model()
    await recommender.apply([rating("a", "nowhere", 1.0), rating("a", KEYS[0], 2.0)])
    assert recommender.learner.users["a"].seen == {0}


async def test_the_same_events_teach_the_same():
    recommenders = [await model() for _ in range(2)]
    for recommender in recommenders:
        await recommender.apply(two_tastes())
        await recommender.refresh()
    first, second = [await recommender.recommend("u5", k=10, at=1e7) for recommender in recommenders]
    assert first == second


async def test_too_many_items_for_memory_are_refused():
    recommender = MemoryInterests(InterestSettings(dimension=2, ials_dimension=2))
    count = MOST_ITEMS + 1
    with pytest.raises(UnsupportedError, match=r"hold 20,000 items, not 20,001; keep them in PostgreSQL"):
        await recommender.add_items([str(number) for number in range(count)], np.ones((count, 2), dtype=np.float32))


def sequence(learner: Learner) -> Iterator[np.ndarray]:
    yield learner.items.learned
    yield learner.items.heats
    yield learner.weights.shared


def test_learning_in_two_calls_is_learning_in_one_when_batches_fall_alike():
    once, twice = (Learner(InterestSettings(dimension=8, ials_dimension=8, batch=10)) for _ in range(2))
    events = two_tastes()
    for learner in (once, twice):
        learner.add_items(KEYS, texts())
    once.learn(events)
    twice.learn(events[:200])
    twice.learn(events[200:])
    for first, second in zip(sequence(once), sequence(twice), strict=True):
        assert np.array_equal(first, second)
