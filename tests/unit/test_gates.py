"""The gates before an application of a few routes, asked in this process."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry, generate_latest

from media_gateway.errors import DimensionMismatchError, StoreUnavailableError
from media_gateway.server.app import build_app
from media_gateway.server.auth import ADMIN, READ, WRITE
from media_gateway.server.gates import gates
from media_gateway.server.hosts import AllowedHosts
from media_gateway.server.http_metrics import HttpMetrics
from media_gateway.server.keys import KeyFile, Scope
from media_gateway.server.logs import JsonLines, secrets_of
from media_gateway.server.refusals import answer_with_problems
from media_gateway.server.route_table import UNKNOWN, RouteTable
from media_gateway.settings import Settings

pytestmark = pytest.mark.anyio


class Small:
    """An application with one route of each need; *received* has what reached them."""

    def __init__(self, folder: Path, **given: Any) -> None:
        self.settings = Settings.read(keys_path=folder / "keys.json", **given)
        self.file = KeyFile(self.settings.keys_path)
        self.registry = CollectorRegistry()
        self.app = FastAPI(middleware=gates(self.settings, counts=HttpMetrics(self.registry)))
        self.received: list[str] = []
        self.released = asyncio.Event()
        self.app.get("/read", dependencies=[READ])(self.read)
        self.app.post("/write/{name}", dependencies=[WRITE])(self.write)
        self.app.post("/admin", dependencies=[ADMIN])(self.write)
        self.app.get("/wait", dependencies=[READ])(self.wait)
        self.app.get("/fail", dependencies=[READ])(self.fail)
        self.app.get("/health/live")(self.read)
        answer_with_problems(self.app)
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    async def read(self) -> dict[str, str]:
        self.received.append("read")
        return {"text": "ok"}

    async def write(self, request: Request) -> dict[str, int]:
        self.received.append("write")
        return {"bytes": len(await request.body())}

    async def wait(self) -> None:
        self.received.append("wait")
        await self.released.wait()

    async def fail(self) -> None:
        raise RuntimeError("the password is mellon")

    def key(self, name: str, scope: Scope, **given: Any) -> dict[str, str]:
        return {"X-API-Key": self.file.create(name, scope, **given)[1]}

    def counted(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Small]:
    made = Small(tmp_path, http_max_body_bytes=1000, http_max_in_flight=2, http_max_queued=1, http_request_seconds=0.3)
    async with made.client:
        yield made


async def test_each_scope_may_do_its_own_and_what_is_below(small: Small):
    keys = {scope: small.key(scope.name, scope) for scope in Scope}
    routes = {"/read": ("GET", Scope.read), "/write/a": ("POST", Scope.write), "/admin": ("POST", Scope.admin)}
    for path, (method, needed) in routes.items():
        for scope, headers in keys.items():
            answer = await small.client.request(method, path, headers=headers)
            assert answer.status_code == (200 if scope >= needed else 403), (path, scope)
            bearer = {"Authorization": f"bearer {headers['X-API-Key']}"}
            assert (await small.client.request(method, path, headers=bearer)).status_code == answer.status_code
    document = (await small.client.post("/admin", headers=keys[Scope.write])).json()
    assert document["detail"] == "the key write has the scope write; this needs admin"
    assert "key=" not in small.counted()


async def test_without_a_good_key_nothing_is_written_and_no_body_is_read(small: Small):
    read_chunks = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read_chunks
        read_chunks += 1
        yield b"x"

    key = small.key("web", Scope.write)["X-API-Key"]
    tries: list[list[tuple[str, str]]] = [
        [],
        [("X-API-Key", "")],
        [("X-API-Key", key[:-1])],
        [("Authorization", key)],
        [("Authorization", f"Basic {key}")],
        [("X-API-Key", key), ("Authorization", "Bearer other")],
        [("X-API-Key", key), ("X-API-Key", "other")],
    ]
    for headers in tries:
        answer = await small.client.post("/write/a", headers=headers, content=chunks())
        assert answer.status_code == 401, headers
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert key not in answer.text
    assert small.received == []
    # A wrong key is refused where none is needed, too: whoever sends one counts on it.
    assert (await small.client.get("/read", headers={"X-API-Key": "mg_1_2"})).status_code == 401
    assert (await small.client.get("/read")).status_code == 200
    assert (await small.client.get("/nowhere")).status_code == 404


async def test_off_the_loopback_interface_everything_but_health_needs_a_key(tmp_path: Path):
    small = Small(tmp_path, http_host="0.0.0.0")
    headers = small.key("web", Scope.read)
    for path in ("/read", "/nowhere", "/openapi.json"):
        assert (await small.client.get(path)).status_code == 401
        assert (await small.client.get(path, headers=headers)).status_code in {200, 404}
    strange = {"Host": "10.1.2.3:80"}
    assert (await small.client.get("/health/live", headers=strange)).status_code == 200


async def test_every_route_of_the_service_says_what_it_needs(tmp_path: Path):
    app = build_app(Settings.read(memory_path=tmp_path / "memory.snap"))
    table = RouteTable(app)

    def needs(method: str, path: str) -> Scope | None:
        found = table.find({"path": path, "method": method})
        return None if found is UNKNOWN else found.needs

    assert needs("POST", "/v1/search") == Scope.read
    assert needs("GET", "/v1/contents/movie-1") == Scope.read
    assert needs("GET", "/metrics") == Scope.read
    assert needs("POST", "/v1/contents") == Scope.write
    assert needs("DELETE", "/v1/contents/movie-1") == Scope.write
    assert needs("PATCH", "/v1/contents/movie-1") is None
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/health/"):
                assert table.find({"path": path, "method": method.upper()}).is_probe
                assert "security" not in operation
            else:
                assert operation["security"], path
                assert needs(method.upper(), path.replace("{key}", "a")) is not None, path


async def test_a_body_is_bounded_whether_or_not_it_tells_its_size(small: Small):
    key = small.key("web", Scope.write)
    assert (await small.client.post("/write/a", headers=key, content=b"x" * 1000)).json() == {"bytes": 1000}
    declared = await small.client.post("/write/a", headers=key, content=b"x" * 1001)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 100
        raise AssertionError("read on and on")

    streamed = await small.client.post("/write/a", headers=key, content=endless())
    for answer in (declared, streamed):
        assert answer.status_code == 413
        assert answer.json()["code"] == "body-too-large"
        assert "1,000" in answer.json()["detail"]
    assert small.received == ["write"]


async def test_a_body_that_trickles_is_given_up(tmp_path: Path):
    small = Small(tmp_path, http_body_seconds=0.1)
    key = small.key("web", Scope.write)

    async def trickle() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.02)

    answer = await small.client.post("/write/a", headers=key, content=trickle())
    assert answer.status_code == 408
    assert answer.json()["code"] == "body-timeout"
    assert answer.headers["connection"] == "close"
    assert small.received == []


async def test_a_key_that_asks_too_often_is_told_when_to_go_on(tmp_path: Path):
    small = Small(tmp_path, http_rate_limit=2, http_rate_burst=1)
    key = small.key("web", Scope.read)
    slow = small.key("slow", Scope.read, rate=0.5)
    fast = small.key("fast", Scope.read, rate=0)
    answers = [await small.client.get("/read", headers=key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "1"
    assert answers[2].json()["detail"] == "the key web may make 2 requests a second; wait for 1 s"
    assert [(await small.client.get("/read", headers=slow)).status_code for _ in range(2)] == [200, 429]
    assert all([(await small.client.get("/read", headers=fast)).status_code == 200 for _ in range(20)])
    assert (await small.client.get("/read")).status_code == 200


async def test_what_there_is_no_room_for_is_turned_away_and_health_is_not(small: Small):
    busy = [asyncio.create_task(small.client.get("/wait")) for _ in range(3)]
    while small.received.count("wait") < 2:
        await asyncio.sleep(0.001)
    answer = await small.client.get("/read")
    assert answer.status_code == 503
    assert answer.json()["code"] == "overloaded"
    assert answer.headers["retry-after"] == "1"
    assert (await small.client.get("/health/live")).status_code == 200
    counted = small.counted()
    assert 'media_gateway_http_requests_shed_total{reason="queue-full"} 1.0' in counted
    assert "media_gateway_http_requests_in_flight 2.0" in counted
    assert "media_gateway_http_requests_queued 1.0" in counted
    small.released.set()
    assert [answer.status_code for answer in await asyncio.gather(*busy)] == [200] * 3
    assert (await small.client.get("/read")).status_code == 200
    assert "media_gateway_http_requests_in_flight 0.0" in small.counted()


async def test_what_takes_too_long_is_given_up(small: Small):
    answer = await small.client.get("/wait")
    assert answer.status_code == 504
    assert answer.json()["code"] == "request-timeout"
    assert "read before writing again" in answer.json()["detail"]
    assert (await small.client.get("/read")).status_code == 200


async def test_an_error_that_nobody_foresaw_is_a_problem_and_its_message_is_told_to_nobody(
    small: Small, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO):
        answer = await small.client.get("/fail")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal-error"
    assert answer.headers["x-content-type-options"] == "nosniff"
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records if record.name.startswith("media")]
    assert "mellon" not in answer.text + json.dumps(lines)
    (failed,) = [line for line in lines if line["level"] == "error"]
    assert failed["error"] == ["RuntimeError"]
    assert any("test_gates.py" in place for place in failed["at"])
    assert lines[-1]["status"] == 500


async def test_every_answer_bears_an_id_and_the_headers_that_browsers_obey(small: Small):
    given = await small.client.get("/read", headers={"X-Request-ID": "order-17.a_b"})
    assert given.headers["x-request-id"] == "order-17.a_b"
    for bad in ("a b", "x" * 65, "", '"', "-a", "a\x7f"):
        made = (await small.client.get("/nowhere", headers={"X-Request-ID": bad})).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{16}", made)
    refused = await small.client.get("/nowhere")
    assert refused.json()["request_id"] == refused.headers["x-request-id"]
    for answer in (given, refused):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    asked = await small.client.options("/write/a", headers=preflight)
    assert asked.status_code == 405
    assert "access-control-allow-origin" not in asked.headers


@pytest.mark.parametrize(
    ("header", "is_known"),
    [
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("localhost.", True),
        ("127.0.0.1:1", True),
        ("[::1]:8080", True),
        ("vectors.example", True),
        ("10.0.0.5:80", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("evil.example:localhost", False),
        ("localhost:80@evil.example", False),
        ("127.0.0.2", False),
        ("", False),
        (":80", False),
    ],
)
def test_names_by_which_the_service_may_be_asked(header: str, is_known: bool):
    assert (header in AllowedHosts(" Vectors.example, ", host="10.0.0.5")) == is_known
    assert header in AllowedHosts("*", host="10.0.0.5")


async def test_other_names_are_refused(small: Small):
    answer = await small.client.get("/read", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert answer.json()["code"] == "wrong-host"
    twice = await small.client.get("/read", headers=[("Host", "localhost"), ("Host", "evil.example")])
    assert twice.status_code == 400
    assert small.received == []


def test_lines_of_the_log_hide_what_is_secret():
    settings = Settings.read(
        database_url="postgresql://me:se%2Fcret@db/x", openai_api_key="sk-abcdef", postgres_password="mellon"
    )
    lines = JsonLines(secrets_of(settings))

    def written(message: str, *values: object, error: Exception | None = None) -> str:
        found = None if error is None else (type(error), error, error.__traceback__)
        return lines.format(logging.LogRecord("anything", logging.WARNING, __file__, 1, message, values, found))

    plain = written("mellon and sk-abcdef, se/cret, mg_1f0a9c3e_%s at http://u:pw@h/", "A" * 43)
    error = DimensionMismatchError(given=1, expected=2, message="the text 'my query'")
    error.__cause__ = StoreUnavailableError("mellon's server is away", server="s", reason="r")
    odd = written("odd\n\ud800", error=error)
    for secret in ("mellon", "sk-abcdef", "se/cret", "A" * 10, "pw", "my query"):
        assert secret not in plain + odd
    assert "\n" not in plain + odd
    first = json.loads(plain)
    assert "mg_1f0a9c3e_(hidden)" in first["message"]
    assert (first["level"], first["event"], first["logger"]) == ("warning", "log", "anything")
    assert "StoreUnavailableError: (hidden)'s server is away" in str(json.loads(odd)["error"])
