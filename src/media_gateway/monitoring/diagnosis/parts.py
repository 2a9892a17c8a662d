"""What a diagnosis is given by the features that it may not import: handed in where they are put together."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

from media_gateway.contracts import VectorStore
from media_gateway.database.index_definitions import IndexKind
from media_gateway.models import VectorSpace


@dataclass(frozen=True, kw_only=True)
class IndexFacts:
    """A vector index: its *kind*, None where it is not ours; *rebuild_reason* is why it should be built anew, or None.

    *is_leftover* tells that it is the rest of a build that was cut off.
    """

    name: str
    kind: IndexKind | None
    is_valid: bool
    is_leftover: bool
    bytes: int
    rebuild_reason: str | None


@dataclass(frozen=True, kw_only=True)
class CollectionFacts:
    """The table's *rows* and *dimension*, its vector *indexes*, and what building one takes.

    *building* says how far a build under way is, None when none is. *graph_bytes* is the maintenance_work_mem that a build
    of the index in use needs, and *given_bytes* what a build here is given.
    """

    rows: int
    dimension: int
    indexes: Sequence[IndexFacts]
    building: str | None
    graph_bytes: int
    given_bytes: int

    @property
    def serving(self) -> IndexFacts | None:
        """A valid index of ours, the one that searches walk."""
        valid = [index for index in self.indexes if index.is_valid and not index.is_leftover and index.kind]
        halved = [index for index in valid if index.kind == "halfvec"]
        return next(iter([*halved, *valid]), None)


@dataclass(frozen=True, kw_only=True)
class BackupSeen:
    """A backup at *path*: when it was made, how large its manifest says it is, and how large it is, None where it is gone."""

    path: Path
    made_at: datetime
    expected_bytes: int
    found_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class MemoryFiles:
    """The files of a memory store: their bytes, 0 where there is none, and what is in them.

    *space* is None where nothing is on record. *holder* names the process that has them open for writing.
    """

    path: Path
    snapshot_bytes: int
    journal_bytes: int
    space: VectorSpace | None
    holder: str | None


@dataclass(frozen=True, kw_only=True)
class RolloutSeen:
    """The state of a rollout in words, since when and why; with *has_memory* a memory store is one end of it.

    *unfollowed* says why the process that serves takes no part in it, None where it does or where none serves.
    """

    text: str
    at: datetime
    why: str
    is_tripped: bool
    has_memory: bool
    unfollowed: str | None = None


@dataclass(frozen=True, kw_only=True)
class DiagnosisParts:
    """What the features below know.

    *space* gives the space that the settings choose and raises what building their embedder raises. *conninfo* gives the
    server's parameters without starting it. *collection* reads the table and its indexes. *open_store* opens the store
    as it is, with as few connections as can be, changing nothing; it raises what opening raises. *newest_backup* and
    *memory_files* raise BackupError and SnapshotDamagedError for damage. *searches_index* tells from how many rows on
    searches walk an index. *rollout* is the state that this machine knows of, None where none was recorded. *pool* are the counters of the pool in this process, where there is one.
    """

    space: Callable[[], VectorSpace]
    conninfo: Callable[[], dict[str, Any]]
    collection: Callable[[AsyncConnection[Any]], Awaitable[CollectionFacts]]
    open_store: Callable[[], Awaitable[VectorStore]]
    newest_backup: Callable[[], Awaitable[BackupSeen | None]]
    memory_files: Callable[[], Awaitable[MemoryFiles]]
    rollout: Callable[[], Awaitable[RolloutSeen | None]]
    searches_index: int
    pool: Mapping[str, int] | None = None
