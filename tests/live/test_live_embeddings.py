"""OpenAI and Vertex AI themselves: run by `pytest -m live` with their keys in the environment, for a fraction of a cent.

OPENAI_API_KEY asks OpenAI; VERTEX_PROJECT or GOOGLE_CLOUD_PROJECT, with a login that Google's libraries find, asks
Vertex AI.
"""

import os

import numpy as np
import pytest

from media_gateway.embeddings.choice import build_embedder
from media_gateway.embeddings.remote import RemoteEmbedder
from media_gateway.errors import EmbeddingAuthenticationError, EmbeddingRefusedError
from media_gateway.settings import Settings
from tests.conftest import LIVE_SETTINGS

pytestmark = [pytest.mark.anyio, pytest.mark.live]

FILMS = [
    "Jaws. A police chief hunts a shark that preys on swimmers.",
    "Up. A widower flies his house away under balloons.",
    "Heat. A detective closes in on a crew of bank robbers.",
]
KEYS = {"openai": ("OPENAI_API_KEY",), "vertex": ("VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT")}


@pytest.fixture(params=KEYS)
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    names = KEYS[request.param]
    if not any(name in LIVE_SETTINGS for name in names):
        pytest.skip(f"{' or '.join(names)} is not set")
    for name, value in LIVE_SETTINGS.items():
        if name.startswith(("OPENAI_", "VERTEX_", "GOOGLE_")):
            monkeypatch.setenv(name, value)
    return request.param


def made(provider: str, **settings: object) -> RemoteEmbedder:
    embedder = build_embedder(Settings.read(embedding_provider=provider, **settings))
    assert isinstance(embedder, RemoteEmbedder)
    return embedder


async def test_queries_find_their_films(provider: str):
    embedder = made(provider)
    films = await embedder.embed(FILMS)
    assert films.shape == (3, 768)
    np.testing.assert_allclose(np.linalg.norm(films, axis=1), 1, atol=1e-6)
    for query, expected in (("a fish that eats people", 0), ("robbery", 2), ("flying with balloons", 1)):
        (vector,) = await embedder.embed([query], "query")
        assert int((films @ vector).argmax()) == expected
    usage = embedder.counted
    assert usage.tokens > 0
    assert usage.cost is not None
    assert usage.cost > 0
    await embedder.aclose()


async def test_hundreds_of_texts_and_a_long_one(provider: str):
    embedder = made(provider)
    texts = [f"Film number {number}." for number in range(300)] + ["七人の侍 " * 4_000]
    vectors = await embedder.embed(texts)
    alone = await embedder.embed([texts[42]])
    assert float(vectors[42] @ alone[0]) > 0.999
    assert embedder.counted.cut_texts >= 1
    await embedder.aclose()


async def test_a_model_that_does_not_exist(provider: str):
    embedder = made(provider, **{f"{provider}_embedding_model": "text-embedding-000"})
    with pytest.raises(EmbeddingRefusedError):
        await embedder.embed(["Jaws"])
    await embedder.aclose()


async def test_a_wrong_key():
    if "OPENAI_API_KEY" not in LIVE_SETTINGS:
        pytest.skip("OPENAI_API_KEY is not set")
    assert "OPENAI_API_KEY" not in os.environ
    embedder = made("openai", openai_api_key="sk-wrong-0123456789abcdef")
    with pytest.raises(EmbeddingAuthenticationError, match="check OPENAI_API_KEY"):
        await embedder.embed(["Jaws"])
    await embedder.aclose()
