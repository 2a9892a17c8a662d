"""Rows of Parquet files, read a few at a time."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import numpy as np

from media_gateway.errors import FileFormatError
from media_gateway.json_values import parse
from media_gateway.transfer.signatures import HEAD_BYTES, PARQUET, recognised
from media_gateway.transfer.text_files import REQUIRED, RawRow, check_columns

_BATCH: Final = 1_000
_BUFFER: Final = 1 << 20
_SHORTEST: Final = 12
"""Bytes of a file without rows: the magic twice and the footer's length (Parquet format, "File format")."""


def parquet_rows(path: Path, required: Sequence[str] = REQUIRED) -> Iterator[RawRow]:
    """Yield the rows of a Parquet file that has the *required* columns, by default those of content.

    Nulls are left out. `extra` is a struct, a map or JSON text, `vector` a list of numbers, `release_date` text, a
    date or a timestamp; columns with other names become metadata. Raises FileFormatError when the file is damaged,
    cut off or not Parquet.
    """
    # Imported here, since it takes a third of a second that no other command should pay.
    pa: Any = import_module("pyarrow")
    pq: Any = import_module("pyarrow.parquet")
    _check_frame(path)
    try:
        # Without these two a whole row group, which may be the whole file, is read into memory.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True) as file:
            check_columns(path, list(file.schema_arrow.names), required)
            number = 0
            for batch in file.iter_batches(_BATCH):
                for entries in _entries(batch):
                    number += 1
                    yield f"row {number}", entries
    except FileFormatError:
        raise
    except (OSError, ValueError, *_arrow_errors(pa)) as error:
        _refuse(path, f"is damaged ({str(error).splitlines()[0][:200]})", "a whole Parquet file", error)


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the columns of a Parquet file, in their order; raises as `parquet_rows` does."""
    pa: Any = import_module("pyarrow")
    pq: Any = import_module("pyarrow.parquet")
    _check_frame(path)
    try:
        return list(pq.read_schema(path).names)
    except (OSError, ValueError, *_arrow_errors(pa)) as error:
        _refuse(path, f"is damaged ({str(error).splitlines()[0][:200]})", "a whole Parquet file", error)


def object_of(value: object) -> object:
    """Return the object of a cell: JSON text, a struct or a map; what is null in it is left out.

    None means that it has nothing, and what is no object stays as it is.
    """
    if isinstance(value, str):
        try:
            return parse(value)
        except (ValueError, RecursionError):
            return value
    pairs: list[tuple[str, Any]]
    if isinstance(value, Mapping):
        pairs = list(cast("Mapping[str, Any]", value).items())
    else:
        # Arrow gives a map as a list of pairs.
        pairs = cast("list[tuple[str, Any]]", value) if isinstance(value, list) else []
        if not isinstance(value, list) or not all(isinstance(pair, tuple) for pair in cast("list[Any]", value)):
            return cast("object", value)
    return {name: _plain(item) for name, item in pairs if item is not None} or None


def _arrow_errors(pa: Any) -> tuple[type[Exception], ...]:
    return (pa.ArrowException,)


def _check_frame(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if not head.startswith(PARQUET):
            _refuse(path, f"is {recognised(head) or 'something else'}", "Parquet, as its ending says")
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(PARQUET)))
        if size < _SHORTEST or file.read() != PARQUET:
            _refuse(path, f"is cut off after {size:,} bytes", "a whole Parquet file; copy it again")


def _entries(batch: Any) -> Iterator[dict[str, Any]]:
    names = batch.schema.names
    columns = [_values(name, batch.column(index)) for index, name in enumerate(names)]
    for cells in zip(*columns, strict=True):
        yield {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}


def _values(name: str, column: Any) -> list[Any]:
    if name == "vector":
        return _vectors(column)
    values = cast("list[Any]", column.to_pylist())
    return [object_of(value) for value in values] if name == "extra" else [_plain(value) for value in values]


def _vectors(column: Any) -> list[Any]:
    """Return the rows of a list column as arrays that share its memory; a hundred times quicker than lists."""
    pa: Any = import_module("pyarrow")
    pc: Any = import_module("pyarrow.compute")
    kind: Any = column.type
    is_list: bool = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        return cast("list[Any]", column.to_pylist())
    lengths = cast("list[int | None]", pc.call_function("list_value_length", [column]).to_pylist())
    numbers = column.flatten().to_numpy(zero_copy_only=False)
    ends = np.cumsum([length or 0 for length in lengths])
    return [None if length is None else numbers[end - length : end] for length, end in zip(lengths, ends, strict=True)]


def _plain(value: Any) -> Any:
    """Return *value* with dates and decimals as JSON writes them."""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _refuse(path: Path, found: str, expected: str, cause: Exception | None = None) -> NoReturn:
    raise FileFormatError(
        f"{path} {found}; expected {expected}", path=str(path), given=found, expected=expected
    ) from cause
