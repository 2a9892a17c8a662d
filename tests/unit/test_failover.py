"""Several endpoints of one model: another one answers when one fails, and never one of another model."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from media_gateway.embeddings import failover
from media_gateway.embeddings.failover import FailoverEmbedder
from media_gateway.embeddings.openai import OpenAIEmbedder
from media_gateway.embeddings.retries import RetryPolicy
from media_gateway.errors import (
    EmbeddingAuthenticationError,
    EmbeddingResponseError,
    EmbeddingUnavailableError,
    InvalidInputError,
    ModelMismatchError,
    SettingsError,
)
from tests.standin import StandIn, reset, slow, standin, status

pytestmark = pytest.mark.anyio

MODEL = "text-embedding-3-small"
ONCE = RetryPolicy(attempts=1, timeout=5)


@pytest.fixture
def first() -> Iterator[StandIn]:
    with standin() as server:
        yield server


@pytest.fixture
def second() -> Iterator[StandIn]:
    with standin() as server:
        yield server


@pytest.fixture
async def embedder(first: StandIn, second: StandIn) -> AsyncIterator[FailoverEmbedder]:
    made = FailoverEmbedder([at(first), at(second)])
    yield made
    await made.aclose()


def at(server: StandIn, **arguments: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder(**{"base_url": server.openai_url, "policy": ONCE} | arguments)


async def test_the_first_endpoint_serves_while_it_works(first: StandIn, second: StandIn, embedder: FailoverEmbedder):
    for text in ("Jaws", "Up"):
        (vector,) = await embedder.embed([text])
        np.testing.assert_allclose(vector, first.expected(MODEL, text, 768), atol=1e-6)
    assert not second.received
    assert len(first.received) == 3  # the sentence that it is known by, and two texts


async def test_nobody_stands_in_for_a_first_endpoint_that_nothing_is_known_of(first: StandIn):
    with standin(secret="another model") as impostor:
        embedder = FailoverEmbedder([at(first), at(impostor)])
        first.faults.extend([status(503)] * 9)
        with pytest.raises(EmbeddingUnavailableError, match="may stand in only after .* has answered once"):
            await embedder.embed(["Up"])
        assert not impostor.received
        await embedder.aclose()


@pytest.mark.parametrize("fault", [status(503), status(401), status(404), reset], ids=["503", "401", "404", "reset"])
async def test_the_next_endpoint_answers_and_the_failed_one_rests(
    first: StandIn, second: StandIn, embedder: FailoverEmbedder, fault: Any, caplog: pytest.LogCaptureFixture
):
    await embedder.embed(["Heat"])
    asked = len(first.received)
    first.faults.append(fault)
    for text in ("Jaws", "Up"):
        (vector,) = await embedder.embed([text])
        np.testing.assert_allclose(vector, second.expected(MODEL, text, 768), atol=1e-6)
    assert len(first.received) == asked + 1
    assert first.host in caplog.text
    assert "Jaws" not in caplog.text


async def test_a_rested_endpoint_serves_again(
    first: StandIn, second: StandIn, embedder: FailoverEmbedder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(failover, "REST_SECONDS", 0.1)
    await embedder.embed(["Heat"])
    first.faults.append(status(503))
    await embedder.embed(["Jaws"])
    asked = len(second.received)
    await asyncio.sleep(0.15)
    await embedder.embed(["Up"])
    assert first.texts[-1] == "Up"
    assert len(second.received) == asked


async def test_an_endpoint_with_another_model_under_the_same_name_never_serves(first: StandIn):
    with standin(secret="another model") as impostor:
        embedder = FailoverEmbedder([at(first), at(impostor)])
        await embedder.embed(["Jaws"])
        first.faults.extend([status(503)] * 9)
        with pytest.raises(EmbeddingUnavailableError, match="gives other vectors than the endpoint before it"):
            await embedder.embed(["Up"])
        assert "Up" not in impostor.texts
        await embedder.aclose()


async def test_when_all_fail_each_is_named(first: StandIn, second: StandIn, embedder: FailoverEmbedder):
    await embedder.embed(["Heat"])
    first.faults.append(status(503))
    second.faults.append(status(401))
    with pytest.raises(EmbeddingUnavailableError, match="none of 2 endpoints") as caught:
        await embedder.embed(["Jaws"])
    for part in (first.host, second.host, "HTTP 503", "check OPENAI_API_KEY"):
        assert part in str(caught.value)
    first.faults.append(status(401))
    second.faults.append(status(401))
    with pytest.raises(EmbeddingAuthenticationError):
        await embedder.embed(["Jaws"])


async def test_callers_of_one_moment_do_not_queue_for_an_endpoint_that_is_down(first: StandIn, second: StandIn):
    embedder = FailoverEmbedder([at(first, policy=RetryPolicy(attempts=1, timeout=0.5)), at(second)])
    first.faults.extend([slow(9)] * 9)
    started = time.perf_counter()
    outcomes = await asyncio.gather(
        *(embedder.embed([f"film {number}"]) for number in range(6)), return_exceptions=True
    )
    assert time.perf_counter() - started < 1.5
    assert all(isinstance(outcome, EmbeddingUnavailableError) for outcome in outcomes)
    assert len(first.received) == 1
    await embedder.aclose()


async def test_bad_texts_are_the_callers_fault(first: StandIn, second: StandIn, embedder: FailoverEmbedder):
    with pytest.raises(InvalidInputError):
        await embedder.embed([""])
    assert not first.received + second.received


async def test_endpoints_of_two_spaces_are_refused(first: StandIn, second: StandIn):
    for other in (at(second, model="other"), at(second, dimension=384)):
        with pytest.raises(ModelMismatchError, match="cannot stand in for openai/text-embedding-3-small"):
            FailoverEmbedder([at(first), other])
    with pytest.raises(SettingsError):
        FailoverEmbedder([])


async def test_usage_adds_up_over_the_endpoints(first: StandIn, second: StandIn, embedder: FailoverEmbedder):
    await embedder.embed(["Heat"])
    first.faults.append(status(503))
    await embedder.embed(["Jaws"])
    usage = embedder.usage()
    # Each endpoint's sentence, and the two texts; the failed request is one more.
    assert (usage["requests"], usage["failed"], usage["texts"]) == (5, 1, 4)
    assert [each["endpoint"] for each in usage["endpoints"]] == [first.host, second.host]
    assert first.host in repr(embedder)


async def test_a_lone_endpoint_fails_with_its_own_error(first: StandIn):
    embedder = FailoverEmbedder([at(first)])
    first.dimension = 4
    with pytest.raises(EmbeddingResponseError, match="4 numbers") as caught:
        await embedder.embed(["Jaws"])
    assert "endpoints of" not in str(caught.value)
    await embedder.aclose()
