"""The embedded PostgreSQL, on real servers in folders of their own.

Under root the server runs in a user namespace; the ordinary user is then played by `nobody` in a process of its own.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from media_gateway.database.server import EmbeddedServer, ServerStatus
from media_gateway.database.server import config as server_config
from media_gateway.database.server import files as server_files
from media_gateway.database.server import log as server_log
from media_gateway.database.server import process as server_process
from media_gateway.database.server import sockets as server_socket
from media_gateway.errors import ServerStartError, StoreUnavailableError
from tests.postgres import copy_cluster

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")

MakeServer = Callable[..., EmbeddedServer]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, whose server is stopped. The kills below end processes, never the machine: no fsync."""
    folder = tmp_path_factory.mktemp("template") / "embedded"
    copy_cluster(folder)
    return folder


@pytest.fixture
def make(template: Path, tmp_path: Path) -> Iterator[MakeServer]:
    """Make servers on copies of the template, or on a fresh folder; all are ended with the test."""
    made: list[EmbeddedServer] = []

    def server(folder: Path | None = None, *, fresh: bool = False, **options: object) -> EmbeddedServer:
        folder = folder or tmp_path / f"embedded-{len(made)}"
        if not fresh:
            shutil.copytree(template, folder, dirs_exist_ok=True)
        made.append(EmbeddedServer(folder, **options))
        return made[-1]

    yield server
    for one in made:
        _tidy(one)


def _tidy(server: EmbeddedServer) -> None:
    status = server.status()
    if status.pid is not None:
        os.kill(status.pid, signal.SIGQUIT)  # the quick way out, as the data is not needed any more
        _until(lambda: not server_process.is_alive(_pid(status)))
    shutil.rmtree(status.socket_folder, ignore_errors=True)


def _pid(status: ServerStatus) -> int:
    assert status.pid is not None
    return status.pid


def _run(server: EmbeddedServer, statement: str) -> list[tuple]:
    with psycopg.connect(**server.conninfo(), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    _until(lambda: not server_process.is_alive(pid))


def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


def _python(script: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def _answer(process: subprocess.Popen[str]) -> str:
    answer, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    return answer.strip()


class TestLife:
    def test_a_new_server_starts_tells_its_state_and_stops(self, make, tmp_path):
        name = "Größe 数据 'quoted\" $x `y` a,b #c " + "x" * 150
        server = make(tmp_path / name / "embedded", fresh=True)
        before = server.status()
        assert (before.running, before.pid, before.version, before.stopped_by_operator) == (False, None, None, False)
        assert not (tmp_path / name).exists()

        status = server.start()
        assert status.running
        major = (status.folder / "pgdata" / "PG_VERSION").read_text().strip()
        assert status.version is not None
        assert status.version.split(".")[0] == major
        assert server_process.is_alive(_pid(status))
        assert status.log.read_text().count("ready to accept connections") == 1
        assert _run(server, "SELECT current_user, current_database()") == [("media_gateway", "media_vectors")]
        assert len(str(status.socket_folder)) < 90

        assert "FATAL" not in status.log.read_text()

        assert server.stop() is True
        assert server.status().pid is None
        assert not status.socket_folder.exists()
        assert not server_process.is_alive(_pid(status))
        assert server.stop() is False

    def test_the_data_is_private_and_the_settings_hold(self, make):
        server = make()
        status = server.start()
        for folder in (status.folder, status.folder / "pgdata", status.socket_folder):
            assert folder.stat().st_mode & 0o077 == 0
        shown = dict(
            _run(
                server,
                "SELECT name, setting FROM pg_settings WHERE name IN ('listen_addresses', 'shared_preload_libraries',"
                " 'data_checksums', 'synchronous_commit', 'jit', 'TimeZone', 'server_encoding')",
            )
        )
        assert shown == {
            "listen_addresses": "",
            "shared_preload_libraries": "pg_stat_statements",
            "data_checksums": "on",
            "synchronous_commit": "on",
            "jit": "off",
            "TimeZone": "UTC",
            "server_encoding": "UTF8",
        }
        for extension in ("vector", "pg_stat_statements", "pg_prewarm"):
            _run(server, f"CREATE EXTENSION {extension}")

    def test_start_twice_gives_one_server(self, make):
        server = make()
        first = server.start()
        assert server.start().pid == first.pid
        assert EmbeddedServer(first.folder).ensure_running().pid == first.pid

    def test_processes_that_start_at_once_share_one_server(self, make, tmp_path):
        folder = tmp_path / "new"
        remains = folder / "pgdata.new-0abc"  # of an initdb that was interrupted
        remains.mkdir(parents=True)
        (remains / "PG_VERSION").write_text("18\n")
        server = make(folder, fresh=True)
        script = """
            import sys
            from pathlib import Path
            from media_gateway.database.server import EmbeddedServer
            server = EmbeddedServer(Path(sys.argv[1]))
            print((server.start() if sys.argv[2] == "start" else server.ensure_running()).pid)
        """
        starters = [_python(script, folder, how) for how in ("start", "ensure", "start")]
        pids = {_answer(starter) for starter in starters}
        assert pids == {str(server.status().pid)}
        assert not list(folder.glob("pgdata.new-*"))

    def test_what_was_stopped_stays_stopped_until_start(self, make):
        server = make()
        server.start()
        server.stop()
        with pytest.raises(StoreUnavailableError, match="media-gateway db start") as caught:
            server.ensure_running()
        assert caught.value.reason == "stopped by the operator"
        assert server.status().stopped_by_operator
        assert not server.start().stopped_by_operator
        _kill(_pid(server.status()))
        assert server.ensure_running().running

    def test_a_server_that_never_ran_is_not_made_by_stop(self, make, tmp_path):
        server = make(tmp_path / "none", fresh=True)
        assert server.stop() is False
        assert not (tmp_path / "none").exists()

    def test_it_outlives_the_exit_and_the_interrupt_of_its_starter(self, make):
        server = make()
        script = """
            import sys, time
            from pathlib import Path
            from media_gateway.database.server import EmbeddedServer
            print(EmbeddedServer(Path(sys.argv[1])).start().pid, flush=True)
            time.sleep(60)
        """
        starter = _python(script, server.status().folder, start_new_session=True)
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        os.killpg(starter.pid, signal.SIGINT)
        starter.communicate(timeout=20)
        assert os.getsid(pid) != starter.pid
        assert server.status().pid == pid
        assert _run(server, "SELECT 1") == [(1,)]


class TestCrashes:
    def test_data_survives_stop_and_kill(self, make):
        server = make()
        server.start()
        _run(server, "CREATE TABLE t (n int)")
        _run(server, "INSERT INTO t VALUES (1)")
        server.stop()
        server.start()
        _run(server, "INSERT INTO t VALUES (2)")
        killed = _pid(server.status())
        _kill(killed)
        assert not server.status().running
        assert server.start().pid != killed
        assert _run(server, "SELECT n FROM t ORDER BY n") == [(1,), (2,)]

    def test_a_kill_amid_a_transaction_leaves_what_was_committed(self, make):
        server = make()
        server.start()
        _run(server, "CREATE TABLE t (n int)")
        with contextlib.closing(psycopg.connect(**server.conninfo())) as open_one:
            open_one.execute("INSERT INTO t SELECT generate_series(1, 10000)")
            backend = open_one.info.backend_pid
            _run(server, "INSERT INTO t VALUES (0)")
            postmaster = _pid(server.status())
            os.kill(postmaster, signal.SIGKILL)
            os.kill(backend, signal.SIGKILL)
            server.start()
        assert _run(server, "SELECT n FROM t") == [(0,)]

    def test_a_busy_process_of_a_killed_server_does_not_block_the_next(self, make):
        server = make()
        server.start()
        with contextlib.closing(psycopg.connect(**server.conninfo(), autocommit=True)) as busy:
            backend = busy.info.backend_pid
            busy.pgconn.send_query(b"DO $$ BEGIN LOOP END LOOP; END $$")
            busy.pgconn.flush()
            _until(lambda: _run(server, f"SELECT state FROM pg_stat_activity WHERE pid = {backend}") == [("active",)])
            _kill(_pid(server.status()))
            assert server_process.is_alive(backend)
            with pytest.raises(ServerStartError, match="in use by processes of a killed server"):
                server.start(timeout=1.0)
            assert server.start().running
        assert not server_process.is_alive(backend)

    def test_a_reused_pid_is_neither_trusted_nor_killed(self, make):
        server = make()
        status = server.start()
        _kill(_pid(status))
        with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
            try:
                for path in (
                    status.folder / "pgdata" / "postmaster.pid",
                    status.socket_folder / ".s.PGSQL.5432.lock",
                ):
                    path.write_text(path.read_text().replace(str(status.pid), str(stranger.pid), 1))
                assert not server.status().running
                assert server.status().pid is None
                assert server.stop() is False
                assert server.start().running
                server.stop()
                assert stranger.poll() is None
            finally:
                stranger.kill()

    @pytest.mark.parametrize("text", ["", "nonsense\n", "²\n/nowhere\n"])
    def test_a_damaged_pid_file_does_no_harm(self, make, text):
        server = make()
        (server.status().folder / "pgdata" / "postmaster.pid").write_text(text)
        assert not server.status().running
        assert server.start().running

    def test_data_in_use_by_a_server_that_cannot_be_seen_is_left_alone(self, make):
        server = make()
        status = server.start()
        pid_file = status.folder / "pgdata" / "postmaster.pid"
        kept = pid_file.read_text()
        pid_file.write_text(kept.replace(str(status.pid), "4194303", 1))
        with pytest.raises(ServerStartError, match="as in another container"):
            EmbeddedServer(status.folder).start(timeout=4.0)
        pid_file.write_text(kept)
        assert server.status().pid == status.pid
        assert _run(server, "SELECT 1") == [(1,)]

    def test_a_server_whose_starter_was_killed_too_early_is_joined(self, make):
        server = make()
        status = server.start()
        pid_file = status.folder / "pgdata" / "postmaster.pid"
        hidden = pid_file.rename(pid_file.with_name("hidden"))
        reappears = threading.Timer(0.3, hidden.rename, [pid_file])
        reappears.start()
        assert server.start().pid == status.pid
        reappears.join()

    def test_a_start_that_takes_longer_goes_on_and_is_waited_for(self, make):
        server = make()
        server.start()
        _kill(_pid(server.status()))
        with pytest.raises(ServerStartError, match="does not answer yet"):
            server.start(timeout=0)
        assert server.start().running

    def test_a_socket_that_somebody_removed_is_told(self, make):
        server = make()
        status = server.start()
        shutil.rmtree(status.socket_folder)
        with pytest.raises(ServerStartError, match="removed or replaced its socket"):
            server.ensure_running()
        server.stop()
        assert server.start().socket_folder == status.socket_folder


class TestAddresses:
    def test_clients_take_the_address_whatever_the_environment_says(self, make, monkeypatch):
        for name, value in {
            "PGHOST": "nowhere.invalid",
            "PGHOSTADDR": "127.0.0.1",
            "PGPORT": "1",
            "PGUSER": "somebody",
            "PGDATABASE": "another",
            "PGDATA": "/nowhere",
            "PGPASSWORD": "wrong",
        }.items():
            monkeypatch.setenv(name, value)
        server = make()
        server.start()
        assert _run(server, "SELECT current_user") == [("media_gateway",)]
        monkeypatch.delenv("PGHOSTADDR")
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("media_vectors",)
        command = [server.binary("psql"), server.url(), "-XAtc", "SELECT 6 * 7"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "42\n"

    def test_an_unknown_program_is_refused(self, make, tmp_path):
        with pytest.raises(ServerStartError, match="no program 'nonsense'"):
            make(tmp_path / "none", fresh=True).binary("nonsense")

    def test_tcp_asks_for_the_password(self, make):
        port = _free_port()
        server = make(port=port)
        assert server.start().port == port
        with psycopg.connect(server.tcp_url()) as connection:
            assert connection.execute("SELECT inet_server_port()").fetchone() == (port,)
        assert _run(EmbeddedServer(server.status().folder), "SELECT 1") == [(1,)]
        password = server.status().folder / "password"
        assert password.stat().st_mode & 0o777 == 0o600
        wrong = server.tcp_url().replace(password.read_text().strip(), "wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
        with pytest.raises(ServerStartError, match=f"without the port {port + 1}"):
            EmbeddedServer(server.status().folder, port=port + 1).start()
        server.stop()
        kept = password.read_text()
        server.start()
        assert password.read_text() == kept
        psycopg.connect(server.tcp_url()).close()

    def test_without_a_port_there_is_no_tcp_address(self, make):
        server = make()
        server.start()
        with pytest.raises(ServerStartError, match="does not listen"):
            server.tcp_url()

    def test_a_copied_folder_gets_a_socket_of_its_own(self, make, tmp_path):
        first = make()
        first.start()
        _run(first, "CREATE TABLE t ()")
        first.stop()
        shutil.copytree(first.status().folder, tmp_path / "copy")
        second = make(tmp_path / "copy", fresh=True)
        assert second.start().socket_folder != first.start().socket_folder
        assert _run(second, "SELECT count(*) FROM pg_class WHERE relname = 't'") == [(1,)]

    def test_a_socket_folder_in_other_hands_is_left_alone(self, make, tmp_path):
        server = make()
        data = server.status().folder / "pgdata"
        taken, open_to_all, *_ = server_socket.candidates(data, os.geteuid())
        taken.symlink_to(tmp_path)
        open_to_all.mkdir(mode=0o755)
        try:
            status = server.start()
            assert status.socket_folder not in {taken, open_to_all}
            assert _run(server, "SELECT 1") == [(1,)]
        finally:
            taken.unlink()
            open_to_all.rmdir()


class TestRefusals:
    def test_a_port_in_use_is_named(self, make):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(ServerStartError, match=f"port {port} .*in use"):
                make(port=port).start()

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("shared_buffers = 'plenty'", 'invalid value for parameter "shared_buffers": "plenty"'),
            ("this is no setting", "syntax error in file"),
            ("shared_preload_libraries = 'nothing_here'", 'could not access file "nothing_here"'),
        ],
    )
    def test_the_reason_from_the_log_is_in_the_error(self, make, line, reason):
        server = make()
        operator = server.status().folder / "operator.conf"
        kept = operator.read_text()
        operator.write_text(kept + line + "\n")
        with pytest.raises(ServerStartError) as caught:
            server.start()
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "FATAL" in caught.value.log
        assert caught.value.folder == str(server.status().folder)
        operator.write_text(kept)
        assert server.start().running

    def test_the_operators_settings_win_and_are_kept(self, make):
        server = make()
        operator = server.status().folder / "operator.conf"
        operator.write_text("work_mem = '5MB'\n")
        server.start()
        assert _run(server, "SHOW work_mem") == [("5MB",)]
        server.stop()
        server.start()
        assert operator.read_text() == "work_mem = '5MB'\n"

    def test_data_of_another_major_version_is_refused_untouched(self, make):
        server = make()
        mark = server.status().folder / "pgdata" / "PG_VERSION"
        mark.write_text("17\n")
        before = _listing(server.status().folder)
        with pytest.raises(ServerStartError, match=r"PostgreSQL 17.*PostgreSQL 18"):
            server.start()
        assert _listing(server.status().folder) == before

    def test_a_folder_of_something_else_is_refused_untouched(self, make, tmp_path):
        folder = tmp_path / "photos"
        folder.mkdir()
        (folder / "holiday.jpg").write_bytes(b"x")
        with pytest.raises(ServerStartError, match=r"holds something else.*holiday\.jpg"):
            make(folder, fresh=True).start()
        assert [entry.name for entry in folder.iterdir()] == ["holiday.jpg"]
        with pytest.raises(ServerStartError, match="this is a file"):
            EmbeddedServer(folder / "holiday.jpg").start()
        with pytest.raises(ServerStartError, match="line break"):
            EmbeddedServer(tmp_path / "a\nb").start()

    def test_a_lock_that_is_held_is_waited_for(self, make):
        server = make()
        with server_files.locked(server.status().folder / "lock", time.monotonic()) as hold:
            assert hold is not None
            with pytest.raises(ServerStartError, match="by another process"):
                server.start(timeout=0.1)
        assert server.start().running


def _listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


AS_ORDINARY_USER = """
    import os, signal, sys, time
    from pathlib import Path
    import psycopg
    from media_gateway.database.server import EmbeddedServer
    from media_gateway.database.server.process import is_alive
    from media_gateway.errors import ServerStartError
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    folder = Path(sys.argv[1])
    server = EmbeddedServer(folder / "my data" / "embedded")
    killed = server.start().pid
    assert os.stat(f"/proc/{killed}").st_uid == os.geteuid() != 0
    with psycopg.connect(**server.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE TABLE t AS SELECT '[1,2,3]'::vector AS v")
    os.kill(killed, signal.SIGKILL)
    while is_alive(killed):
        time.sleep(0.01)
    assert server.ensure_running().pid != killed
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("SELECT v::text FROM t").fetchone() == ("[1,2,3]",)
    assert server.stop()
    assert not server.status().socket_folder.exists()
    closed = folder / "closed"
    closed.mkdir(mode=0o500)
    for name in ("embedded", "."):
        try:
            EmbeddedServer(closed / name).start()
        except ServerStartError as error:
            print(error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may write into, with a space in its name."""
    folder = Path(tempfile.mkdtemp(prefix="media gateway "))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def _reachable_by_nobody(place: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in [place, *place.parents])


class TestUsers:
    def test_an_ordinary_user_runs_it_and_is_told_of_a_read_only_folder(self, open_folder, make, tmp_path):
        programs = make(tmp_path / "none", fresh=True).binary("postgres").parent
        if os.geteuid() == 0 and not _reachable_by_nobody(programs):
            pytest.skip("this environment is closed to other users than root")
        told = _answer(_python(AS_ORDINARY_USER, open_folder)).splitlines()
        assert len(told) == 2
        assert all("cannot be used: Permission denied" in line for line in told)

    @needs_root
    def test_root_runs_it_as_itself_in_a_namespace_even_in_a_closed_home(self, open_folder, make):
        home = open_folder / "home"
        home.mkdir(mode=0o700)
        os.chown(home, 1234, 1234)
        status = make(home / "embedded").start()
        if Path(f"/proc/{status.pid}/ns/user").readlink() == Path("/proc/self/ns/user").readlink():
            pytest.skip("this system grants no user namespaces")
        assert (status.folder / "pgdata").stat().st_uid == 0

    @needs_root
    def test_root_without_namespaces_runs_it_as_nobody(self, open_folder, make):
        server = make(open_folder / "embedded", fresh=True, allow_namespace=False)
        if not _reachable_by_nobody(server.binary("postgres").parent):
            pytest.skip("this environment is closed to other users than root")
        status = server.start()
        assert Path(f"/proc/{status.pid}").stat().st_uid == NOBODY
        assert status.folder.stat().st_mode & 0o777 == 0o711
        _run(server, "CREATE TABLE t AS SELECT 1 AS n")
        _kill(_pid(status))
        again = EmbeddedServer(status.folder)
        assert again.start().running, "the data keeps its owner, whoever starts the server next"
        assert Path(f"/proc/{again.status().pid}").stat().st_uid == NOBODY
        assert _run(again, "SELECT n FROM t") == [(1,)]

    @needs_root
    def test_data_of_root_is_handed_over_where_namespaces_are_gone(self, open_folder, make):
        server = make(open_folder / "embedded", allow_namespace=False)
        if not _reachable_by_nobody(server.binary("postgres").parent):
            pytest.skip("this environment is closed to other users than root")
        status = server.start()
        assert {path.stat().st_uid for path in (status.folder / "pgdata").rglob("*")} == {NOBODY}
        assert _run(server, "SELECT 1") == [(1,)]

    @needs_root
    def test_a_folder_that_nobody_cannot_reach_is_named(self, open_folder, make):
        closed = open_folder / "closed"
        closed.mkdir(mode=0o700)
        with pytest.raises(ServerStartError, match=r"as root.*cannot reach.*closed; run as an ordinary user"):
            make(closed / "embedded", fresh=True, allow_namespace=False).start()
        assert closed.stat().st_mode & 0o777 == 0o700

    @needs_root
    def test_root_starts_the_server_of_another_user_as_that_user(self, open_folder, make):
        server = make(open_folder / "embedded")
        if not _reachable_by_nobody(server.binary("postgres").parent):
            pytest.skip("this environment is closed to other users than root")
        folder = server.status().folder
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        (folder / "server.log").unlink()
        status = server.start()
        assert Path(f"/proc/{status.pid}").stat().st_uid == NOBODY
        assert {path.stat().st_uid for path in [status.socket_folder, *folder.rglob("*")]} == {NOBODY}


class TestLog:
    def test_a_long_log_is_set_aside_while_the_server_goes_on_writing(self, make):
        server = make()
        log = server.start().log
        with log.open("a") as file:
            file.write("x" * (server_log.LIMIT + 1))
        server.ensure_running()
        assert log.stat().st_size == 0
        assert log.with_name("server.log.1").stat().st_size > server_log.LIMIT
        server.stop()
        assert log.read_text().startswith("2")
        assert "database system is shut down" in log.read_text()

    def test_the_complaint_before_the_end_is_part_of_the_reason(self):
        text = (
            "[1] LOG:  could not bind IPv4 address: Address already in use\n[1] HINT:  wait\n[1] FATAL:  no sockets\n"
        )
        assert server_log.reason(text)[0] == "could not bind IPv4 address: Address already in use: no sockets"
        assert server_log.reason("[1] LOG:  invalid record length at 0/1\n[1] FATAL:  no room\n")[0] == "no room"

    def test_a_client_that_knocked_too_early_is_not_the_reason(self):
        text = (
            "[1] FATAL:  could not map memory\n[1] DETAIL:  too much\n[2] FATAL:  the database system is starting up\n"
        )
        assert server_log.reason(text)[0] == "could not map memory: too much"
        assert server_log.reason("")[0] == "it wrote nothing to its log"
        assert server_log.reason("sh: not found\n")[0] == "sh: not found"


class TestSettings:
    @staticmethod
    def _machine(**changes: int) -> server_config.Machine:
        usual = {
            "memory": 16 * 2**30,
            "cores": 4,
            "shared_memory_room": 8 * 2**30,
            "kernel_segment_limit": 2**63,
            "disk_room": 100 * 2**30,
        }
        return server_config.Machine(**(usual | changes))

    @pytest.mark.parametrize(
        ("gigabytes", "shared", "maintenance"),
        [(0.25, "64MB", "64MB"), (2, "512MB", "256MB"), (16, "4096MB", "2048MB"), (256, "8192MB", "4096MB")],
    )
    def test_memory_follows_the_machine(self, gigabytes, shared, maintenance):
        values = server_config.settings(self._machine(memory=int(gigabytes * 2**30)))
        assert (values["shared_buffers"], values["maintenance_work_mem"]) == (shared, maintenance)

    def test_dynamic_memory_avoids_a_small_shm(self):
        small = {"shared_memory_room": 64 * 2**20}
        assert server_config.settings(self._machine())["dynamic_shared_memory_type"] == "posix"
        assert server_config.settings(self._machine(**small))["dynamic_shared_memory_type"] == "sysv"
        limited = self._machine(**small, kernel_segment_limit=32 * 2**20)
        assert server_config.settings(limited)["dynamic_shared_memory_type"] == "mmap"

    def test_the_machine_is_measured(self, tmp_path):
        machine = server_config.Machine.here(tmp_path)
        assert machine.memory > 2**27
        assert 1 <= machine.cores <= (os.cpu_count() or 1)

    @pytest.mark.parametrize("kind", ["sysv", "mmap"])
    def test_a_server_starts_with_each_kind_and_builds_in_parallel(self, make, kind):
        server = make()
        (server.status().folder / "operator.conf").write_text(
            f"dynamic_shared_memory_type = '{kind}'\nmaintenance_work_mem = '64MB'\nshared_buffers = '32MB'\n"
            "min_parallel_table_scan_size = 0\n"
        )
        server.start()
        _run(server, "CREATE EXTENSION vector")
        _run(server, "CREATE TABLE t AS SELECT ARRAY[n, n % 7, 1]::vector(3) AS v FROM generate_series(1, 2000) n")
        _run(server, "CREATE INDEX ON t USING hnsw (v vector_cosine_ops)")
        assert _run(server, "SELECT count(*) FROM t") == [(2000,)]
