"""What searches must know of the table: its size, its statistics, its vector indexes, and what tuning found.

It is read once a minute, by the search that happens to come then, so that running processes follow an index that was
built or dropped and a new profile without being told.
"""

import time
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from media_gateway.database.index_definitions import INDEX_NAMES
from media_gateway.database.pool import Pool
from media_gateway.stores.postgres.queries import Queries
from media_gateway.stores.postgres.statistics import TableStatistics, statistics_from
from media_gateway.stores.postgres.tuning.knobs import UNTUNED, SearchKnobs
from media_gateway.stores.postgres.tuning.profiles import knobs_from

IndexChoice: TypeAlias = Literal["auto", "vector", "halfvec"]
SMALL: Final = 1_000
"""Rows up to which a search scans them all: as quick as the index there, and exact."""
HALFVEC_INDEX: Final = INDEX_NAMES["halfvec"]
_REFRESH_SECONDS: Final = 60.0
_SMALL_SECONDS: Final = 30.0
"""A small table is looked at more often, since it may be growing beyond what is scanned."""


@dataclass(frozen=True, kw_only=True)
class VectorIndex:
    """A valid index that searches can walk; *is_halved* when it holds numbers of 16 bits."""

    name: str
    is_halved: bool

    @property
    def kind(self) -> str:
        """The name of the type that it holds."""
        return "halfvec" if self.is_halved else "vector"


@dataclass(frozen=True, kw_only=True)
class Situation:
    """The table as it was a moment ago: *least_rows* is its size as far as it was counted, up to one beyond `SMALL`.

    *note* says why *index* is not the one that was asked for, "" where it is.
    """

    least_rows: int = 0
    statistics: TableStatistics = field(default_factory=lambda: TableStatistics(rows=None, columns={}))
    index: VectorIndex | None = None
    knobs: SearchKnobs = UNTUNED
    note: str = ""

    @property
    def is_small(self) -> bool:
        """Whether every search scans."""
        return self.least_rows <= SMALL

    @property
    def no_index(self) -> str:
        """The reason of a search that scans because there is no index."""
        return "there is no valid vector index; build one with media-gateway index build"

    def with_note(self, reason: str) -> str:
        """Return *reason*, and why another index is used than the one asked for."""
        return f"{reason}; {self.note}" if self.note else reason


class SituationReader:
    """Keeps a `Situation` that is a minute old at most; *choice* says which index is wanted."""

    def __init__(self, pool: Pool, queries: Queries, choice: IndexChoice) -> None:
        self._pool = pool
        self._queries = queries
        self._choice: IndexChoice = choice
        self.current = Situation()
        self.fresh_until = 0.0

    def forget(self) -> None:
        """Have it read again before the next search."""
        self.fresh_until = 0.0

    async def refresh(self) -> Situation:
        """Read it now."""
        # Set first, so that callers at the same time do not all ask; but nobody may go by no situation at all.
        if self.fresh_until:
            self.fresh_until = time.monotonic() + _REFRESH_SECONDS
        try:
            self.current = await self._read()
        except BaseException:
            self.fresh_until = 0.0
            raise
        seconds = _SMALL_SECONDS if self.current.is_small else _REFRESH_SECONDS
        self.fresh_until = time.monotonic() + seconds
        return self.current

    async def _read(self) -> Situation:
        ((least_rows, indexes, has_profiles),) = await self._pool.fetch(self._queries.situation, {"limit": SMALL + 1})
        if least_rows <= SMALL:
            return Situation(least_rows=least_rows, index=None)
        index, note = _chosen(indexes or [], self._choice)
        statistics = statistics_from(
            await self._pool.fetch(self._queries.statistics), await self._pool.fetch(self._queries.field_statistics)
        )
        knobs = UNTUNED
        if has_profiles and index is not None:
            rows = await self._pool.fetch(self._queries.latest_profile, {"kind": index.kind})
            knobs = knobs_from(rows[0]) if rows else UNTUNED
        return Situation(least_rows=least_rows, statistics=statistics, index=index, knobs=knobs, note=note)


def _chosen(names: list[list[Any]], choice: IndexChoice) -> tuple[VectorIndex | None, str]:
    """Return the index to walk, out of pairs of name and kind, and why it is not the one wanted."""
    found = {kind: VectorIndex(name=name, is_halved=kind == "halfvec") for name, kind in reversed(names)}
    halved, plain = found.get("halfvec"), found.get("vector")
    if choice == "vector":
        note = "" if plain else "RUVECTOR_INDEX asks for the vector index, but there is no valid one"
        return plain or halved, note
    if choice == "halfvec" and halved is None:
        return plain, "RUVECTOR_INDEX asks for the halfvec index, but there is no valid one"
    return halved or plain, ""
