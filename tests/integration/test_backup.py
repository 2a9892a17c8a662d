"""Backups on a real PostgreSQL: one snapshot under load, no damage taken for good, nothing that runs lost."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from media_gateway.contracts import BackedUp
from media_gateway.database.clients import client_programs
from media_gateway.database.engine import PGVECTOR
from media_gateway.database.roles import RoleWish, make_roles
from media_gateway.database.schema import connect_dedicated
from media_gateway.database.scratch import scratch_database
from media_gateway.errors import (
    BackupError,
    ExtensionMissingError,
    SchemaError,
    SettingsError,
    StoreError,
    UnsupportedError,
)
from media_gateway.models import ContentVector, SearchRequest, VectorSpace
from media_gateway.stores.memory.backup import MemoryBackup
from media_gateway.stores.postgres import PostgresStore
from media_gateway.stores.postgres.backup import PostgresBackup
from media_gateway.stores.postgres.restoring import listing_without
from media_gateway.transfer.backup import Backups, Made
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio

SPACE = VectorSpace(model="test", dimension=32)
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MIXED = ContentVector(key="odd", vector=records(1)[0].vector, metadata={"genre_ids": [28, "x", 3.0], "title": "Odd"})


@pytest.fixture
async def store(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    store = await postgres.open_store(SPACE)
    await store.upsert([*records(300), MIXED])
    yield store
    await store.aclose()


def source_of(store: PostgresStore, **more: Any) -> PostgresBackup:
    return PostgresBackup(store.endpoint.conninfo, server="here", engine=PGVECTOR, **more)


def backups_of(store: PostgresStore, folder: Path, **more: Any) -> Backups:
    return Backups(folder, source_of(store, **more), clock=lambda: AT)


def databases(server: TestServer) -> set[str]:
    with psycopg.connect(**server.conninfo()) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


def rewritten(made: Made, data: bytes) -> None:
    """Replace the backup's bytes, with a manifest that says they are right."""
    made.path.write_bytes(data)
    manifest = made.path.with_suffix(".json")
    values = json.loads(manifest.read_text())
    values |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest.write_text(json.dumps(values))


async def test_a_backup_comes_back_whole_and_what_ran_is_kept(
    postgres: TestServer, store: PostgresStore, tmp_path: Path
) -> None:
    name = store.endpoint.conninfo["dbname"]
    postgres.admin(sql.SQL("ALTER DATABASE {} SET hnsw.ef_search = '77'").format(sql.Identifier(name)))
    postgres.admin(sql.SQL("ALTER DATABASE {} SET search_path = public, pg_catalog").format(sql.Identifier(name)))
    postgres.admin(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    before = await store.digest()
    made = await backups_of(store, tmp_path / "new").make()
    assert made.path.name == "backup-20260304.dump"
    assert oct(made.path.stat().st_mode & 0o077) == "0o0"
    facts = made.manifest.facts
    assert (facts.count, facts.model, facts.dimension, facts.digest) == (301, "test", 32, before.text)
    assert facts.tables["content_vectors"] == 301
    assert sorted(entry.name for entry in (tmp_path / "new").iterdir()) == [
        ".backup.lock", "backup-20260304.dump", "backup-20260304.json",
    ]  # fmt: skip
    await store.delete([item.key for item in records(200)])
    told: list[str] = []
    restored = await backups_of(store, tmp_path / "new").restore(made.path, told.append)
    assert "an index over 301 vectors takes about" in told[0]
    assert restored.kept == f"{name}_before_restore_20260304050607"
    # The open store goes on, on the restored database.
    assert await store.digest() == before
    found = await store.search(SearchRequest(vector=records(300)[8].vector, k=3))
    assert found.hits[0].key == "movie-8"
    with psycopg.connect(**{**store.endpoint.conninfo, "dbname": restored.kept}) as connection:
        assert connection.execute("SELECT count(*) FROM content_vectors").fetchone() == (101,)
    with psycopg.connect(**store.endpoint.conninfo) as connection:
        shown = connection.execute("SELECT current_setting('hnsw.ef_search'), current_setting('search_path')")
        assert shown.fetchone() == ("77", "public, pg_catalog")
        rights = connection.execute(
            "SELECT datacl::text FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert rights is not None
        assert "=c" not in rights[0].replace("=CTc", "")
    postgres.drop_database({"dbname": restored.kept})


async def test_no_backup_is_replaced_and_the_newest_is_checked(
    postgres: TestServer, store: PostgresStore, tmp_path: Path
) -> None:
    backups = backups_of(store, tmp_path)
    with pytest.raises(BackupError, match="there is no backup of the postgres backend"):
        await backups.check()
    first = await backups.make()
    data = first.path.read_bytes()
    await store.upsert(records(7, prefix="more"))
    second = await backups.make()
    assert (second.path.name, second.manifest.facts.count) == ("backup-20260304-2.dump", 308)
    assert first.path.read_bytes() == data
    names = databases(postgres)
    later = Backups(tmp_path, source_of(store), clock=lambda: AT + timedelta(hours=30))
    checked = await later.check()
    assert (checked.path, checked.age) == (second.path, timedelta(hours=30))
    assert databases(postgres) == names


async def test_the_plans_own_line_restores_it(postgres: TestServer, store: PostgresStore, tmp_path: Path) -> None:
    made = await backups_of(store, tmp_path).make()
    before = await store.digest()
    await store.delete(["movie-1", "odd"])
    conninfo = store.endpoint.conninfo
    subprocess.run(
        [postgres.embedded.binary("pg_restore"), "-d", conninfo["dbname"], "-c", made.path],
        env={**os.environ, "PGHOST": conninfo["host"], "PGPORT": str(conninfo["port"]), "PGUSER": conninfo["user"]},
        check=True,
        capture_output=True,
    )
    again = await postgres.open_store(SPACE, dict(conninfo))
    assert await again.digest() == before
    assert (await again.stats()).index == "content_vectors_hnsw_idx"
    await again.aclose()


async def test_one_flipped_byte_is_refused(postgres: TestServer, store: PostgresStore, tmp_path: Path) -> None:
    backups = backups_of(store, tmp_path)
    made = await backups.make()
    names, before = databases(postgres), await store.digest()
    data = bytearray(made.path.read_bytes())
    data[len(data) // 2] ^= 1
    made.path.write_bytes(data)
    for attempt in (backups.restore(made.path, print), backups.check()):
        with pytest.raises(BackupError, match="is damaged: its SHA-256 begins with"):
            await attempt
    made.path.write_bytes(data[:-1])
    with pytest.raises(BackupError, match="is damaged: it has .* bytes, and its manifest says"):
        await backups.restore(made.path, print)
    made.path.with_suffix(".json").write_text("{")
    with pytest.raises(BackupError, match="cannot be understood"):
        await backups.restore(made.path, print)
    made.path.with_suffix(".json").unlink()
    with pytest.raises(BackupError, match="has no manifest"):
        await backups.restore(made.path, print)
    assert (databases(postgres), await store.digest()) == (names, before)


async def test_a_restore_that_fails_halfway_leaves_what_runs(
    postgres: TestServer, store: PostgresStore, tmp_path: Path
) -> None:
    backups = backups_of(store, tmp_path)
    made = await backups.make()
    names, before = databases(postgres), await store.digest()
    data = made.path.read_bytes()
    rewritten(made, data[: len(data) * 3 // 4])
    for attempt in (backups.restore(made.path, print), backups.check()):
        with pytest.raises(BackupError, match="could not be restored, and nothing was changed: "):
            await attempt
    assert (databases(postgres), await store.digest()) == (names, before)


async def test_a_dump_of_something_else_is_refused(postgres: TestServer, store: PostgresStore, tmp_path: Path) -> None:
    backups = backups_of(store, tmp_path)
    made = await backups.make()
    await store.upsert([ContentVector(key="odd", vector=MIXED.vector, metadata={"title": "Odd, but changed"})])
    changed = await backups.make()
    names, before = databases(postgres), await store.digest()
    rewritten(made, changed.path.read_bytes())
    with pytest.raises(BackupError, match="the digest of the records came out as"):
        await backups.restore(made.path, print)
    assert (databases(postgres), await store.digest()) == (names, before)


async def test_a_backup_under_load_is_one_snapshot(store: PostgresStore, tmp_path: Path) -> None:
    is_done = False

    async def write() -> int:
        number = 0
        while not is_done:
            await store.upsert([*records(3, prefix=f"w{number}")])
            number += 1
        return number

    writing = asyncio.create_task(write())
    backups = backups_of(store, tmp_path)
    await asyncio.sleep(0.05)
    made = await backups.make()
    is_done = True
    assert await writing > 3
    assert made.manifest.facts.count < (await store.stats()).count
    assert (await backups.check()).path == made.path


async def test_a_restore_that_is_cancelled_leaves_nothing_behind(
    postgres: TestServer, store: PostgresStore, tmp_path: Path
) -> None:
    backups = backups_of(store, tmp_path)
    made = await backups.make()
    names, before = databases(postgres), await store.digest()
    for seconds in (0.1, 0.4):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await backups.restore(made.path, lambda _: None)
        assert databases(postgres) == names
    assert await store.digest() == before


async def test_one_restore_at_a_time_and_the_next_removes_what_a_killed_one_left(
    postgres: TestServer, store: PostgresStore
) -> None:
    mine, other = (f"{name}_restoring_0123abcd" for name in (store.endpoint.conninfo["dbname"], "other"))
    for name in (mine, other):
        postgres.admin(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    async with scratch_database(store.endpoint.conninfo, "here") as scratch:
        assert mine not in databases(postgres)
        assert other in databases(postgres)
        assert scratch.conninfo["dbname"] in databases(postgres)
        with pytest.raises(StoreError, match="another restore or check is under way"):
            async with scratch_database(store.endpoint.conninfo, "here"):
                pass
    assert scratch.conninfo["dbname"] not in databases(postgres)


async def test_a_database_that_is_gone_is_made_again(
    postgres: TestServer, store: PostgresStore, tmp_path: Path
) -> None:
    made = await backups_of(store, tmp_path).make()
    before = await store.digest()
    postgres.drop_database(dict(store.endpoint.conninfo))
    restored = await backups_of(store, tmp_path).restore(made.path, print)
    assert restored.kept is None
    assert await store.digest() == before


async def test_a_role_that_may_not_create_databases_is_told_what_to_do(
    postgres: TestServer, store: PostgresStore, tmp_path: Path
) -> None:
    made = await backups_of(store, tmp_path).make()
    postgres.admin(sql.SQL("DROP ROLE IF EXISTS keeper"))
    postgres.admin(sql.SQL("CREATE ROLE keeper LOGIN"))
    source = PostgresBackup({**store.endpoint.conninfo, "user": "keeper"}, server="here", engine=PGVECTOR)
    backups = Backups(tmp_path, source)
    for attempt in (backups.restore(made.path, print), backups.check()):
        with pytest.raises(SchemaError, match="name a superuser.*ALTER ROLE keeper CREATEDB is enough"):
            await attempt
    postgres.admin(sql.SQL("ALTER ROLE keeper CREATEDB"))
    with pytest.raises(SchemaError, match="only its owner can rename it"):
        await backups.restore(made.path, print)


async def test_a_role_that_may_not_create_the_extension_is_told_who_may_and_nothing_is_left(
    postgres: TestServer, store: PostgresStore, tmp_path: Path
) -> None:
    made = await backups_of(store, tmp_path).make()
    name = store.endpoint.conninfo["dbname"]
    before = databases(postgres)
    roles = {"application": f"app_{name}", "owner": f"owner_{name}"}
    async with await connect_dedicated(store.endpoint.conninfo) as connection:
        wishes = [RoleWish(duty="application", name=roles["application"])]
        await make_roles(connection, PGVECTOR, wishes, server="here")
    postgres.admin(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(roles["owner"])))
    said = {
        "application": f"the role app_{name} may not create databases .* name a superuser",
        "owner": f"the role owner_{name} may not create the extension vector .* name a superuser",
    }
    try:
        postgres.admin(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(*map(sql.Identifier, (name, roles["owner"]))))
        for duty, words in said.items():
            conninfo = {**store.endpoint.conninfo, "user": roles[duty]}
            backups = Backups(tmp_path, PostgresBackup(conninfo, server="here", engine=PGVECTOR))
            for attempt in (backups.restore(made.path, print), backups.check()):
                with pytest.raises(SchemaError, match=words):
                    await attempt
        assert databases(postgres) == before
        assert (await store.stats()).count == 301
    finally:
        postgres.admin(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(sql.Identifier(name)))
        with psycopg.connect(**store.endpoint.conninfo, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(roles["application"])))
        for role in roles.values():
            postgres.admin(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


async def test_extensions_that_nothing_needs_hold_up_no_restore(
    postgres: TestServer, store: PostgresStore, tmp_path: Path
) -> None:
    with psycopg.connect(**store.endpoint.conninfo, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_prewarm")
    made = await backups_of(store, tmp_path).make()
    assert (await backups_of(store, tmp_path).check()).path == made.path
    conninfo = postgres.new_database()
    with psycopg.connect(**conninfo) as connection:
        folder = client_programs(connection.info.server_version // 10_000).folder
    listed = subprocess.run([folder / "pg_restore", "--list", made.path], capture_output=True, text=True, check=True)
    entries = listed.stdout.replace("EXTENSION - vector", "EXTENSION - pg_trgm")
    postgres.admin(sql.SQL("CREATE ROLE modest LOGIN"))
    postgres.admin(sql.SQL("GRANT CREATE ON DATABASE {} TO modest").format(sql.Identifier(conninfo["dbname"])))
    try:
        # pg_trgm, which ordinary roles may create, stands in for pgvector on a server where they may create that.
        async with await connect_dedicated({**conninfo, "user": "modest"}) as connection:
            kept, left_out = await listing_without(connection, entries, needed="pg_trgm", path=made.path, server="here")
            with pytest.raises(ExtensionMissingError, match="cannot create the extension nothing_like_it"):
                await listing_without(
                    connection,
                    entries.replace("pg_trgm", "nothing_like_it"),
                    needed="nothing_like_it",
                    path=made.path,
                    server="here",
                )
        assert left_out == ["pg_prewarm"]
        assert "EXTENSION - pg_trgm" in kept
        assert "pg_prewarm" not in kept
        assert len(kept.splitlines()) > 20
    finally:
        postgres.drop_database(conninfo)
        postgres.admin(sql.SQL("DROP ROLE modest"))


async def test_an_older_pg_dump_is_refused_in_a_sentence(store: PostgresStore, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (old / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 14.2 (Debian 14.2-1)'\n")
        (old / name).chmod(0o755)
    with pytest.raises(SettingsError, match=r"PostgreSQL \d+ or newer were not found in .*found 14.2 in"):
        await backups_of(store, tmp_path / "new", programs=old).make()
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == [".backup.lock"]
    assert client_programs(14, folder=old).version == "14.2"


async def test_the_password_is_in_no_argument(store: PostgresStore, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (programs / name).write_text(
            '#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 99.1" && exit\n'
            f'echo "$@" > {tmp_path}/arguments; echo "$PGPASSWORD" > {tmp_path}/password; echo broken >&2; exit 1\n'
        )
        (programs / name).chmod(0o755)
    conninfo = {**store.endpoint.conninfo, "password": "s3cret word"}
    source = PostgresBackup(conninfo, server="here", engine=PGVECTOR, programs=programs)
    with pytest.raises(BackupError, match="here could not be backed up: broken"):
        await Backups(tmp_path / "new", source).make()
    assert "s3cret" not in (tmp_path / "arguments").read_text()
    assert (tmp_path / "password").read_text() == "s3cret word\n"


KILLED = """
import asyncio, json, sys
from pathlib import Path
from media_gateway.database.engine import PGVECTOR
from media_gateway.stores.postgres.backup import PostgresBackup
from media_gateway.transfer.backup import Backups

source = PostgresBackup(json.loads(sys.argv[2]), server="here", engine=PGVECTOR)
print("ready", flush=True)
asyncio.run(Backups(Path(sys.argv[1]), source).make())
"""


async def test_a_backup_that_is_killed_leaves_nothing_that_looks_like_one(store: PostgresStore, tmp_path: Path) -> None:
    async def batches() -> AsyncIterator[Sequence[ContentVector]]:
        for number in range(3):
            yield records(2000, prefix=f"bulk{number}")

    await store.delete([record.key for record in records(300)])
    await store.bulk_load(batches())
    conninfo = json.dumps(dict(store.endpoint.conninfo))
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path, conninfo], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    async with asyncio.timeout(30):
        while not any(entry.name.startswith(".backup-unfinished") for entry in tmp_path.iterdir()):
            await asyncio.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert list(tmp_path.glob("backup-*")) == []
    backups = Backups(tmp_path, source_of(store))
    assert await backups.newest() is None
    made = await backups.make()
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.name != ".backup.lock") == [
        made.path.with_suffix(".json").name if suffix == ".json" else made.path.name for suffix in (".dump", ".json")
    ]


async def test_a_backup_of_the_other_backend_is_refused(store: PostgresStore, tmp_path: Path) -> None:
    made = await backups_of(store, tmp_path).make()
    other: BackedUp = MemoryBackup(tmp_path / "m.snap")
    with pytest.raises(UnsupportedError, match="give --backend postgres"):
        await Backups(tmp_path, other).restore(made.path, print)
