"""What every test may use."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests import ml100k
from tests.once import shared_folder
from tests.postgres import TestServer
from tests.tls import Authority, TlsDoor

_OURS = ("RUVECTOR_", "POSTGRES_", "PG", "EMBEDDING_", "OPENAI_", "VERTEX_", "GOOGLE_")

LIVE_SETTINGS: Final[dict[str, str]] = {}
"""A developer's own settings: they must not reach the tests, those marked `live` aside."""

for _name in [name for name in os.environ if name.startswith(_OURS) or name == "DATABASE_URL"]:
    LIVE_SETTINGS[_name] = os.environ.pop(_name)

# A script's background job ignores interrupts, and so would all that it starts; tests interrupt what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what costs money unless it was asked for by name: -m live."""
    if "live" not in config.option.markexpr:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("live")])
        items[:] = [item for item in items if not item.get_closest_marker("live")]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    TestServer.shared = shared_folder(tmp_path_factory)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A real PostgreSQL with pgvector for the whole run; tests take databases of their own from it."""
    server = TestServer(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tls(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsDoor]:
    """A way to that PostgreSQL by TLS, with a certificate for localhost."""
    door = TlsDoor(postgres, Authority(tmp_path_factory.mktemp("tls")))
    yield door
    door.stop()


@pytest.fixture(scope="session")
def movielens_100k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of MovieLens-100K; for tests that are marked `full`."""
    return ml100k.fetched(tmp_path_factory.mktemp("ml-100k"))


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
