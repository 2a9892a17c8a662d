"""What every test may use."""

import os
import socket
from collections.abc import Iterator

import pytest

from tests.postgres import TestServer

_OURS = ("RUVECTOR_", "POSTGRES_", "PG")

# A developer's own settings must not reach the tests.
for _name in [name for name in os.environ if name.startswith(_OURS) or name == "DATABASE_URL"]:
    del os.environ[_name]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A real PostgreSQL with pgvector for the whole run; tests take databases of their own from it."""
    server = TestServer(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
