"""Waiting for no longer than one wants to.

A statement that is cancelled asks the server to stop it and waits for that, for seconds where the server hangs. So what
takes too long is left behind, cancelled, and nobody waits for its end.
"""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, Final, TypeVar

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


def _leave(task: asyncio.Task[Any]) -> None:
    task.cancel()
    _left.add(task)
    task.add_done_callback(_forget)


def _forget(task: asyncio.Task[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        # Looked at, so that the loop does not report it as lost.
        task.exception()
