"""Rows of npz files, NumPy's archives of arrays."""

import math
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, NoReturn

import numpy as np

from media_gateway.errors import FileFormatError, InvalidInputError
from media_gateway.transfer.signatures import HEAD_BYTES, recognised
from media_gateway.transfer.text_files import RawRow

_KEY_NAMES: Final = ("key", "keys", "id", "ids")
_VECTOR_NAMES: Final = ("vector", "vectors")
_MODEL_NAME: Final = "model"
_TWO_DIMENSIONS: Final = 2
_BLOCK: Final = 1_000
# zipfile tells of an archive that seems to have a password by a plain RuntimeError.
_DAMAGE: Final = (
    ValueError,
    EOFError,
    OSError,
    KeyError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def npz_rows(path: Path) -> Iterator[RawRow]:
    """Yield the rows of an npz file with the arrays `keys`, `vectors` and, if wanted, `metadata` (JSON texts).

    `keys` (or `ids`) are texts or whole numbers, (n,); `vectors` numbers, (n, d). A thousand rows are held in memory at
    a time. Raises FileFormatError when it is no such file, is damaged, or its arrays do not fit together.
    """
    with _opened(path) as columns:
        yield from _rows(path, columns)


def npz_model(path: Path) -> tuple[str | None, int, int]:
    """Return what an npz file says of itself: its model, None where it names none, how many vectors, of what length.

    Raises as `npz_rows` does.
    """
    with _opened(path) as columns:
        named = columns.get(_MODEL_NAME)
        model = None
        if named is not None and not named.shape and named.dtype.kind == "U":
            model = str(named.read(1)[0])
        shape = _named(path, columns, _VECTOR_NAMES).shape
        return model, shape[0] if shape else 0, shape[1] if len(shape) > 1 else 0


@contextmanager
def _opened(path: Path) -> Generator[dict[str, "_Column"]]:
    """Lend the arrays of the file by their names; what goes wrong while they are read is told as a fault of the file."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not zipfile.is_zipfile(path):
        if head.startswith(b"PK\x03\x04"):
            _refuse(
                path, f"is cut off or damaged after {path.stat().st_size:,} bytes", "a whole npz file; copy it again"
            )
        _refuse(path, f"is {recognised(head) or 'something else'}", "npz, as its ending says")
    try:
        # Opened here: NumPy leaves a file that it cannot make out open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive, ExitStack() as streams:
            yield {name: _column(archive, name, streams) for name in archive.files}
    except FileFormatError:
        raise
    except _DAMAGE as error:
        if isinstance(error, InvalidInputError):
            raise
        reason = str(error).partition("\n")[0][:200]
        hint = (
            "save keys and metadata as texts (dtype str), not as objects" if "pickle" in reason else "a whole npz file"
        )
        _refuse(path, f"cannot be read ({reason})", hint, error)


@dataclass(frozen=True, kw_only=True)
class _Column:
    """An array of the file: *read* gives the next so many rows."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int], np.ndarray[Any, Any]]


def _rows(path: Path, columns: dict[str, _Column]) -> Iterator[RawRow]:
    keys = _named(path, columns, _KEY_NAMES)
    vectors = _named(path, columns, _VECTOR_NAMES)
    metadata = columns.pop("metadata", None)
    columns.pop(_MODEL_NAME, None)
    if columns:
        _refuse(path, f"has an array {min(columns)!r}", "keys, vectors, metadata and model only")
    if len(keys.shape) != 1 or keys.dtype.kind not in "Uiu":
        _refuse(path, f"has keys of the shape {keys.shape} and the type {keys.dtype}", "(n,) texts or whole numbers")
    count = keys.shape[0]
    if len(vectors.shape) != _TWO_DIMENSIONS or vectors.dtype.kind not in "fiu" or vectors.shape[0] != count:
        found = f"has vectors of the shape {vectors.shape} and the type {vectors.dtype}"
        _refuse(path, found, f"({count}, d) numbers, a row for each key")
    if metadata is not None and (metadata.shape != keys.shape or metadata.dtype.kind != "U"):
        found = f"has metadata of the shape {metadata.shape} and the type {metadata.dtype}"
        _refuse(path, found, f"({count},) JSON texts, one for each key")
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        texts = None if metadata is None else metadata.read(size).tolist()
        rows = vectors.read(size)
        for position, key in enumerate(keys.read(size).tolist()):
            row: dict[str, Any] = {"key": key, "vector": rows[position]}
            if texts is not None:
                row["metadata"] = str(texts[position])
            yield f"row {start + position + 1}", row


def _column(archive: Any, name: str, streams: ExitStack) -> _Column:
    """Return the array *name*, read as it is asked for where its rows follow one another, else read as a whole."""
    stream: IO[bytes] = streams.enter_context(archive.zip.open(f"{name}.npy"))
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version in readers:
        shape, is_by_column, dtype = readers[version](stream)
        if shape and not dtype.hasobject and (not is_by_column or len(shape) == 1):
            return _Column(shape=shape, dtype=dtype, read=partial(_next_rows, stream, shape[1:], dtype))
    whole: np.ndarray[Any, Any] = archive[name]
    return _Column(shape=whole.shape, dtype=whole.dtype, read=_Held(np.atleast_1d(whole)).next_rows)


class _Held:
    """An array in memory, given out row by row."""

    def __init__(self, rows: np.ndarray[Any, Any]) -> None:
        self._rows = rows

    def next_rows(self, count: int) -> np.ndarray[Any, Any]:
        rows, self._rows = self._rows[:count], self._rows[count:]
        return rows


def _next_rows(stream: IO[bytes], inner: tuple[int, ...], dtype: np.dtype[Any], count: int) -> np.ndarray[Any, Any]:
    size = count * math.prod(inner) * dtype.itemsize
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("an array ends too early")
    return np.frombuffer(data, dtype=dtype).reshape(count, *inner)


def _named(path: Path, arrays: dict[str, _Column], names: tuple[str, ...]) -> _Column:
    found = [name for name in names if name in arrays]
    if len(found) != 1:
        held = ", ".join(sorted(arrays)) or "none"
        _refuse(path, f"has the arrays {held}", f"one of {', '.join(names)}")
    return arrays.pop(found[0])


def _refuse(path: Path, found: str, expected: str, cause: Exception | None = None) -> NoReturn:
    raise FileFormatError(
        f"{path} {found}; expected {expected}", path=str(path), given=found, expected=expected
    ) from cause
