"""A run: one data set, group after group of systems, each result kept as soon as it is there."""

import shutil
import tempfile
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from media_gateway.benchmarking.datasets import Dataset
from media_gateway.benchmarking.machine import machine_facts, package_versions
from media_gateway.benchmarking.measure import Plan, Timed, latencies, throughput, tuned
from media_gateway.benchmarking.results import Point, Result, ResultFile
from media_gateway.benchmarking.systems.base import Loaded, Sizes, System
from media_gateway.benchmarking.systems.registry import GROUPS, Surroundings, made, reason_to_leave_out
from media_gateway.benchmarking.systems.server import BenchmarkServer
from media_gateway.benchmarking.truth import K
from media_gateway.database.index_definitions import IndexDefinition

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """What is measured: *systems* by name, up to *target* recall, by *plan*; *folder* keeps data for a later run."""

    systems: Sequence[str]
    plan: Plan = field(default_factory=Plan)
    target: float = 0.95
    index: IndexDefinition = field(default_factory=IndexDefinition)
    folder: Path | None = None
    command: str = ""


@dataclass(kw_only=True)
class _Progress:
    """What is known of one system so far."""

    system: System
    loaded: Loaded
    width: int | None = None
    curve: Sequence[Point] = ()
    sizes: Sizes = field(default_factory=lambda: Sizes(disk=None, memory=None))


async def run_benchmark(data: Dataset, settings: BenchmarkOptions, file: ResultFile, say: Say) -> list[str]:
    """Measure the systems of *settings* on *data*, add what is found to *file*, and return why others were left out.

    One system's failure does not harm the others. *say* is told what goes on.
    """
    left_out = {name: why for name in settings.systems if (why := reason_to_leave_out(name)) is not None}
    for name, why in left_out.items():
        say(f"{name} is left out: {why}")
    with _folder(settings.folder) as folder:
        server = BenchmarkServer(folder / "postgres", keep=settings.folder is not None)
        try:
            say(f"computing the exact answers to {len(data.queries):,} queries over {data.n:,} rows")
            _ = data.truth
            for group in GROUPS:
                names = [name for name in group if name in settings.systems and name not in left_out]
                given = Surroundings(folder=folder, server=server, index=settings.index, target=settings.target)
                left_out |= await _Group(data, settings, say).measure(names, given, file)
        finally:
            await server.stop()
    return [f"{name}: {why}" for name, why in left_out.items()]


@contextmanager
def _folder(given: Path | None) -> Generator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    made_folder = Path(tempfile.mkdtemp(prefix="media-gateway-bench-"))
    try:
        yield made_folder
    finally:
        shutil.rmtree(made_folder, ignore_errors=True)


class _Group:
    """Systems that are measured by turns. One that fails is named in *failed* and left out from then on."""

    def __init__(self, data: Dataset, settings: BenchmarkOptions, say: Say) -> None:
        self._data = data
        self._settings = settings
        self._say = say
        self._failed: dict[str, str] = {}
        self._there: list[_Progress] = []

    async def measure(self, names: Sequence[str], given: Surroundings, file: ResultFile) -> dict[str, str]:
        """Measure the systems *names*, add the results to *file*, and return why others are not there."""
        try:
            systems = made(names, given)
        except Exception as error:  # noqa: BLE001  a library that cannot be imported
            return dict.fromkeys(names, f"{type(error).__name__}: {error}")
        try:
            for system in systems:
                self._say(f"{system.name}: loading")
                await self._attempt(system, lambda system=system: self._load(system))
            for one in list(self._there):
                self._say(f"{one.system.name}: finding its recall")
                await self._attempt(one.system, lambda one=one: self._tune(one))
            if self._there:
                await self._measure_together(file)
        finally:
            for system in systems:
                await self._close(system)
        return self._failed

    async def _attempt(self, system: System, work: Callable[[], Awaitable[None]]) -> None:
        if system.name in self._failed:
            return
        try:
            await work()
        except Exception as error:  # noqa: BLE001  a peer may raise anything; the others are measured all the same
            self._fail(system, error)

    def _fail(self, system: System, error: Exception) -> None:
        lines = str(error).strip().splitlines()
        self._failed[system.name] = f"{type(error).__name__}: {lines[0] if lines else 'without a word'}"
        self._there = [one for one in self._there if one.system is not system]
        self._say(f"{system.name} failed and is left out: {self._failed[system.name]}")

    async def _load(self, system: System) -> None:
        loaded = await system.load(self._data)
        rate = self._data.n / max(loaded.load_s, 1e-9)
        self._say(f"{system.name}: {rate:,.0f} rows/s, index built in {loaded.build_s:,.1f} s")
        self._there.append(_Progress(system=system, loaded=loaded))

    async def _tune(self, one: _Progress) -> None:
        system, data = one.system, self._data
        if not system.is_tunable:
            return
        like = next((other for other in self._there if system.shares_index_with == other.system.name), None)
        if like is not None and like.width is not None:
            # The same index and width find the same rows.
            one.width = like.width
            await system.widen(like.width)
            return
        one.width, one.curve = await tuned(system, data.queries, data.truth, self._settings.target)

    async def _measure_together(self, file: ResultFile) -> None:
        queries, plan = self._data.queries, self._settings.plan
        systems = [one.system for one in self._there]
        self._say(f"{' and '.join(system.name for system in systems)}: measuring")
        for system in systems:
            await self._attempt(system, lambda system=system: self._warm_up(system))
        timed = await latencies(systems, queries, plan, self._attempt)
        rates = await throughput(systems, queries, plan, self._attempt)
        for one in list(self._there):
            await self._attempt(one.system, lambda one=one: self._size(one))
        for one in self._there:
            result = self._result(one, timed[one.system.name], rates[one.system.name])
            file.add(result)
            self._say(_line(result))

    async def _warm_up(self, system: System) -> None:
        await system.answers(self._data.queries[: self._settings.plan.warm_up])

    async def _close(self, system: System) -> None:
        try:
            await system.aclose()
        except Exception as error:  # noqa: BLE001  its result is there, and the others want their turn
            self._say(f"{system.name} could not be closed: {error}")

    async def _size(self, one: _Progress) -> None:
        one.sizes = await one.system.sizes()

    def _result(self, one: _Progress, timed: Timed, rates: dict[int, float]) -> Result:
        data, system = self._data, one.system
        return Result(
            system=system.name,
            n=data.n,
            dimension=data.dimension,
            k=K,
            recall=data.truth.recall(timed.found, timed.asked),
            p50_ms=timed.percentile(50),
            p95_ms=timed.percentile(95),
            p99_ms=timed.percentile(99),
            qps=rates[1],
            qps_4=rates[4],
            qps_16=rates[16],
            load_rows_per_s=data.n / max(one.loaded.load_s, 1e-9),
            build_s=one.loaded.build_s,
            disk_bytes=one.sizes.disk,
            memory_bytes=one.sizes.memory,
            index=system.index,
            width=one.width,
            queries=len(timed.times),
            recall_target=self._settings.target,
            curve=one.curve,
            data={"name": data.name, "fingerprint": data.fingerprint, **data.options},
            machine=machine_facts(),
            versions={**package_versions(), **(system.versions or {})},
            notes=system.notes,
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            command=self._settings.command,
        )


def _line(result: Result) -> str:
    return (
        f"{result.system}: recall {result.recall:.3f}, p50 {result.p50_ms:.2f} ms, p95 {result.p95_ms:.2f} ms, "
        f"{result.qps:,.0f} searches/s by one client, {result.qps_16:,.0f} by 16"
    )
