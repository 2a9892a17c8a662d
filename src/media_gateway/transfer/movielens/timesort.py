"""Rows sorted by time in bounded memory: sorted runs on disk, merged a block at a time."""

from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

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
        runs = [_written(first, folder / "0"), _written(second, folder / "1")]
        del first, second
        for chunk in ahead:
            runs.append(_written(chunk, folder / str(len(runs))))
        yield from _merged(runs, block)


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


def _written(chunk: Rows, path: Path) -> Rows:
    rows = _sorted(chunk)
    with _room_needed():
        path.write_bytes(rows.data)
    return np.memmap(path, dtype=rows.dtype, mode="r")


def _merged(runs: list[Rows], block: int) -> Iterator[Rows]:
    starts = [0] * len(runs)
    times: list[Any] = [run["time"] for run in runs]
    while any(start < len(run) for start, run in zip(starts, runs, strict=True)):
        # Up to the earliest end of a block every run has shown all its rows; what comes later may still be overtaken.
        limit = min(
            run["time"][min(start + block, len(run)) - 1]
            for start, run in zip(starts, runs, strict=True)
            if start < len(run)
        )
        ends = [bisect_right(time, limit, lo=start) for time, start in zip(times, starts, strict=True)]
        parts = [np.asarray(run[start:end]) for run, start, end in zip(runs, starts, ends, strict=True)]
        yield _sorted(np.concatenate(parts))
        starts = ends
