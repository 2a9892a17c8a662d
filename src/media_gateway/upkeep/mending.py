"""Mending what a diagnosis found, as far as that is safe: no session is ended, no data deleted, no server's setting changed."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import anyio.to_thread
from psycopg import sql

from media_gateway.contracts import Prewarms, Tunes, VectorStore
from media_gateway.database.engine import ENGINES
from media_gateway.database.faults import faults_translated
from media_gateway.database.index_definitions import INDEX_NAMES, IndexDefinition, IndexKind
from media_gateway.database.pool import Endpoint
from media_gateway.database.schema import connect_dedicated
from media_gateway.database.server import EmbeddedServer
from media_gateway.errors import MediaGatewayError, UnsupportedError
from media_gateway.monitoring.diagnosis import Diagnosis, Finding, Fix, Limits
from media_gateway.settings import Settings
from media_gateway.stores.memory import open_memory_store
from media_gateway.stores.postgres import open_postgres_store
from media_gateway.stores.postgres.indexes import build_index, rebuild_index
from media_gateway.upkeep.looking import build_resources, diagnose, server_address
from media_gateway.upkeep.migrating import apply_migrations

_TABLE: Final = "content_vectors"


@dataclass(frozen=True, kw_only=True)
class Mended:
    """What was tried for the finding *code*: what was *done*, or the *error* that it ended with."""

    code: str
    done: str | None = None
    error: str | None = None


Remedy = Callable[[Settings, Finding], Awaitable[str]]


async def mend(
    settings: Settings,
    found: Diagnosis,
    *,
    limits: Limits | None = None,
    pool: Mapping[str, int] | None = None,
    on_mended: Callable[[Mended], None] | None = None,
) -> tuple[list[Mended], Diagnosis]:
    """Mend what of *found* can be, look again, and go on with what shows only then; return what was done, and what is left.

    Each remedy is tried once, and *on_mended* hears of it at once. One that fails is told of and changes nothing else. Some
    take long: an index is built beside searches, tuning reads the whole table once.
    """
    mended: list[Mended] = []
    tried: set[tuple[Fix, str | None]] = set()
    while True:
        new: dict[tuple[Fix, str | None], Finding] = {}
        for finding in found.findings:
            if finding.fix is not None and (finding.fix, finding.subject) not in tried:
                new.setdefault((finding.fix, finding.subject), finding)
        if not new:
            return mended, found
        for (fix, subject), finding in new.items():
            tried.add((fix, subject))
            mended.append(await _tried(settings, fix, finding))
            if on_mended is not None:
                on_mended(mended[-1])
        found = await diagnose(settings, limits=limits, pool=pool)


async def _tried(settings: Settings, fix: Fix, finding: Finding) -> Mended:
    try:
        return Mended(code=finding.code, done=await _REMEDIES[fix](settings, finding))
    except MediaGatewayError as error:
        return Mended(code=finding.code, error=str(error))


async def _start_server(settings: Settings, _: Finding) -> str:
    status = await anyio.to_thread.run_sync(EmbeddedServer(settings.embedded_path).ensure_running)
    return f"started {settings.server()}, pid {status.pid}"


async def _create_extension(settings: Settings, _: Finding) -> str:
    name = ENGINES[settings.engine].name
    await _execute(settings, sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(name)))
    return f"created the extension {name}"


async def _migrate(settings: Settings, _: Finding) -> str:
    return f"applied the migrations {', '.join(await apply_migrations(settings))}"


async def _build_index(settings: Settings, finding: Finding) -> str:
    definition = IndexDefinition(kind=_kind(finding))
    built = await build_index(_endpoint(settings), definition, resources=build_resources(settings))
    return f"built {built.index.name} in {built.seconds:.1f} s"


async def _rebuild_index(settings: Settings, finding: Finding) -> str:
    built = await rebuild_index(_endpoint(settings), _kind(finding), resources=build_resources(settings))
    dropped = f", and dropped {', '.join(built.dropped)}" if built.dropped else ""
    return f"built {built.index.name} anew in {built.seconds:.1f} s{dropped}"


async def _analyze(settings: Settings, finding: Finding) -> str:
    return await _on_table(settings, "ANALYZE {}", finding)


async def _vacuum(settings: Settings, finding: Finding) -> str:
    return await _on_table(settings, "VACUUM (ANALYZE) {}", finding)


async def _prewarm(settings: Settings, _: Finding) -> str:
    store = await _open_store(settings)
    try:
        if not isinstance(store, Prewarms):
            raise UnsupportedError("this store has nothing to warm", feature="warming", store=settings.backend)
        warmed = await store.prewarm()
    finally:
        await store.aclose()
    return f"read {warmed.bytes / 2**20:,.1f} MiB into memory by {warmed.how}"


async def _tune(settings: Settings, _: Finding) -> str:
    store = await _open_store(settings)
    try:
        if not isinstance(store, Tunes):
            raise UnsupportedError("this store cannot be tuned", feature="tuning", store=settings.backend)
        report = await store.tune(target=settings.recall_target)
    finally:
        await store.aclose()
    first = report.classes[0]
    return f"chose ef_search {report.ef_search}, with which a recall of {first.recall:.3f} was measured"


async def _compact(settings: Settings, _: Finding) -> str:
    store = await open_memory_store(settings.memory_path, space=None, exact=True)
    await store.aclose()
    return f"wrote the journal into {settings.memory_path}"


_REMEDIES: Final[dict[Fix, Remedy]] = {
    "start_server": _start_server,
    "create_extension": _create_extension,
    "migrate": _migrate,
    "build_index": _build_index,
    "rebuild_index": _rebuild_index,
    "analyze": _analyze,
    "vacuum": _vacuum,
    "prewarm": _prewarm,
    "tune": _tune,
    "compact": _compact,
}


async def _on_table(settings: Settings, statement: LiteralString, finding: Finding) -> str:
    table = finding.subject or _TABLE
    await _execute(settings, sql.SQL(statement).format(sql.Identifier(table)))
    return statement.format(table)


async def _execute(settings: Settings, statement: sql.Composed) -> None:
    with faults_translated(settings.server()):
        connection = await connect_dedicated(server_address(settings))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


async def _open_store(settings: Settings) -> VectorStore:
    unchanged: dict[str, Any] = {"auto_migrate": False}
    return await open_postgres_store(
        settings.model_copy(update=unchanged), conninfo=server_address(settings), space=None
    )


def _endpoint(settings: Settings) -> Endpoint:
    return Endpoint(conninfo=server_address(settings), server=settings.server(), engine=ENGINES[settings.engine])


def _kind(finding: Finding) -> IndexKind:
    return "halfvec" if finding.subject == INDEX_NAMES["halfvec"] else "vector"
