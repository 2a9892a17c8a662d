"""What every system that is measured does."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from media_gateway.benchmarking.datasets import Dataset
from media_gateway.errors import UnsupportedError
from media_gateway.models import Matrix, Vector


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Seconds of writing the rows, and of building the index after that."""

    load_s: float
    build_s: float


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes on disk and in memory, None where there are none to tell."""

    disk: int | None
    memory: int | None


@dataclass(kw_only=True)
class Answers:
    """Latencies in milliseconds, and the answers as row numbers, best first."""

    times: list[float] = field(default_factory=list[float])
    found: list[list[int]] = field(default_factory=list[list[int]])


class System(ABC):
    """A system under its *name*. `load` comes first; `aclose` removes what it made.

    `search` is what is timed; `numbers` then reads the row numbers from its answer. Those whose clients do not share
    this event loop have their own `answers` and `throughput`.
    """

    name: ClassVar[str]
    is_tunable: ClassVar[bool] = True
    """Whether `widen` changes how thoroughly is searched."""
    shares_index_with: ClassVar[str | None] = None
    """The system whose index this one searches too, so that equal widths find the same."""
    least_width: int = 10
    """The smallest width that makes a difference; one below k finds fewer than k."""
    index: str = "-"
    """What is searched by."""
    notes: tuple[str, ...] = ()
    versions: dict[str, str] | None = None
    """Versions of what is no Python package."""

    @abstractmethod
    async def load(self, data: Dataset) -> Loaded:
        """Write the rows of *data* and build the index."""

    async def widen(self, width: int) -> None:  # noqa: ARG002  the ones that have a width use it
        """Search with efSearch *width* from now on."""
        raise UnsupportedError(f"{self.name} has no width to search with", feature="width", store=self.name)

    async def tune(self) -> str | None:
        """Have the system choose a width by itself; returns what it chose in words, None where it does not."""
        return None

    async def sizes(self) -> Sizes:
        """Return how large it is."""
        return Sizes(disk=None, memory=None)

    @abstractmethod
    async def aclose(self) -> None:
        """Release everything, also when loading failed."""

    @abstractmethod
    async def answers(self, queries: Matrix) -> Answers:
        """Ask *queries* one after the other."""

    @abstractmethod
    async def throughput(self, queries: Matrix, clients: int, seconds: float) -> float:
        """Return the searches a second of *clients* that each ask again as soon as they have their answer."""


class AskedHere(System):
    """A system whose searches are made, and timed, in this process."""

    @abstractmethod
    async def search(self, query: Vector) -> Any:
        """Return the ten nearest rows, in the system's own form."""

    @abstractmethod
    def numbers(self, answer: Any) -> list[int]:
        """Return the row numbers of what `search` returned."""

    async def answers(self, queries: Matrix) -> Answers:
        found = Answers()
        raw: list[Any] = []
        for query in queries:
            begin = time.perf_counter()
            answer = await self.search(query)
            found.times.append((time.perf_counter() - begin) * 1000)
            raw.append(answer)
        found.found = [self.numbers(answer) for answer in raw]
        return found

    async def throughput(self, queries: Matrix, clients: int, seconds: float) -> float:
        end = time.perf_counter() + seconds

        async def client(number: int) -> int:
            count = 0
            while time.perf_counter() < end:
                await self.search(queries[(number * 97 + count) % len(queries)])
                count += 1
            return count

        begin = time.perf_counter()
        counts: Sequence[int] = await asyncio.gather(*(client(number) for number in range(clients)))
        return sum(counts) / (time.perf_counter() - begin)


def seconds_since(begin: float) -> float:
    """Return the seconds since the reading *begin* of the performance counter."""
    return time.perf_counter() - begin
