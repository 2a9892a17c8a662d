"""Diagnoses that need a disk or a second server of their own: `make test-full`."""

import asyncio
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from media_gateway.models import VectorSpace
from media_gateway.monitoring import diagnosis
from media_gateway.monitoring.diagnosis import CollectionFacts, Limits
from media_gateway.stores.postgres import open_postgres_store
from media_gateway.upkeep import looking
from tests.doctored import SPACE, Case, Making, found, looked, mended, settings_of
from tests.postgres import TestServer
from tests.samples import records
from tests.tls import Authority

pytestmark = [pytest.mark.anyio, pytest.mark.full]
STREAMING = "wal_level = replica\nmax_wal_senders = 4\n"
SHRUNK = """
shared_buffers = '512kB'
maintenance_work_mem = '1MB'
autovacuum = off
max_prepared_transactions = 2
wal_level = replica
max_wal_senders = 1
"""


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A server of its own with settings that are too small, which listens on TCP too and may be stopped."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("ward")
    folder.chmod(0o700)
    (folder / "operator.conf").write_text(SHRUNK)
    server = TestServer(folder, port=port)
    yield server
    server.stop()


@pytest.fixture
def in_ward(ward: TestServer, tmp_path: Path) -> Making:
    def make() -> Case:
        conninfo = ward.new_database()
        return Case(server=ward, conninfo=conninfo, settings=settings_of(tmp_path, conninfo))

    return make


def tcp(ward: TestServer, **parts: Any) -> dict[str, Any]:
    """Return the parameters of *ward* over TCP, its password among them."""
    status = ward.embedded.status()
    password = (status.folder / "password").read_text().strip()
    given = {"host": "127.0.0.1", "port": status.port, "user": ward.conninfo()["user"], "password": password}
    return {**given, "dbname": "postgres", **parts}


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("password_refused", {"password": "wrong"}),
        ("connection_refused", {"port": 1}),
        ("host_unknown", {"host": "nowhere.invalid"}),
        ("database_missing", {"dbname": "nowhere"}),
        ("password_refused", {"user": "nobody_there"}),
        ("tls_missing", {"sslmode": "require"}),
    ],
)
async def test_logins_that_fail(ward: TestServer, tmp_path: Path, code: str, parts: dict[str, Any]) -> None:
    seen = await looked(settings_of(tmp_path, tcp(ward, **parts)))
    assert [finding.code for finding in seen.findings if finding.severity == "error"] == [code]
    assert list(seen.checked) == ["server", "rollout", "disk", "backups"]


async def test_a_password_that_was_changed_is_refused(ward: TestServer, tmp_path: Path) -> None:
    with psycopg.connect(**ward.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE ROLE films LOGIN PASSWORD 'first'")
        settings = settings_of(tmp_path, tcp(ward, user="films", password="first"))
        assert (await looked(settings)).findings[0].code != "password_refused"
        connection.execute("ALTER ROLE films PASSWORD 'second'")
    finding = await found(settings, "password_refused")
    assert 'ALTER ROLE "films"' in finding.command
    assert "first" not in finding.seen + finding.command


async def test_settings_that_are_too_small(in_ward: Making) -> None:
    case = in_ward()
    space = VectorSpace(model="test", dimension=384)
    settings = case.settings.model_copy(update={"dimension": space.dimension})
    store = await open_postgres_store(settings, conninfo=case.conninfo, space=space)
    await store.upsert(records(300, space.dimension))
    await store.aclose()
    codes = {finding.code: finding for finding in (await looked(settings)).findings}
    assert "shared_buffers is 512 KiB" in codes["shared_buffers_small"].seen
    assert "a build gets 1.0 MiB" in codes["maintenance_memory_small"].seen
    assert "switched off on the server" in codes["autovacuum_off"].seen


async def test_a_prepared_transaction_and_a_slot_that_nobody_reads(in_ward: Making) -> None:
    case = in_ward()
    case.run("BEGIN; CREATE TABLE held (id int); PREPARE TRANSACTION 'forgotten'")
    case.run("SELECT pg_create_physical_replication_slot('abandoned', true)")
    limits = Limits(disk_share=0.0, disk_full_bytes=0, prepared_seconds=0)
    finding = await found(case.settings, "prepared_transaction", limits)
    assert finding.command.startswith("ROLLBACK PREPARED 'forgotten'")
    slot = await found(case.settings, "slot_inactive", limits)
    assert "pg_drop_replication_slot('abandoned')" in slot.command
    case.run("ROLLBACK PREPARED 'forgotten'", "SELECT pg_drop_replication_slot('abandoned')")


async def test_a_server_that_hangs(in_ward: Making) -> None:
    case = in_ward()
    with case.server.hung():
        seen = await looked(case.settings)
    assert seen.findings[0].code == "server_hung"
    assert "searches" in seen.skipped


async def test_an_embedded_server_that_was_killed_is_started_and_one_that_was_stopped_is_not(
    ward: TestServer, tmp_path: Path
) -> None:
    status = ward.embedded.status()
    settings = settings_of(tmp_path, backend="postgres", embedded_path=status.folder)
    assert status.pid is not None
    os.kill(status.pid, signal.SIGKILL)
    while ward.embedded.status().pid == status.pid:
        await asyncio.sleep(0.02)
    (done, *_) = await mended(settings, "embedded_down")
    assert done.done is not None
    assert done.done.startswith("started the embedded PostgreSQL")
    ward.embedded.stop()
    stopped = await found(settings, "embedded_stopped")
    assert (stopped.fix, stopped.command) == (None, "media-gateway db start")
    nothing = settings_of(tmp_path, backend="postgres", embedded_path=tmp_path / "nothing")
    missing = await found(nothing, "embedded_missing")
    assert missing.fix is None
    assert not (tmp_path / "nothing").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 MB, where this machine lets one be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_disk_that_fills_up_under_the_database(small_disk: Path, tmp_path: Path) -> None:
    server = TestServer(small_disk / "embedded")
    limits = Limits(disk_full_bytes=4 * 2**20, disk_share=0.3)
    settings = settings_of(tmp_path, backend="postgres", embedded_path=small_disk / "embedded")
    ballast = small_disk / "ballast"
    try:
        codes = {finding.code for finding in (await looked(settings, limits)).findings}
        assert "disk_full" not in codes
        with ballast.open("wb") as file, pytest.raises(OSError):  # noqa: PT012
            while True:
                file.write(b"\0" * 2**20)
        finding = await found(settings, "disk_full", limits)
        assert "which holds the database" in finding.seen
        conninfo = server.conninfo()
        # The folder of a server that the settings name is seen too, where it lies here.
        named = settings_of(tmp_path, conninfo)
        assert "which holds the database" in (await found(named, "disk_full", limits)).seen
        ballast.write_bytes(b"\0" * (ballast.stat().st_size - 20 * 2**20))
        assert (await found(settings, "disk_nearly_full", limits)).severity == "warning"
    finally:
        ballast.unlink(missing_ok=True)
        server.stop()


async def test_a_standby_that_lags_and_takes_no_writes(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("first", "second")}
    for folder in folders.values():
        folder.mkdir(mode=0o700)
        (folder / "operator.conf").write_text(STREAMING)
    first = TestServer(folders["first"])
    conninfo = first.conninfo()
    source = f"host={conninfo['host']} port={conninfo['port']} user={conninfo['user']}"
    copying = [
        first.embedded.binary("pg_basebackup"),
        "-D",
        folders["second"] / "pgdata",
        "-R",
        "-X",
        "stream",
        "-c",
        "fast",
    ]
    subprocess.run([*copying, "-d", source], check=True)
    second = TestServer(folders["second"])
    try:
        await found(settings_of(tmp_path, second.conninfo()), "server_read_only")
        for _ in range(100):
            with psycopg.connect(**conninfo) as connection:
                if connection.execute("SELECT count(*) FROM pg_stat_replication").fetchone() == (1,):
                    break
            await asyncio.sleep(0.1)
        with psycopg.connect(**second.conninfo(), autocommit=True) as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
        with psycopg.connect(**conninfo, autocommit=True) as connection:
            connection.execute("CREATE TABLE written AS SELECT number FROM generate_series(1, 100000) AS number")
        limits = Limits(disk_share=0.0, disk_full_bytes=0, replica_bytes=2**20)
        await asyncio.sleep(1.5)
        finding = await found(settings_of(tmp_path, conninfo), "replica_lag", limits)
        assert "MiB of log behind" in finding.seen
    finally:
        second.stop()
        first.stop()


async def test_certificates_of_another_host_and_of_an_authority_that_is_not_trusted(tmp_path: Path) -> None:
    """A server that speaks TLS as far as the handshake."""
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("elsewhere"))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # SSLRequest of the protocol: 8 bytes, answered by one letter.
        await reader.readexactly(8)
        writer.write(b"S")
        await writer.drain()
        try:
            await writer.start_tls(context)
        except (ssl.SSLError, ConnectionError):
            pass  # The client turns away from it.
        finally:
            writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        address = {"host": "127.0.0.1", "port": port, "user": "films", "dbname": "films", "sslmode": "verify-full"}
        named = settings_of(tmp_path, {**address, "sslrootcert": str(authority.root)})
        finding = await found(named, "tls_certificate")
        assert finding.seen.endswith('does not match host name "127.0.0.1"')
        assert 'certificate for "elsewhere"' in finding.seen
        unknown = settings_of(tmp_path, {**address, "sslrootcert": "system"})
        # OpenSSL says it one way or the other, by its version.
        said = (await found(unknown, "tls_certificate")).seen
        assert re.search("certificate verify failed|unable to get local issuer certificate", said)


async def test_a_table_that_is_locked_is_told_of_and_not_waited_for(postgres: TestServer, tmp_path: Path) -> None:
    store = await postgres.open_store(SPACE)
    conninfo = dict(store.endpoint.conninfo)
    await store.upsert(records(1_100))
    await store.aclose()
    with psycopg.connect(**conninfo) as other:
        other.execute("LOCK TABLE content_collection")
        began = time.monotonic()
        seen = [finding.seen for finding in (await looked(settings_of(tmp_path, conninfo))).findings]
        assert time.monotonic() - began < 15
    assert "model could not be looked at: canceling statement due to lock timeout" in seen
    assert any(text.startswith("searches could not be looked at") for text in seen)


async def test_a_server_that_hangs_while_it_is_examined(tmp_path: Path) -> None:
    server = TestServer(tmp_path / "hanging")
    try:
        store = await server.open_store(SPACE)
        settings = settings_of(tmp_path, dict(store.endpoint.conninfo))
        await store.aclose()
        with ExitStack() as hanging:

            async def hangs(connection: AsyncConnection[Any]) -> CollectionFacts:
                hanging.enter_context(server.hung())
                await connection.execute("SELECT 1")
                raise AssertionError("a hung server answers nothing")

            parts = replace(looking._parts(settings, None), collection=hangs)
            limits = Limits(disk_share=0.0, disk_full_bytes=0, answer_seconds=0.5)
            seen = await diagnosis.diagnose(settings, parts, limits=limits)
        assert seen.findings[0].code == "server_hung"
        assert "indexes was looked at" in seen.findings[0].seen
        assert "searches" in seen.skipped
    finally:
        server.stop()


async def test_a_collection_that_was_never_tuned_is_tuned(postgres: TestServer, tmp_path: Path) -> None:
    store = await postgres.open_store(SPACE)
    await store.upsert(records(1_100))
    await store.aclose()
    (done, *_) = [
        one
        for one in await mended(settings_of(tmp_path, dict(store.endpoint.conninfo)), "profile_missing")
        if one.code == "profile_missing"
    ]
    assert done.done is not None
    assert "chose ef_search" in done.done
