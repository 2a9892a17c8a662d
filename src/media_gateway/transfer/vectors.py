"""Records that bring their own vectors, from Parquet and npz files: any key, any metadata."""

from array import array
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from media_gateway.errors import DuplicateKeyError, FileFormatError, InvalidKeyError, InvalidVectorError, shown
from media_gateway.json_values import canonical_object
from media_gateway.models import ContentVector, Vector
from media_gateway.transfer.npz_files import npz_rows
from media_gateway.transfer.parquet_files import object_of, parquet_columns, parquet_rows
from media_gateway.transfer.text_files import REQUIRED, RawRow
from media_gateway.validation import checked_key, checked_vector

_KEYS: Final = ("key", "id")


class VectorFile:
    """A file of records with vectors; made by `open_vector_file`. Each call of `batches` reads it anew."""

    def __init__(
        self, path: Path, read: Callable[[Path], Iterator[RawRow]], *, opened: Callable[[object], object] = object_of
    ) -> None:
        self._path = path
        self._read = read
        self._object = opened

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    def batches(
        self, size: int, *, is_checked: bool = True, may_be_empty: bool = False
    ) -> Iterator[list[ContentVector]]:
        """Yield the records in lists of *size*, the last one shorter, all with vectors of one length.

        Without *is_checked* vectors of any numbers and keys that come twice are passed on, for comparing what is there.
        Blocks. Of a Parquet file, memory holds one list and eight bytes a key. Raises, each naming the row,
        FileFormatError for a file that is damaged or has no rows, InvalidKeyError, InvalidVectorError, also for a
        vector that is as long as none before it, InvalidMetadataError and, at the end, DuplicateKeyError.
        """
        hashes = array("q")
        batch: list[ContentVector] = []
        dimension: int | None = None
        try:
            for place, entries in self._read(self._path):
                record = self._record(place, entries, dimension, is_checked=is_checked)
                dimension = record.vector.shape[0]
                hashes.append(hash(record.key))
                batch.append(record)
                if len(batch) == size:
                    yield batch
                    batch = []
        except OSError as error:
            _refuse(self._path, f"cannot be read: {error.strerror or error}", "a readable file", error)
        if not hashes and not may_be_empty:
            _refuse(self._path, "has no rows", "at least one record")
        if is_checked:
            self._check_keys(hashes)
        if batch:
            yield batch

    def _record(self, place: str, entries: dict[str, Any], dimension: int | None, *, is_checked: bool) -> ContentVector:
        where = f"{self._path}, {place}"
        key = self._key(where, entries)
        vector = entries.pop("vector", None)
        if vector is None:
            raise InvalidVectorError(f"{where} has no vector", field="vector", expected="numbers")
        row = _row(vector, f"{where}: vector", is_checked=is_checked)
        if is_checked and dimension not in (None, row.shape[0]):
            raise InvalidVectorError(
                f"{where}: its vector has {row.shape[0]} numbers, but those before it have {dimension}; give vectors of "
                "one length",
                field="vector",
                given=row.shape[0],
                expected=dimension,
            )
        given = entries.pop("metadata", None)
        metadata: object = ({} if given is None else self._object(given)) or {}
        if isinstance(metadata, Mapping):
            twice = sorted(entries.keys() & metadata.keys())
            if twice:
                _refuse(self._path, f"has {twice[0]!r} as a column and in its metadata", "each name once")
            metadata = {**metadata, **entries}
        return ContentVector(key=key, vector=row, metadata=canonical_object(metadata, field=f"{where}: metadata"))

    def _key(self, where: str, entries: dict[str, Any]) -> str:
        name = next((name for name in _KEYS if name in entries), _KEYS[0])
        key = entries.pop(name, None)
        try:
            return checked_key(str(key) if type(key) is int else key)
        except InvalidKeyError as error:
            raise InvalidKeyError(f"{where}: {error}", field=error.field, given=key, expected=error.expected) from error

    def _check_keys(self, hashes: "array[int]") -> None:
        """Raise DuplicateKeyError when a key comes twice. Only keys whose hashes meet are looked at again."""
        ordered = np.sort(np.frombuffer(hashes, dtype=np.int64))
        suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
        if not suspects:
            return
        places: dict[str, str] = {}
        for place, entries in self._read(self._path):
            key = self._key(place, entries)
            if hash(key) not in suspects:
                continue
            first = places.setdefault(key, place)
            if first != place:
                raise DuplicateKeyError(
                    f"{self._path}, {place}: {shown(key)} was given on {first} already; give each key once",
                    field="key",
                    given=key,
                    expected="each key once",
                )


def _row(vector: Any, field: str, *, is_checked: bool) -> Vector:
    if is_checked or type(vector) is not np.ndarray:
        return checked_vector(vector, np.size(vector), field=field)
    # As it is: NaN and norms out of range are differences to be shown, not errors.
    return np.ascontiguousarray(vector, dtype=np.float32).reshape(-1)


def open_vector_file(path: Path) -> VectorFile | None:
    """Return the file *path* when it holds records with vectors, None when it is to be read as films and series.

    An npz file does, with arrays `keys`, `vectors` and `metadata`; a Parquet file does with a column `vector` and
    `key` or `id`, unless it has the columns of content (id, media_type, title) and none named `key` or `metadata`.
    `metadata` is JSON text, a struct or a map; other columns become metadata beside it.

    Raises FileFormatError for a file with such an ending that cannot be read or is damaged.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".npz":
            path.open("rb").close()
            return VectorFile(path, npz_rows)
        if suffix != ".parquet":
            return None
        names = set(parquet_columns(path))
    except (OSError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        _refuse(path, f"cannot be read: {error}", "a readable file", error)
    is_content = names >= set(REQUIRED) and not names & {"key", "metadata"}
    if "vector" not in names or is_content:
        return None
    key = next((name for name in _KEYS if name in names), _KEYS[0])
    return VectorFile(path, partial(parquet_rows, required=(key, "vector")))


def _refuse(path: Path, found: str, expected: str, cause: Exception | None = None) -> NoReturn:
    raise FileFormatError(
        f"{path} {found}; expected {expected}", path=str(path), given=found, expected=expected
    ) from cause
