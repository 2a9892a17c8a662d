"""Rows of npz files, NumPy's archives of arrays."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from media_gateway.errors import FileFormatError
from media_gateway.transfer.signatures import HEAD_BYTES, recognised
from media_gateway.transfer.text_files import RawRow

_KEY_NAMES: Final = ("key", "keys", "id", "ids")
_VECTOR_NAMES: Final = ("vector", "vectors")
_TWO_DIMENSIONS: Final = 2


def npz_rows(path: Path) -> Iterator[RawRow]:
    """Yield the rows of an npz file with the arrays `keys`, `vectors` and, if wanted, `metadata` (JSON texts).

    `keys` (or `ids`) are texts or whole numbers, (n,); `vectors` numbers, (n, d). The arrays are held in memory.
    Raises FileFormatError when it is no such file, is damaged, or its arrays do not fit together.
    """
    arrays = _arrays(path)
    keys = _named(path, arrays, _KEY_NAMES)
    vectors = _named(path, arrays, _VECTOR_NAMES)
    metadata = arrays.pop("metadata", None)
    if arrays:
        _refuse(path, f"has an array {min(arrays)!r}", "keys, vectors and metadata only")
    if keys.ndim != 1 or keys.dtype.kind not in "Uiu":
        _refuse(path, f"has keys of the shape {keys.shape} and the type {keys.dtype}", "(n,) texts or whole numbers")
    if vectors.ndim != _TWO_DIMENSIONS or vectors.dtype.kind not in "fiu" or len(vectors) != len(keys):
        found = f"has vectors of the shape {vectors.shape} and the type {vectors.dtype}"
        _refuse(path, found, f"({len(keys)}, d) numbers, a row for each key")
    if metadata is not None and (metadata.shape != keys.shape or metadata.dtype.kind != "U"):
        found = f"has metadata of the shape {metadata.shape} and the type {metadata.dtype}"
        _refuse(path, found, f"({len(keys)},) JSON texts, one for each key")
    for position, key in enumerate(keys.tolist()):
        row: dict[str, Any] = {"key": key, "vector": vectors[position]}
        if metadata is not None:
            row["metadata"] = str(metadata[position])
        yield f"row {position + 1}", row


def _arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not zipfile.is_zipfile(path):
        _refuse(path, f"is {recognised(head) or 'something else'}", "npz, as its ending says")
    try:
        # Opened here: NumPy leaves a file that it cannot make out open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, OSError, KeyError, MemoryError, zipfile.BadZipFile, NotImplementedError) as error:
        reason = str(error).partition("\n")[0][:200]
        hint = (
            "save keys and metadata as texts (dtype str), not as objects" if "pickle" in reason else "a whole npz file"
        )
        _refuse(path, f"cannot be read ({reason})", hint, error)


def _named(path: Path, arrays: dict[str, np.ndarray[Any, Any]], names: tuple[str, ...]) -> np.ndarray[Any, Any]:
    found = [name for name in names if name in arrays]
    if len(found) != 1:
        held = ", ".join(sorted(arrays)) or "none"
        _refuse(path, f"has the arrays {held}", f"one of {', '.join(names)}")
    return arrays.pop(found[0])


def _refuse(path: Path, found: str, expected: str, cause: Exception | None = None) -> NoReturn:
    raise FileFormatError(
        f"{path} {found}; expected {expected}", path=str(path), given=found, expected=expected
    ) from cause
