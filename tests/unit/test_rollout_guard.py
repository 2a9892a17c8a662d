"""When the guard turns reads back."""

from datetime import UTC, datetime

from media_gateway.models import Hit, SearchResult
from media_gateway.rollout.guard import Guard, GuardRules, percentile
from media_gateway.rollout.shadow import difference, overlap, score_difference


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def guard(**rules: float) -> tuple[Guard, Clock]:
    clock = Clock()
    return Guard(GuardRules(**rules), clock), clock  # type: ignore[arg-type]


def test_errors_above_the_bound_trip_it_and_one_alone_does_not():
    watched, _ = guard()
    for _ in range(60):
        watched.answered(1)
    watched.failed(1)
    assert watched.verdict() is None
    watched.failed(1)
    assert watched.verdict() == "2 of 62 searches failed in 30 s, above 1.0%"


def test_errors_at_the_bound_do_not_trip_it():
    watched, _ = guard()
    for number in range(400):
        watched.failed(1) if number % 100 == 0 else watched.answered(1)
    assert watched.verdict() is None
    watched.failed(1)
    assert watched.verdict() is not None


def test_it_does_not_judge_from_a_few_searches():
    watched, _ = guard()
    for _ in range(49):
        watched.failed(500)
    assert watched.verdict() is None
    watched.failed(500)
    assert watched.verdict() is not None


def test_slow_answers_trip_it():
    watched, _ = guard()
    for number in range(100):
        watched.answered(500 if number < 5 else 10)
    assert watched.verdict() is None
    watched.answered(500)
    assert watched.verdict() == "p95 was 500 ms over 101 searches in 30 s, above 200 ms"


def test_answers_that_differ_trip_it():
    watched, _ = guard()
    for _ in range(50):
        watched.compared(0.7)
    assert watched.verdict() == "70% of the hits were the same in 50 comparisons, below 80%"


def test_what_lies_before_the_window_is_forgotten():
    watched, clock = guard(window=10)
    for _ in range(100):
        watched.failed(1)
        watched.compared(0)
    clock.now = 10.1
    assert watched.verdict() is None
    assert watched.figures()["searches"] == 0


def test_a_server_that_does_not_answer_three_times_trips_it_whoever_searches():
    watched, _ = guard()
    watched.probed(is_there=False)
    watched.probed(is_there=False)
    watched.probed(is_there=True)
    watched.probed(is_there=False)
    watched.probed(is_there=False)
    assert watched.verdict() is None
    watched.probed(is_there=False)
    assert watched.verdict() == "PostgreSQL did not answer 3 looks in a row"
    watched.reset()
    assert watched.verdict() is None


def test_percentiles():
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(list(range(1, 101)), 0.95) == 95
    assert percentile([7], 0.95) == 7


def result(*hits: tuple[str, float]) -> SearchResult:
    return SearchResult(
        hits=[Hit(key=key, score=score, metadata={}) for key, score in hits], exact=True, exhausted=False
    )


def test_overlap_and_score_difference():
    assert overlap(result(), result()) == 1
    assert overlap(result(("a", 1)), result()) == 0
    assert overlap(result(("a", 1), ("b", 0.5)), result(("b", 0.4), ("c", 0.3))) == 0.5
    assert score_difference(result(("a", 1), ("b", 0.5)), result(("b", 0.25), ("c", 0.3))) == 0.25
    assert score_difference(result(("a", 1)), result(("b", 1))) == 0


def test_what_differs_is_named_by_who_alone_gave_it():
    now = datetime(2026, 5, 4, tzinfo=UTC)
    old, new = result(("a", 0.9), ("b", 0.8), ("c", 0.7)), result(("a", 0.9), ("c", 0.7), ("d", 0.6))
    found = difference(old, new, at=now)
    assert found is not None
    assert (found.hits, found.only_memory, found.only_postgres) == (3, ["b"], ["d"])
    assert found.as_json()["at"] == "2026-05-04T00:00:00.000+00:00"
    assert difference(old, old, at=now) is None
    assert difference(result(("a", 0.5)), result(("a", 0.5 + 1e-6)), at=now) is None
    shifted = difference(result(("a", 0.5)), result(("a", 0.6)), at=now)
    assert shifted is not None
    assert (shifted.overlap, shifted.only_memory, shifted.only_postgres) == (1.0, [], [])
    many = difference(result(*((str(number), 0.5) for number in range(9))), result(), at=now)
    assert many is not None
    assert many.only_memory == ["0", "1", "2", "3", "4"]
