"""An open AgentDB file: its parts, and what concerns it as a whole."""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from media_gateway.agentdb import consolidation, nightly
from media_gateway.agentdb.application import Application
from media_gateway.agentdb.checking import Problem, problems_of
from media_gateway.agentdb.connections import Connections
from media_gateway.agentdb.consolidation import ConsolidationRules, MissingVectorsError
from media_gateway.agentdb.context import KINDS, Context
from media_gateway.agentdb.edges import Edges
from media_gateway.agentdb.episodes import Episodes
from media_gateway.agentdb.file import AgentFile
from media_gateway.agentdb.inspection import Variant
from media_gateway.agentdb.moat import Moat, moat_of
from media_gateway.agentdb.nightly import NightlyReport, NightlyRules
from media_gateway.agentdb.patterns import Patterns
from media_gateway.agentdb.profiles import Profiles
from media_gateway.agentdb.provenance import Provenance
from media_gateway.agentdb.reembedding import Progress, Reembedded, reembed
from media_gateway.agentdb.skills import Skills
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import DIMENSION
from media_gateway.agentdb.watching import WatchEpisodes
from media_gateway.contracts import Embedder
from media_gateway.errors import ModelMismatchError
from media_gateway.models import Matrix

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class AgentDbInfo:
    """What a file holds: counts of rows, the *variant* that it came as, and what made its vectors, by kind of row."""

    path: str
    variant: Variant
    patterns: int
    episodes: int
    sessions: int
    skills: int
    links: int
    edges: int
    bytes: int
    embeddings: dict[str, Provenance]


class AgentDb:
    """An open AgentDB file. Made by `open_agentdb`; used as an async context manager, or closed by `aclose`.

    *patterns*, *episodes*, *skills* and *edges* are its tables; *profiles*, *application* and *connections* what the
    media application does with them; *watch_events* gives watch episodes as events.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.patterns = Patterns(context)
        self.episodes = Episodes(context)
        self.skills = Skills(context)
        self.edges = Edges(context)
        self.profiles = Profiles(context, self.patterns, self.episodes)
        self.application = Application(context, self.patterns, self.episodes, self.skills)
        self.connections = Connections(context)
        self.watch_events = WatchEpisodes(context)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._context.file.path

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the file and give its lock back; the embedder stays open. Twice does no harm."""
        await self._context.file.aclose()

    async def info(self) -> AgentDbInfo:
        """Return what the file holds. What made its vectors is told from 24 rows of each kind."""
        counts = await self.counts()
        file = self._context.file
        return AgentDbInfo(
            path=str(file.path),
            variant=file.variant,
            **counts,
            bytes=file.path.stat().st_size,
            embeddings={f"{kind}s": await self._context.provenance(kind) for kind in KINDS},
        )

    async def counts(self) -> dict[str, int]:
        """Return how many patterns, episodes, sessions, skills, links and edges there are."""
        return await self._context.file.run(_counts)

    async def check(self) -> list[Problem]:
        """Return what is wrong with the file, nothing when it is sound; it is not changed."""
        return await self._context.file.run(problems_of, "check")

    async def moat(self) -> Moat:
        """Return the 'moat' score of what was learned, and its parts."""
        return moat_of(await self.counts())

    async def reembed(self, progress: Progress | None = None) -> Reembedded:
        """Replace every vector by one of this embedder, in one transaction; see `reembedding.reembed`."""
        try:
            return await reembed(self._context, progress)
        finally:
            await self._context.file.run(lambda _: self._forget_vectors())

    async def consolidate(self, rules: ConsolidationRules | None = None, *, dry_run: bool = False) -> tuple[int, int]:
        """Make skills of episodes, and return how many were created and updated; a second call changes nothing.

        A *dry_run* writes nothing. Raises InvalidInputError, EmbeddingError, and UnsupportedError when the file is
        open for reading only.
        """
        chosen = (rules or ConsolidationRules()).checked()
        if dry_run:
            found = await self._context.file.run(
                lambda connection: consolidation.plan(connection, chosen, self._context.now)
            )
            return len(found.created), len(found.updated)

        def done(connection: sqlite3.Connection, vectors: dict[str, Matrix]) -> tuple[int, int]:
            found = consolidation.plan(connection, chosen, self._context.now)
            return consolidation.carry_out(connection, found, self.skills, vectors)

        return await self._with_vectors(done)

    async def nightly(self, rules: NightlyRules | None = None, *, dry_run: bool = False) -> NightlyReport:
        """Discover causal edges, consolidate episodes, prune, and report what changed.

        All of it is one transaction. A *dry_run* writes nothing and reports what would change; it also runs on a file
        that is open for reading only. Raises as `consolidate` does.
        """
        chosen = (rules or NightlyRules()).checked()
        now = self._context.now
        if dry_run:
            planned = await self._context.file.run(lambda connection: nightly.plan(connection, chosen, now))
            return planned.report(dry_run=True)

        def done(connection: sqlite3.Connection, vectors: dict[str, Matrix]) -> NightlyReport:
            return nightly.carry_out(connection, nightly.plan(connection, chosen, now), self.skills, vectors, now)

        return await self._with_vectors(done)

    async def _with_vectors(self, work: Callable[[sqlite3.Connection, dict[str, Matrix]], _T]) -> _T:
        """Return what *work* returns, done in one transaction, with the vectors of all texts that it asks for.

        Texts are embedded outside of the transaction, so *work* looks anew at what is to be done each time.
        """
        self._context.file.check_may_write()
        vectors: dict[str, Matrix] = {}
        while True:
            try:
                return await self._context.file.write(
                    lambda connection: work(connection, vectors), lambda _: self._forget_vectors()
                )
            except MissingVectorsError as missing:
                texts = missing.texts
            vectors.update(zip(texts, await self._context.embed(texts), strict=True))

    def _forget_vectors(self) -> None:
        for part in (self.patterns, self.episodes, self.skills):
            part.forget_vectors()


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    names = ("patterns", "episodes", "sessions", "skills", "links", "edges")
    return {name: int(connection.execute(statement(f"count_{name}")).fetchone()[0]) for name in names}


async def open_agentdb(
    path: str | Path,
    *,
    embedder: Embedder | None = None,
    read_only: bool = False,
    create: bool = True,
    clock: Callable[[], float] = time.time,
) -> AgentDb:
    """Open the AgentDB file at *path*, one that the npm package wrote or one of our own.

    Opening for writing makes the tables that are missing and takes a lock file beside it, since one process may write
    at a time; opening with *read_only* does neither and goes beside a writer. Where there is no file, one is made if
    *create*. *embedder* turns texts into vectors of 384 numbers and stays the caller's; without one, vectors are given.

    Raises FileFormatError for a file of another kind, or one that is damaged or cut off, StoreLockedError when
    another process holds it, StoreFullError when it cannot be written, SchemaError when a newer version wrote it, and
    ModelMismatchError for an embedder of another dimension. The file is then as it was.
    """
    if embedder is not None and embedder.space.dimension != DIMENSION:
        raise ModelMismatchError(
            f"{embedder.space} does not fit an AgentDB file, whose vectors have {DIMENSION} numbers; "
            "give an embedder of that size, such as the local one",
            given=embedder.space.dimension,
            expected=DIMENSION,
        )
    file = await AgentFile.open(Path(path), read_only=read_only, create=create)
    return AgentDb(Context(file=file, embedder=embedder, clock=clock))
