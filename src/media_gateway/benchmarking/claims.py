"""What was claimed and aimed at, held against what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from media_gateway.benchmarking.generator import DEFAULT_NOISE
from media_gateway.benchmarking.results import Result
from media_gateway.stores.postgres.capacity import CapacityPoint, fit

_DIMENSION: Final = 768
_SMALL, _LARGE = 100_000, 1_000_000
_TEN_MILLION: Final = 10_000_000
_RUN: Final = "media-gateway bench --size {size} --json results.json"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: what was said, what was found, and whether that keeps to it ("met", "missed", "-")."""

    what: str
    said: str
    found: str
    verdict: str
    how: str


class Measured:
    """The results on made-up vectors of 768 numbers, asked for by system and size; where an index was measured twice, the quicker one."""

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = [
            one
            for one in results
            if one.data.get("name") == "generated"
            and one.data.get("noise") == DEFAULT_NOISE
            and one.dimension == _DIMENSION
        ]

    def of(self, system: str, n: int, *, index: str | None = None) -> Result | None:
        """Return the result of *system* on *n* rows, None where it was not measured."""
        found = [
            one
            for one in self._results
            if one.system == system and one.n == n and (index is None or one.index == index)
        ]
        return min(found, key=lambda one: one.p50_ms, default=None)

    def sizes(self, system: str) -> list[Result]:
        """Return the results of *system* by ascending rows."""
        sizes = sorted({one.n for one in self._results if one.system == system})
        return [one for n in sizes if (one := self.of(system, n)) is not None]

    def alike(self, system: str) -> list[Result]:
        """Return results of *system* by ascending rows, the quickest of each size, whose graphs were built with the same parameters.

        Of several such series it is the one with the most sizes.
        """
        series: dict[str, dict[int, Result]] = {}
        for one in sorted((one for one in self._results if one.system == system), key=lambda one: -one.p50_ms):
            _, _, parameters = one.index.partition(" m ")
            series.setdefault(parameters, {})[one.n] = one
        longest = max(series.values(), key=len, default=dict[int, Result]())
        return [longest[n] for n in sorted(longest)]

    def comparable(self) -> int | None:
        """Return the size at which most systems were measured, the larger one where several were."""
        counts = {n: sum(one.n == n for one in self._results) for n in {one.n for one in self._results}}
        return max(counts, key=lambda n: (counts[n], n), default=None)


def claims(results: Sequence[Result]) -> list[Row]:
    """Return the plan's claims: each claimed, measured or projected, with recall and how to reproduce it."""
    measured = Measured(results)
    return [
        _latency_claim(measured, _SMALL, 1.0),
        _latency_claim(measured, _LARGE, 5.0),
        _speed_claim(measured),
        _size_claim(measured),
    ]


def _latency_claim(measured: Measured, n: int, most: float) -> Row:
    one = measured.of("postgres", n)
    what = f"a search of {n:,} vectors"
    how = f"`{one.command or _RUN.format(size=n)}`" if one else f"`{_RUN.format(size=n)}`"
    said = f"below {most:g} ms"
    if one is not None:
        found = f"measured: p50 {one.p50_ms:.2f} ms, p95 {one.p95_ms:.2f} ms, recall {one.recall:.3f}"
        return Row(what=what, said=said, found=found, verdict=_verdict(one.p50_ms < most), how=how)
    return Row(what=what, said=said, found=_projected(measured, n), verdict="-", how=how)


def _speed_claim(measured: Measured) -> Row:
    said, what = "150 times faster", "than the npm package ruvector, 100,000 vectors"
    ours, npm = measured.of("postgres", _SMALL), measured.of("ruvector-npm", _SMALL)
    how = f"`{_RUN.format(size=_SMALL)} --systems postgres,ruvector-npm`"
    if ours is None or npm is None:
        return Row(what=what, said=said, found="not measured", verdict="-", how=how)
    times = npm.p50_ms / ours.p50_ms
    found = f"measured: {times:.0f} times (p50 {npm.p50_ms:.1f} and {ours.p50_ms:.2f} ms), recall {ours.recall:.3f}"
    return Row(what=what, said=said, found=found, verdict=_verdict(times >= 150), how=how)  # noqa: PLR2004  as claimed


def _size_claim(measured: Measured) -> Row:
    said, what = "10 million and more", "vectors in one collection"
    how = f"`{_RUN.format(size=_TEN_MILLION)} --systems postgres --index halfvec`"
    sizes = measured.sizes("postgres")
    if sizes and sizes[-1].n >= _TEN_MILLION:
        one = sizes[-1]
        found = f"measured: {one.n:,}, p50 {one.p50_ms:.2f} ms, p95 {one.p95_ms:.2f} ms, recall {one.recall:.3f}"
        return Row(what=what, said=said, found=found, verdict="met", how=how)
    largest = f"; largest measured here: {sizes[-1].n:,}" if sizes else ""
    return Row(what=what, said=said, found=_projected(measured, _TEN_MILLION) + largest, verdict="-", how=how)


def _projected(measured: Measured, n: int) -> str:
    """Return the latency at *n* rows by the capacity model, fitted to what was measured here."""
    sizes = measured.alike("postgres")[-2:]
    if len(sizes) < 2:  # noqa: PLR2004  a line takes two points
        return "not measured"
    points = [
        CapacityPoint(rows=one.n, dimension=one.dimension, build_seconds=one.build_s, p50_ms=one.p50_ms)
        for one in sizes
    ]
    ms = fit(points).p50_at(n)
    low, high = sizes
    return f"projected: p50 {ms:.1f} ms with the index in memory, from {low.n:,} and {high.n:,} rows by a power of the rows ({high.index})"


def goals(results: Sequence[Result]) -> list[Row]:
    """Return the goals for the benchmark: each met or missed, "-" where a part of it was not measured."""
    measured = Measured(results)
    rows = [
        _latency_goal(measured, _SMALL, 0.85, 1.4),
        _ratio_goal(measured, "ruvector-npm", _SMALL, 60),
        _latency_goal(measured, _LARGE, 1.6, 3.0),
        _ratio_goal(measured, "numpy", _LARGE, 80),
    ]
    n = measured.comparable() or _SMALL
    rows.append(_overhead_goal(measured, n))
    rows.append(_memory_goal(measured, n))
    for peer in ("langchain", "vecs"):
        rows.append(_ratio_goal(measured, peer, n, 3))
        rows.append(_clients_goal(measured, peer, n))
        rows.append(_load_goal(measured, peer, n))
    rows.append(_copy_goal(measured, n))
    return rows


def _latency_goal(measured: Measured, n: int, p50: float, p95: float) -> Row:
    one = measured.of("postgres", n)
    is_met = None if one is None else one.p50_ms < p50 and one.p95_ms < p95 and one.recall >= one.recall_target
    found = None if one is None else f"{one.p50_ms:.2f} and {one.p95_ms:.2f} ms, recall {one.recall:.3f}"
    return _goal(f"postgres, {n:,} rows: p50 and p95", f"below {p50:g} and {p95:g} ms", found, is_met)


def _ratio_goal(measured: Measured, peer: str, n: int, least: float) -> Row:
    ours, other = measured.of("postgres", n), measured.of(peer, n)
    times = None if ours is None or other is None else other.p50_ms / ours.p50_ms
    return _times_goal(f"postgres beside {peer}, {n:,} rows: p50", times, least)


def _clients_goal(measured: Measured, peer: str, n: int) -> Row:
    ours, other = measured.of("postgres", n), measured.of(peer, n)
    times = None if ours is None or other is None else ours.qps_16 / max(other.qps_16, 1e-9)
    return _times_goal(f"postgres beside {peer}, {n:,} rows: sixteen clients", times, 3)


def _load_goal(measured: Measured, peer: str, n: int) -> Row:
    ours, other = measured.of("postgres", n), measured.of(peer, n)
    times = None if ours is None or other is None else ours.load_rows_per_s / other.load_rows_per_s
    return _times_goal(f"postgres beside {peer}, {n:,} rows: loading", times, 10)


def _overhead_goal(measured: Measured, n: int) -> Row:
    ours, bare = measured.of("postgres", n), None
    if ours is not None:
        bare = measured.of("psycopg", n, index=ours.index)
    ratio = None if ours is None or bare is None else ours.p50_ms / bare.p50_ms
    found = None if ratio is None else f"{ratio:.2f}"
    is_met = None if ratio is None else ratio <= 1.15  # noqa: PLR2004  the goal
    return _goal(f"postgres over bare psycopg, {n:,} rows: p50", "at most 1.15 times", found, is_met)


def _memory_goal(measured: Measured, n: int) -> Row:
    ours, bare = measured.of("memory", n), measured.of("usearch", n)
    more = None if ours is None or bare is None else ours.p50_ms - bare.p50_ms
    found = None if more is None else f"{more:.2f} ms"
    is_met = None if more is None else more <= 0.2  # noqa: PLR2004  the goal
    return _goal(f"memory over bare usearch, {n:,} rows: p50", "at most 0.2 ms more", found, is_met)


def _copy_goal(measured: Measured, n: int) -> Row:
    ours, bare = measured.of("postgres", n), measured.of("psycopg", n)
    share = None if ours is None or bare is None else ours.load_rows_per_s / bare.load_rows_per_s
    found = None if share is None else f"{share:.2f}"
    is_met = None if share is None else share >= 0.9  # noqa: PLR2004  the goal
    return _goal(f"bulk load over a bare COPY, {n:,} rows", "at least 0.9", found, is_met)


def _times_goal(what: str, times: float | None, least: float) -> Row:
    found = None if times is None else f"{times:.1f} times"
    return _goal(what, f"at least {least:g} times faster", found, None if times is None else times >= least)


def _goal(what: str, said: str, found: str | None, is_met: bool | None) -> Row:  # noqa: FBT001  met, missed or not known
    return Row(what=what, said=said, found=found or "not measured", verdict=_verdict(is_met), how="")


def _verdict(is_met: bool | None) -> str:  # noqa: FBT001
    return "-" if is_met is None else "met" if is_met else "missed"
