"""Load on a service, over raw connections, and what came of it.

A request costs the client some 30 µs, so that one process asks more than a service on the same machine can answer.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

TEXTS = (
    "a hacker learns that reality is a simulation",
    "toys come alive when nobody looks",
    "crime family saga",
    "two people meet on a train and talk all night",
    "survivors of a plague cross an empty country",
    "a detective with a past in a cold harbour town",
    "robots and what makes us human",
    "a heist that goes wrong from the first minute",
)
ANSWER_SECONDS = 40


@dataclass(kw_only=True)
class Outcome:
    """What clients saw: answers by status, requests without an answer by reason, and times of the answers with 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    shed_milliseconds: list[float] = field(default_factory=list)
    refusals: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Headers and bodies of the first answers with 503."""
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        return self.statuses.total() + self.failures.total()

    @property
    def throughput(self) -> float:
        """Answers with 200 a second."""
        return self.statuses[200] / self.seconds

    def percentile(self, share: float) -> float:
        """Return the milliseconds that *share* of the good answers did not exceed."""
        times = sorted(self.milliseconds)
        return times[min(len(times) - 1, int(share * len(times)))] if times else float("nan")

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "seconds": round(self.seconds, 2),
            "per_second": round(self.throughput, 1),
            "p50_ms": round(self.percentile(0.50), 2),
            "p95_ms": round(self.percentile(0.95), 2),
            "p99_ms": round(self.percentile(0.99), 2),
            "statuses": dict(self.statuses),
            "failures": dict(self.failures),
        }

    def add(self, status: int, seconds: float, headers: bytes, body: bytes) -> None:
        self.statuses[status] += 1
        if status == 200:
            self.milliseconds.append(seconds * 1000)
        elif status == 503:
            self.shed_milliseconds.append(seconds * 1000)
            if len(self.refusals) < 100:
                self.refusals.append((headers, body))


class Connection(asyncio.Protocol):
    """One connection that is kept: a request at a time."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes, bytes]] | None = None
        self._transport: asyncio.Transport | None = None
        self.is_open = False

    @classmethod
    async def opened(cls, address: str) -> "Connection":
        parts = urlsplit(address)
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(cls, parts.hostname, parts.port)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("cut off"))

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0 or self._answer is None or self._answer.done():
            return
        headers = bytes(self._data[:end])
        at = headers.lower().find(b"content-length: ")
        length = int(headers[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._data) < end + 4 + length:
            return
        body = bytes(self._data[end + 4 : end + 4 + length])
        self._data.clear()
        self._answer.set_result((int(headers[9:12]), headers, body))

    async def ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Send *request* and return status, headers and body of the answer; raises ConnectionError or TimeoutError."""
        if self._transport is None or not self.is_open:
            raise ConnectionError("closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def request(address: str, method: str, path: str, body: object = None, *, key: str | None = None) -> bytes:
    """Return the bytes of a request."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(address).netloc}", f"Content-Length: {len(content)}"]
    if content:
        lines.append("Content-Type: application/json")
    if key is not None:
        lines.append(f"X-API-Key: {key}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


def searches(address: str, *, key: str | None = None) -> list[bytes]:
    """Return searches of the sample catalogue as they come: by text, with filters, by a record."""
    made = [request(address, "POST", "/v1/search", {"text": text, "k": 10}, key=key) for text in TEXTS]
    filtered = [{"text": text, "k": 10, "where": {"media_type": "movie"}} for text in TEXTS]
    made += [request(address, "POST", "/v1/search", body, key=key) for body in filtered]
    made.append(request(address, "GET", "/v1/contents/movie-603/similar?k=10", key=key))
    made.append(request(address, "GET", "/v1/contents/movie-603", key=key))
    return made


async def asked_by(address: str, requests: Sequence[bytes], *, clients: int, seconds: float) -> Outcome:
    """Let *clients* ask for *seconds*, each as soon as it has its answer."""
    outcome = Outcome()
    began = time.perf_counter()
    end = began + seconds

    async def client(number: int) -> None:
        connection = None
        mine = cycle([*requests[number % len(requests) :], *requests[: number % len(requests)]])
        while time.perf_counter() < end:
            try:
                if connection is None or not connection.is_open:
                    connection = await Connection.opened(address)
                await _asked(connection, next(mine), time.perf_counter(), outcome)
            except (OSError, TimeoutError) as error:
                outcome.failures[type(error).__name__] += 1
                await asyncio.sleep(0.02)
        if connection is not None:
            connection.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    outcome.seconds = time.perf_counter() - began
    return outcome


async def asked_at(
    address: str, requests: Sequence[bytes], *, rate: float, seconds: float, connections: int = 600
) -> Outcome:
    """Ask *rate* times a second for *seconds*, whether or not answers come; times count from when a request was due."""
    outcome = Outcome()
    idle: list[Connection] = []
    tasks: set[asyncio.Task[None]] = set()
    began = time.perf_counter()

    async def one(content: bytes, due: float) -> None:
        try:
            connection = _taken(idle) or await Connection.opened(address)
            await _asked(connection, content, due, outcome)
            idle.append(connection)
        except (OSError, TimeoutError) as error:
            outcome.failures[type(error).__name__] += 1

    for number, content in zip(range(int(rate * seconds)), cycle(requests), strict=False):
        due = began + number / rate
        while time.perf_counter() < due or len(tasks) >= connections:
            await asyncio.sleep(max(0.001, due - time.perf_counter()))
        task = asyncio.create_task(one(content, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    outcome.seconds = time.perf_counter() - began
    for connection in idle:
        connection.close()
    return outcome


def _taken(idle: list[Connection]) -> Connection | None:
    """Return the connection that was used last and is still open: the others rest."""
    while idle:
        connection = idle.pop()
        if connection.is_open:
            return connection
    return None


async def _asked(connection: Connection, content: bytes, since: float, outcome: Outcome) -> None:
    status, headers, body = await connection.ask(content)
    outcome.add(status, time.perf_counter() - since, headers, body)


def refusals_of(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """Yield the problem documents of the answers with 503, each of which says when to ask again."""
    for headers, body in outcome.refusals:
        lines = headers.lower().split(b"\r\n")
        assert b"content-type: application/problem+json" in lines, headers
        assert any(line.startswith(b"retry-after: ") for line in lines), headers
        yield json.loads(body)
