"""The examination: one check after the other, from what everything rests on to what rests on it.

Where the server cannot be reached, or its extension or its tables are not as they should be, what lies above is not
looked at: it would only say the same in other words.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import anyio.to_thread
import psycopg
from psycopg import AsyncConnection

from media_gateway.database.engine import ENGINES
from media_gateway.database.faults import first_line, is_connection_lost
from media_gateway.database.limits import AnswerLimit
from media_gateway.database.pool import set_config
from media_gateway.errors import MediaGatewayError, SnapshotDamagedError
from media_gateway.monitoring.diagnosis import (
    backups,
    disk,
    embedded,
    extension,
    indexes,
    memory,
    memory_store,
    reaching,
    replication,
    rollouts,
    schema,
    searching,
    sessions,
    space,
    transactions,
    tuning,
    vacuuming,
)
from media_gateway.monitoring.diagnosis.findings import RESTORE, Diagnosis, Finding, Kind, by_gravity
from media_gateway.monitoring.diagnosis.limits import Limits
from media_gateway.monitoring.diagnosis.parts import CollectionFacts, DiagnosisParts
from media_gateway.monitoring.diagnosis.view import ServerView
from media_gateway.settings import Settings

Check = Callable[[ServerView], Awaitable[Sequence[Finding]]]
CollectionCheck = Callable[[ServerView, CollectionFacts], Awaitable[Sequence[Finding]]]

UNSEEN: Final = Kind(
    code="not_examined", severity="warning", matters="what is wrong there, if anything, is not among these findings"
)
_FAMILIES: Final = (
    embedded,
    reaching,
    sessions,
    transactions,
    replication,
    extension,
    schema,
    space,
    indexes,
    searching,
    tuning,
    memory,
    vacuuming,
    disk,
    backups,
    memory_store,
    rollouts,
)
KINDS: Final[tuple[Kind, ...]] = (*(kind for family in _FAMILIES for kind in family.KINDS), UNSEEN)
"""Every kind of finding."""

_SERVER_CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("connections", sessions.examine),
    ("transactions", transactions.examine),
    ("replication", replication.examine),
)
_FOUNDATION_CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("extension", extension.examine),
    ("schema", schema.examine),
)
_TABLE_CHECKS: Final[tuple[tuple[str, Check], ...]] = (("model", space.examine), ("vacuum", vacuuming.examine))
_COLLECTION_CHECKS: Final[tuple[tuple[str, CollectionCheck], ...]] = (
    ("searches", searching.examine),
    ("tuning", tuning.examine),
    ("memory", memory.examine),
)
_EMPTY: Final = frozenset({embedded.MISSING.code, schema.MISSING.code, schema.FOREIGN.code})
"""What is found where there are no records yet."""
_LOCK_WAIT: Final = "2s"
_GRACE_SECONDS: Final = 2.0


async def diagnose(settings: Settings, parts: DiagnosisParts, *, limits: Limits | None = None) -> Diagnosis:
    """Return what is wrong with the backend that *settings* choose; nothing is changed, started or waited for.

    It takes a second or so; a server that hangs is given up after `Limits.answer_seconds`. A check that fails is a finding
    too, never an error.
    """
    return await _Examination(settings, parts, limits or Limits()).run()


class _Examination:
    def __init__(self, settings: Settings, parts: DiagnosisParts, limits: Limits) -> None:
        self._settings = settings
        self._parts = parts
        self._limits = limits
        self._findings: list[Finding] = []
        self._checked: list[str] = []
        self._facts: CollectionFacts | None = None
        self._data = settings.embedded_path if settings.is_embedded else None

    async def run(self) -> Diagnosis:
        settings = self._settings
        folders = {"backups": settings.backup_path}
        checks = (*_SERVER_CHECKS, *_FOUNDATION_CHECKS, *_TABLE_CHECKS)
        wanted = ["server", *(name for name, _ in checks), "indexes", *(name for name, _ in _COLLECTION_CHECKS)]
        if settings.backend == "memory":
            wanted = []
            self._data = None
            has_records = await self._memory_store()
        else:
            has_records = await self._postgres()
        await self._rollout()
        if "memory files" in self._checked:
            folders["the memory store"] = settings.memory_path.parent
        self._checked += ["disk", "backups"]
        look = partial(disk.examine, folders, self._limits, database=self._data)
        self._findings += await anyio.to_thread.run_sync(look)
        await self._backups(has_records=has_records)
        skipped = [name for name in wanted if name not in self._checked]
        return Diagnosis(findings=by_gravity(self._findings), checked=self._checked, skipped=skipped)

    async def _rollout(self) -> None:
        self._checked.append("rollout")
        try:
            seen = await self._parts.rollout()
        except (SnapshotDamagedError, OSError) as error:
            self._findings.append(_unseen("rollout", str(error)))
            return
        self._findings += rollouts.judged(seen)
        if seen is not None and seen.has_memory and "memory files" not in self._checked:
            await self._memory_store()

    async def _backups(self, *, has_records: bool) -> None:
        found, newest = await backups.examine(
            self._parts,
            self._settings.backup_path,
            self._limits,
            backend=self._settings.backend,
            has_records=has_records,
        )
        if newest is not None:
            exact = f"media-gateway restore {newest.path} --backend {self._settings.backend}"
            self._findings = [replace(one, command=one.command.replace(RESTORE, exact)) for one in self._findings]
        self._findings += found

    async def _memory_store(self) -> bool:
        """Look at the memory store, and return whether it may hold records."""
        self._checked.append("memory files")
        found, files = await memory_store.examine(self._parts, self._limits)
        self._findings += found
        return files is None or files.space is not None

    async def _postgres(self) -> bool:
        """Look at the server and what it holds, and return whether there may be records."""
        self._checked.append("server")
        connection = await self._connected()
        if isinstance(connection, Finding):
            self._findings.append(connection)
        else:
            try:
                await self._server(connection)
            finally:
                await connection.close()
        if self._facts is not None:
            return self._facts.rows > 0
        return not any(finding.code in _EMPTY for finding in self._findings)

    async def _connected(self) -> AsyncConnection[Any] | Finding:
        if self._settings.is_embedded:
            state = await embedded.embedded_state(self._settings.embedded_path)
            if state is not None:
                return state
        return await reaching.connected(self._settings, self._parts.conninfo())

    async def _server(self, connection: AsyncConnection[Any]) -> None:
        view = ServerView(
            settings=self._settings,
            engine=ENGINES[self._settings.engine],
            conninfo=self._parts.conninfo(),
            connection=connection,
            parts=self._parts,
            limits=self._limits,
        )
        if self._data is None:
            await self._check(view, "server", self._read_data_folder)
        for name, check in _SERVER_CHECKS:
            await self._check(view, name, check)
        for name, check in _FOUNDATION_CHECKS:
            if not await self._check(view, name, check):
                return
        for name, check in _TABLE_CHECKS:
            await self._check(view, name, check)
        await self._check(view, "indexes", self._read_collection)
        for name, check in _COLLECTION_CHECKS if self._facts is not None else ():
            await self._check(view, name, self._on_collection(check), seconds=3 * self._settings.statement_timeout)

    async def _read_data_folder(self, view: ServerView) -> Sequence[Finding]:
        self._data = await view.data_folder()
        return []

    async def _read_collection(self, view: ServerView) -> Sequence[Finding]:
        self._facts = await self._parts.collection(view.connection)
        return indexes.judged(self._facts, searches_index=self._parts.searches_index)

    def _on_collection(self, check: CollectionCheck) -> Check:
        async def run(view: ServerView) -> Sequence[Finding]:
            return [] if self._facts is None else await check(view, self._facts)

        return run

    async def _check(self, view: ServerView, name: str, check: Check, *, seconds: float = 0.0) -> bool:
        """Make one check, which may take *seconds* more than the server's answers; return whether it found no error."""
        connection = view.connection
        if connection.closed:
            return False
        if name not in self._checked:
            self._checked.append(name)
        patience = self._limits.answer_seconds + _GRACE_SECONDS + seconds
        limit = AnswerLimit(connection, patience)
        try:
            # The second limit is for what a check asks on connections of its own.
            async with asyncio.timeout(patience + _GRACE_SECONDS):
                with limit:
                    found = await self._read_only(view, check)
        except TimeoutError:
            found = [_unseen(name, f"it took longer than {patience:g} s")]
        except (psycopg.Error, MediaGatewayError) as error:
            found = [self._failed(view, name, error, is_hung=limit.was_reached)]
        self._findings += found
        return not any(finding.severity == "error" for finding in found) and not connection.closed

    async def _read_only(self, view: ServerView, check: Check) -> Sequence[Finding]:
        session = {"statement_timeout": f"{round(self._limits.answer_seconds * 1000)}ms", "lock_timeout": _LOCK_WAIT}
        async with view.connection.transaction():
            await view.connection.execute("SET TRANSACTION READ ONLY")
            await view.connection.execute(*set_config(session, is_local=True))
            return await check(view)

    def _failed(self, view: ServerView, name: str, error: Exception, *, is_hung: bool) -> Finding:
        address = reaching.address_of(self._settings, view.conninfo)
        if is_hung:
            seconds = self._limits.answer_seconds + _GRACE_SECONDS
            return reaching.refusal(reaching.HUNG, f"no answer for {seconds:g} s while {name} was looked at", address)
        if is_connection_lost(error):
            return reaching.refusal(reaching.FAILED, f"the connection was lost: {first_line(error)}", address)
        return _unseen(name, first_line(error))


def _unseen(name: str, reason: str) -> Finding:
    return UNSEEN.found(f"{name} could not be looked at: {reason}", "mend what the reason names, then run doctor again")
