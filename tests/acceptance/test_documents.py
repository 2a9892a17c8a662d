"""The tutorial, the Python and the SQL of the documents run as they are written."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from media_gateway.database.schema import connect_dedicated
from media_gateway.database.server import EmbeddedServer
from media_gateway.models import VectorSpace
from tests.acceptance.command import Command
from tests.documents import ROOT, TUTORIAL, blocks, run_python, shell_lines
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio

DOCS = ROOT / "docs"
PAGES = [
    "reference/python.md",
    "reference/settings.md",
    "reference/errors.md",
    "howto/filters.md",
    "howto/search-log.md",
    "howto/agentdb.md",
    "howto/monitoring.md",
]
HIT = re.compile(r"^ *\d+ +-?\d\.\d{3} +(.*?) *$", re.MULTILINE)
"""A row of a table of hits; without its score, since that moves in its last digit from processor to processor."""


@pytest.mark.full
def test_the_tutorial(tmp_path: Path) -> None:
    _write_what_it_tells_to_write(tmp_path)
    command = Command(folder=tmp_path, variables={})
    exported: dict[str, str] = {}
    printed = ""
    try:
        for block in blocks(TUTORIAL, "bash")[1:]:
            for line in shell_lines(block, exported):
                if line.words[0] in {"mkdir", "cd"}:
                    continue
                variables = {name: value for name, value in line.variables.items() if name != "PATH"}
                printed += _printed(command, line.words, variables)
    finally:
        EmbeddedServer(tmp_path / "data" / "embedded").stop()
    shown = [block.text for block in blocks(TUTORIAL, "")][1:]
    expected = [_squeezed(row) for text in shown for row in HIT.findall(text)]
    found = [_squeezed(row) for row in HIT.findall(printed)]
    assert len(expected) >= 4
    assert set(expected) <= set(found)
    # In memory, and then on PostgreSQL.
    script = re.findall(r"^0\.\d{3} (movie-\d.*)$", printed, re.MULTILINE)
    assert script == ["movie-4 Paper Moons JP", "movie-1 The Lighthouse Keeper IE"] * 2
    assert printed.count("4 written, 0 unchanged") == 2


def _write_what_it_tells_to_write(folder: Path) -> None:
    (films,) = blocks(TUTORIAL, "jsonl")
    (script,) = blocks(TUTORIAL, "python")
    (folder / "films.jsonl").write_text(films.text)
    (folder / "find.py").write_text(script.text)


def _printed(command: Command, words: list[str], variables: dict[str, str]) -> str:
    if words[0] == "python":
        script = [sys.executable, *words[1:]]
        return subprocess.run(
            script, cwd=command.folder, env={**os.environ, **variables}, check=True, capture_output=True, text=True
        ).stdout
    if "psql" in words:
        done = command(*words[1:], **variables)
    else:
        assert words[0] == "media-gateway"
        done = command.inside(*words[1:], **variables)
    assert done.code == 0, (words, done.err)
    return done.out


def _squeezed(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("page", PAGES)
async def test_the_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    found = blocks(DOCS / page, "python")
    assert found
    for block in found:
        await run_python(block, names)


async def test_the_sql_for_operators_runs(postgres: TestServer) -> None:
    store = await postgres.open_store(VectorSpace(model="test", dimension=32))
    await store.upsert(records(20, 32))
    vector = str(records(1, 32, seed=3)[0].vector.tolist())
    try:
        async with await connect_dedicated(store.endpoint.conninfo) as connection:
            text = "".join(block.text for block in blocks(DOCS / "reference" / "schema.md", "sql"))
            statements = [statement.strip() for statement in text.split(";") if statement.strip()]
            for statement in statements:
                await psycopg.AsyncRawCursor(connection).execute(statement.encode(), _values(statement, vector))
            with pytest.raises(psycopg.errors.InvalidParameterValue, match='unrecognized parameter "ef_search"'):
                await connection.execute("ALTER INDEX content_vectors_hnsw_idx SET (ef_search = 40)")
        assert len(statements) >= 9
        assert (await store.get(["movie-x"]))[0] is not None
    finally:
        await store.aclose()


def _values(statement: str, vector: str) -> list[str] | None:
    if "$3" in statement:
        return ["movie-x", vector, '{"media_type": "movie"}']
    return [vector] if "$1" in statement else None


async def test_the_schema_page_names_every_column_index_and_function(postgres: TestServer) -> None:
    store = await postgres.open_store(VectorSpace(model="test", dimension=32))
    await store.aclose()
    queries = (
        "SELECT column_name FROM information_schema.columns WHERE table_name LIKE 'content%'",
        "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_name LIKE 'content%'",
        "SELECT indexname FROM pg_indexes WHERE tablename = 'content_vectors'",
        "SELECT proname FROM pg_proc WHERE proname LIKE 'content%'",
    )
    text = (DOCS / "reference" / "schema.md").read_text()
    async with await connect_dedicated(store.endpoint.conninfo) as connection:
        for query in queries:
            names = [row[0] for row in await (await connection.execute(query.encode())).fetchall()]
            assert names
            assert [name for name in names if f"`{name}`" not in text and f"## {name}\n" not in text] == []
