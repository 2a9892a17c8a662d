"""Progress of long work, on stderr: a bar where somebody watches, else a line now and then."""

import sys
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from media_gateway.cli.output import note

_SECONDS_BETWEEN_LINES: Final = 10.0


class _Rate(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "", style="progress.data.speed")


class LoadProgress:
    """How far a load is. Used as a context manager; `phase` begins a part of the work, `advance` counts its rows."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._what = ""
        self._total: int | None = None
        self._done = 0
        self._began = self._told = time.monotonic()
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(compact=True),
                console=Console(stderr=True),
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def phase(self, what: str, total: int | None) -> None:
        """Begin *what*, for example "writing", of *total* rows; None when nobody knows yet how many."""
        self._what, self._total, self._done = what, total, 0
        self._began = self._told = time.monotonic()
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(what, total=total)

    def advance(self, rows: int) -> None:
        """Count *rows* more as done."""
        self._done += rows
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, rows)
        elif time.monotonic() - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            note(self._line())

    def stage(self, what: str, done: int, total: int | None) -> None:
        """Show that *done* of *total* rows of *what* are done; another *what* than before begins a part of the work."""
        if what != self._what:
            self.phase(what, total)
        self.advance(max(0, done - self._done))

    def _line(self) -> str:
        rate = self._done / max(time.monotonic() - self._began, 1e-9)
        if self._total is None:
            return f"{self._what}: {self._done:,} rows, {rate:,.0f} a second"
        left = (self._total - self._done) / max(rate, 1e-9)
        return f"{self._what}: {self._done:,} of {self._total:,} rows, {rate:,.0f} a second, about {left:,.0f} s left"
