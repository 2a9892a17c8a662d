"""Timing: one client after warming up, many clients at once, and the smallest search width that reaches a recall."""

import gc
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from media_gateway.benchmarking.results import Point
from media_gateway.benchmarking.systems.base import Answers, System
from media_gateway.benchmarking.truth import Truth
from media_gateway.models import Matrix

Attempt = Callable[[System, Callable[[], Awaitable[None]]], Awaitable[None]]
"""Does some work with a system, unless that failed before, and notes when it fails."""

LADDER: Final = (10, 16, 20, 24, 32, 40, 48, 64, 80, 100, 128, 160, 200, 256, 320, 400, 512, 640, 800, 1000)
"""Search widths of a curve. pgvector takes none above 1,000, and one below k finds fewer than k."""
_WARM_UP: Final = 20
_ENOUGH: Final = 0.995
"""A curve ends where nearly everything is found."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured: rounds of latency, *seconds* of throughput a number of clients, and *most_seconds* a system."""

    rounds: int = 4
    seconds: float = 8.0
    clients: tuple[int, ...] = (1, 4, 16)
    most_seconds: float = 90.0
    warm_up: int = 200

    @classmethod
    def quick(cls) -> "Plan":
        """Return a plan that takes a few seconds a system."""
        return cls(rounds=2, seconds=0.5, most_seconds=10.0, warm_up=50)


@dataclass(kw_only=True)
class Timed:
    """Latencies in milliseconds, the answers as row numbers, and the numbers of the queries *asked*."""

    times: list[float] = field(default_factory=list[float])
    asked: list[int] = field(default_factory=list[int])
    found: list[list[int]] = field(default_factory=list[list[int]])

    def percentile(self, share: float) -> float:
        """Return the latency that *share* percent of the searches did not exceed."""
        return float(np.percentile(self.times, share))


@contextmanager
def undisturbed() -> Generator[None]:
    """Keep the garbage collector from running within the block."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def latencies(systems: Sequence[System], queries: Matrix, plan: Plan, attempt: Attempt) -> dict[str, Timed]:
    """Measure *systems* by turns, a part of *queries* at a time, so that what else the machine does harms all alike.

    A system that is too slow to answer all of them within the plan's time answers fewer.
    """
    timed = {system.name: Timed() for system in systems}

    async def ask(system: System, part: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> None:
        so_far = timed[system.name]
        with undisturbed():
            answers = await system.answers(queries[part])
        so_far.times.extend(answers.times)
        so_far.found.extend(answers.found)
        so_far.asked.extend(part[: len(answers.found)].tolist())

    for part in np.array_split(np.arange(len(queries)), plan.rounds):
        for system in systems:
            if sum(timed[system.name].times) / 1000 <= plan.most_seconds:
                await attempt(system, lambda system=system, part=part: ask(system, part))
    return timed


async def throughput(
    systems: Sequence[System], queries: Matrix, plan: Plan, attempt: Attempt
) -> dict[str, dict[int, float]]:
    """Return for each system the searches a second that so many clients get at once; measured by turns."""
    found: dict[str, dict[int, float]] = {system.name: {} for system in systems}

    async def ask(system: System, clients: int) -> None:
        with undisturbed():
            found[system.name][clients] = await system.throughput(queries, clients, plan.seconds)

    for clients in plan.clients:
        for system in systems:
            await attempt(system, lambda system=system, clients=clients: ask(system, clients))
    return found


async def curve_of(system: System, queries: Matrix, truth: Truth) -> list[Point]:
    """Return the recall-latency curve of *system* by ascending width, until nearly everything is found."""
    points: list[Point] = []
    for width in (width for width in LADDER if width >= system.least_width):
        points.append(await _point(system, queries, truth, width))
        if points[-1].recall >= _ENOUGH:
            break
    return points


async def smallest_width(
    curve: Sequence[Point], target: float, recall_at: Callable[[int], Awaitable[float]]
) -> int | None:
    """Return the smallest width whose recall reaches *target*, by halving between the points of *curve*; None when none does."""
    reaching = [point.width for point in curve if point.recall >= target]
    if not reaching:
        return None
    high = reaching[0]
    low = max((point.width for point in curve if point.width < high), default=high - 1)
    while high - low > 1:
        middle = (low + high) // 2
        if await recall_at(middle) >= target:
            high = middle
        else:
            low = middle
    return high


async def tuned(system: System, queries: Matrix, truth: Truth, target: float) -> tuple[int | None, list[Point]]:
    """Set *system* to the smallest width that reaches *target* and return it, with the curve; the widest when none does.

    All systems are set so, on the same queries: at equal recall. What a system chooses by itself becomes a note.
    """
    curve = await curve_of(system, queries, truth)

    async def recall_at(width: int) -> float:
        return (await _point(system, queries, truth, width)).recall

    width = await smallest_width(curve, target, recall_at) or curve[-1].width
    chosen = await system.tune()
    if chosen is not None:
        found = _recall(await _asked(system, queries), truth)
        system.notes = (*system.notes, f"tuned by itself it takes {chosen}; on these queries that has {found:.3f}")
    await system.widen(width)
    return width, curve


async def _point(system: System, queries: Matrix, truth: Truth, width: int) -> Point:
    await system.widen(width)
    await system.answers(queries[:_WARM_UP])
    answers = await _asked(system, queries)
    return Point(width=width, recall=_recall(answers, truth), p50_ms=float(np.median(answers.times)))


async def _asked(system: System, queries: Matrix) -> Answers:
    with undisturbed():
        return await system.answers(queries)


def _recall(answers: Answers, truth: Truth) -> float:
    return truth.recall(answers.found, range(len(answers.found)))
