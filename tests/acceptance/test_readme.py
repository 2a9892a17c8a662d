"""The README is true: its Python runs as written, its commands run, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.acceptance.command import SAMPLE_ROWS, Command
from tests.documents import README, ROOT, Block, blocks, shell_lines

DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _shell(containing: str) -> Block:
    (found,) = [block for block in blocks(README, "bash") if containing in block.text]
    return found


def _run(block: Block, command: Command, filled: dict[str, str]) -> list[str]:
    """Run the commands of *block*, what it sets replaced by *filled*, and return what each one printed."""
    printed: list[str] = []
    for line in shell_lines(block, {}):
        assert line.words[0] == "media-gateway"
        variables = {name: filled.get(name, value) for name, value in line.variables.items()}
        done = command.inside(*line.words[1:], **variables)
        assert done.code == 0, (line, done.err)
        printed.append(done.out)
    return printed


def test_every_shell_block_is_run_by_a_test_of_this_module() -> None:
    known = ["make demo", "media-gateway similar", "RUVECTOR_BACKEND=postgres media-gateway", "POSTGRES_HOST="]
    assert [_shell(part) for part in known] == blocks(README, "bash")


def test_its_python_runs_as_it_is_written(tmp_path: Path) -> None:
    (block,) = blocks(README, "python")
    program = [sys.executable, "-W", "error", "-c", block.text]
    done = subprocess.run(program, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"0\.\d{3} movie-862 Toy Story\n", done.stdout)


def test_the_targets_of_make_exist() -> None:
    named = {
        target
        for path in DOCUMENTS
        for target in re.findall(r"(?:`|^)(?:\w+=\w+ )?make (\w+)", path.read_text(), re.MULTILINE)
    }
    rules = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= rules
    for target in ("demo", "test"):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr


@pytest.mark.full
def test_its_commands_run_in_memory(memory: Command) -> None:
    loaded, found, as_json, similar, stats = _run(_shell("media-gateway similar"), memory, {})
    assert f"{SAMPLE_ROWS} rows" in loaded
    assert "The Matrix" in found
    assert '"movie-862"' in as_json
    assert "hits in" in similar
    assert re.search(rf"^count +{SAMPLE_ROWS}$", stats, re.MULTILINE)


def test_its_commands_run_on_the_embedded_postgresql(demonstrated: Command) -> None:
    loaded, found = _run(_shell("RUVECTOR_BACKEND=postgres media-gateway"), demonstrated, {})
    assert "the embedded PostgreSQL" in loaded
    assert "Inception" in found


@pytest.mark.full
def test_its_commands_run_on_a_postgresql_of_ones_own(demonstrated: Command, tmp_path: Path) -> None:
    admin = demonstrated("db", "url", "--tcp").out.strip()
    _follow_the_guide(admin)
    address = urlsplit(admin)
    filled = {
        "POSTGRES_HOST": str(address.hostname),
        "POSTGRES_PORT": str(address.port),
        "POSTGRES_DB": "own_vectors",
        "POSTGRES_USER": "own_role",
        "POSTGRES_PASSWORD": "p@ss/word",
    }
    command = Command(folder=tmp_path, variables={})
    migrated, loaded = _run(_shell("POSTGRES_HOST="), command, filled)
    server = f"own_role@127.0.0.1:{address.port}/own_vectors"
    assert migrated.startswith(f"applied to {server}: 1 (content_vectors)")
    assert f"{SAMPLE_ROWS} written" in loaded
    assert server in loaded
    assert command.inside("db", "status", "--json", **filled).json()["pending"] == []
    assert not (tmp_path / "data").exists()


def _follow_the_guide(admin: str) -> None:
    """Make the role and the database as docs/howto/own-postgres.md says, under names that are free on that server."""
    text = blocks(ROOT / "docs" / "howto" / "own-postgres.md", "sql")[0].text
    for old, new in {"media_gateway": "own_role", "media_vectors": "own_vectors", "'...'": "'p@ss/word'"}.items():
        assert old in text
        text = text.replace(old, new)
    before, _, behind = text.partition("\\connect own_vectors\n")
    assert behind
    with psycopg.connect(admin, autocommit=True) as connection:
        for statement in before.splitlines():
            connection.execute(statement.encode())
    with psycopg.connect(admin, dbname="own_vectors", autocommit=True) as connection:
        connection.execute(behind.encode())


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if ":" not in target]
    missing = [target for target in targets if target and not (path.parent / target).exists()]
    assert missing == []


def test_every_document_is_linked_from_somewhere() -> None:
    linked = {
        (path.parent / target.partition("#")[0]).resolve()
        for path in DOCUMENTS
        for target in re.findall(r"\]\(([^)\s]+\.md[^)\s]*)\)", path.read_text())
        if ":" not in target
    }
    assert set(DOCUMENTS) - {README} <= linked
