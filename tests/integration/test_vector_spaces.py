"""Two vector spaces never meet: not by the settings, not by the chain, not by a restart, in no store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from media_gateway import open_gateway
from media_gateway.embeddings import LocalEmbedder
from media_gateway.embeddings.cache import CachedEmbedder
from media_gateway.embeddings.choice import build_embedder, chosen_provider
from media_gateway.embeddings.failover import FailoverEmbedder
from media_gateway.embeddings.openai import OpenAIEmbedder
from media_gateway.embeddings.vertex import VertexEmbedder
from media_gateway.errors import EmbeddingUnavailableError, ModelMismatchError, SettingsError
from media_gateway.models import MediaContent, VectorSpace
from media_gateway.settings import Settings
from tests.postgres import TestServer
from tests.standin import StandIn, standin, status

pytestmark = pytest.mark.anyio

FILMS = [MediaContent(id=number, media_type="movie", title=f"Film {number}") for number in range(1, 6)]


@pytest.fixture
def service() -> Iterator[StandIn]:
    with standin() as server:
        yield server


@pytest.fixture(params=["memory", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The settings of one collection, which every opening finds again."""
    if request.param == "memory":
        yield {"backend": "memory", "memory_path": tmp_path / "memory.snap"}
        return
    server: TestServer = request.getfixturevalue("postgres")
    conninfo = server.new_database()
    yield {
        "backend": "postgres",
        "postgres_host": conninfo["host"],
        "postgres_port": conninfo["port"],
        "postgres_db": conninfo["dbname"],
        "postgres_user": conninfo["user"],
    }
    server.drop_database(conninfo)


async def test_a_collection_refuses_every_model_but_its_own(place: dict[str, Any], service: StandIn):
    own = {**place, "openai_base_url": service.openai_url, "dimension": 384}
    async with open_gateway(Settings.read(**own)) as gateway:
        await gateway.add(FILMS)
    asked = len(service.received)
    others: list[dict[str, Any]] = [
        {**own, "openai_embedding_model": "another-model"},  # of the same dimension
        {**own, "dimension": 768},
        {**place, "embedding_provider": "local"},  # 384 numbers too
        {**place, "vertex_project": "films-1", "vertex_base_url": service.url, "dimension": 384},
    ]
    for settings in others:
        with pytest.raises(ModelMismatchError, match="openai/text-embedding-3-small"):
            async with open_gateway(Settings.read(**settings)) as gateway:
                await gateway.search("never asked")
    assert len(service.received) == asked
    async with open_gateway(Settings.read(**own)) as gateway:
        result = await gateway.search("Film 3", k=5)
        assert len(result.hits) == 5


async def test_nothing_falls_back_to_another_space(place: dict[str, Any], service: StandIn):
    settings = Settings.read(**place, openai_base_url=service.openai_url, embedding_deadline=0.5)
    async with open_gateway(settings) as gateway:
        await gateway.add(FILMS)
        service.faults.extend([status(503)] * 20)
        with pytest.raises(EmbeddingUnavailableError, match="try again later"):
            await gateway.search("Jaws")
        with pytest.raises(EmbeddingUnavailableError):
            await gateway.add([MediaContent(id=9, media_type="tv", title="New")])
        assert (await gateway.stats()).count == len(FILMS)
        # What needs no text goes on.
        assert len((await gateway.similar("movie-1", k=3)).hits) == 3


async def test_the_error_says_why_this_model_was_chosen(place: dict[str, Any], service: StandIn):
    async with open_gateway(Settings.read(**place, openai_base_url=service.openai_url)) as gateway:
        await gateway.add(FILMS)
    with pytest.raises(ModelMismatchError, match="EMBEDDING_PROVIDER, which is auto, means local"):
        await open_gateway(Settings.read(**place))


def test_the_chain_takes_what_is_configured():
    key, project = {"openai_api_key": "sk-1"}, {"vertex_project": "films-1"}
    for given, provider, kind in (
        ({}, "local", LocalEmbedder),
        (key, "openai", OpenAIEmbedder),
        ({"openai_base_url": "http://127.0.0.1:1/v1"}, "openai", OpenAIEmbedder),
        (project, "vertex", VertexEmbedder),
        ({**key, **project}, "vertex", VertexEmbedder),
        ({**key, **project, "embedding_provider": "openai"}, "openai", OpenAIEmbedder),
        ({**key, **project, "embedding_provider": "local"}, "local", LocalEmbedder),
        ({**key, "openai_base_url": "http://a/v1, http://b/v1"}, "openai", FailoverEmbedder),
        ({**project, "vertex_location": "europe-west1,us-east4"}, "vertex", FailoverEmbedder),
    ):
        settings = Settings.read(**given)
        assert chosen_provider(settings) == provider
        assert isinstance(build_embedder(settings), kind)
    assert build_embedder(Settings.read(**key)).space == VectorSpace(
        model="openai/text-embedding-3-small", dimension=768
    )
    assert build_embedder(Settings.read(**key, dimension=256)).space.dimension == 256
    assert build_embedder(Settings.read(**project)).space == VectorSpace(
        model="vertex/text-embedding-005", dimension=768
    )


def test_a_provider_without_its_settings_is_refused():
    for provider, name in (("openai", "OPENAI_API_KEY"), ("vertex", "VERTEX_PROJECT")):
        with pytest.raises(SettingsError, match=name):
            build_embedder(Settings.read(embedding_provider=provider))
    with pytest.raises(SettingsError, match="'auto' or 'local' or 'openai' or 'vertex'"):
        Settings.read(embedding_provider="cohere")


def test_the_environment_names_the_providers(monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "OPENAI_API_KEY": "sk-very-secret",
        "GOOGLE_CLOUD_PROJECT": "films-1",
        "GOOGLE_CLOUD_LOCATION": "europe-west1",
        "EMBEDDING_CACHE_SECONDS": "60",
        "OPENAI_BASE_URL": "",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings.read()
    assert (settings.vertex_project, settings.vertex_location) == ("films-1", "europe-west1")
    assert settings.embedding_cache_seconds == 60
    assert settings.openai_base_url is None
    assert "very-secret" not in f"{settings!r} {settings}"
    monkeypatch.setenv("VERTEX_PROJECT", "films-2")
    assert Settings.read().vertex_project == "films-2"


async def test_an_embedder_of_ones_own_is_taken_as_it_is(place: dict[str, Any], service: StandIn):
    own = CachedEmbedder(OpenAIEmbedder(base_url=service.openai_url, model="mine"))
    async with open_gateway(Settings.read(**place), embedder=own) as gateway:
        await gateway.add(FILMS)
        assert (await gateway.stats()).model == "openai/mine"
