"""Opening files: what npm wrote, the three variants, and what is refused with one sentence and nothing changed."""

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from media_gateway.agentdb import NewPattern, Variant, open_agentdb
from media_gateway.embeddings import OwnVectors
from media_gateway.errors import (
    FileFormatError,
    MediaGatewayError,
    ModelMismatchError,
    SchemaError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    UnsupportedError,
)
from tests.unit.agentdb.samples import FIXTURE, contents, episode, rows, vector

pytestmark = pytest.mark.anyio

PATTERN_TABLES = ("pattern_embeddings", "reasoning_patterns")


def _drop(path: Path, tables: list[str]) -> None:
    connection = sqlite3.connect(path)
    for table in tables:
        connection.execute(f"DROP TABLE {table}")
    connection.commit()
    connection.execute("VACUUM")
    connection.close()


def _only_patterns(path: Path) -> None:
    script = "".join(
        f"{rows(FIXTURE, 'SELECT sql FROM sqlite_master WHERE name = ?', [name])[0][0]};" for name in PATTERN_TABLES
    )
    path.unlink()
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.execute("INSERT INTO reasoning_patterns (task_type, approach, success_rate) VALUES ('a', 'b', 0.5)")
    connection.execute("INSERT INTO pattern_embeddings VALUES (1, ?)", [vector().tobytes()])
    connection.commit()
    connection.close()


def _without_patterns(path: Path) -> None:
    _drop(path, list(PATTERN_TABLES))
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE agentdb_config (key TEXT PRIMARY KEY, value TEXT)")
    connection.commit()
    connection.close()


VARIANTS: dict[Variant, Callable[[Path], None]] = {
    Variant.COMPLETE: lambda _: None,
    Variant.PATTERNS: _only_patterns,
    Variant.CONTROLLERS: _without_patterns,
}


@pytest.mark.parametrize("variant", VARIANTS)
async def test_each_variant_opens_and_is_made_whole(variant: Variant, written_by_npm: Path):
    VARIANTS[variant](written_by_npm)
    before = written_by_npm.read_bytes()
    async with await open_agentdb(written_by_npm, read_only=True) as db:
        info = await db.info()
        assert info.variant == variant
        patterns = 1 if variant == Variant.PATTERNS else 0
        assert (info.patterns, info.episodes) == (patterns, 0 if patterns else 2)
        assert len(await db.patterns.search(vector=vector(), threshold=-1)) == patterns
        assert len(await db.episodes.retrieve(vector=vector(), session_id=None)) == info.episodes
        assert [skill.id async for skill in db.skills.scan()] == ([] if patterns else [1])
        assert (await db.nightly(dry_run=True)).skills_created == 0
        assert await db.profiles.get("u1") is None
    assert written_by_npm.read_bytes() == before
    async with await open_agentdb(written_by_npm) as db:
        await db.patterns.store(NewPattern(task_type="c", approach="d", vector=vector(1)))
        await db.episodes.store(episode("u9", "task"))
        assert (await db.info()).patterns == patterns + 1
        assert await db.check() == []
    async with await open_agentdb(written_by_npm, read_only=True) as db:
        assert (await db.info()).variant == Variant.COMPLETE


async def test_opening_what_is_whole_changes_nothing(written_by_npm: Path):
    await (await open_agentdb(written_by_npm)).aclose()
    before = written_by_npm.read_bytes()
    await (await open_agentdb(written_by_npm)).aclose()
    assert written_by_npm.read_bytes() == before


async def test_what_is_there_is_kept(written_by_npm: Path):
    kept = [line for line in contents(written_by_npm) if line.startswith(("INSERT", "CREATE"))]
    await (await open_agentdb(written_by_npm)).aclose()
    assert set(kept) <= set(contents(written_by_npm))


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(100_000)


def _tear_off(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(50)


def _scribble(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(3, 60):
            file.seek(4096 * page)
            file.write(b"\xff" * 200)


def _other_tables(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.commit()
    connection.close()


def _other_columns(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE episodes (id INTEGER, name TEXT)")
    connection.commit()
    connection.close()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("hello, this is a text that is no database\n" * 10), "is no SQLite file"),
    "png": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "is no SQLite file"),
    "other tables": (_other_tables, "an SQLite file with invoices"),
    "other columns": (_other_columns, "whose table episodes lacks"),
    "truncated": (_truncate, "it has 100,000 of 405,504 bytes"),
    "torn off": (_tear_off, "it ends after 50 bytes"),
    "damaged": (_scribble, "is a damaged SQLite file"),
}


@pytest.mark.parametrize("read_only", [False, True], ids=["writing", "reading"])
@pytest.mark.parametrize("name", BROKEN)
async def test_a_file_that_is_not_right_is_refused_and_left_alone(name: str, read_only: bool, written_by_npm: Path):
    breaks, said = BROKEN[name]
    breaks(written_by_npm)
    before = written_by_npm.read_bytes()
    with pytest.raises(FileFormatError, match=said) as refused:
        await open_agentdb(written_by_npm, read_only=read_only)
    assert refused.value.path == str(written_by_npm)
    assert "\n" not in str(refused.value)
    assert written_by_npm.read_bytes() == before
    assert not written_by_npm.with_name("application.db-journal").exists()


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.touch(), lambda path: None])
async def test_a_folder_an_empty_file_and_none_at_all_are_refused_for_reading(make, tmp_path: Path):
    path = tmp_path / "x.db"
    make(path)
    with pytest.raises(FileFormatError, match="a folder|an empty file|there is no file"):
        await open_agentdb(path, read_only=True)


async def test_without_create_no_file_is_made(tmp_path: Path):
    with pytest.raises(FileFormatError, match="there is no file"):
        await open_agentdb(tmp_path / "x.db", create=False)
    assert list(tmp_path.iterdir()) == []


async def test_a_read_only_file_is_refused_for_writing_and_read(written_by_npm: Path):
    written_by_npm.chmod(stat.S_IRUSR)
    before = written_by_npm.read_bytes()
    with pytest.raises(StoreFullError, match="the file is read-only"):
        await open_agentdb(written_by_npm)
    async with await open_agentdb(written_by_npm, read_only=True) as db:
        assert (await db.info()).episodes == 2
        with pytest.raises(UnsupportedError, match="open for reading only"):
            await db.episodes.store(episode("u1", "task"))
        with pytest.raises(UnsupportedError):
            await db.nightly()
    assert written_by_npm.read_bytes() == before


HOLDER = """
import asyncio, sys
from media_gateway.agentdb import open_agentdb
async def main():
    async with await open_agentdb(sys.argv[1]):
        print("open", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_one_process_writes_and_others_read(written_by_npm: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(written_by_npm)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        before = written_by_npm.read_bytes()
        with pytest.raises(StoreLockedError, match=f"held by process {holder.pid}"):
            await open_agentdb(written_by_npm)
        async with await open_agentdb(written_by_npm, read_only=True) as db:
            assert (await db.info()).episodes == 2
        assert written_by_npm.read_bytes() == before
        holder.kill()
    async with await open_agentdb(written_by_npm) as db:
        with pytest.raises(StoreLockedError, match=f"held by process {os.getpid()}"):
            await open_agentdb(written_by_npm)
        await db.episodes.store(episode("u1", "task"))


async def test_a_transaction_of_another_program_holds_the_file(written_by_npm: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("media_gateway.agentdb.file._BUSY_SECONDS", 0.1)
    other = sqlite3.connect(written_by_npm, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    before = written_by_npm.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreLockedError, match="held by another program"):
            await open_agentdb(written_by_npm, read_only=read_only)
    other.execute("ROLLBACK")
    other.close()
    assert written_by_npm.read_bytes() == before


async def test_a_reader_sees_what_a_writer_commits(tmp_path: Path):
    path = tmp_path / "x.db"
    async with await open_agentdb(path) as writer, await open_agentdb(path, read_only=True) as reader:
        assert await reader.episodes.retrieve(vector=vector(), session_id=None) == []
        await writer.episodes.store(episode("u1", "task"))
        assert len(await reader.episodes.retrieve(vector=vector(), session_id=None)) == 1


async def test_the_journal_is_rolled_back_after_use_and_never_a_log(written_by_npm: Path):
    connection = sqlite3.connect(written_by_npm)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    async with await open_agentdb(written_by_npm, read_only=True) as db:
        assert (await db.info()).episodes == 2
    async with await open_agentdb(written_by_npm) as db:
        await db.episodes.store(episode("u1", "task"))
        assert not written_by_npm.with_name("application.db-wal").exists()
    assert rows(written_by_npm, "PRAGMA journal_mode") == [("delete",)]
    assert rows(written_by_npm, "PRAGMA integrity_check") == [("ok",)]


async def test_an_unfinished_write_of_a_killed_process_is_undone_by_a_reader(written_by_npm: Path):
    code = (
        "import os, signal, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1'); c.execute('PRAGMA cache_spill = 1'); c.execute('BEGIN')\n"
        "c.executemany('INSERT INTO notes (text) VALUES (?)', [('x' * 2000,)] * 2000)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    before = contents(written_by_npm)
    done = subprocess.run([sys.executable, "-c", code, str(written_by_npm)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert written_by_npm.with_name("application.db-journal").exists()
    async with await open_agentdb(written_by_npm, read_only=True) as db:
        assert (await db.info()).episodes == 2
        assert await db.check() == []
    assert contents(written_by_npm) == before


async def test_an_embedder_of_another_size_is_refused(written_by_npm: Path):
    before = written_by_npm.read_bytes()
    with pytest.raises(ModelMismatchError, match="vectors have 384 numbers"):
        await open_agentdb(written_by_npm, embedder=OwnVectors(model="big", dimension=768))
    assert written_by_npm.read_bytes() == before


async def test_additions_that_were_edited_or_are_newer_are_refused(written_by_npm: Path):
    await (await open_agentdb(written_by_npm)).aclose()
    edited, newer = (Path(shutil.copy(written_by_npm, written_by_npm.with_name(f"{name}.db"))) for name in "en")
    for path, query, said in (
        (edited, "UPDATE gateway_schema SET sha256 = 'x'", "has another 0001"),
        (newer, "INSERT INTO gateway_schema VALUES ('9999_x.sql', 'x', 0)", "written by a newer version"),
    ):
        connection = sqlite3.connect(path)
        connection.execute(query)
        connection.commit()
        connection.close()
        with pytest.raises(SchemaError, match=said):
            await open_agentdb(path)


async def test_a_closed_file_says_so(written_by_npm: Path):
    db = await open_agentdb(written_by_npm)
    await db.aclose()
    await db.aclose()
    with pytest.raises(StoreError, match="is closed; open it again"):
        await db.info()


async def test_every_refusal_is_an_error_of_ours(tmp_path: Path):
    for make in (lambda path: path.write_bytes(b"SQLite format 3\x00" + bytes(200)),):
        path = tmp_path / "zeros.db"
        make(path)
        with pytest.raises(MediaGatewayError):
            await open_agentdb(path)


async def test_the_fixture_is_sound_before_and_after(written_by_npm: Path):
    def checks() -> list[object]:
        return [rows(written_by_npm, f"PRAGMA {name}") for name in ("integrity_check", "foreign_key_check")]

    assert checks() == [[("ok",)], []]
    async with await open_agentdb(written_by_npm) as db:
        await db.episodes.store(episode("u1", "task"))
        assert await db.check() == []
    assert checks() == [[("ok",)], []]
