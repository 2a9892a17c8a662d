"""Columns of vectors that follow their file.

They are read at the first search, extended by what is stored, and read anew when rows went or another program wrote.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from media_gateway.agentdb.columns import Positions, VectorColumn
from media_gateway.agentdb.context import Kind
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import BLOB_BYTES
from media_gateway.models import Matrix

_PAGE: Final = 4096


class FollowedColumn:
    """The vectors of one *kind*, by ascending id. Used on the file's thread alone."""

    def __init__(self, kind: Kind) -> None:
        self._query = statement(f"{kind}_vectors")
        self._column: VectorColumn | None = None
        self._version = 0

    def current(self, connection: sqlite3.Connection) -> VectorColumn:
        """Return the column as the file stands."""
        version = int(connection.execute("PRAGMA data_version").fetchone()[0])
        if self._column is None or version != self._version:
            self._column = VectorColumn()
            self._version = version
            self._clear()
            cursor = connection.execute(self._query)
            while rows := cursor.fetchmany(_PAGE):
                # Those that are zero or not finite are told by the column, many at a time.
                good = [row for row in rows if isinstance(row[-1], bytes) and len(row[-1]) == BLOB_BYTES]
                matrix = np.frombuffer(b"".join(row[-1] for row in good), dtype="<f4").reshape(len(good), -1)
                if good:
                    self._column.extend([row[0] for row in good], matrix)
                    self._note(good)
        return self._column

    def added(self, ids: Sequence[int], vectors: Matrix, facts: Sequence[Any] = ()) -> None:
        """Follow rows that were just committed; their ids are larger than those that are there."""
        if self._column is not None:
            self._column.extend(ids, vectors)
            self._note(facts)

    def put(self, row_id: int, vectors: Matrix) -> None:
        """Follow a row that was just committed, whether it is new or was there; *vectors* is its one vector."""
        if self._column is not None and not self._column.replace(row_id, vectors[0]):
            self.added([row_id], vectors)

    def forget(self) -> None:
        """Read the column anew at the next search."""
        self._column = None

    def _clear(self) -> None:
        """Forget what is known of the rows beside their vectors."""

    def _note(self, rows: Sequence[Any]) -> None:
        """Note what is known of *rows* beside their vectors."""


@dataclass(frozen=True, kw_only=True)
class EpisodeFilter:
    """Which episodes a search may find; None leaves a condition out."""

    session_id: str | None = None
    min_reward: float | None = None
    success: bool | None = None
    since: int | None = None
    has_critique: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether every episode passes."""
        return self == EpisodeFilter()


class EpisodeColumn(FollowedColumn):
    """The episodes' vectors, and beside them what searches filter by: arrays in the same order."""

    def __init__(self) -> None:
        super().__init__("episode")
        self._clear()

    def positions(self, wanted: EpisodeFilter) -> Positions | None:
        """Return where the episodes stand that pass *wanted*; None for all of them. Ask for `current` first."""
        if wanted.is_empty:
            return None
        count = self._count
        passing: npt.NDArray[np.bool_] = np.ones(count, dtype=np.bool_)
        if wanted.session_id is not None:
            passing &= self._sessions[:count] == self._codes.get(wanted.session_id, -1)
        if wanted.min_reward is not None:
            passing &= self._rewards[:count] >= wanted.min_reward
        if wanted.success is not None:
            passing &= self._successes[:count] == wanted.success
        if wanted.since is not None:
            passing &= self._times[:count] > wanted.since
        if wanted.has_critique:
            passing &= self._critiqued[:count]
        return np.flatnonzero(passing).astype(np.int64)

    def _clear(self) -> None:
        self._count = 0
        self._codes: dict[str, int] = {}
        self._sessions: npt.NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._rewards: npt.NDArray[np.float64] = np.empty(0, dtype=np.float64)
        self._successes: npt.NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        self._times: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._critiqued: npt.NDArray[np.bool_] = np.empty(0, dtype=np.bool_)

    def _note(self, rows: Sequence[Any]) -> None:
        """Note (id, session, reward, success, time, has critique, ...) of each of *rows*."""
        begin, end = self._count, self._count + len(rows)
        self._grow(end)
        self._sessions[begin:end] = [self._codes.setdefault(row[1], len(self._codes)) for row in rows]
        self._rewards[begin:end] = [row[2] for row in rows]
        self._successes[begin:end] = [bool(row[3]) for row in rows]
        self._times[begin:end] = [row[4] for row in rows]
        self._critiqued[begin:end] = [bool(row[5]) for row in rows]
        self._count = end

    def _grow(self, needed: int) -> None:
        if needed <= len(self._sessions):
            return
        room = max(needed, 2 * len(self._sessions), 1024)
        self._sessions = np.resize(self._sessions, room)
        self._rewards = np.resize(self._rewards, room)
        self._successes = np.resize(self._successes, room)
        self._times = np.resize(self._times, room)
        self._critiqued = np.resize(self._critiqued, room)
