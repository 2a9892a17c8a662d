"""Rows of JSONL and CSV files, read a line at a time."""

import csv
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias, cast

from media_gateway.errors import FileFormatError, shown
from media_gateway.json_values import parse
from media_gateway.transfer.signatures import HEAD_BYTES, recognised

RawRow: TypeAlias = tuple[str, dict[str, Any]]
"""Where a row stands ("line 7"), and its entries as they were written."""

REQUIRED: Final = ("id", "media_type", "title")
"""Columns that a table must have; the entries of a JSONL row are checked one by one."""
_BOM: Final = b"\xef\xbb\xbf"
_LONGEST_LINE: Final = 64 * 2**20
"""Bytes of one line: the 16 MiB of metadata that a record may have, written with escapes."""
_NUMBERS: Final = ("id", "vote_average")
_JSON_CELLS: Final = ("extra", "vector")


def jsonl_rows(path: Path) -> Iterator[RawRow]:
    """Yield the objects of a file that holds one JSON object a line; blank lines are passed over.

    Raises FileFormatError, naming the line, for anything else.
    """
    for number, line in _lines(path, "JSONL"):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            value = parse(line)
        except (ValueError, RecursionError) as error:
            if number == 1 and line.lstrip().startswith(b"["):
                _refuse(path, "is a JSON array", "JSONL: one object a line, without brackets and commas around them")
            _refuse(path, f"has no JSON object on {place} ({_reason(error)})", "JSONL: one JSON object a line")
        if not isinstance(value, dict):
            _refuse(path, f"has {shown(value)} on {place}", "JSONL: one JSON object a line")
        yield place, cast("dict[str, Any]", value)


def csv_rows(path: Path) -> Iterator[RawRow]:
    """Yield the rows of a comma-separated file in UTF-8 whose first line names the columns.

    Empty cells are left out. `genre_ids` are written 28|878 or as a JSON list, `extra` and `vector` as JSON; columns
    with other names give text. Raises FileFormatError, naming the line, when the table is malformed.
    """
    lines = _lines(path, "CSV")
    reader = csv.reader((_decoded(path, number, line) for number, line in lines), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        check_columns(path, header)
        for cells in reader:
            if not cells:
                continue
            place = f"line {reader.line_num}"
            if len(cells) != len(header):
                _refuse(path, f"has {len(cells)} cells on {place}", f"{len(header)}, as many as the header")
            yield place, {name: _cell(name, cell) for name, cell in zip(header, cells, strict=True) if cell != ""}
    except csv.Error as error:
        _refuse(path, f"is malformed at line {reader.line_num} ({error})", "comma-separated values")


def check_columns(path: Path, names: list[str], required: Sequence[str] = REQUIRED) -> None:
    """Raise FileFormatError unless the columns *names* have the *required* ones among them, none empty and none twice."""
    for name in required:
        if name not in names:
            found = shown(", ".join(names), 120)
            _refuse(path, f"has no column {name!r}: its columns are {found}", f"at least {', '.join(required)}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        _refuse(path, f"has two columns named {twice!r}", "each name once")
    if "" in names:
        _refuse(path, "has a column without a name", "a name for each column")


def _lines(path: Path, form: str) -> Generator[tuple[int, bytes]]:
    """Yield the numbered lines of *path*, which is checked to be text; a byte order mark of UTF-8 is taken off."""
    with path.open("rb") as file:
        found = recognised(file.read(HEAD_BYTES))
        if found is not None:
            _refuse(path, f"is {found}", f"{form} in UTF-8, as its ending says")
        file.seek(0)
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                _refuse(path, f"has over {_LONGEST_LINE >> 20} MiB on line {number}", f"{form}, a record a line")
            yield number, line.removeprefix(_BOM) if number == 1 else line


def _decoded(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        _refuse(path, f"is not UTF-8 on line {number}", "text in UTF-8; save it in that encoding")


def _cell(name: str, cell: str) -> object:
    """Return the value of a cell; one that cannot be read stays text, and is refused where content is checked."""
    try:
        if name in _NUMBERS:
            return int(cell) if cell.isascii() and cell.isdigit() else float(cell)
        if name == "genre_ids" and not cell.lstrip().startswith("["):
            return [int(part) for part in cell.split("|")]
        if name == "genre_ids" or name in _JSON_CELLS:
            return parse(cell)
    except (ValueError, RecursionError):
        pass
    return cell


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it nests too deep"
    return str(error).partition(": line ")[0]


def _refuse(path: Path, found: str, expected: str) -> NoReturn:
    raise FileFormatError(f"{path} {found}; expected {expected}", path=str(path), given=found, expected=expected)
