"""A stand-in for the embedding services: it speaks the shapes of OpenAI's and Vertex AI's REST interfaces on loopback.

It is not the real thing: vectors are random numbers seeded by the model's name and the text. What is real is HTTP, and
the faults on it. `tests/live` asks the services themselves.
"""

import base64
import hashlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

Fault = Callable[["_Handler", dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request as it came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def texts(self) -> list[str]:
        if "input" in self.body:
            return self.body["input"]
        if "instances" in self.body:
            return [instance["content"] for instance in self.body["instances"]]
        return [part["text"] for part in self.body["content"]["parts"]]


class StandIn:
    """One endpoint. Each of *faults* spoils one request, in their order; *secret* makes its vectors another model's."""

    def __init__(self, *, secret: str = "") -> None:
        self.secret = secret
        self.faults: deque[Fault] = deque()
        self.received: list[Received] = []
        self.under_way = 0
        self.most_under_way = 0
        self.dimension: int | None = None
        """What the server gives whatever was asked for, when it is set."""
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"standin": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        self.openai_url = f"{self.url}/v1"

    @property
    def texts(self) -> list[str]:
        """Every text of every request, in order."""
        return [text for received in self.received for text in received.texts]

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def vector(self, model: str, text: str, dimension: int) -> list[float]:
        """Return what this server gives for *text*: not a unit vector, as shortened ones are not."""
        seed = hashlib.sha256(f"{self.secret}/{model}/{text}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(seed[:8]))
        return (3 * generator.standard_normal(self.dimension or dimension)).astype("<f4").tolist()

    def expected(self, model: str, text: str, dimension: int) -> np.ndarray:
        """Return the unit vector that an embedder should make of it."""
        row = np.array(self.vector(model, text, dimension))
        return (row / np.linalg.norm(row)).astype(np.float32)


@contextmanager
def standin(*, secret: str = "") -> Iterator[StandIn]:
    server = StandIn(secret=secret)
    try:
        yield server
    finally:
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    standin: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        standin = self.standin
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with standin.lock:
            standin.received.append(
                Received(
                    path=self.path, headers={name.lower(): value for name, value in self.headers.items()}, body=body
                )
            )
            standin.under_way += 1
            standin.most_under_way = max(standin.most_under_way, standin.under_way)
            fault = standin.faults.popleft() if standin.faults else None
        try:
            answer = self._answer(body)
            self.send_json(answer) if fault is None else fault(self, answer)
        except OSError:
            self.close_connection = True  # the client has gone
        finally:
            with standin.lock:
                standin.under_way -= 1

    def send_json(self, answer: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_bytes(json.dumps(answer).encode(), status, headers)

    def send_bytes(
        self, data: bytes, status: int = 200, headers: dict[str, str] | None = None, promised: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(promised if promised is not None else len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.path == "/v1/embeddings":
            return self._openai(body)
        model = self.path.rsplit("/", 1)[1].split(":")[0]
        if self.path.endswith(":predict"):
            return self._predict(model, body)
        text = body["content"]["parts"][0]["text"]
        config = body["embedContentConfig"]
        values = self.standin.vector(model + config["taskType"], text, config["outputDimensionality"])
        return {"embedding": {"values": values}, "usageMetadata": {"promptTokenCount": len(text.split())}}

    def _openai(self, body: dict[str, Any]) -> dict[str, Any]:
        data = []
        for index, text in enumerate(body["input"]):
            vector = self.standin.vector(body["model"], text, body.get("dimensions", 1536))
            packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            embedding = packed if body.get("encoding_format") == "base64" else vector
            data.append({"object": "embedding", "index": index, "embedding": embedding})
        tokens = sum(len(text.split()) for text in body["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}

    def _predict(self, model: str, body: dict[str, Any]) -> dict[str, Any]:
        dimension = body["parameters"]["outputDimensionality"]
        predictions = []
        for instance in body["instances"]:
            values = self.standin.vector(model + instance["task_type"], instance["content"], dimension)
            words = len(instance["content"].split())
            statistics = {"truncated": words > 2048, "token_count": words}
            predictions.append({"embeddings": {"values": values, "statistics": statistics}})
        characters = sum(len(instance["content"]) for instance in body["instances"])
        return {"predictions": predictions, "metadata": {"billableCharacterCount": characters}}


def status(code: int, message: str = "no", *, error: dict[str, Any] | None = None, **headers: str) -> Fault:
    """An error answer; the names of *headers* have _ where theirs have -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _: handler.send_json({"error": error or {"message": message}}, code, named)


def raw(data: bytes) -> Fault:
    """An answer with status 200 that is *data*."""
    return lambda handler, _: handler.send_bytes(data)


def changed(change: Callable[[dict[str, Any]], Any]) -> Fault:
    """The right answer, after *change*."""

    def send(handler: "_Handler", answer: dict[str, Any]) -> None:
        result = change(answer)
        handler.send_json(answer if result is None else result)

    return send


def cut_off(handler: "_Handler", answer: dict[str, Any]) -> None:
    """JSON that ends in the middle, sent as if it were whole."""
    data = json.dumps(answer).encode()
    handler.send_bytes(data[: len(data) // 2])


def broken_off(handler: "_Handler", answer: dict[str, Any]) -> None:
    """A connection that ends in the middle of the body."""
    data = json.dumps(answer).encode()
    handler.send_bytes(data[: len(data) // 2], promised=len(data))
    handler.close_connection = True


def reset(handler: "_Handler", _: dict[str, Any]) -> None:
    """A connection that is reset before any answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def slow(seconds: float) -> Fault:
    """The right answer, too late."""

    def send(handler: "_Handler", answer: dict[str, Any]) -> None:
        handler.standin.stopping.wait(seconds)
        handler.send_json(answer)

    return send


def dripping(handler: "_Handler", answer: dict[str, Any]) -> None:
    """The right answer, a byte at a time: no pause is long, but the whole takes forever."""
    data = json.dumps(answer).encode()
    handler.send_bytes(b"", promised=len(data))
    for byte in data:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        if handler.standin.stopping.wait(0.05):
            return
