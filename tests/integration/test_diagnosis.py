"""The doctor on real servers: what is broken on purpose is named, and what can be is mended."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from media_gateway.contracts import Explains
from media_gateway.database.engine import PGVECTOR
from media_gateway.database.schema import connect_dedicated, known_migrations, template_values
from media_gateway.database.statements import filled
from media_gateway.database.vectors import register_vectors
from media_gateway.models import ContentVector, SearchRequest
from media_gateway.monitoring.diagnosis import Limits, searching
from media_gateway.monitoring.diagnosis.view import ServerView
from media_gateway.rollout.opening import RolloutFiles
from media_gateway.rollout.state import RolloutState
from media_gateway.stores.memory import open_memory_store
from media_gateway.stores.postgres import open_postgres_store
from media_gateway.upkeep import looking, mend
from media_gateway.wiring import backups
from tests.doctored import ROOMY, SPACE, Case, found, looked, mended, settings_of
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio
COUNT = 1_200
PROFILE = """
INSERT INTO content_search_profiles (index_name, index_kind, table_rows, k, target, queries, queries_from, ef_search,
    recall, recall_low, recall_high, walk_ratio, classes)
VALUES ('content_vectors_hnsw_idx', 'vector', 1200, 10, .95, 500, 'records', 80, 1, .99, 1, 4.2,
    '[{"least_share": 0, "factor": 2}]')
"""
"""What tuning records."""
AT_ONCE = Limits(disk_share=0.0, disk_full_bytes=0, idle_seconds=0, transaction_seconds=0, waiting_seconds=0)


async def tuned_database(server: TestServer) -> str:
    """Return the name of a database with records and a profile, to be copied."""
    conninfo = server.new_database()
    store = await open_postgres_store(settings_of(Path(), conninfo), conninfo=conninfo, space=SPACE)

    async def batches() -> AsyncIterator[Sequence[ContentVector]]:
        yield records(COUNT)

    await store.bulk_load(batches())
    await store.aclose()
    with psycopg.connect(**conninfo) as connection:
        connection.execute(PROFILE)
    return conninfo["dbname"]


@pytest.fixture(scope="module")
def template(postgres: TestServer) -> str:
    return asyncio.run(tuned_database(postgres))


@pytest.fixture
def sound(postgres: TestServer, template: str, tmp_path: Path) -> Iterator[Case]:
    """A tuned collection that nothing is wrong with."""
    conninfo = postgres.new_database(template)
    yield Case(server=postgres, conninfo=conninfo, settings=settings_of(tmp_path, conninfo))
    postgres.drop_database(conninfo)


@pytest.fixture
def empty(postgres: TestServer, tmp_path: Path) -> Case:
    conninfo = postgres.new_database()
    return Case(server=postgres, conninfo=conninfo, settings=settings_of(tmp_path, conninfo))


async def test_a_sound_collection_is_called_healthy(sound: Case) -> None:
    made = await (await backups(sound.settings)).make()
    assert made.manifest.facts.count == COUNT
    _, seen = await mend(sound.settings, await looked(sound.settings), limits=ROOMY)
    assert [(finding.code, finding.seen) for finding in seen.findings] == []
    assert (seen.is_healthy, list(seen.skipped)) == (True, [])
    assert set(seen.checked) >= {"server", "extension", "schema", "indexes", "searches", "disk", "backups"}


async def test_a_dropped_index_is_built(sound: Case) -> None:
    sound.run("DROP INDEX content_vectors_hnsw_idx")
    (done,) = await mended(sound.settings, "index_missing")
    assert done.done is not None
    assert "built content_vectors_hnsw_idx" in done.done


async def test_an_invalid_index_is_built_anew(sound: Case) -> None:
    sound.run(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'content_vectors_hnsw_idx'::regclass",
    )
    finding = await found(sound.settings, "index_invalid")
    assert (finding.severity, "index rebuild --kind vector" in finding.command) == ("error", True)
    await mended(sound.settings, "index_invalid")


async def test_a_build_under_way_is_not_taken_for_a_ruin(sound: Case) -> None:
    with sound.connect(autocommit=False) as writer:
        writer.execute("UPDATE content_vectors SET metadata = metadata WHERE id = 'movie-1'")
        build = asyncio.create_task(build_halfvec(sound.conninfo))
        for _ in range(100):
            seen = await looked(sound.settings)
            if any(finding.code == "index_building" for finding in seen.findings):
                break
        writer.rollback()
        await build
    (building,) = [finding for finding in seen.findings if finding.code == "index_building"]
    assert "waiting for other transactions" in building.seen
    assert not [finding for finding in seen.findings if finding.code in {"index_invalid", "index_missing"}]


async def build_halfvec(conninfo: dict[str, Any]) -> None:
    async with await connect_dedicated(conninfo) as connection:
        await connection.execute(
            "CREATE INDEX CONCURRENTLY content_vectors_halfvec_idx ON content_vectors USING hnsw "
            "((l2_normalize(vector)::halfvec(32)) halfvec_cosine_ops)"
        )


async def test_a_dropped_extension_is_named_and_so_is_the_column_that_went_with_it(sound: Case) -> None:
    sound.run("DROP EXTENSION vector CASCADE")
    seen = await looked(sound.settings)
    assert [finding.code for finding in seen.findings][:1] == ["extension_missing"]
    assert {"schema", "indexes", "searches"} <= set(seen.skipped)
    done = await mended(sound.settings, "extension_missing")
    assert done[0].done == "created the extension vector"
    gone = await found(sound.settings, "column_gone")
    assert (gone.fix, gone.subject, "restore FILE" in gone.command) == (None, "content_vectors.vector", True)
    assert "vector_search_logs.query_vector" in gone.seen


async def test_an_empty_database_gets_extension_and_schema(empty: Case) -> None:
    done = await mended(empty.settings, "extension_missing")
    assert [one.code for one in done] == ["extension_missing", "schema_missing"]
    seen = await looked(empty.settings)
    assert not seen.count("error")


async def test_a_schema_that_is_behind_is_migrated(empty: Case) -> None:
    *first, last = known_migrations()
    async with await connect_dedicated(empty.conninfo) as connection:
        await connection.execute(
            "CREATE TABLE content_schema_history (version integer PRIMARY KEY, name text, sha256 text)"
        )
        for migration in first:
            await connection.execute(filled(migration.text, template_values(PGVECTOR, 32)))
            values = [migration.version, migration.name, migration.sha256]
            await connection.execute("INSERT INTO content_schema_history VALUES (%s, %s, %s)", values)
    assert f"{last.version} ({last.name})" in (await found(empty.settings, "schema_behind")).seen
    await mended(empty.settings, "schema_behind")


async def test_edited_newer_and_foreign_schemas(sound: Case, empty: Case) -> None:
    sound.run("UPDATE content_schema_history SET sha256 = 'edited' WHERE version = 1")
    assert "1 (content_vectors)" in (await found(sound.settings, "schema_edited")).seen
    sound.run("INSERT INTO content_schema_history (version, name, sha256) VALUES (9000, 'future', 'x')")
    assert "9000 (future)" in (await found(sound.settings, "schema_newer")).seen
    empty.run("CREATE EXTENSION vector", "CREATE TABLE content_vectors (id text)")
    assert (await found(empty.settings, "schema_foreign")).fix is None


async def test_models_and_dimensions_that_differ(sound: Case) -> None:
    other = sound.settings.model_copy(update={"own_model": "another"})
    assert "another" in (await found(other, "model_mismatch")).seen
    unusable = sound.settings.model_copy(update={"own_model": None})
    assert "RUVECTOR_MODEL" in (await found(unusable, "embedder_unusable")).seen
    sound.run("UPDATE content_collection SET dimension = 48")
    assert "takes 32 numbers" in (await found(sound.settings, "dimension_mismatch")).seen


async def test_a_planner_that_may_not_use_the_index(sound: Case) -> None:
    sound.altered('ALTER DATABASE "{}" SET enable_indexscan = off')
    finding = await found(sound.settings, "sequential_scan")
    assert "enable_indexscan is off" in finding.seen
    assert f'ALTER DATABASE "{sound.conninfo["dbname"]}" RESET enable_indexscan' in finding.command


async def test_a_search_that_takes_longer_than_it_may(sound: Case) -> None:
    hurried = sound.settings.model_copy(update={"statement_timeout": 0.001})
    assert "took too long" in (await found(hurried, "search_timeout")).seen


async def test_profiles_that_are_missing_outgrown_or_too_low(sound: Case) -> None:
    profile = "UPDATE content_search_profiles SET"
    sound.run(f"{profile} table_rows = 100")
    assert "for 100 records, and there are 1,200" in (await found(sound.settings, "profile_outgrown")).seen
    sound.run(f"{profile} recall = 0.9, recall_low = 0.88")
    assert "0.900 (at least 0.880)" in (await found(sound.settings, "recall_below_target")).seen
    sound.run(f"{profile} recall = 1")
    sound.altered('ALTER DATABASE "{}" SET hnsw.ef_search = 10')
    assert "hnsw.ef_search to 10" in (await found(sound.settings, "ef_search_low")).seen
    sound.run("DELETE FROM content_search_profiles")
    assert (await found(sound.settings, "profile_missing")).fix == "tune"


def evict(case: Case) -> None:
    """Have the index leave the server's memory, as after a restart."""
    case.run(
        "CREATE EXTENSION IF NOT EXISTS pg_buffercache",
        "SELECT pg_buffercache_evict(bufferid) FROM pg_buffercache "
        "WHERE relfilenode = pg_relation_filenode('content_vectors_hnsw_idx')",
    )


async def test_an_index_that_left_the_memory_is_warmed(sound: Case) -> None:
    evict(sound)
    done = await mended(sound.settings, "cache_cold")
    assert [one.code for one in done] == ["cache_cold"]


async def test_pages_from_outside_are_counted_where_nothing_tells_what_is_in_memory(sound: Case) -> None:
    store = await looking._parts(sound.settings, None).open_store()
    assert isinstance(store, Explains)
    explanation = await store.explain(SearchRequest(vector=records(1)[0].vector))
    await store.aclose()
    assert explanation.statement is not None
    evict(sound)
    async with await connect_dedicated(sound.conninfo) as connection:
        view = ServerView(
            settings=sound.settings,
            engine=PGVECTOR,
            conninfo=sound.conninfo,
            connection=connection,
            parts=looking._parts(sound.settings, None),
            limits=ROOMY,
        )
        await register_vectors(connection, PGVECTOR)
        facts = await view.parts.collection(connection)
        assert facts.serving is not None
        vectors = [record.vector for record in records(3)]
        reads = [await searching._pages_read(view, facts.serving, explanation.statement, vectors) for _ in range(2)]
    assert reads[0].fetched > 10
    assert reads[0].fetched > reads[1].fetched == 0
    assert searching.judged_share(facts.serving, 0.6, 0.5)[0].code == "cache_cold"


async def test_dead_rows_and_old_statistics(sound: Case) -> None:
    sound.run(
        "ALTER TABLE content_vectors SET (autovacuum_enabled = false)",
        "UPDATE content_vectors SET metadata = metadata",
    )
    limits = Limits(disk_share=0.0, disk_full_bytes=0, dead_rows=100)
    assert (await found(sound.settings, "autovacuum_off", limits)).subject == "content_vectors"
    seen = (await found(sound.settings, "dead_rows", limits)).seen
    assert "rows of content_vectors are dead; it was vacuumed last: never" in seen
    done = await mended(sound.settings, "dead_rows", limits)
    assert "VACUUM (ANALYZE) content_vectors" in [one.done for one in done]
    sound.run("UPDATE content_vectors SET metadata = metadata")
    await mended(sound.settings, "statistics_old", limits)


async def test_transactions_that_hold_others_up(sound: Case) -> None:
    with sound.connect(autocommit=False) as idle, sound.connect(autocommit=False) as waiting:
        idle.execute("LOCK TABLE content_embedding_cache")
        task = asyncio.create_task(asyncio.to_thread(waiting.execute, "SELECT count(*) FROM content_embedding_cache"))
        for _ in range(100):
            seen = await looked(sound.settings, AT_ONCE)
            if any(finding.code == "session_waiting" for finding in seen.findings):
                break
        (left,) = [finding for finding in seen.findings if finding.code == "idle_in_transaction"]
        (blocked,) = [finding for finding in seen.findings if finding.code == "session_waiting"]
        assert left.command.endswith(f"pg_terminate_backend({idle.info.backend_pid})")
        assert f"a lock of session {idle.info.backend_pid}" in blocked.seen
        idle.rollback()
        await task
    with sound.connect() as busy:
        task = asyncio.create_task(asyncio.to_thread(busy.execute, "SELECT pg_sleep(0.7)"))
        await asyncio.sleep(0.2)
        assert f"session {busy.info.backend_pid}" in (await found(sound.settings, "long_transaction", AT_ONCE)).seen
        await task


async def test_connections_that_run_out(sound: Case) -> None:
    sound.run(
        "DROP ROLE IF EXISTS crowd",
        "CREATE ROLE crowd LOGIN CONNECTION LIMIT 5",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO crowd",
    )
    as_crowd = {**sound.conninfo, "user": "crowd"}
    settings = settings_of(sound.settings.backup_path.parent, as_crowd)
    assert "this role has 5 connections" in (await found(settings, "pool_too_large")).seen
    assert "GRANT pg_monitor" in (await found(settings, "readings_hidden")).command
    with crowded(as_crowd, 3):
        assert "4 of the 5 connections that this role" in (await found(settings, "connections_nearly_exhausted")).seen
    with crowded(as_crowd, 4):
        assert (await found(settings, "connections_exhausted")).severity == "error"
    with crowded(as_crowd, 5):
        seen = await looked(settings)
    assert seen.findings[0].code == "connections_exhausted"
    assert "too many connections for role" in seen.findings[0].seen
    assert set(seen.skipped) >= {"connections", "schema", "searches"}


@contextmanager
def crowded(conninfo: dict[str, Any], count: int) -> Iterator[None]:
    connections = [psycopg.connect(**conninfo) for _ in range(count)]
    try:
        yield
    finally:
        for connection in connections:
            connection.close()


async def test_a_pool_that_callers_wait_for(sound: Case) -> None:
    settings = sound.settings.model_copy(update={"pool_min": 1, "pool_max": 1})
    store = await open_postgres_store(settings, conninfo=sound.conninfo, space=SPACE)
    async with store.serving_connection():
        waiting = asyncio.create_task(store.stats())
        await asyncio.sleep(0.1)
        pool = store._pool.measures()
        finding = await found(settings, "pool_exhausted", pool=pool)
    await waiting
    await store.aclose()
    assert "1 callers wait for one of 1 connections" in finding.seen


async def test_a_server_that_takes_no_writes(sound: Case) -> None:
    sound.altered('ALTER DATABASE "{}" SET default_transaction_read_only = on')
    assert "default_transaction_read_only is on" in (await found(sound.settings, "server_read_only")).seen


@pytest.mark.parametrize(
    ("code", "parts"), [("connection_refused", {"port": 1}), ("host_unknown", {"host": "nowhere.invalid"})]
)
async def test_servers_that_are_not_there(tmp_path: Path, code: str, parts: dict[str, Any]) -> None:
    conninfo = {"host": "127.0.0.1", "port": 1, "user": "films", "dbname": "films", **parts}
    seen = await looked(settings_of(tmp_path, conninfo))
    assert [finding.code for finding in seen.findings if finding.severity == "error"] == [code]
    assert list(seen.checked) == ["server", "rollout", "disk", "backups"]


async def test_something_else_that_listens(tmp_path: Path) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        conninfo = {"host": "127.0.0.1", "port": port, "user": "films", "dbname": "films"}
        await found(settings_of(tmp_path, conninfo), "not_postgres")


_HOLD = """
import asyncio, pathlib, sys
from media_gateway.stores.memory import open_memory_store

async def hold() -> None:
    async with await open_memory_store(pathlib.Path(sys.argv[1]), space=None):
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(hold())
"""


async def test_a_memory_store_that_is_missing_locked_or_damaged(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert (await found(settings, "memory_missing")).severity == "info"
    async with await open_memory_store(settings.memory_path, space=SPACE) as store:
        await store.upsert(records(200))
        assert "memory_locked" not in {finding.code for finding in (await looked(settings)).findings}, "it is ours"
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLD, str(settings.memory_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"open\n"
    assert f"process {holder.pid}" in (await found(settings, "memory_locked")).seen
    holder.stdin.close()
    assert await holder.wait() == 0
    assert [finding.code for finding in (await looked(settings)).findings] == ["backup_missing"]
    other = settings.model_copy(update={"own_model": "another"})
    assert "another" in (await found(other, "model_mismatch")).seen
    snapshot = settings.memory_path.read_bytes()
    settings.memory_path.write_bytes(snapshot[:200] + bytes([snapshot[200] ^ 1]) + snapshot[201:])
    assert "fails its checksum" in (await found(settings, "memory_damaged")).seen


async def test_a_long_journal_is_written_into_the_snapshot(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    async with await open_memory_store(tmp_path / "open" / "memory.snap", space=SPACE) as store:
        await store.upsert(records(200))
        # What a process leaves that is killed now.
        shutil.copy(tmp_path / "open" / "memory.snap.journal", tmp_path)
    limits = Limits(disk_share=0.0, disk_full_bytes=0, journal_bytes=10_000)
    (done,) = await mended(settings, "journal_large", limits)
    assert done.done == f"wrote the journal into {settings.memory_path}"
    assert settings.memory_path.exists()


async def test_backups_that_are_missing_old_or_damaged(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    async with await open_memory_store(settings.memory_path, space=SPACE) as store:
        await store.upsert(records(20))
    assert (await found(settings, "backup_missing")).severity == "warning"
    made = await (await backups(settings)).make()
    assert (await looked(settings)).is_healthy
    sound = settings.memory_path.read_bytes()
    settings.memory_path.write_bytes(sound[:-1])
    assert f"restore {made.path} --backend memory" in (await found(settings, "memory_damaged")).command
    settings.memory_path.write_bytes(sound)
    old = Limits(disk_share=0.0, disk_full_bytes=0, backup_seconds=0)
    assert str(made.path) in (await found(settings, "backup_old", old)).seen
    made.path.write_bytes(made.path.read_bytes()[:-1])
    assert "its manifest says" in (await found(settings, "backup_damaged")).seen
    made.path.with_suffix(".json").write_text("{")
    assert "cannot be understood" in (await found(settings, "backup_damaged")).seen


async def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    settings = settings_of(tmp_path, memory_path=tmp_path / "data" / "memory.snap")
    assert "is a file" in (await found(settings, "folder_not_writable")).seen


async def test_a_rollout_whose_guard_tripped(sound: Case) -> None:
    state = RolloutState(
        epoch=3,
        mode="canary",
        percent=25,
        tripped=True,
        at=datetime(2026, 3, 1, tzinfo=UTC),
        who="the guard",
        why="p95 was 812 ms",
        id="1",
    )
    RolloutFiles(path=sound.settings.memory_path).state.add(state, is_recorded=True)
    seen = await looked(sound.settings)
    (tripped,) = [finding for finding in seen.findings if finding.code == "rollout_tripped"]
    assert "canary 25 %, tripped since 2026-03-01 00:00: p95 was 812 ms" in tripped.seen
    assert "memory files" in seen.checked
