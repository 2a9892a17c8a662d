"""The sample catalogue in both backends, loaded once by the command itself, and a browser."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import SAMPLE_ROWS, Command
from tests.browser import browser
from tests.once import made_once, shared_folder
from tests.postgres import be_quick


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command in an empty folder."""
    return Command(folder=tmp_path, variables={})


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Command:
    folder = tmp_path_factory.mktemp("memory")
    shutil.copytree(made_once(shared_folder(tmp_path_factory) / "in memory", _load), folder, dirs_exist_ok=True)
    return Command(folder=folder, variables={})


def _load(folder: Path) -> None:
    loaded = Command(folder=folder, variables={})("load", "sample", "--json").json()
    assert (loaded["rows"], loaded["written"], loaded["unchanged"]) == (SAMPLE_ROWS, SAMPLE_ROWS, 0)


@pytest.fixture(scope="session")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """What the demo leaves behind, in a folder with a space; its server also listens on a port."""
    folder = tmp_path_factory.mktemp("post gres")
    shutil.copytree(made_once(shared_folder(tmp_path_factory) / "the demo", _demonstrate), folder, dirs_exist_ok=True)
    be_quick(folder / "data" / "embedded")
    command = Command(folder=folder, variables={})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        assert command.inside("db", "start", "--port", str(port)).code == 0
        yield command
    finally:
        command.inside("db", "stop")


def _demonstrate(folder: Path) -> None:
    command = Command(folder=folder, variables={})
    try:
        demo = command("demo", "--no-serve")
        assert demo.code == 0, demo.err
        folder.joinpath("demo.txt").write_text(demo.out)
    finally:
        command("db", "stop")


@pytest.fixture(scope="session")
def embedded(demonstrated: Command) -> Command:
    return Command(folder=demonstrated.folder, variables={"RUVECTOR_BACKEND": "postgres"})


@pytest.fixture(params=["memory", "embedded"])
def loaded(request: pytest.FixtureRequest) -> Command:
    """A backend that holds the sample catalogue."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser for the tests of one module: while it lives, no other event loop can run in this thread."""
    with browser() as found:
        yield found
