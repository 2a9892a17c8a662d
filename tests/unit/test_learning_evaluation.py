"""The evaluation asks what it says it asks, measures it rightly, and lets nothing look ahead."""

import math
from dataclasses import replace

import numpy as np
import pytest

from media_gateway.errors import InvalidInputError
from media_gateway.learning.evaluation.baselines import BASELINES, like_counts
from media_gateway.learning.evaluation.continual import forgetting, incremental
from media_gateway.learning.evaluation.log import EventLog, Items, event_log
from media_gateway.learning.evaluation.metrics import best_rows, mean_estimate, ndcg, ratio_estimate
from media_gateway.learning.evaluation.protocols import most_popular, reported_stages, tuning_stages
from media_gateway.learning.evaluation.ranking import Answer, baseline_answers, liked_rows, model_answers, tuned
from media_gateway.learning.interests.memory import MemoryInterests
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.models import WatchEvent

pytestmark = pytest.mark.anyio

SMALL = InterestSettings(dimension=8, ials_dimension=8, ials_iterations=3)
N_ITEMS = 60


def made_up(seed: int = 0, users: int = 70) -> list[WatchEvent]:
    """Users come one after another, most for one session, some again later; tastes are halves of the catalogue."""
    chance = np.random.default_rng(seed)
    events = []
    for user in range(users):
        half = 30 * (user % 2)
        sessions = [user * 1000.0] if user % 3 else [user * 1000.0, (user + 20) * 1000.0]
        films = chance.permutation(30)
        for place, film in enumerate(films[:28]):
            start = sessions[place * len(sessions) // 28]
            stars = 10.0 if chance.random() < 0.87 else 4.0
            events.append(
                WatchEvent(
                    user=f"u{user}",
                    key=f"film-{half + film:02}",
                    time=start + 10.0 * (place // 2),
                    action="rating",
                    rating=stars,
                )
            )
    return events


def catalogue() -> Items:
    chance = np.random.default_rng(5)
    text = chance.normal(size=(N_ITEMS, 12))
    text[:30, 0] += 1.0
    return Items(
        keys=[f"film-{number:02}" for number in range(N_ITEMS)],
        text=text / np.linalg.norm(text, axis=1, keepdims=True),
        genres=[["Drama"] if number % 2 else ["Comedy"] for number in range(N_ITEMS)],
        years=[1990 + number % 10 for number in range(N_ITEMS)],
    )


@pytest.fixture(scope="module")
def log() -> EventLog:
    return event_log(catalogue(), made_up())


def test_ndcg_at_its_values():
    assert ndcg(np.array([1, 2, 3]), np.array([1, 2, 3])) == 1.0
    assert ndcg(np.array([9, 1]), np.array([1])) == pytest.approx(1 / math.log2(3))
    assert ndcg(np.array([9, 1]), np.array([1, 5])) == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))
    assert ndcg(np.array([9, 8]), np.array([1])) == 0.0
    assert ndcg(np.arange(20), np.array([15])) == 0.0
    assert ndcg(np.arange(10), np.arange(50)) == 1.0


def test_equal_scores_are_ranked_at_random_and_what_is_left_out_is_not_ranked():
    scores = np.zeros(50)
    scores[7] = 1.0
    lists = [best_rows(scores[None], [np.array([3, 4])], np.random.default_rng(seed))[0] for seed in range(200)]
    assert all(one[0] == 7 for one in lists)
    seconds = [int(one[1]) for one in lists]
    assert len(set(seconds)) > 30
    assert not {3, 4} & {int(row) for one in lists for row in one}


def test_the_interval_of_a_mean_is_that_of_the_normal_where_there_are_many_users():
    values = np.random.default_rng(0).normal(0.3, 0.2, size=400)
    found = mean_estimate(values.tolist(), list(range(400)))
    wide = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - wide, abs=0.15 * wide)
    assert found.high == pytest.approx(values.mean() + wide, abs=0.15 * wide)


def test_users_are_drawn_with_all_their_values():
    # Each user has the same value ten times: the interval must be that of 40 users, not of 400 values.
    values = np.random.default_rng(0).normal(0.3, 0.2, size=40)
    once = mean_estimate(values.tolist(), list(range(40)))
    tenfold = mean_estimate(np.repeat(values, 10).tolist(), np.repeat(np.arange(40), 10).tolist())
    assert (tenfold.high - tenfold.low) == pytest.approx(once.high - once.low, rel=1e-6)


def test_a_ratio_of_the_same_cases_is_sure():
    found = ratio_estimate([0.2, 0.4, 0.6], [0.1, 0.2, 0.3], [1, 2, 3])
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))
    assert math.isnan(ratio_estimate([], [], []).value)


def test_the_log_is_in_order_and_counts_a_like_once():
    one = WatchEvent(user="a", key="film-00", time=5.0, action="rating", rating=10.0)
    events = [*made_up(users=10), one, replace(one, time=9.0), replace(one, key="unknown")]
    log = event_log(catalogue(), events)
    assert len(log) == len(events) - 1
    assert (np.diff(log.times) >= 0).all()
    mine = [place for place, event in enumerate(log.events) if event.user == "a"]
    assert log.liked[mine].tolist() == [True, False]
    with pytest.raises(InvalidInputError, match="there are 1 usable events"):
        event_log(catalogue(), [one])


def test_equal_times_are_in_an_order_of_chance():
    events = [WatchEvent(user="a", key=f"film-{n % 60:02}", time=1.0, action="rating", rating=8.0) for n in range(120)]
    first, second = (event_log(catalogue(), events, seed=seed) for seed in (0, 1))
    assert first.rows.tolist() != second.rows.tolist()
    assert first.cut(0.5) == 0


def test_cases_are_what_the_protocols_say(log: EventLog):
    asked = reported_stages(log)
    popular = set(most_popular(log, asked[0].cut).tolist())
    assert len(popular) == 6
    protocols = set()
    for stage in asked:
        for case in stage.cases:
            question, relevant = case.question, set(case.relevant.tolist())
            protocols.add(question.protocol)
            seen = set(log.rows[question.history].tolist())
            assert relevant
            assert not relevant & set(question.left_out.tolist())
            assert seen <= set(question.left_out.tolist())
            places = log.by_user[question.user]
            if question.protocol == "G":
                assert question.history.max() < stage.cut
                assert question.at == log.times[stage.cut]
                assert set(log.rows[places[places < stage.cut]].tolist()) == seen
            else:
                assert places[0] >= stage.cut
                assert len(liked_rows(log, question)) == (5 if question.protocol.startswith("C5") else 20)
                later = places[places > question.history.max()]
                liked = set(log.rows[later][log.liked[later]].tolist())
                assert relevant == (liked - popular if question.protocol.endswith("tail") else liked)
    assert protocols == {"G", "C5", "C5 tail", "C20", "C20 tail"}


def test_settings_are_chosen_before_70_percent_alone(log: EventLog):
    cut = log.cut(0.7)
    for stage in tuning_stages(log):
        for case in stage.cases:
            assert case.question.history.max() < cut
            assert case.question.at <= log.times[cut]


def shuffled_after(log: EventLog, cut: int) -> EventLog:
    """The same log with other films and likes after *cut*."""
    order = np.concatenate((np.arange(cut), cut + np.random.default_rng(8).permutation(len(log) - cut)))
    rows = log.rows[order]
    return replace(
        log,
        events=[
            replace(event, key=log.items.keys[rows[place]], rating=log.events[order[place]].rating)
            for place, event in enumerate(log.events)
        ],
        rows=rows,
        liked=log.liked[order],
    )


def returning_only(log: EventLog, cut: int) -> list:
    return [
        replace(stage, cases=[case for case in stage.cases if case.question.protocol == "G"])
        for stage in reported_stages(log)
        if stage.cut == cut
    ]


async def test_another_future_changes_no_answer(log: EventLog):
    cut = log.cut(0.7)
    other = shuffled_after(log, cut)
    assert other.rows.tolist() != log.rows.tolist()
    asked = returning_only(log, cut)
    for baseline in BASELINES:
        chosen = {"G": baseline.tried[0]}
        first, second = (baseline_answers(baseline, one, asked, chosen) for one in (log, other))
        assert ranked(first) == ranked(second)
        assert tuned(baseline_narrow(baseline), log, tuning_stages(log)) == tuned(
            baseline_narrow(baseline), other, tuning_stages(other)
        )
    first, second = [await model_answers(MemoryInterests(SMALL), one, asked) for one in (log, other)]
    assert ranked(first) == ranked(second)


def baseline_narrow(baseline):
    return replace(baseline, tried=[baseline.tried[0], baseline.tried[-1]])


def ranked(answers: list[Answer]) -> list[list[int]]:
    return [one.ranked.tolist() for one in answers]


async def test_every_method_beats_chance_where_there_are_tastes(log: EventLog):
    asked = reported_stages(log)
    found = {
        baseline.name: baseline_answers(
            baseline,
            log,
            asked,
            dict.fromkeys(("G", "C5", "C20", "C5 tail", "C20 tail"), baseline.tried[1 % len(baseline.tried)]),
        )
        for baseline in BASELINES
        if baseline.name in {"ItemKNN", "EASE", "iALS"}
    }
    found["ours"] = await model_answers(MemoryInterests(SMALL), log, asked)
    for name, answers in found.items():
        half = np.mean(
            [
                np.mean((one.ranked < 30) == (int(log.names[one.case.question.user][1:]) % 2 == 0))
                for one in answers
                if one.case.question.protocol == "C5"
            ]
        )
        assert half > 0.85, name


def test_decayed_counts_of_the_baselines(log: EventLog):
    past = log.before(300)
    wanted = np.zeros(N_ITEMS)
    for place in range(300):
        if past.liked[place]:
            wanted[past.rows[place]] += 0.5 ** ((past.times[-1] - past.times[place]) / 5000.0)
    assert like_counts(past, 5000.0) == pytest.approx(wanted)
    assert like_counts(past).sum() == past.liked.sum()


def test_learning_b_leaves_a(log: EventLog):
    first = np.arange(N_ITEMS) % 2 == 0
    found = forgetting(log, first, SMALL)
    assert found is not None
    assert found.a_kept.value > 0.9
    assert found.b_learned.value > 0.85
    assert forgetting(log, np.ones(N_ITEMS, dtype=bool), SMALL) is None


def test_following_each_event_is_compared_with_a_full_refresh(log: EventLog):
    found = incremental(log, SMALL)
    assert {one.protocol for one in found} == {"C5", "C20", "C5 tail", "C20 tail"}
    assert all(one.ratio.value == pytest.approx(one.per_event / one.refreshed) for one in found)
