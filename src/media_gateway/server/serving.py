"""Running the application on uvicorn until a signal asks it to end."""

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from media_gateway.errors import SettingsError
from media_gateway.server.app import build_app
from media_gateway.server.gates import check_listening
from media_gateway.server.protocol import guarded_protocol
from media_gateway.server.service import Service
from media_gateway.settings import Settings

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept: longer than load balancers keep theirs, so that they close first."""

OnListening = Callable[[str, Service], None]
"""Hears of the address as soon as requests are answered there."""


def serve(settings: Settings, on_listening: OnListening) -> None:
    """Answer requests as *settings* say until SIGINT or SIGTERM; what is under way is finished first.

    Raises SettingsError when the address cannot be listened on, or must not be without keys, and what starting raises.
    """
    check_listening(settings)
    if settings.backend == "postgres":
        _keep_to_one_thread()
    with _listener(settings.http_host, settings.http_port) as listener:
        app = build_app(settings)
        config = _config(app, settings)
        server = _Server(config, lambda: on_listening(_address(listener), app.state.service))
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(app, server, listener))


def _keep_to_one_thread() -> None:
    """Let linear algebra compute on the thread that asks for it.

    Beside PostgreSQL its products are small, and its other threads go on spinning for milliseconds after each, on the
    processors that PostgreSQL needs (measured with two: four fifths of the service's time for a recommendation).
    """
    import_module("numpy")
    pools: Any = import_module("threadpoolctl")
    pools.threadpool_limits(1, "blas")


async def _serve(app: FastAPI, server: "_Server", listener: socket.socket) -> None:
    service: Service = app.state.service

    def stop() -> None:
        server.should_exit = True
        service.stop_waiting()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        # Not left to uvicorn, which ends the process with a traceback when starting fails.
        async with app.router.lifespan_context(app):
            if not server.should_exit:
                await server.serve(sockets=[listener])
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


class _Server(uvicorn.Server):
    """uvicorn's server, which tells when it listens, and leaves signals to `_serve`: it would raise them again at its end."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell it."""
        await super().startup(sockets)
        self._on_listening()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=guarded_protocol(settings, app.state.counts),
        # uvloop takes in one new connection a turn of its loop: under load the others wait where nobody counts them.
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(settings.http_shutdown_seconds)),
    )


def _listener(host: str, port: int) -> socket.socket:
    """Return a socket bound to *host* and *port*; raises SettingsError when that cannot be."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Of a name with both, such as localhost, the address that more programs try first.
        family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except BaseException:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"cannot listen on {host} port {port}: {reason}; choose another --port (0 takes a free one) or --host",
            field="http_port",
            given=port,
            expected="an address of this machine and a port that is free",
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    """Return the URL of what *listener* is bound to."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
