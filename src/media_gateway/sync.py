"""The gateway for scripts and notebooks: the same methods without await."""

import functools
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from media_gateway.contracts import Embedder
from media_gateway.errors import StoreError
from media_gateway.gateway import Gateway
from media_gateway.monitoring.metrics import Metrics
from media_gateway.settings import Settings
from media_gateway.wiring import open_gateway

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _LoopThread:
    """An event loop in a thread of its own, for calls from any other thread."""

    def __init__(self) -> None:
        ready: Future[BlockingPortal] = Future()
        # A daemon, and no context manager of anyio's: neither an interpreter that exits nor a collected object must
        # wait for the loop. What was acknowledged is durable by then.
        self._thread = threading.Thread(target=_serve, args=(ready,), name="media-gateway-sync", daemon=True)
        self._thread.start()
        self._portal = ready.result()

    def run(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Return what *work* gives; an interrupt in here cancels it. Raises StoreError once the loop is stopped."""
        closed = "this gateway is closed; open another one with open_sync_gateway()"
        call = _Call(work)
        try:
            return self._portal.start_task_soon(call.run).result()
        except CancelledError as error:
            raise StoreError(closed) from error
        except RuntimeError as error:
            if call.is_started:
                raise
            raise StoreError(closed) from error
        except KeyboardInterrupt:
            # It may have come before there was a future to cancel.
            self._portal.start_task_soon(call.give_up)
            raise

    @property
    def is_stopped(self) -> bool:
        """Whether the thread has ended."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Cancel what still runs, and end the thread."""
        self._portal.call(self._portal.stop, True)
        self._thread.join()


class _Call(Generic[_T]):
    """One piece of *work* on the loop, which can be given up at any time."""

    def __init__(self, work: Callable[[], Awaitable[_T]]) -> None:
        self._work = work
        self._scope: anyio.CancelScope | None = None
        self._is_given_up = False

    @property
    def is_started(self) -> bool:
        """Whether the work was begun."""
        return self._scope is not None

    async def run(self) -> _T:
        with anyio.CancelScope() as self._scope:
            if not self._is_given_up:
                return await self._work()
        raise CancelledError

    async def give_up(self) -> None:
        """Cancel the work, or keep it from starting."""
        self._is_given_up = True
        if self._scope is not None:
            self._scope.cancel()


def _serve(ready: "Future[BlockingPortal]") -> None:
    async def serve() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    anyio.run(serve)


def _blocking(
    method: "Callable[Concatenate[Gateway, _P], Coroutine[Any, Any, _T]]",
) -> "Callable[Concatenate[SyncGateway, _P], _T]":
    """Return *method* of the gateway, with its signature and description, as one that waits for its answer."""

    @functools.wraps(method)
    def call(self: "SyncGateway", *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return self._run(lambda gateway: method(gateway, *args, **kwargs))  # pyright: ignore[reportPrivateUsage]

    return call


class SyncGateway:
    """A `Gateway` whose methods wait for their answers; made by `open_sync_gateway`.

    It works on an event loop in a thread of its own, so that it may be used where a loop runs already, as in a
    notebook, and from several threads at once. Ctrl-C cancels the call that waits and leaves the gateway usable.
    Closing it, which `with` does, writes what there is to write; a program that ends without closing does not hang,
    and loses nothing that was acknowledged.

    Every method does what `Gateway`'s of the same name does, and raises StoreError once the gateway is closed.
    """

    def __init__(self, gateway: Gateway, loop: _LoopThread) -> None:
        self._gateway = gateway
        self._loop = loop
        self._closing = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    add = _blocking(Gateway.add)
    add_vectors = _blocking(Gateway.add_vectors)
    search = _blocking(Gateway.search)
    search_vector = _blocking(Gateway.search_vector)
    embed = _blocking(Gateway.embed)
    similar = _blocking(Gateway.similar)
    explain = _blocking(Gateway.explain)
    tune = _blocking(Gateway.tune)
    note = _blocking(Gateway.note)
    record = _blocking(Gateway.record)
    recommend = _blocking(Gateway.recommend)
    preferences = _blocking(Gateway.preferences)
    get = _blocking(Gateway.get)
    remove = _blocking(Gateway.remove)
    stats = _blocking(Gateway.stats)

    def close(self) -> None:
        """Release the model, the store and the thread; closing twice does no harm."""
        with self._closing:
            if self._loop.is_stopped:
                return
            try:
                self._loop.run(self._gateway.aclose)
            finally:
                self._loop.stop()

    def _run(self, work: Callable[[Gateway], Awaitable[_T]]) -> _T:
        return self._loop.run(lambda: work(self._gateway))


def open_sync_gateway(
    settings: Settings | None = None,
    *,
    embedder: Embedder | None = None,
    writable: bool = True,
    metrics: Metrics | None = None,
) -> SyncGateway:
    """Return a gateway for plain calls, opened as `open_gateway` opens one; `with` closes it.

    Raises what `open_gateway` raises.
    """
    loop = _LoopThread()

    async def opened() -> Gateway:
        return await open_gateway(settings, embedder=embedder, writable=writable, metrics=metrics)

    try:
        return SyncGateway(loop.run(opened), loop)
    except BaseException:
        loop.stop()
        raise
