"""What the tests of AgentDB share: the local model, the file that npm wrote, and a clock that stands still."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from media_gateway.agentdb import AgentDb, open_agentdb
from media_gateway.embeddings.local import LocalEmbedder
from tests.unit.agentdb.samples import NOW, copy_of_fixture


@pytest.fixture(scope="session")
def embedder() -> LocalEmbedder:
    return LocalEmbedder()


@pytest.fixture
def written_by_npm(tmp_path: Path) -> Path:
    return copy_of_fixture(tmp_path)


@pytest.fixture
async def db(tmp_path: Path, embedder: LocalEmbedder) -> AsyncIterator[AgentDb]:
    """A new file, in which it is always the same moment."""
    async with await open_agentdb(tmp_path / "memory.db", embedder=embedder, clock=lambda: NOW) as opened:
        yield opened
