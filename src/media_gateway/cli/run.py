"""Running a command's asynchronous work, and stopping it in good order when a signal asks for that."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final, TypeVar

from media_gateway.cli.output import note

_T = TypeVar("_T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_BY_SIGNAL: Final = 128
"""What shells add to a signal's number in an exit code."""


class _StoppedError(Exception):
    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


def run(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run *work* to its end and return what it returns.

    SIGINT and SIGTERM cancel it, so that it closes what it has open; the process then exits with 130 or 143. A second
    signal kills the process at once.
    """
    try:
        return asyncio.run(_stoppable(work))
    except _StoppedError as stopped:
        note(f"stopped by {stopped.number.name}")
        sys.exit(_BY_SIGNAL + stopped.number)


def exit_on_signals() -> None:
    """Make SIGINT and SIGTERM end the process without a traceback while no work runs."""
    for number in _SIGNALS:
        signal.signal(number, _exit)


async def _stoppable(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if received or task is None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        received.append(number)
        if task is not None:
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await work()
    except asyncio.CancelledError:
        if not received:
            raise
        raise _StoppedError(received[0]) from None
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        exit_on_signals()


def _exit(number: int, _: FrameType | None) -> None:
    sys.exit(_BY_SIGNAL + number)
