"""Files of records as ends of a transfer: what they say of themselves, and their records in the order of the file."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from media_gateway.errors import FileFormatError, InvalidInputError, ModelMismatchError
from media_gateway.models import ContentVector, VectorSpace
from media_gateway.transfer.npz_files import npz_model, npz_rows
from media_gateway.transfer.parquet_files import object_of
from media_gateway.transfer.record_writers import DIMENSION_FIELD, HEADER_NAME, MODEL_FIELD
from media_gateway.transfer.text_files import RawRow, jsonl_rows
from media_gateway.transfer.vectors import VectorFile, open_vector_file

_SIGNED_BYTES: Final = 1 << 16


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What a file records of its vectors; None where it does not say."""

    model: str | None
    dimension: int | None
    count: int | None
    has_header: bool = False


class RecordFile:
    """A file of records with vectors; made by `open_record_file`."""

    def __init__(self, path: Path, records: VectorFile, facts: FileFacts, space: VectorSpace) -> None:
        self.path = path
        self.facts = facts
        self.space = space
        self._records = records

    def batches(self, size: int, *, is_checked: bool = True) -> Iterator[list[ContentVector]]:
        """Yield the records in the order of the file; see `VectorFile.batches`. Blocks.

        Without *is_checked* vectors of any numbers and keys that come twice are passed on, for comparing what is there.
        """
        for batch in self._records.batches(size, is_checked=is_checked, may_be_empty=True):
            found = batch[0].vector.shape[0]
            if is_checked and found != self.space.dimension:
                _refuse(self.path, f"has vectors of {found} numbers", f"vectors of {self.space.dimension}")
            yield batch

    def count(self) -> int:
        """Return the number of records; of a JSONL file its lines are counted, none of them looked at. Blocks."""
        if self.facts.count is not None:
            return self.facts.count
        with self.path.open("rb") as file:
            lines = sum(1 for line in file if line.strip())
        return lines - self.facts.has_header

    def identity(self) -> str:
        """Return what tells this file from a changed one: size, time of change, and a hash of its two ends.

        Raises FileFormatError when it is gone.
        """
        try:
            found = self.path.stat()
            with self.path.open("rb") as file:
                ends = hashlib.sha256(file.read(_SIGNED_BYTES))
                file.seek(max(0, found.st_size - _SIGNED_BYTES))
                ends.update(file.read(_SIGNED_BYTES))
        except OSError as error:
            _refuse(self.path, f"cannot be read: {error.strerror or error}", "a file that stays where it is", error)
        return f"{found.st_size}-{found.st_mtime_ns}-{ends.hexdigest()[:32]}"


def open_record_file(path: Path, *, model: str | None = None, fallback: str | None = None) -> RecordFile:
    """Return the file of records at *path*; *model* names what made its vectors where the file does not say.

    *fallback* is the name where neither does.

    Raises FileFormatError when it is no such file, InvalidInputError when no model is known, and ModelMismatchError
    when *model* is another one than the file's. Blocks.
    """
    try:
        path.open("rb").close()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        _refuse(path, f"cannot be read: {reason}", "a .parquet, .jsonl or .npz file of records", error)
    records, facts = _OPENERS[path.suffix.lower()](path)
    dimension = facts.dimension or _first_dimension(path, records)
    if facts.model is not None and model not in (None, facts.model):
        raise ModelMismatchError(
            f"{path} says that its vectors were made by {facts.model}, but --model is {model}; leave --model out",
            given=model,
            expected=facts.model,
        )
    chosen = facts.model or model or fallback
    if chosen is None:
        raise InvalidInputError(
            f"{path} does not say what model made its vectors of {dimension} numbers; name it with --model",
            field="model",
            expected="the name of an embedding model",
        )
    return RecordFile(path, records, facts, VectorSpace(model=chosen, dimension=dimension))


def _parquet(path: Path) -> tuple[VectorFile, FileFacts]:
    records = open_vector_file(path)
    if records is None:
        _refuse_content(path)
    pq: Any = import_module("pyarrow.parquet")
    with pq.ParquetFile(path) as file:
        given = cast("dict[bytes, bytes]", file.schema_arrow.metadata or {})
        count = int(file.metadata.num_rows)
    model, dimension = given.get(MODEL_FIELD), given.get(DIMENSION_FIELD, b"")
    return records, FileFacts(
        model=model.decode() if model else None,
        dimension=int(dimension) if dimension.isdigit() else None,
        count=count,
    )


def _npz(path: Path) -> tuple[VectorFile, FileFacts]:
    model, count, dimension = npz_model(path)
    return VectorFile(path, npz_rows), FileFacts(model=model, dimension=dimension, count=count)


def _jsonl(path: Path) -> tuple[VectorFile, FileFacts]:
    header: dict[str, Any] | None = None
    for _, entries in jsonl_rows(path):
        if not _is_header(entries):
            if not entries.keys() & {"vector"} or ("media_type" in entries and "metadata" not in entries):
                _refuse_content(path)
            break
        header = entries[HEADER_NAME]
    named = header or {}
    model, dimension = named.get("model"), named.get("dimension")
    facts = FileFacts(
        model=model if isinstance(model, str) else None,
        dimension=dimension if isinstance(dimension, int) else None,
        count=None,
        has_header=header is not None,
    )
    return VectorFile(path, _record_lines, opened=_object), facts


def _record_lines(path: Path) -> Iterator[RawRow]:
    for place, entries in jsonl_rows(path):
        if _is_header(entries):
            if place != "line 1":
                _refuse(path, f"has a header on {place}", "a header on the first line only")
            continue
        yield place, entries


def _object(value: object) -> object:
    """Return the object of a JSON text; an object stays as it is, its nulls too, which a struct's cells are not."""
    return object_of(value) if isinstance(value, str) else value


def _is_header(entries: dict[str, Any]) -> bool:
    return entries.keys() == {HEADER_NAME} and isinstance(entries[HEADER_NAME], dict)


_OPENERS: Final = {".parquet": _parquet, ".npz": _npz, ".jsonl": _jsonl}


def _first_dimension(path: Path, records: VectorFile) -> int:
    batch = next(records.batches(1, is_checked=False, may_be_empty=True), None)
    if batch is None:
        _refuse(path, "has no rows and names no dimension", "at least one record")
    return batch[0].vector.shape[0]


def _refuse_content(path: Path) -> NoReturn:
    _refuse(path, "holds films and series, not records", "id, vector and metadata (media-gateway load takes the file)")


def _refuse(path: Path, found: str, expected: str, cause: Exception | None = None) -> NoReturn:
    raise FileFormatError(
        f"{path} {found}; expected {expected}", path=str(path), given=found, expected=expected
    ) from cause
