"""The Vertex AI embedder through Google's SDK, against a stand-in server on loopback."""

import logging
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.auth.credentials import AnonymousCredentials
from google.oauth2.credentials import Credentials

from media_gateway.embeddings.retries import RetryPolicy
from media_gateway.embeddings.vertex import VertexEmbedder
from media_gateway.errors import (
    EmbeddingAuthenticationError,
    EmbeddingError,
    EmbeddingRefusedError,
    EmbeddingResponseError,
    EmbeddingUnavailableError,
    SettingsError,
)
from media_gateway.models import VectorSpace
from tests.standin import Fault, StandIn, broken_off, changed, cut_off, raw, reset, slow, standin, status

pytestmark = pytest.mark.anyio

TOKEN = "ya29.a0Ae4lvC0123456789abcdefGHIJ"
MODEL = "text-embedding-005"
QUICK = RetryPolicy(first_pause=0.02, longest_pause=0.05, timeout=5, deadline=20)


@pytest.fixture(scope="module")
def shared() -> Iterator[StandIn]:
    with standin() as server:
        yield server


@pytest.fixture
def server(shared: StandIn) -> StandIn:
    shared.faults.clear()
    shared.received.clear()
    shared.dimension = None
    return shared


@pytest.fixture
async def embedder(server: StandIn) -> AsyncIterator[VertexEmbedder]:
    made = make(server)
    yield made
    await made.aclose()


def make(server: StandIn, **arguments: Any) -> VertexEmbedder:
    given: dict[str, Any] = {
        "project": "films-1",
        "base_url": server.url,
        "credentials": Credentials(token=TOKEN),  # type: ignore[no-untyped-call]
        "policy": QUICK,
    }
    return VertexEmbedder(**given | arguments)


async def test_queries_and_documents_are_embedded_as_such(server: StandIn, embedder: VertexEmbedder):
    for purpose, task in (("query", "RETRIEVAL_QUERY"), ("document", "RETRIEVAL_DOCUMENT")):
        vectors = await embedder.embed(["Jaws", "七人の侍"], purpose)  # type: ignore[arg-type]
        assert vectors.dtype == np.float32
        for text, vector in zip(["Jaws", "七人の侍"], vectors, strict=True):
            np.testing.assert_allclose(vector, server.expected(MODEL + task, text, 768), atol=1e-6)
    received = server.received[0]
    assert received.path.endswith(
        "/projects/films-1/locations/us-central1/publishers/google/models/text-embedding-005:predict"
    )
    assert received.headers["authorization"] == f"Bearer {TOKEN}"
    assert embedder.space == VectorSpace(model="vertex/text-embedding-005", dimension=768)


async def test_gemini_models_are_asked_for_one_text_at_a_time(server: StandIn):
    embedder = make(server, model="gemini-embedding-001")
    texts = [f"film {number}" for number in range(7)]
    vectors = await embedder.embed(texts, "query")
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(vector, server.expected("gemini-embedding-001RETRIEVAL_QUERY", text, 768), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert len(server.received) == 7
    assert embedder.counted.tokens == 14
    assert embedder.counted.cost == pytest.approx(14 * 0.15 / 1_000_000)
    await embedder.aclose()


async def test_requests_stay_within_the_limits(server: StandIn, embedder: VertexEmbedder):
    texts = [f"film {number}" for number in range(260)] + ["word " * 5_000] * 2
    assert (await embedder.embed(texts)).shape == (262, 768)
    for received in server.received:
        assert len(received.texts) <= 250
        assert sum(len(text.encode()) for text in received.texts) < 20_000
    assert len(server.texts) == 262
    # Cut here to what is worth sending, and once more by the service.
    assert embedder.counted.cut_texts == 4


async def test_first_requests_at_once_share_one_client(server: StandIn):
    embedder = make(server, batch_size=1)
    assert (await embedder.embed([f"film {number}" for number in range(8)])).shape == (8, 768)
    await embedder.aclose()


async def test_characters_are_counted_and_priced(server: StandIn, embedder: VertexEmbedder):
    await embedder.embed(["x" * 1_000] * 10)
    usage = embedder.counted
    assert usage.characters == 10_000
    assert usage.tokens == 10
    assert usage.cost == pytest.approx(0.00025)


TRANSIENT = {"429": status(429), "503": status(503), "reset": reset, "broken off": broken_off}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
async def test_transient_faults_are_tried_again_by_us_alone(server: StandIn, fault: Fault):
    embedder = make(server, policy=RetryPolicy(attempts=3, first_pause=0.01))
    server.faults.extend([fault, fault])
    await embedder.embed(["Jaws"])
    server.faults.extend([fault] * 3)
    with pytest.raises(EmbeddingUnavailableError, match=r"Vertex AI at 127.0.0.1:\d+ .*VERTEX_LOCATION"):
        await embedder.embed(["Jaws"])
    assert len(server.received) == 6
    assert not server.faults
    await embedder.aclose()


async def test_the_wait_that_the_service_asks_for_is_kept(server: StandIn, embedder: VertexEmbedder):
    server.faults.append(status(429, Retry_After="0.5"))
    started = time.perf_counter()
    await embedder.embed(["Jaws"])
    assert time.perf_counter() - started > 0.5


async def test_slow_answers_end_at_the_time_limits(server: StandIn):
    embedder = make(server, policy=RetryPolicy(timeout=0.3, deadline=0.8, first_pause=0.05))
    server.faults.extend([slow(30)] * 9)
    with pytest.raises(EmbeddingUnavailableError, match="no whole answer within"):
        await embedder.embed(["Jaws"])
    await embedder.aclose()


async def test_nobody_there(free_port: int):
    embedder = VertexEmbedder(
        project="films-1",
        base_url=f"http://127.0.0.1:{free_port}",
        credentials=Credentials(token=TOKEN),  # type: ignore[no-untyped-call]
        policy=RetryPolicy(attempts=2, first_pause=0.01),
    )
    with pytest.raises(EmbeddingUnavailableError, match="cannot be reached"):
        await embedder.embed(["Jaws"])
    await embedder.aclose()


async def test_refusals_are_not_tried_again(server: StandIn, embedder: VertexEmbedder):
    for code, kind, words in (
        (401, EmbeddingAuthenticationError, "gcloud auth application-default login"),
        (403, EmbeddingAuthenticationError, "Vertex AI User in the project films-1"),
        (404, EmbeddingRefusedError, "Publisher Model was not found"),
        (400, EmbeddingRefusedError, "offered in us-central1"),
    ):
        server.received.clear()
        server.faults.append(status(code, f"Publisher Model was not found, {TOKEN}"))
        with pytest.raises(kind, match=words) as caught:
            await embedder.embed(["Jaws"])
        assert caught.value.status == code
        assert TOKEN not in str(caught.value)
        assert len(server.received) == 1


UNUSABLE = {
    "too few": (changed(lambda answer: {"predictions": answer["predictions"][:1]}), "1 vectors for 2 texts"),
    "none": (changed(lambda answer: {"predictions": []}), "0 vectors for 2 texts"),
    "another shape": (raw(b'{"predictions": "x"}'), "answered with"),
    "a list": (raw(b"[1, 2]"), "answered with"),
    "a web page": (raw(b"<html>"), "not a list of embeddings"),
    "nothing": (raw(b""), "0 vectors for 2 texts"),
    "cut off": (cut_off, "was cut off"),
}


@pytest.mark.parametrize(("fault", "message"), UNUSABLE.values(), ids=UNUSABLE)
async def test_unusable_answers_are_refused_and_not_asked_for_again(
    server: StandIn, embedder: VertexEmbedder, fault: Fault, message: str
):
    server.faults.append(fault)
    with pytest.raises(EmbeddingResponseError, match=message):
        await embedder.embed(["Jaws", "Up"])
    assert len(server.received) == 1


async def test_another_dimension_is_refused(server: StandIn, embedder: VertexEmbedder):
    server.dimension = 3072
    with pytest.raises(EmbeddingResponseError, match="3072 numbers where 768 were asked for"):
        await embedder.embed(["Jaws"])


async def test_without_a_login_the_error_says_how_to_log_in(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    for credentials in (None, AnonymousCredentials()):  # type: ignore[no-untyped-call]
        embedder = make(server, credentials=credentials)
        with pytest.raises(EmbeddingAuthenticationError, match="gcloud auth application-default login"):
            await embedder.embed(["Jaws"])
        await embedder.aclose()
    assert not server.received


async def test_a_closed_embedder_says_so(server: StandIn):
    embedder = make(server)
    await embedder.embed(["Jaws"])
    await embedder.aclose()
    await embedder.aclose()
    with pytest.raises(EmbeddingError, match="closed"):
        await embedder.embed(["Jaws"])


async def test_the_token_is_in_no_log_no_error_and_no_repr(
    server: StandIn, embedder: VertexEmbedder, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    errors: list[BaseException] = []
    for fault in (status(401, TOKEN), status(400, f"Bearer {TOKEN} a secret wish"), status(500, TOKEN), reset, cut_off):
        server.faults.extend([fault] * 6)
        with pytest.raises(EmbeddingError) as caught:
            await embedder.embed(["a secret wish"])
        errors.append(caught.value)
        server.faults.clear()
    for error in errors:
        seen = error
        while seen is not None:
            assert TOKEN not in "".join(traceback.format_exception(seen))
            assert TOKEN not in f"{seen!r} {vars(seen)}"
            assert "secret wish" not in str(seen)
            seen = seen.__cause__ or seen.__context__
    assert len(caplog.records) > 10
    for record in caplog.records:
        assert TOKEN not in f"{record.getMessage()} {vars(record)}"
        assert "secret wish" not in record.getMessage()
    assert TOKEN not in repr(embedder)


def test_an_unusable_url_is_refused():
    with pytest.raises(SettingsError, match="VERTEX_BASE_URL"):
        VertexEmbedder(project="films-1", base_url="aiplatform")
