"""The OpenAI embedder through OpenAI's SDK, against a stand-in server on loopback with every fault that HTTP has."""

import asyncio
import base64
import logging
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from media_gateway.embeddings.openai import OpenAIEmbedder
from media_gateway.embeddings.retries import RetryPolicy
from media_gateway.errors import (
    EmbeddingAuthenticationError,
    EmbeddingError,
    EmbeddingRefusedError,
    EmbeddingResponseError,
    EmbeddingUnavailableError,
    InvalidInputError,
    SettingsError,
)
from media_gateway.models import VectorSpace
from tests.standin import (
    Fault,
    StandIn,
    broken_off,
    changed,
    cut_off,
    dripping,
    raw,
    reset,
    slow,
    standin,
    status,
)

pytestmark = pytest.mark.anyio

KEY = "sk-proj-abcdefGHIJKL0123456789"
MODEL = "text-embedding-3-small"
QUICK = RetryPolicy(first_pause=0.02, longest_pause=0.05, timeout=5, deadline=20)


@pytest.fixture(scope="module")
def shared() -> Iterator[StandIn]:
    with standin() as server:
        yield server


@pytest.fixture
def server(shared: StandIn) -> StandIn:
    shared.faults.clear()
    shared.received.clear()
    shared.most_under_way = 0
    shared.dimension = None
    return shared


@pytest.fixture
async def embedder(server: StandIn) -> AsyncIterator[OpenAIEmbedder]:
    made = make(server)
    yield made
    await made.aclose()


def make(server: StandIn, **arguments: Any) -> OpenAIEmbedder:
    given: dict[str, Any] = {"api_key": SecretStr(KEY), "base_url": server.openai_url, "policy": QUICK}
    return OpenAIEmbedder(**given | arguments)


async def test_each_text_gets_its_own_unit_vector_in_order(server: StandIn, embedder: OpenAIEmbedder):
    texts = ["Jaws", "Amélie 🎈", "七人の侍"]
    vectors = await embedder.embed(texts)
    assert vectors.shape == (3, 768)
    assert vectors.dtype == np.float32
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(vector, server.expected(MODEL, text, 768), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


async def test_what_is_sent(server: StandIn, embedder: OpenAIEmbedder):
    await embedder.embed(["Jaws"], "query")
    (received,) = server.received
    assert received.path == "/v1/embeddings"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.body == {"model": MODEL, "input": ["Jaws"], "dimensions": 768, "encoding_format": "base64"}
    assert embedder.space == VectorSpace(model="openai/text-embedding-3-small", dimension=768)


async def test_models_of_one_size_and_servers_without_a_key(server: StandIn):
    embedder = make(server, api_key=None, send_dimensions=False, dimension=1536, model="ada")
    assert (await embedder.embed(["Jaws"])).shape == (1, 1536)
    assert "dimensions" not in server.received[0].body
    await embedder.aclose()


async def test_no_texts_ask_nobody(server: StandIn, embedder: OpenAIEmbedder):
    assert (await embedder.embed([])).shape == (0, 768)
    assert not server.received


async def test_bad_texts_are_refused_before_anything_is_sent(server: StandIn, embedder: OpenAIEmbedder):
    for bad, name in ((["ok", " "], r"texts\[1\]"), (["a\x00"], "NUL"), ([3], "the text is 3"), ("Jaws", "a list")):
        with pytest.raises(InvalidInputError, match=name):
            await embedder.embed(bad)  # type: ignore[arg-type]
    assert not server.received


async def test_large_inputs_are_sent_in_requests_that_the_service_takes(server: StandIn, embedder: OpenAIEmbedder):
    texts = [f"film {number}" for number in range(2_050)] + ["x" * 8_000 + str(number) for number in range(40)]
    vectors = await embedder.embed(texts)
    assert sorted(server.texts) == sorted(texts)
    for received in server.received:
        assert len(received.texts) <= 2_048
        assert sum(len(text.encode()) for text in received.texts) <= 300_000
    assert len(server.received) == 3
    for index in (0, 2_049, len(texts) - 1):
        np.testing.assert_allclose(vectors[index], server.expected(MODEL, texts[index], 768), atol=1e-6)


async def test_texts_too_long_are_cut_and_counted_but_not_logged(
    server: StandIn, embedder: OpenAIEmbedder, caplog: pytest.LogCaptureFixture
):
    await embedder.embed(["é" * 5_000, "short"])
    assert server.texts == ["é" * 4_095, "short"]  # 8,190 bytes: half a letter is none
    assert "1 of 2 texts were cut" in caplog.text
    assert "é" not in caplog.text
    assert embedder.counted.cut_texts == 1


async def test_concurrency_is_bounded_and_queries_do_not_wait_for_documents(server: StandIn):
    embedder = make(server, batch_size=1, concurrency=2)
    server.faults.extend([slow(0.6)] * 2)
    load = asyncio.create_task(embedder.embed([f"film {number}" for number in range(6)]))
    while server.under_way < 2:
        await asyncio.sleep(0.01)
    started = time.perf_counter()
    await embedder.embed(["question"], "query")
    assert time.perf_counter() - started < 0.5
    await load
    assert server.most_under_way == 3  # two documents and the query
    await embedder.aclose()


TRANSIENT = {
    "429": status(429),
    "500": status(500),
    "503": status(503),
    "408": status(408),
    "reset": reset,
    "broken off": broken_off,
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
async def test_transient_faults_are_tried_again(server: StandIn, embedder: OpenAIEmbedder, fault: Fault):
    server.faults.extend([fault, fault])
    vectors = await embedder.embed(["Jaws"])
    np.testing.assert_allclose(vectors[0], server.expected(MODEL, "Jaws", 768), atol=1e-6)
    usage = embedder.counted
    assert (usage.requests, usage.repeated, usage.failed, usage.texts) == (3, 2, 2, 1)


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
async def test_a_service_that_stays_down_is_named_with_what_to_do(server: StandIn, fault: Fault):
    embedder = make(server, policy=RetryPolicy(attempts=3, first_pause=0.01))
    server.faults.extend([fault] * 3)
    with pytest.raises(EmbeddingUnavailableError, match=r"3 times in \d+ s; try again later") as caught:
        await embedder.embed(["Jaws"])
    assert server.host in str(caught.value)
    assert len(server.received) == 3
    await embedder.aclose()


async def test_a_query_is_given_up_sooner_than_documents(server: StandIn, embedder: OpenAIEmbedder):
    for purpose, requests in (("query", 3), ("document", 6)):
        server.received.clear()
        server.faults.extend([status(503)] * requests)
        with pytest.raises(EmbeddingUnavailableError):
            await embedder.embed(["Jaws"], purpose)  # type: ignore[arg-type]
        assert len(server.received) == requests


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_the_wait_that_the_service_asks_for_is_kept(server: StandIn, embedder: OpenAIEmbedder, form: str):
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)  # in whole seconds
    server.faults.append(status(429, Retry_After="0.8" if form == "seconds" else moment))
    started = time.perf_counter()
    await embedder.embed(["Jaws"])
    assert time.perf_counter() - started > 0.75


async def test_a_service_that_asks_for_too_long_a_wait_is_given_up_at_once(server: StandIn, embedder: OpenAIEmbedder):
    server.faults.append(status(429, Retry_After="3600"))
    with pytest.raises(EmbeddingUnavailableError, match="asks to wait 3600 s"):
        await embedder.embed(["Jaws"])
    assert len(server.received) == 1


@pytest.mark.parametrize("fault", [slow(30), dripping], ids=["slow", "dripping"])
async def test_slow_answers_end_at_the_time_limits(server: StandIn, fault: Fault):
    embedder = make(server, policy=RetryPolicy(timeout=0.3, deadline=0.8, first_pause=0.05))
    server.faults.extend([fault] * 9)
    started = time.perf_counter()
    with pytest.raises(EmbeddingUnavailableError, match=r"no whole answer within 0.* s.*; try again later"):
        await embedder.embed(["Jaws"])
    assert time.perf_counter() - started < 1.5
    await embedder.aclose()


async def test_nobody_there(free_port: int):
    url = f"http://127.0.0.1:{free_port}/v1"
    embedder = OpenAIEmbedder(base_url=url, policy=RetryPolicy(attempts=2, first_pause=0.01))
    with pytest.raises(EmbeddingUnavailableError, match=rf"127.0.0.1:{free_port} cannot be reached"):
        await embedder.embed(["Jaws"])
    await embedder.aclose()


LOGIN = {"401": status(401, f"Incorrect API key provided: {KEY}"), "403": status(403, "no")}


@pytest.mark.parametrize("fault", LOGIN.values(), ids=LOGIN)
async def test_a_wrong_key_is_not_tried_again(server: StandIn, embedder: OpenAIEmbedder, fault: Fault):
    server.faults.append(fault)
    with pytest.raises(EmbeddingAuthenticationError, match="check OPENAI_API_KEY"):
        await embedder.embed(["Jaws"])
    assert len(server.received) == 1


async def test_an_account_without_quota_is_not_asked_again(server: StandIn, embedder: OpenAIEmbedder):
    server.faults.append(status(429, error={"message": "You exceeded ...", "code": "insufficient_quota"}))
    with pytest.raises(EmbeddingAuthenticationError, match="no quota left"):
        await embedder.embed(["Jaws"])
    assert len(server.received) == 1


@pytest.mark.parametrize("code", [400, 404, 413, 422])
async def test_a_refused_request_is_not_tried_again(server: StandIn, embedder: OpenAIEmbedder, code: int):
    server.faults.append(status(code, f"The model does not\n exist; your key {KEY} and Bearer abc.def say nothing"))
    with pytest.raises(EmbeddingRefusedError, match="does not exist") as caught:
        await embedder.embed(["Jaws"])
    assert caught.value.status == code
    assert "OPENAI_EMBEDDING_MODEL" in str(caught.value)
    assert KEY not in str(caught.value)
    assert "abc.def" not in str(caught.value)
    assert len(server.received) == 1


def drop_one(answer: dict[str, Any]) -> None:
    answer["data"].pop()


def repeat_an_index(answer: dict[str, Any]) -> None:
    answer["data"][1]["index"] = 0


def spoil(value: Any):
    def change(answer: dict[str, Any]) -> None:
        answer["data"][1]["embedding"] = value

    return changed(change)


UNUSABLE = {
    "too few vectors": (changed(drop_one), "1 vectors for 2 texts"),
    "an empty list": (changed(lambda answer: answer | {"data": []}), "0 vectors for 2 texts"),
    "an index twice": (changed(repeat_an_index), "indexes that do not fit"),
    "another dimension": (spoil([1.0] * 384), "384 numbers where 768 were asked for"),
    "zeros": (spoil([0.0] * 768), "zeros, NaN or infinity"),
    "null": (spoil([None] + [1.0] * 767), "zeros, NaN or infinity"),
    "words": (spoil(["x"] * 768), "not rows of numbers"),
    "nested": (spoil([[1.0]] * 768), "numbers"),
    "not base64": (spoil("!!"), "not a list of embeddings"),
    "three bytes": (spoil("AAAA"), "not a list of embeddings"),
    "a number": (spoil(7), "not a list of embeddings"),
    "no data": (raw(b'{"object": "list"}'), "not a list of embeddings"),
    "a list": (raw(b"[]"), "not a list of embeddings"),
    "a web page": (raw(b"<html>welcome</html>"), "not a list of embeddings"),
    "nothing": (raw(b""), "not a list of embeddings"),
    "cut off": (cut_off, "was cut off"),
}


@pytest.mark.parametrize(("fault", "message"), UNUSABLE.values(), ids=UNUSABLE)
async def test_unusable_answers_are_refused_and_not_asked_for_again(
    server: StandIn, embedder: OpenAIEmbedder, fault: Fault, message: str
):
    server.faults.append(fault)
    with pytest.raises(EmbeddingResponseError, match=message) as caught:
        await embedder.embed(["Jaws", "Up"])
    assert "RUVECTOR_DIMENSION" in str(caught.value)
    assert len(server.received) == 1


async def test_nan_is_refused(server: StandIn, embedder: OpenAIEmbedder):
    packed = base64.b64encode(np.array([np.nan] + [1.0] * 767, "<f4").tobytes()).decode()
    server.faults.append(spoil(packed))
    with pytest.raises(EmbeddingResponseError, match="NaN"):
        await embedder.embed(["Jaws", "Up"])


async def test_a_server_that_ignores_the_dimension_is_caught(server: StandIn, embedder: OpenAIEmbedder):
    server.dimension = 384
    with pytest.raises(EmbeddingResponseError, match="384 numbers where 768 were asked for"):
        await embedder.embed(["Jaws"])
    fitting = make(server, dimension=384)
    assert (await fitting.embed(["Jaws"])).shape == (1, 384)
    await fitting.aclose()


async def test_answers_out_of_order_and_plain_lists_are_put_right(server: StandIn, embedder: OpenAIEmbedder):
    def shuffle(answer: dict[str, Any]) -> None:
        answer["data"].reverse()

    def unpacked(answer: dict[str, Any]) -> None:
        for item, text in zip(answer["data"], ["Jaws", "Up", "Heat"], strict=True):
            item["embedding"] = server.vector(MODEL, text, 768)
            del item["index"]

    for change in (shuffle, unpacked):
        server.faults.append(changed(change))
        vectors = await embedder.embed(["Jaws", "Up", "Heat"])
        for text, vector in zip(["Jaws", "Up", "Heat"], vectors, strict=True):
            np.testing.assert_allclose(vector, server.expected(MODEL, text, 768), atol=1e-6)


async def test_one_failing_request_ends_the_others(server: StandIn):
    embedder = make(server, batch_size=1, concurrency=1)
    server.faults.append(status(400))
    with pytest.raises(EmbeddingRefusedError):
        await embedder.embed([f"film {number}" for number in range(50)])
    assert len(server.received) < 5
    await embedder.aclose()


async def test_cancelling_leaves_nothing_running(server: StandIn, embedder: OpenAIEmbedder):
    before = asyncio.all_tasks()
    server.faults.extend([slow(5)] * 2)
    task = asyncio.create_task(embedder.embed(["Jaws"]))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
    server.faults.clear()
    assert (await embedder.embed(["Up"])).shape == (1, 768)


async def test_a_closed_embedder_says_so(server: StandIn):
    embedder = make(server)
    await embedder.embed(["Jaws"])
    await embedder.aclose()
    await embedder.aclose()
    with pytest.raises(EmbeddingError, match="closed"):
        await embedder.embed(["Jaws"])


async def test_closing_ends_what_is_under_way(server: StandIn):
    embedder = make(server)
    server.faults.extend([slow(5), slow(5)])
    task = asyncio.create_task(embedder.embed(["Jaws"]))
    while not server.under_way:
        await asyncio.sleep(0.01)
    await embedder.aclose()
    server.faults.clear()
    with pytest.raises(EmbeddingError, match="closed"):
        await task


async def test_tokens_are_counted_and_cost_is_unknown_elsewhere_than_at_openai(
    server: StandIn, embedder: OpenAIEmbedder
):
    await embedder.embed(["one two three", "four"])
    assert embedder.counted.tokens == 4
    assert embedder.counted.cost is None
    assert embedder.usage()["endpoint"] == server.host


async def test_the_key_is_in_no_log_no_error_and_no_repr(
    server: StandIn, embedder: OpenAIEmbedder, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    faults = [status(401, f"wrong key {KEY}"), status(400, f"key {KEY}"), raw(b"{"), status(500, KEY), reset, cut_off]
    errors: list[BaseException] = []
    for fault in faults:
        server.faults.extend([fault] * 6)
        with pytest.raises(EmbeddingError) as caught:
            await embedder.embed([f"a secret wish {fault}"])
        errors.append(caught.value)
        server.faults.clear()
    server.faults.append(status(400, "this input is bad: another secret wish"))
    with pytest.raises(EmbeddingRefusedError) as caught:
        await embedder.embed(["another secret wish"])
    errors.append(caught.value)
    for error in errors:
        seen = error
        while seen is not None:
            assert KEY not in "".join(traceback.format_exception(seen))
            assert KEY not in f"{seen!r} {vars(seen)}"
            assert "secret wish" not in str(seen)
            seen = seen.__cause__ or seen.__context__
    assert len(caplog.records) > 10
    for record in caplog.records:
        assert KEY not in f"{record.getMessage()} {vars(record)}"
        assert "secret wish" not in record.getMessage()
    assert KEY not in repr(embedder)


def test_unusable_urls_are_refused_without_showing_a_password():
    for url in ("localhost:8000", "ftp://host/v1", "http://", "http://host:99999/v1", ""):
        with pytest.raises(SettingsError, match="OPENAI_BASE_URL"):
            OpenAIEmbedder(base_url=url)
    for url in ("http://user:hunter2@host/v1", "https://hunter2@host/v1"):
        with pytest.raises(SettingsError) as caught:
            OpenAIEmbedder(base_url=url)
        assert "hunter2" not in f"{caught.value} {vars(caught.value)}"


async def test_blanks_around_a_key_do_no_harm_and_other_characters_are_refused_unseen(server: StandIn):
    embedder = make(server, api_key=SecretStr(f" {KEY}\n"))
    await embedder.embed(["Jaws"])
    assert server.received[0].headers["authorization"] == f"Bearer {KEY}"
    await embedder.aclose()
    for bad in (f"{KEY}\nX: y", f"{KEY} {KEY}", f"{KEY}é", f"{KEY}\x00"):
        with pytest.raises(SettingsError, match="OPENAI_API_KEY") as caught:
            make(server, api_key=SecretStr(bad))
        assert KEY not in f"{caught.value} {vars(caught.value)}"


def test_the_sdk_is_imported_only_when_it_is_used_and_named_when_it_is_missing():
    program = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "openai" or name == "google.genai":
            raise ModuleNotFoundError(name)
import media_gateway.embeddings.choice
from media_gateway.embeddings.openai import OpenAIEmbedder
from media_gateway.embeddings.vertex import VertexEmbedder
OpenAIEmbedder(), VertexEmbedder(project="p")
assert not {"openai", "google.genai", "google.auth"} & set(sys.modules), "an SDK was imported too early"
sys.meta_path.insert(0, Missing())
for make in (OpenAIEmbedder, lambda: VertexEmbedder(project="p")):
    try:
        make()
    except Exception as error:
        print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert "pip install 'media-gateway[openai]'" in done.stdout
    assert "pip install 'media-gateway[vertex]'" in done.stdout
