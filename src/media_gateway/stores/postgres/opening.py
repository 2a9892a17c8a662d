"""Opening a PostgreSQL store: reach the server, bring or check the schema, probe the engine, claim the space."""

from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.types.json import set_json_loads

from media_gateway.database.collection import claim_space, recorded_space
from media_gateway.database.connections import PoolObserver
from media_gateway.database.engine import ENGINES, Engine, version_numbers
from media_gateway.database.faults import faults_translated
from media_gateway.database.pool import Endpoint, Pool
from media_gateway.database.schema import connect_dedicated, extension_version, migrate, names_of, schema_state
from media_gateway.errors import EngineRefusedError, ExtensionMissingError, ModelMismatchError, SchemaError
from media_gateway.json_values import parse
from media_gateway.models import MAX_INDEXED_DIMENSION, HybridWeights, VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.postgres.indexes.resources import local_resources
from media_gateway.stores.postgres.selftest import EngineSelfTest
from media_gateway.stores.postgres.store import PostgresStore
from media_gateway.stores.postgres.tuning.profiles import tuned_width

_GRACE_SECONDS: Final = 2.0
"""How much longer than its own statement timeout a server may take to tell of it."""
_WALK_MEMORY: Final = "8"
"""Times `work_mem` that a walk may hold of what it visited, some 200 bytes a node: at the 4 MB of an untuned server enough
for the longest walks. Beyond its memory pgvector yields what it had set aside, in no good order."""


async def open_postgres_store(
    settings: Settings,
    *,
    conninfo: dict[str, Any],
    space: VectorSpace | None,
    pool_observer: PoolObserver | None = None,
) -> PostgresStore:
    """Return a store on the server of *conninfo*, whose collection holds vectors of *space*.

    *pool_observer* hears how callers get their connections. Without a *space* the recorded one is taken. An empty database gets the schema; one that is behind is brought up to
    date where `auto_migrate` says so. Raises StoreUnavailableError, ExtensionMissingError, EngineRefusedError,
    SchemaError and ModelMismatchError, each with what to do.
    """
    engine = ENGINES[settings.engine]
    server = settings.server()
    always_exact = settings.exact
    with faults_translated(server):
        connection = await connect_dedicated(conninfo)
        try:
            await ensure_schema(connection, settings, engine, space)
            await _probe(connection, engine, server)
            if engine.oldest is None and not always_exact:
                await _self_test(connection, engine)
            resolved = await _resolved_space(connection, engine, space)
            ef_search = await tuned_width(connection)
        finally:
            await connection.close()
    endpoint = Endpoint(
        conninfo=conninfo,
        server=server,
        engine=engine,
        session=_session(settings, engine, ef_search),
        transaction_pooler=settings.transaction_pooler,
        patience=settings.statement_timeout + _GRACE_SECONDS,
    )
    pool = Pool(
        endpoint,
        min_size=settings.pool_min,
        max_size=settings.pool_max,
        timeout=settings.pool_timeout,
        observer=pool_observer,
    )
    await pool.open()
    return PostgresStore(
        pool,
        space=resolved,
        ef_search=ef_search,
        always_exact=always_exact,
        index_choice=settings.index,
        recall_target=settings.recall_target,
        resources=local_resources(settings.embedded_path) if settings.is_embedded else None,
        weights=HybridWeights(text=settings.hybrid_text_weight, vector=settings.hybrid_vector_weight),
    )


async def ensure_schema(
    connection: AsyncConnection[Any], settings: Settings, engine: Engine, space: VectorSpace | None
) -> None:
    """Bring the schema up to date where the settings allow it, else raise SchemaError when it is behind."""
    state = await schema_state(connection)
    if state.is_current:
        return
    allowed = settings.auto_migrate
    if allowed is None:
        # Where no space was ever recorded nothing can be lost: a process was killed while it made the schema.
        allowed = settings.is_embedded or state.is_empty or await recorded_space(connection) is None
    if not allowed:
        raise SchemaError(
            f"{settings.server()} lacks the migrations {names_of(state.pending)}; run media-gateway db migrate, as the "
            "role that owns the tables"
        )
    if space is None:
        raise SchemaError(
            f"{settings.server()} has no collection yet, and its dimension is not known; load something first, or "
            "set RUVECTOR_DIMENSION"
        )
    await migrate(connection, engine, space.dimension)


async def _resolved_space(connection: AsyncConnection[Any], engine: Engine, space: VectorSpace | None) -> VectorSpace:
    recorded = await recorded_space(connection)
    if space is None:
        if recorded is None:
            raise ModelMismatchError(
                "the collection has no model on record yet, so its vectors cannot be compared; load something first",
                given=None,
                expected=None,
            )
        return recorded
    if space.dimension > MAX_INDEXED_DIMENSION:
        raise ModelMismatchError(
            f"{space} was given, but an HNSW index on vectors takes at most {MAX_INDEXED_DIMENSION}; "
            "ask the model for fewer dimensions",
            given=space,
            expected=MAX_INDEXED_DIMENSION,
        )
    if recorded != space:
        await claim_space(connection, engine, space)
    return space


async def _probe(connection: AsyncConnection[Any], engine: Engine, server: str) -> None:
    version = await extension_version(connection, engine)
    if version is None:
        raise ExtensionMissingError(
            f"{server} has no extension {engine.name!r} in this database; run CREATE EXTENSION {engine.name} there",
            extension=engine.name,
        )
    if engine.oldest is not None and version_numbers(version) < engine.oldest:
        oldest = ".".join(str(part) for part in engine.oldest)
        raise EngineRefusedError(
            f"{server} has {engine.name} {version}; expected {oldest} or newer, since older ones can corrupt an index: "
            f"install it and run ALTER EXTENSION {engine.name} UPDATE",
            engine=engine.name,
            check="version",
        )
    missing = await _missing_part(connection, engine)
    if missing is not None:
        raise EngineRefusedError(
            f"{server} has {engine.name} {version}, but without its {missing}; reinstall the extension",
            engine=engine.name,
            check=missing,
        )


async def _missing_part(connection: AsyncConnection[Any], engine: Engine) -> str | None:
    cursor = await connection.execute(
        """
        SELECT
            (SELECT count(*) FROM pg_type WHERE typname = %(type)s),
            (SELECT count(*) FROM pg_am WHERE amname = %(method)s),
            (SELECT count(*) FROM pg_opclass JOIN pg_am ON pg_am.oid = opcmethod
                WHERE opcname = %(ops)s AND amname = %(method)s)
        """,
        {"type": engine.vector_type, "method": engine.access_method, "ops": engine.cosine_ops},
    )
    row = await cursor.fetchone()
    parts = (
        f"type {engine.vector_type}",
        f"access method {engine.access_method}",
        f"operator class {engine.cosine_ops}",
    )
    return next((part for part, count in zip(parts, row or (0, 0, 0), strict=True) if not count), None)


async def _self_test(connection: AsyncConnection[Any], engine: Engine) -> None:
    test = EngineSelfTest(connection, engine)
    await test.build()
    await test.run()


def _session(settings: Settings, engine: Engine, ef_search: int) -> dict[str, str]:
    session = {
        "statement_timeout": f"{round(settings.statement_timeout * 1000)}ms",
        engine.ef_search: str(ef_search),
    }
    if engine.iterative_scan is not None:
        session[engine.iterative_scan] = "relaxed_order"
    if engine.walk_memory is not None:
        session[engine.walk_memory] = _WALK_MEMORY
    return session


# jsonb arrives as PostgreSQL wrote it; `parse` keeps whole numbers whole where the default would lose digits.
set_json_loads(parse)
