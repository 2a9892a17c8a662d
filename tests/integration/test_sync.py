"""The synchronous gateway: the asynchronous one's methods, usable wherever plain calls are."""

import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import numpy as np
import pytest

from media_gateway import (
    ContentVector,
    Gateway,
    MediaContent,
    OwnVectors,
    Settings,
    SyncGateway,
    VectorSpace,
    open_gateway,
    open_sync_gateway,
)
from media_gateway.errors import ModelMismatchError, NotFoundError, StoreError
from media_gateway.models import Matrix
from tests.postgres import TestServer

TOYS = MediaContent(id=862, media_type="movie", title="Toy Story", overview="Toys come alive in a boy's room.")
HEIST = MediaContent(id=949, media_type="movie", title="Heat", overview="A detective hunts a crew of bank robbers.")


def settings_in(folder: Path) -> Settings:
    return Settings.read(memory_path=folder / "data.snap")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[SyncGateway]:
    with open_sync_gateway(settings_in(tmp_path)) as gateway:
        gateway.add([TOYS, HEIST])
        yield gateway


def _public(kind: type) -> dict[str, Callable[..., object]]:
    return {name: value for name, value in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_every_method_of_the_gateway_is_there_with_its_signature() -> None:
    theirs, ours = _public(Gateway), _public(SyncGateway)
    assert ours.keys() == {"close" if name == "aclose" else name for name in theirs}
    for name, method in theirs.items():
        if name == "aclose":
            continue
        assert inspect.iscoroutinefunction(method), f"{name} is not a coroutine: the synchronous face must know it"
        assert not inspect.iscoroutinefunction(ours[name])
        assert inspect.signature(ours[name]) == inspect.signature(method)
        assert ours[name].__doc__ == method.__doc__


def test_opening_takes_what_the_asynchronous_opening_takes() -> None:
    ours, theirs = inspect.signature(open_sync_gateway), inspect.signature(open_gateway)
    assert ours.parameters == theirs.parameters


def test_calls_give_their_answers(gateway: SyncGateway) -> None:
    assert gateway.search("robbery", k=1).hits[0].key == "movie-949"
    assert gateway.similar("movie-862", k=5).hits[0].key == "movie-949"
    assert gateway.search_vector(gateway.embed("cartoon about toys"), k=1).hits[0].key == "movie-862"
    record = gateway.get("movie-862")
    assert record is not None
    assert gateway.add_vectors([record]).unchanged == 1
    assert gateway.add([TOYS]).unchanged == 1
    assert gateway.stats().count == 2
    assert gateway.remove(["movie-862", "movie-1"]) == 1
    with pytest.raises(NotFoundError):
        gateway.similar("movie-862")


@pytest.mark.anyio
async def test_it_works_inside_a_running_loop(tmp_path: Path) -> None:
    with open_sync_gateway(settings_in(tmp_path)) as gateway:
        gateway.add([TOYS])
        await anyio.sleep(0)
        assert gateway.search("toys").hits[0].key == "movie-862"


def test_several_threads_call_at_once(gateway: SyncGateway) -> None:
    def work(number: int) -> str:
        gateway.add([MediaContent(id=number, media_type="tv", title=f"Series {number}")])
        record = gateway.get(f"tv-{number}")
        assert record is not None
        return gateway.search("bank robbers", k=1).hits[0].key

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(1, 65))) == {"movie-949"}
    assert gateway.stats().count == 66


class Slow:
    """An embedder that never answers, and tells when it was given up."""

    space = VectorSpace(model="slow", dimension=3)

    def __init__(self) -> None:
        self.started = threading.Event()
        self.cancelled = threading.Event()

    async def embed(self, texts: Sequence[str], purpose: str = "document") -> Matrix:
        if texts:
            self.started.set()
            try:
                await anyio.sleep(60)
            finally:
                self.cancelled.set()
        return np.empty((0, 3), dtype=np.float32)

    async def aclose(self) -> None:
        pass


def test_an_interrupt_cancels_the_call_and_leaves_the_gateway_usable(tmp_path: Path) -> None:
    slow = Slow()
    with open_sync_gateway(settings_in(tmp_path), embedder=slow) as gateway:

        def interrupt() -> None:
            slow.started.wait(30)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            gateway.search("toys")
        thread.join()
        assert slow.cancelled.wait(10)
        row = np.array([1, 0, 0], dtype=np.float32)
        assert gateway.add_vectors([ContentVector(key="a", vector=row)]).written == 1
        assert gateway.search_vector(row).hits[0].key == "a"


def test_closing_ends_the_calls_that_wait(tmp_path: Path) -> None:
    slow = Slow()
    gateway = open_sync_gateway(settings_in(tmp_path), embedder=slow)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.search, "toys")
        slow.started.wait(30)
        gateway.close()
        with pytest.raises(StoreError, match="this gateway is closed"):
            waiting.result(30)
    assert slow.cancelled.is_set()


def test_a_closed_gateway_says_so(tmp_path: Path) -> None:
    gateway = open_sync_gateway(settings_in(tmp_path))
    gateway.close()
    gateway.close()
    with pytest.raises(StoreError, match=r"closed; open another one with open_sync_gateway\(\)"):
        gateway.stats()
    with open_sync_gateway(settings_in(tmp_path)) as again:
        assert again.stats().count == 0


def _threads() -> int:
    return sum(thread.name == "media-gateway-sync" for thread in threading.enumerate())


def test_an_opening_that_fails_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = _threads()
    own = OwnVectors(model="mine", dimension=2)
    with open_sync_gateway(settings_in(tmp_path), embedder=own) as gateway:
        assert _threads() == before + 1
        gateway.add_vectors([ContentVector(key="a", vector=np.array([1, 0], dtype=np.float32))])
    with pytest.raises(ModelMismatchError):
        open_sync_gateway(settings_in(tmp_path))
    assert _threads() == before


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)", "import sys; sys.exit(0)"])
def test_a_program_that_does_not_close_ends_and_loses_nothing(tmp_path: Path, end: str) -> None:
    program = f"""
        from pathlib import Path
        from media_gateway import MediaContent, Settings, open_sync_gateway

        gateway = open_sync_gateway(Settings.read(memory_path=Path({str(tmp_path / "data.snap")!r})))
        gateway.add([MediaContent(id=862, media_type="movie", title="Toy Story")])
        print(gateway.search("toys").hits[0].key)
        {end}
    """
    began = time.monotonic()
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "movie-862\n", "")
    assert time.monotonic() - began < 40
    with open_sync_gateway(settings_in(tmp_path)) as gateway:
        assert gateway.stats().count == 1


def test_it_serves_from_postgres(postgres: TestServer) -> None:
    where = postgres.new_database()
    settings = Settings.read(
        backend="postgres", postgres_host=where["host"], postgres_port=where["port"], postgres_db=where["dbname"],
        postgres_user=where["user"], postgres_password=where.get("password"),
    )  # fmt: skip
    with open_sync_gateway(settings) as gateway:
        assert gateway.add([TOYS, HEIST]).written == 2
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda _: gateway.search("robbery", k=1).hits[0].key, range(40))
            assert set(found) == {"movie-949"}
