"""Waiting for no longer than one wants to, and doing something again and again.

A statement that is cancelled asks the server to stop it and waits for that, for seconds where the server hangs. So what
takes too long is left behind, cancelled, and nobody waits for its end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, Final, TypeVar

from media_gateway.errors import MediaGatewayError

_log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 0.5

_T = TypeVar("_T")
_left: set[asyncio.Task[Any]] = set()


async def within(seconds: float | None, work: Coroutine[Any, Any, _T]) -> _T:
    """Return what *work* returns, or raise TimeoutError after *seconds*; None waits as long as it takes."""
    if seconds is None:
        return await work
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except BaseException:
        _leave(task)
        raise
    if not done:
        _leave(task)
        raise TimeoutError
    return task.result()


async def stop(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel *tasks* until all of them have ended."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        # Again and again: a pool that hands out a connection in the moment of a cancellation swallows it.
        _, running = await asyncio.wait(running, timeout=_AGAIN_SECONDS)


async def every(
    seconds: float, work: Callable[[], Awaitable[None]], *, until: Callable[[], bool] | None = None
) -> None:
    """Do *work* with pauses of *seconds* until *until* holds, whatever it raises; the same failure is told once."""
    told: str | None = None
    while until is None or not until():
        try:
            await work()
            told = None
        except Exception as error:  # noqa: BLE001  moving on is all that can be done
            if str(error) != told:
                told = str(error)
                _log.error("the rollout goes on, but: %s", told, exc_info=not isinstance(error, MediaGatewayError))
        await asyncio.sleep(seconds)


def _leave(task: asyncio.Task[Any]) -> None:
    task.cancel()
    _left.add(task)
    task.add_done_callback(_forget)


def _forget(task: asyncio.Task[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        # Looked at, so that the loop does not report it as lost.
        task.exception()
