"""The service as its callers meet it: the installed command, real HTTP on loopback, the sample catalogue in memory."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from media_gateway.errors import SettingsError
from media_gateway.server.keys import Scope
from media_gateway.server.serving import serve
from media_gateway.settings import Settings
from tests.acceptance.command import SAMPLE_ROWS, Command
from tests.documents import ROOT, blocks
from tests.services import Running, make_key, running

NEW = {"id": 990001, "media_type": "movie", "title": "The Lighthouse Keeper", "overview": "A storm, a lamp, a secret."}
DIMENSION = 384
PAGE = ROOT / "docs" / "howto" / "service.md"


@pytest.fixture(scope="module")
def service(memory: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    shutil.copytree(memory.folder / "data", folder / "data")
    with running(folder, RUVECTOR_HTTP_MAX_K="100", RUVECTOR_HTTP_MAX_BATCH="50") as service:
        yield service


def found(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return answer.json()["hits"]


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the problem document that *answer* must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["code"] == code, document
    assert document["type"] == f"urn:media-gateway:problem:{code}"
    assert document["title"]
    assert document["request_id"] == answer.headers["x-request-id"]
    assert "\n" not in document["detail"]
    return document


def test_it_tells_its_address_when_it_answers(service: Running) -> None:
    assert service.announced["ready"] is True
    assert service.announced["backend"] == "memory"
    host, port = service.address.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


def test_a_text_finds_films_by_meaning_and_without_a_key(service: Running) -> None:
    with service.anonymous() as anybody:
        hits = found(anybody.post("/v1/search", json={"text": "a hacker learns that reality is a simulation", "k": 5}))
    assert len(hits) == 5
    assert "movie-603" in [hit["key"] for hit in hits]
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert set(hits[0]) == {"key", "score", "metadata"}
    assert hits[0]["metadata"]["title"]


def test_filters_and_bounds_hold(service: Running) -> None:
    where = {"and": [{"media_type": "tv"}, {"released": {"first": "2000-01-01"}}]}
    hits = found(service.client.post("/v1/search", json={"text": "crime family", "k": 20, "where": where}))
    assert hits
    assert {hit["metadata"]["media_type"] for hit in hits} == {"tv"}
    assert min(hit["metadata"]["release_date"] for hit in hits) >= "2000"
    bounded = service.client.post("/v1/search", json={"text": "crime family", "k": 20, "min_score": hits[3]["score"]})
    assert all(hit["score"] > hits[3]["score"] for hit in found(bounded))
    assert bounded.json()["exhausted"] is True


def test_vectors_are_given_only_when_they_are_asked_for_and_find_their_record(service: Running) -> None:
    with_vectors = found(service.client.post("/v1/search?vector=true", json={"text": "toys come alive", "k": 2}))
    vector = with_vectors[0]["vector"]
    assert len(vector) == DIMENSION
    (same,) = found(service.client.post("/v1/search", json={"vector": vector, "k": 1}))
    assert same["key"] == with_vectors[0]["key"]
    assert same["score"] == pytest.approx(1.0)
    assert "vector" not in same
    record = service.client.get(f"/v1/contents/{same['key']}", params={"vector": "true"}).json()
    assert record["vector"] == vector
    assert set(service.client.get(f"/v1/contents/{same['key']}").json()) == {"key", "metadata"}


def test_an_explanation_tells_the_way_and_why(service: Running) -> None:
    answer = service.client.post("/v1/search", json={"text": "toys come alive", "explain": True}).json()
    assert answer["milliseconds"] > 0
    explanation = answer["explanation"]
    assert explanation["way"] in {"scan", "index"}
    assert explanation["reason"]
    assert explanation["hits"] == len(answer["hits"])


def test_words_become_filters_that_the_answer_shows_and_keep_takes_off(service: Running) -> None:
    body = {"text": "90s movies about toys", "k": 5, "interpret": True}
    answer = service.client.post("/v1/search", json=body).json()
    assert [one["label"] for one in answer["filters"]] == ["1990 to 1999", "Films"]
    assert (answer["searched"], answer["ordered_by"]) == ("about toys", "score")
    where = {"and": [one["where"] for one in answer["filters"]]}
    plain = service.client.post("/v1/search", json={"text": "about toys", "k": 5, "where": where})
    assert answer["hits"] == found(plain)
    kept = service.client.post("/v1/search", json=body | {"keep": ["90s"]}).json()
    assert [one["words"] for one in kept["filters"]] == ["movies"]
    assert "filters" not in plain.json()
    problem(service.client.post("/v1/search", json={"text": "toys", "keep": ["90s"]}), 422, "invalid-request")


def test_similar_records_leave_out_the_record_itself(service: Running) -> None:
    query = {"k": 3, "where": json.dumps({"media_type": "movie"})}
    hits = found(service.client.get("/v1/contents/movie-603/similar", params=query))
    assert len(hits) == 3
    assert "movie-603" not in [hit["key"] for hit in hits]
    problem(service.client.get("/v1/contents/nobody/similar"), 404, "not-found")
    problem(service.client.get("/v1/contents/movie-603/similar", params={"where": "{"}), 422, "invalid-filter")


def test_content_is_written_read_found_and_removed(service: Running) -> None:
    client = service.client
    written = client.post("/v1/contents", json={"contents": [NEW | {"country": "IE"}]})
    assert written.json() == {"written": 1, "unchanged": 0, "keys": ["movie-990001"]}
    again = client.post("/v1/contents", json={"contents": [NEW | {"country": "IE"}]})
    assert again.json() == {"written": 0, "unchanged": 1, "keys": ["movie-990001"]}
    assert client.get("/v1/contents/movie-990001").json()["metadata"]["country"] == "IE"
    hits = found(client.post("/v1/search", json={"text": "a keeper of a lighthouse in a storm", "k": 1}))
    assert hits[0]["key"] == "movie-990001"
    assert client.delete("/v1/contents/movie-990001").status_code == 204
    problem(client.get("/v1/contents/movie-990001"), 404, "not-found")
    problem(client.delete("/v1/contents/movie-990001"), 404, "not-found")


@pytest.mark.parametrize("key", ["a/b", "a/similar", "ü ö %2F ?#", "similar", "..", "😀", '"<script>'])
def test_any_text_can_be_a_key(service: Running, key: str) -> None:
    vector = [1.0] + [0.0] * (DIMENSION - 1)
    body = {"records": [{"key": key, "vector": vector, "metadata": {"deep": {"n": 2**70}}}]}
    assert service.client.post("/v1/contents", json=body).json()["keys"] == [key]
    # httpx would resolve the dots of an address, which stand for nothing here.
    address = quote(key, safe="").replace(".", "%2E")
    record = service.client.get(f"/v1/contents/{address}").json()
    assert record == {"key": key, "metadata": {"deep": {"n": 2**70}}}
    assert key not in [hit["key"] for hit in found(service.client.get(f"/v1/contents/{address}/similar?k=3"))]
    assert service.client.delete(f"/v1/contents/{address}").status_code == 204


def test_a_batch_is_written_wholly_or_not_at_all(service: Running) -> None:
    body = {"contents": [NEW, {"id": 990002, "media_type": "movie", "title": " "}]}
    document = problem(service.client.post("/v1/contents", json=body), 422, "invalid-content")
    assert document["field"] == "title"
    problem(service.client.get("/v1/contents/movie-990001"), 404, "not-found")
    problem(service.client.post("/v1/contents", json={"contents": [NEW, NEW]}), 422, "duplicate-key")


SEARCH = "/v1/search"
WRITE = "/v1/contents"
REFUSED: list[tuple[str, bytes, int, str]] = [
    (SEARCH, b"", 422, "invalid-request"),
    (SEARCH, b"{", 400, "invalid-json"),
    (SEARCH, b'{"text": "a", "min_score": NaN}', 400, "invalid-json"),
    (SEARCH, b'{"text": "a", "min_score": 1e999}', 400, "invalid-json"),
    (SEARCH, b'{"text": "\\ud800"}', 400, "invalid-json"),
    (SEARCH, b'{"text": "\xff"}', 400, "invalid-json"),
    (SEARCH, b"[" * 5000, 400, "invalid-json"),
    (SEARCH, b'{"text": "a", "k": 123456789012345678901234567890}', 422, "invalid-request"),
    (SEARCH, b'{"x": ' + b"[" * 5000 + b"123456789012345678901234567890", 400, "invalid-json"),
    (SEARCH, b'{"text": "a", "k": ' + b"9" * 5000 + b"}", 422, "invalid-request"),
    (WRITE, b'{"contents": [{"id": ' + b"9" * 5000 + b', "media_type": "movie", "title": "x"}]}', 422, "invalid-content"),
    (WRITE, b'{"contents": [{"id": 1, "media_type": "movie", "title": "x", "n": ' + b"9" * 5000 + b"}]}", 422, "invalid-metadata"),
    (SEARCH, b"[]", 422, "invalid-request"),
    (SEARCH, b"{}", 422, "invalid-request"),
    (SEARCH, b'{"text": "a", "vector": [1]}', 422, "invalid-request"),
    (SEARCH, b'{"text": "\\u0000"}', 422, "invalid-metadata"),
    (SEARCH, b'{"text": "  "}', 422, "invalid-request"),
    (SEARCH, b'{"text": 5}', 422, "invalid-request"),
    (SEARCH, b'{"text": "a", "k": 0}', 422, "invalid-request"),
    (SEARCH, b'{"text": "a", "k": "3"}', 422, "invalid-request"),
    (SEARCH, b'{"text": "a", "k": true}', 422, "invalid-request"),
    (SEARCH, b'{"text": "a", "k": 101}', 422, "invalid-request"),
    (SEARCH, b'{"text": "a", "min_score": 2}', 422, "invalid-request"),
    (SEARCH, b'{"text": "a", "typo": 1}', 422, "invalid-request"),
    (SEARCH, b'{"text": "a", "mode": "magic"}', 422, "invalid-request"),
    (SEARCH, b'{"text": "a", "weights": {}}', 422, "invalid-request"),
    (SEARCH, b'{"text": "a", "where": {"nothing": 1}}', 422, "invalid-filter"),
    (SEARCH, b'{"text": "a", "where": []}', 422, "invalid-filter"),
    (SEARCH, b'{"text": "a", "where": ' + b'{"not": ' * 100 + b"{}" + b"}" * 100 + b"}", 422, "invalid-filter"),
    (SEARCH, b'{"text": "a", "mode": "words"}', 409, "unsupported"),
    (SEARCH, b'{"vector": [1, 2, 3]}', 422, "dimension-mismatch"),
    (SEARCH, b'{"vector": []}', 422, "dimension-mismatch"),
    (SEARCH, b'{"vector": "abc"}', 422, "invalid-vector"),
    (SEARCH, b'{"vector": [[1], [2]]}', 422, "invalid-vector"),
    (SEARCH, b'{"vector": [1, null]}', 422, "invalid-vector"),
    (SEARCH, b'{"vector": [' + b"0," * (DIMENSION - 1) + b"0]}", 422, "invalid-vector"),
    (SEARCH, b'{"vector": [' + b"1e300," * (DIMENSION - 1) + b"0]}", 422, "invalid-vector"),
    (SEARCH, b'{"vector": [' + b"9" * 400 + b"]}", 422, "invalid-vector"),
    (WRITE, b"{}", 422, "invalid-request"),
    (WRITE, b'{"contents": []}', 422, "invalid-request"),
    (WRITE, b'{"contents": [{}]}', 422, "invalid-request"),
    (WRITE, b'{"contents": [1]}', 422, "invalid-request"),
    (WRITE, b'{"contents": [{"id": 1e308, "media_type": "movie", "title": "x"}]}', 422, "invalid-content"),
    (WRITE, b'{"contents": [{"id": 1, "media_type": "film", "title": "x"}]}', 422, "invalid-content"),
    (WRITE, b'{"contents": [{"id": 1, "media_type": "movie", "title": "\\u0000"}]}', 422, "invalid-metadata"),
    (WRITE, b'{"records": [{"key": "", "vector": [1]}]}', 422, "invalid-request"),
    (WRITE, b'{"records": [{"key": "\\u0000", "vector": [1]}]}', 422, "invalid-key"),
    (WRITE, b'{"records": [{"key": "a", "vector": [1]}]}', 422, "dimension-mismatch"),
    (WRITE, b'{"records": [' + b'{"key": "a", "vector": [1]},' * 50 + b'{"key": "a", "vector": [1]}]}', 422, "invalid-request"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "code"), REFUSED)
def test_what_cannot_be_taken_is_refused_in_one_sentence(
    service: Running, path: str, body: bytes, status: int, code: str
) -> None:
    answer = service.client.post(path, content=body, headers={"Content-Type": "application/json"})
    document = problem(answer, status, code)
    assert len(document["detail"]) < 1000
    assert "Traceback" not in answer.text


def test_a_refusal_tells_what_was_given_and_what_was_expected(service: Running) -> None:
    document = problem(service.client.post(SEARCH, json={"text": "a", "k": -3}), 422, "invalid-request")
    assert (document["field"], document["given"]) == ("k", -3)
    assert document["detail"] == "k in the body is -3; expected greater than or equal to 1"
    document = problem(service.client.post(SEARCH, json={"vector": [1.0, 2.0]}), 422, "dimension-mismatch")
    assert (document["given"], document["expected"]) == (2, DIMENSION)


def test_addresses_methods_and_types_that_are_not_known(service: Running) -> None:
    problem(service.client.get("/v2/search"), 404, "no-such-address")
    refused = service.client.put("/v1/contents/a", json={})
    problem(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == "DELETE, GET"
    problem(service.client.post(SEARCH, content=b"text=a"), 415, "not-json")
    latin = {"Content-Type": "application/json; charset=latin-1"}
    problem(service.client.post(SEARCH, content=b'{"text": "a"}', headers=latin), 415, "not-json")
    problem(service.client.get("/v1/contents/%FF"), 422, "invalid-key")
    problem(service.client.get("/v1/contents/" + "a" * 600), 422, "invalid-key")
    problem(service.client.get("/v1/contents/a", params={"vector": "maybe"}), 422, "invalid-request")
    problem(service.client.get("/v1/contents/a/similar", params={"limit": "3"}), 422, "invalid-request")


def test_writing_needs_a_key_that_may_write(service: Running) -> None:
    with service.anonymous() as anybody:
        problem(anybody.post(WRITE, json={"contents": [NEW]}), 401, "unauthorized")
        reader = {"Authorization": f"Bearer {make_key(service.folder, Scope.read)}"}
        time.sleep(0.6)  # the file of keys is looked at twice a second
        problem(anybody.delete("/v1/contents/movie-603", headers=reader), 403, "forbidden")
        problem(anybody.get("/v1/stats", headers={"X-API-Key": "mg_0_wrong"}), 401, "unauthorized")
    assert service.client.get("/v1/contents/movie-603").status_code == 200


def test_figures_health_and_metrics(service: Running) -> None:
    stats = service.client.get("/v1/stats").json()
    assert (stats["backend"], stats["dimension"]) == ("memory", DIMENSION)
    assert stats["count"] >= SAMPLE_ROWS - 1
    with service.anonymous() as anybody:
        assert anybody.get("/health/live").json() == {"live": True}
        ready = anybody.get("/health/ready").json()
        metrics = anybody.get("/metrics")
    assert ready["ready"] is True
    assert {name: check["passes"] for name, check in ready["checks"].items()} == {
        "gateway": True,
        "store": True,
        "warm": True,
    }
    assert metrics.headers["content-type"].startswith("text/plain")
    line = 'media_gateway_http_requests_total{method="GET",route="/health/live",status="200"}'
    assert any(row.startswith(line) for row in metrics.text.splitlines())


def test_the_document_has_an_example_of_every_answer_and_its_requests_work(service: Running) -> None:
    document = service.client.get("/openapi.json").json()
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert {(method, path) for path, method, _ in operations} >= {("post", SEARCH), ("delete", "/v1/contents/{key}")}
    for path, method, operation in operations:
        assert operation["summary"]
        assert operation["description"]
        for status, answer in operation["responses"].items():
            for content in answer.get("content", {}).values():
                assert "example" in content, (path, method, status)
        assert path.startswith("/health") or {"401", "403", "429"} <= operation["responses"].keys()
    for example in document["paths"][SEARCH]["post"]["requestBody"]["content"]["application/json"]["examples"].values():
        status = 409 if example["value"].get("mode") == "hybrid" else 200
        assert service.client.post(SEARCH, json=example["value"]).status_code == status


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's requests are made with curl")
def test_the_requests_of_the_page_are_answered_as_it_says(service: Running) -> None:
    printed = ""
    for block in blocks(PAGE, "sh"):
        script = block.text.replace("http://127.0.0.1:8080", service.address).replace("curl -s", "curl -sSw '\\n'")
        key = service.client.headers["X-API-Key"]
        done = subprocess.run(
            ["bash", "-euc", script],
            env={**os.environ, "KEY": key},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        printed += done.stdout
    answers = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert [answer["status"] for answer in answers if "status" in answer] == [422]
    assert {"written": 1, "unchanged": 0, "keys": ["movie-990001"]} in answers
    found, refused = (json.loads(block.text) for block in blocks(PAGE, "json"))
    assert found.keys() == answers[0].keys()
    assert found["hits"][0]["key"] in [hit["key"] for hit in answers[0]["hits"]]
    (given,) = [answer for answer in answers if "status" in answer]
    assert given | {"request_id": ""} == refused | {"request_id": ""}


def test_an_address_that_cannot_be_used_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    paths = {"keys_path": tmp_path / "keys.json", "memory_path": tmp_path / "memory.snap"}
    with pytest.raises(SettingsError, match="0.0.0.0, where others can reach the service.*keys create"):
        serve(Settings.read(http_host="0.0.0.0", http_port=0, **paths), lambda *_: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"):
            serve(Settings.read(http_port=port, **paths), lambda *_: None)
    assert not list(tmp_path.iterdir())


def test_a_signal_lets_requests_under_way_end_and_the_process_end_well(service: Running) -> None:
    titles = [NEW | {"id": 991000 + number, "overview": f"{number} " * 150} for number in range(40)]
    answers: list[httpx.Response] = []
    request = threading.Thread(target=lambda: answers.append(service.client.post(WRITE, json={"contents": titles})))
    request.start()
    time.sleep(0.3)
    assert not answers, "the request must be under way"
    service.process.send_signal(signal.SIGTERM)
    request.join(timeout=40)
    assert answers[0].json()["written"] == 40
    assert service.process.wait(timeout=40) == 0
    with pytest.raises(httpx.ConnectError):
        service.client.get("/health/live")
