"""Rows sorted by time in bounded memory: sorted runs on disk, merged a block at a time."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from media_gateway.errors import StoreFullError

Rows: TypeAlias = npt.NDArray[np.void]
"""A structured array with a field `time`."""


def sorted_by_time(chunks: Iterable[Rows], *, block: int, scratch: Path | None = None) -> Generator[Rows]:
    """Yield all rows of *chunks* ordered by time, equal times in the order they came, in arrays of any size.

    One chunk alone is sorted in memory. More of them are written, each sorted, to files in a temporary folder below
    *scratch* (by default the system's), which takes as many bytes as the rows and is removed at the end. Memory then
    holds one chunk, or *block* rows of each chunk and the rows of one instant. Blocks.

    Raises StoreFullError when the folder has no room.
    """
    ahead = iter(chunks)
    first = next(ahead, None)
    if first is None:
        return
    second = next(ahead, None)
    if second is None:
        yield _sorted(first)
        return
    with _scratch_folder(scratch) as folder:
        runs = [_Run(first, folder / "0", block), _Run(second, folder / "1", block)]
        del first, second
        for chunk in ahead:
            runs.append(_Run(chunk, folder / str(len(runs)), block))
        yield from _merged(runs)


class _Run:
    """The sorted rows of one chunk in a file, of which one block at a time is in memory."""

    def __init__(self, chunk: Rows, path: Path, block: int) -> None:
        rows = _sorted(chunk)
        with _room_needed():
            path.write_bytes(rows.data)
        self._path = path
        self._dtype = rows.dtype
        self._block = block
        self._next = 0
        # Read back and not sliced: a slice would keep the whole chunk alive.
        self._ahead = self._read()

    @property
    def seen(self) -> float | None:
        """The time up to which all rows are in memory, but for more of that same time; None when there are no more."""
        return float(self._ahead["time"][-1]) if len(self._ahead) else None

    def taken(self, limit: float) -> Rows:
        """Take out the rows up to the time *limit*."""
        parts: list[Rows] = []
        while len(self._ahead):
            end = int(np.searchsorted(self._ahead["time"], limit, side="right"))
            parts.append(self._ahead[:end])
            if end < len(self._ahead):
                self._ahead = self._ahead[end:]
                break
            self._ahead = self._read()
        return np.concatenate(parts) if parts else self._ahead

    def _read(self) -> Rows:
        offset = self._next * self._dtype.itemsize
        rows = np.fromfile(self._path, dtype=self._dtype, count=self._block, offset=offset)
        self._next += len(rows)
        return rows


@contextmanager
def _scratch_folder(parent: Path | None) -> Generator[Path]:
    with _room_needed():
        folder = TemporaryDirectory(prefix="media-gateway-", dir=parent)
    with folder as name:
        yield Path(name)


@contextmanager
def _room_needed() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFullError(
            f"the rows cannot be sorted in a temporary folder: {error.strerror}; make room there, or name another "
            "folder by TMPDIR"
        ) from error


def _sorted(chunk: Rows) -> Rows:
    return chunk[np.argsort(chunk["time"], kind="stable")]


def _merged(runs: list[_Run]) -> Iterator[Rows]:
    while ends := [run.seen for run in runs if run.seen is not None]:
        # Up to the earliest end of a block every run has shown all its rows; what comes later may still be overtaken.
        limit = min(ends)
        yield _sorted(np.concatenate([run.taken(limit) for run in runs]))
