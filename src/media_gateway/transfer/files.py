"""Films and series from files: JSONL, Parquet and CSV, told apart by the ending, every row checked."""

import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from media_gateway.errors import (
    DuplicateKeyError,
    FileFormatError,
    InvalidContentError,
    InvalidInputError,
    InvalidVectorError,
    shown,
)
from media_gateway.json_values import MAX_BYTES, dump
from media_gateway.models import MediaContent, Vector
from media_gateway.transfer.parquet_files import parquet_rows
from media_gateway.transfer.text_files import RawRow, csv_rows, jsonl_rows
from media_gateway.validation import checked_vector

READERS: Final[dict[str, Callable[[Path], Iterator[RawRow]]]] = {
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".parquet": parquet_rows,
    ".csv": csv_rows,
}
"""The endings that are understood, and what reads such a file."""


@dataclass(frozen=True, kw_only=True)
class ContentRow:
    """One row of a file: its content and, where the file carries ready vectors, its *vector*.

    *place* tells where it stands in the file: "line 7" or "row 7".
    """

    content: MediaContent
    vector: Vector | None
    place: str


class ContentFile:
    """A file of films and series; made by `open_content_file`.

    It is read anew by each call of `batches`, so that it can be checked as a whole before anything is written.
    """

    def __init__(self, path: Path, read: Callable[[Path], Iterator[RawRow]]) -> None:
        self._path = path
        self._read = read
        self._signature = _signature(path)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    def batches(self, size: int) -> Iterator[list[ContentRow]]:
        """Yield the rows in lists of *size*, the last one shorter; memory holds one list and the keys seen.

        Blocks. Raises, each naming the row, FileFormatError for a file that is damaged, not what its ending says,
        without rows, or changed since it was opened; InvalidContentError for a row that is no film or series;
        InvalidVectorError for a vector that is unusable or unlike those before it; DuplicateKeyError for a key that
        comes twice.
        """
        if _signature(self._path) != self._signature:
            _refuse(self._path, "changed while it was read", "a file that stays as it is")
        batch: list[ContentRow] = []
        for row in self._rows():
            batch.append(row)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _rows(self) -> Iterator[ContentRow]:
        places: dict[str, str] = {}
        dimension: int | None = None
        try:
            for place, entries in self._read(self._path):
                row = self._row(place, entries)
                first = places.setdefault(row.content.key, place)
                if first != place:
                    raise self._duplicate(row, first)
                found = None if row.vector is None else int(row.vector.shape[0])
                if len(places) == 1:
                    dimension = found
                self._check_same_dimension(row, found, dimension)
                yield row
        except OSError as error:
            raise _unreadable(self._path, error) from error
        if not places:
            _refuse(self._path, "has no rows", "at least one film or series")

    def _row(self, place: str, entries: dict[str, Any]) -> ContentRow:
        where = f"{self._path}, {place}"
        vector = entries.pop("vector", None)
        try:
            content = MediaContent.from_mapping(entries)
            size = len(dump(content.metadata()))
        except InvalidInputError as error:
            raise InvalidContentError(
                f"{where}: {error}", field=error.field, given=error.given, expected=error.expected
            ) from error
        if size > MAX_BYTES:
            raise _invalid(where, "extra", f"{size:,} bytes", f"at most {MAX_BYTES:,} bytes of metadata")
        if vector is None:
            if not _has_sign(content.text):
                raise _invalid(where, "title", content.title, "text with a letter, a digit or a sign")
            return ContentRow(content=content, vector=None, place=place)
        return ContentRow(content=content, vector=_checked(vector, f"{where}: vector"), place=place)

    def _check_same_dimension(self, row: ContentRow, found: int | None, dimension: int | None) -> None:
        if found == dimension:
            return
        given, expected = (f"a vector of {length} numbers" if length else "no vector" for length in (found, dimension))
        raise InvalidVectorError(
            f"{self._path}, {row.place}: it has {given}, but the rows before it have {expected}; give vectors of one "
            "length in all rows, or in none",
            field="vector",
            given=given,
            expected=expected,
        )

    def _duplicate(self, row: ContentRow, first: str) -> DuplicateKeyError:
        return DuplicateKeyError(
            f"{self._path}, {row.place}: {row.content.key} was given on {first} already; give each title once",
            field="id",
            given=row.content.key,
            expected="each title once",
        )


def open_content_file(path: Path) -> ContentFile:
    """Return the file *path* to read content from; its rows are not looked at yet.

    Raises FileFormatError when there is no such file, it cannot be read, is no ordinary file, or its ending is none of
    .jsonl, .ndjson, .parquet and .csv.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            path.open("rb").close()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(mode):
        # It is read twice, which a pipe cannot be.
        _refuse(path, "is a folder" if stat.S_ISDIR(mode) else "is no ordinary file", "a file")
    read = READERS.get(path.suffix.lower())
    if read is None:
        _refuse(path, f"has the ending {path.suffix!r}", f"one of {', '.join(READERS)}")
    return ContentFile(path, read)


def _checked(vector: Any, field: str) -> Vector:
    length = len(vector) if type(vector) in (list, np.ndarray) else 0
    if not length:
        raise InvalidVectorError(
            f"{field} is {shown(vector)}; expected a list of numbers", field="vector", given=vector, expected="numbers"
        )
    return checked_vector(vector, length, field=field)


def _has_sign(text: str) -> bool:
    """Whether the embedder will find something to read: it drops control characters and lone accents."""
    return any(character.isalnum() or unicodedata.category(character)[0] in "PS" for character in text)


def _signature(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return found.st_ino, found.st_size, found.st_mtime_ns


def _unreadable(path: Path, error: OSError | ValueError) -> FileFormatError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return FileFormatError(
        f"{shown(str(path))} cannot be read: {reason}; give the path of a {', '.join(READERS)} file",
        path=str(path),
        given=reason,
        expected="a readable file",
    )


def _invalid(where: str, name: str, given: object, expected: str) -> InvalidContentError:
    return InvalidContentError(
        f"{where}: {name} is {shown(given)}; expected {expected}", field=name, given=given, expected=expected
    )


def _refuse(path: Path, found: str, expected: str) -> NoReturn:
    raise FileFormatError(f"{path} {found}; expected {expected}", path=str(path), given=found, expected=expected)
