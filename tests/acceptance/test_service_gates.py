"""The gates of the real service: what must not reach the store does not, and no secret appears anywhere."""

import asyncio
import contextlib
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from media_gateway.server.keys import Scope
from tests.acceptance.command import Command
from tests.load import asked_by, searches
from tests.services import Running, make_key, running

SECONDS = 1.0
MOST_BYTES = 100_000
FILM = b'{"contents": [{"id": 990001, "media_type": "movie", "title": "The Lighthouse Keeper"}]}'
OPERATIONS = re.compile(
    r'^media_gateway_store_operation_duration_seconds_count\{operation="(search|upsert|delete)".*\} (\S+)$',
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def service(memory: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gates")
    shutil.copytree(memory.folder / "data", folder / "data")
    limits = {
        "RUVECTOR_HTTP_HEADER_SECONDS": str(SECONDS),
        "RUVECTOR_HTTP_BODY_SECONDS": str(SECONDS),
        "RUVECTOR_HTTP_MAX_BODY_BYTES": str(MOST_BYTES),
        "RUVECTOR_HTTP_MAX_CONNECTIONS": "60",
    }
    with running(folder, **limits) as service:
        yield service


def reached_the_store(service: Running) -> tuple[float, list[int]]:
    """Return how many searches and writes the store has had, and whether two records are there."""
    counts = OPERATIONS.findall(service.client.get("/metrics").text)
    keys = ("movie-603", "movie-990001")
    there = [service.client.get(f"/v1/contents/{key}").status_code for key in keys]
    return sum(float(count) for _, count in counts), there


def connected(service: Running) -> socket.socket:
    parts = urlsplit(service.address)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Return status and bytes of the next answer, 0 when the service closes the connection without one."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while not is_whole(data) and (chunk := connection.recv(65536)):
            data += chunk
    return (int(data[9:12]) if data.startswith(b"HTTP/1.1 ") else 0), data


def is_whole(data: bytes) -> bool:
    headers, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", headers)
    return bool(end) and length is not None and len(body) >= int(length[1])


def sent(service: Running, content: bytes) -> tuple[int, bytes]:
    with connected(service) as connection:
        connection.sendall(content)
        return answer(connection)


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *headers]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def test_what_is_unauthorized_or_malformed_or_oversized_never_reaches_the_store(service: Running) -> None:
    key = f"X-API-Key: {service.client.headers['X-API-Key']}"
    reader = f"X-API-Key: {make_key(service.folder, Scope.read)}"
    time.sleep(0.6)  # the file of keys is looked at twice a second
    before = reached_the_store(service)
    search = b'{"text": "lighthouse"}'
    padded = FILM[:-1] + b" " * MOST_BYTES + b"}"
    chunked = ["Host: localhost", "Content-Type: application/json", "Transfer-Encoding: chunked", key]
    chunks = "\r\n".join(["POST /v1/contents HTTP/1.1", *chunked]).encode() + b"\r\n\r\n"
    refused: list[tuple[bytes, int]] = [
        (post("/v1/contents", FILM), 401),
        (post("/v1/contents", FILM, "X-API-Key: mg_00000000_wrong"), 401),
        (post("/v1/contents", FILM, "Authorization: Basic bWVsbG9u"), 401),
        (post("/v1/contents", FILM, reader), 403),
        (post("/v1/contents", FILM, key, reader), 401),
        (b"DELETE /v1/contents/movie-603 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 401),
        (b"DELETE /v1/contents/movie%2F603 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 401),
        (post("/v1/search", search, "X-API-Key: mg_00000000_wrong"), 401),
        (post("/v1/search", search).replace(b"Host: localhost", b"Host: evil.example"), 421),
        (post("/v1/search", search).replace(b"Host: localhost\r\n", b""), 400),
        (post("/v1/contents", FILM[:-1], key), 400),
        (post("/v1/contents", b"\x00\xff" * 100, key), 400),
        (post("/v1/contents", b"[" * 50_000, key), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 5, 400),
        (b"GET\r\n\r\n", 400),
        (b"MAKE /v1/search HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (post("/v1/contents", FILM, key, "Content-Length: 5"), 400),
        (post("/v1/contents", FILM, key, "Transfer-Encoding: chunked"), 400),
        (post("/v1/contents", FILM, key, "Content-Length: abc"), 400),
        (post("/v1/contents", FILM, key, "Bad Name: x"), 400),
        (chunks + b"zz\r\n" + FILM, 400),
        (post("/v1/contents", padded, key), 413),
        (chunks + b"20000\r\n" + b" " * 0x20000 + b"\r\n0\r\n\r\n", 413),
        (b"GET /v1/stats?" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (post("/v1/contents", FILM, key, *(f"X-{n}: 1" for n in range(100))), 431),
        (post("/v1/contents", FILM, key, "X-Long: " + "a" * 40_000), 431),
    ]
    for content, status in refused:
        found, data = sent(service, content)
        assert found == status, (content[:200], data)
        assert b"content-type: application/problem+json" in data
    assert reached_the_store(service) == (before[0], [200, 404])
    # The same with a key and as it should be does reach it.
    assert sent(service, post("/v1/contents", FILM, key))[0] == 200
    count, there = reached_the_store(service)
    assert (count > before[0], there) == (True, [200, 200])
    assert service.client.delete("/v1/contents/movie-990001").status_code == 204


def test_who_sends_slowly_is_cut_off_and_holds_nobody_up(service: Running) -> None:
    key = f"X-API-Key: {service.client.headers['X-API-Key']}"
    before = reached_the_store(service)
    whole = post("/v1/contents", FILM, key)
    beginnings = [b"", b"G", b"POST /v1/contents HTTP/1.1\r\nHost: local", whole[: -len(FILM)], whole[:-1]]
    connections = [connected(service) for _ in range(40)]
    began = time.monotonic()
    for number, connection in enumerate(connections):
        connection.sendall(beginnings[number % len(beginnings)])
    quick = asyncio.run(asked_by(service.address, searches(service.address), clients=4, seconds=0.5))
    assert set(quick.statuses) == {200}, quick.as_json()
    assert not quick.failures
    # A byte now and then does not help.
    for turn in range(3):
        time.sleep(0.2)
        for number, connection in enumerate(connections):
            if number % len(beginnings) == 2:
                connection.sendall(b"x" if turn else b"host")
    statuses = [answer(connection)[0] for connection in connections]
    assert all(connection.recv(1) == b"" for connection in connections)
    assert time.monotonic() - began < SECONDS + 2.5
    for connection in connections:
        connection.close()
    assert statuses == [0, 408, 408, 408, 408] * 8
    during = reached_the_store(service)
    assert during[1] == before[1]
    assert during[0] - before[0] <= quick.requests


def test_who_does_not_fetch_an_answer_is_cut_off(service: Running) -> None:
    parts = urlsplit(service.address)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((parts.hostname, parts.port))
        one = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(one * 200)
        time.sleep(SECONDS + 1.0)
        assert service.client.get("/health/live").status_code == 200
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(1 << 20):
                data += chunk
        assert data.count(b"HTTP/1.1 200") < 200
    assert any("its peer took nothing in" in line.get("message", "") for line in service.log())


def test_who_hangs_up_while_requests_wait_leaves_nothing_behind(service: Running) -> None:
    one = post("/v1/search", b'{"text": "lighthouse", "k": 1}')
    for _ in range(60):
        with connected(service) as connection:
            connection.sendall(one * 4)
    time.sleep(0.3)
    assert "\nmedia_gateway_http_requests_queued 0.0" in service.client.get("/metrics").text
    seen = asyncio.run(asked_by(service.address, searches(service.address), clients=8, seconds=0.3))
    assert set(seen.statuses) == {200}


def test_there_are_so_many_connections_and_the_next_is_told_so(service: Running) -> None:
    held = [connected(service) for _ in range(59)]
    try:
        time.sleep(0.1)
        status, data = sent(service, b"GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert status == 503, data
        assert b"retry-after: 1" in data.lower()
    finally:
        for connection in held:
            connection.close()
    time.sleep(0.2)
    assert service.client.get("/v1/stats").status_code == 200
    assert 'shed_total{reason="connections"}' in service.client.get("/metrics").text


def test_a_key_is_made_and_revoked_while_the_service_runs(service: Running) -> None:
    command = Command(folder=service.folder, variables={})
    made = command.inside("keys", "create", "web", "--scope", "write", "--expires", "90d")
    text = made.out.strip()
    assert re.fullmatch(r"mg_[0-9a-f]{8}_[\w-]{43}", text)
    assert text not in made.err
    listed = command.inside("keys", "list", "--json").json()
    (key,) = [key for key in listed if key["name"] == "web"]
    assert (key["scope"], key["valid"], "key" in key, "sha256" in key) == ("write", True, False, False)
    assert "web" in command.inside("keys", "list").out
    with httpx.Client(base_url=service.address, headers={"Authorization": f"Bearer {text}"}) as client:
        time.sleep(0.6)
        assert client.get("/v1/contents/movie-603").status_code == 200
        assert command.inside("keys", "revoke", "web", "--json").json()["name"] == "web"
        time.sleep(0.6)
        assert client.get("/v1/contents/movie-603").status_code == 401
    assert command.inside("keys", "revoke", "web").code == 1
    for words in (["--scope", "root"], ["--expires", "soon"], ["--expires", "2001-01-01"], ["--expires", "99999999d"]):
        refused = command.inside("keys", "create", "other", *words)
        assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1), refused


SECRETS = {
    "POSTGRES_PASSWORD": "correct-horse-battery",
    "DATABASE_URL": "postgresql://media:staple-of-the-url@127.0.0.1:1/vectors",
    "OPENAI_API_KEY": "sk-proj-0123456789abcdef",
}
TEXT, NUMBER = "an utterly private wish", 0.7236491


def everything_asked(service: Running, key: str) -> str:
    """Ask in many ways, with *key* in places where it does not belong, and return all answers."""
    wrong = key[:-4] + "aaaa"
    senders = [
        {"X-API-Key": service.client.headers["X-API-Key"]},
        {"X-API-Key": wrong},
        {"X-API-Key": "", "Authorization": f"Bearer {wrong}"},
        {"Host": "evil.example"},
    ]
    bodies = [
        {"text": TEXT},
        {"text": TEXT, "k": 0},
        {"vector": [NUMBER] * 384},
        {"vector": [NUMBER]},
        {"text": [NUMBER]},
    ]
    produced: list[str] = []
    for headers in senders:
        for path in ("/health/ready", "/v1/stats", "/metrics", f"/v1/contents/a?key={key}", f"/nowhere?{key}"):
            answered = service.client.get(path, headers=headers)
            produced += [answered.text, str(answered.headers)]
        for body in bodies:
            answered = service.client.post("/v1/search", json=body, headers=headers)
            # What was wrong with a value is told to the caller, who sent it.
            produced += [str(answered.headers), "" if answered.status_code in {200, 422} else answered.text]
    # Whoever sends a key in the address finds it in the refusal, and nowhere else.
    service.client.get(f"/{key}")
    produced.append(sent(service, f"GET /{key} HTTP/1.1\r\n{key}\r\n\r\n".encode())[1].decode())
    return "\n".join(produced)


def assert_nothing_secret(folder: Path, produced: str, key: str) -> None:
    command = Command(folder=folder, variables={})
    written = (folder / "service.log").read_text()
    files = (folder / "data" / "keys.json").read_text() + command.inside("keys", "list", "--json").out
    for secret in (key, key.split("_", 2)[2], key[:-4], *SECRETS.values(), "staple-of-the-url"):
        assert secret not in produced + written + files, secret
    for private in (TEXT, str(NUMBER)):
        assert private not in produced + written


def test_no_key_password_text_or_vector_appears_in_a_log_a_metric_or_an_error(service: Running) -> None:
    key = str(service.client.headers["X-API-Key"])
    produced = everything_asked(service, key)
    assert {200, 400, 401, 404, 421, 422} <= {line.get("status") for line in service.log()}
    assert_nothing_secret(service.folder, produced, key)
    asked = 'media_gateway_http_requests_total{method="GET",route="/v1/contents/{key}",status="404"}'
    metrics = service.client.get("/metrics").text
    assert asked in metrics
    assert key not in metrics


def test_nor_does_a_password_while_postgres_is_away(tmp_path: Path) -> None:
    with running(tmp_path, "--backend", "postgres", EMBEDDING_PROVIDER="local", **SECRETS) as service:
        key = str(service.client.headers["X-API-Key"])
        produced = everything_asked(service, key)
        lines = service.log()
    assert {400, 401, 421, 503} <= {line.get("status") for line in lines}
    assert any("media@127.0.0.1:1/vectors" in line.get("message", "") for line in lines)
    assert_nothing_secret(tmp_path, produced, key)
