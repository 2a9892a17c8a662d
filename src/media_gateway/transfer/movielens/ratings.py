"""MovieLens's ratings, as events in the order of their times."""

import math
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

import anyio.lowlevel
import anyio.to_thread
import numpy as np

from media_gateway.errors import shown
from media_gateway.models import WatchEvent
from media_gateway.transfer.movielens.films import LARGEST_ID, refuse
from media_gateway.transfer.movielens.timesort import Rows, sorted_by_time
from media_gateway.transfer.signatures import HEAD_BYTES, recognised

COLUMNS: Final = ("user", "film", "rating", "time")
_ROW: Final = np.dtype([("time", "<f8"), ("user", "<i4"), ("film", "<i4"), ("rating", "<f4")])
_STARS: Final = (0.5, 5.0)
_CHUNK: Final = 1_000_000
"""Rows sorted in memory: 20 MB of them, and three times that while they are sorted."""
_BLOCK: Final = 20_000
"""Rows of each chunk that are merged at once: of 25 chunks, 10 MB."""
_BATCH: Final = 2_000
"""Rows that become events in one turn: some 4 ms."""
_BYTES: Final = 1 << 20
"""Bytes read at once; Arrow reads some 30 of such blocks ahead."""


@dataclass(frozen=True, kw_only=True)
class RatingsFile:
    """Where ratings are and how they are written: *header* is its first line, or empty where it has none."""

    path: Path
    delimiter: str
    header: str

    @property
    def skipped(self) -> int:
        """Lines before the first rating."""
        return 1 if self.header else 0


class MovieLensRatings:
    """An `EventSource` of ratings; made by `MovieLens.ratings`.

    Each is an event of the action "rating": the user's number as text, the film's key, the time in Unix seconds, and
    twice the stars, 1 to 10, since MovieLens gives half a star to five.
    """

    def __init__(self, file: RatingsFile, keys: Mapping[int, str], *, chunk: int = _CHUNK, block: int = _BLOCK) -> None:
        self._file = file
        self._keys = keys
        self._chunk = chunk
        self._block = block

    async def events(self) -> AsyncGenerator[WatchEvent]:
        """Yield every rating, ordered by time, equal times in the order of the file; each call reads it anew.

        Memory stays bounded however many there are: over a million are sorted in files of 20 bytes a rating in the
        temporary folder. To stop early, close the generator (`contextlib.aclosing`), which removes them.

        Nothing is yielded before the file was read to its end and found whole: FileFormatError names the first line
        that is damaged or rates a film that the folder does not have. StoreFullError tells that there is no room to sort.
        """
        parts = sorted_by_time(self._chunks(), block=self._block)
        try:
            while (rows := await anyio.to_thread.run_sync(next, parts, None)) is not None:
                for start in range(0, len(rows), _BATCH):
                    for event in self._batch(rows[start : start + _BATCH]):
                        yield event
                    await anyio.lowlevel.checkpoint()
        finally:
            parts.close()

    def _batch(self, rows: Rows) -> Iterator[WatchEvent]:
        keys = self._keys
        columns = zip(*(rows[name].tolist() for name in ("time", "user", "film", "rating")), strict=True)
        for time, user, film, stars in columns:
            yield WatchEvent(user=str(user), key=keys[film], time=time, action="rating", rating=2 * stars)

    def _chunks(self) -> Iterator[Rows]:
        """Yield the ratings in the order of the file, `chunk` at a time, all checked."""
        _check_header(self._file)
        known = np.zeros(max(self._keys, default=0) + 1, dtype=bool)
        known[list(self._keys)] = True
        waiting: list[Rows] = []
        count = 0
        for rows in self._parsed():
            if not _usable(rows, known):
                self._refuse_first_damage(None)
            waiting.append(rows)
            count += len(rows)
            if count >= self._chunk:
                whole = np.concatenate(waiting)
                for start in range(0, count - count % self._chunk, self._chunk):
                    yield whole[start : start + self._chunk]
                waiting, count = [whole[count - count % self._chunk :].copy()], count % self._chunk
        if count:
            yield np.concatenate(waiting)

    def _parsed(self) -> Iterator[Rows]:
        # Imported here, since it takes a third of a second that no other command should pay.
        pa: Any = import_module("pyarrow")
        csv: Any = import_module("pyarrow.csv")
        file = self._file
        kinds = {"user": pa.int32(), "film": pa.int32(), "rating": pa.float32(), "time": pa.float64()}
        try:
            # One thread: read-ahead of the whole file into memory is what several would do.
            with csv.open_csv(
                file.path,
                csv.ReadOptions(
                    use_threads=False, block_size=_BYTES, skip_rows=file.skipped, column_names=list(COLUMNS)
                ),
                csv.ParseOptions(delimiter=file.delimiter, quote_char=False, ignore_empty_lines=False),
                csv.ConvertOptions(column_types=kinds, null_values=[]),
            ) as reader:
                for batch in reader:
                    rows = np.empty(batch.num_rows, dtype=_ROW)
                    for name in COLUMNS:
                        rows[name] = batch.column(name).to_numpy()
                    yield rows
        except pa.ArrowInvalid as error:
            self._refuse_first_damage(error)
        except OSError as error:
            refuse(file.path, f"cannot be read: {error.strerror or error}", "a readable file", error)

    def _refuse_first_damage(self, cause: Exception | None) -> NoReturn:
        """Read the file again, line by line, to name the first one that is wrong: the quick reader does not tell."""
        file = self._file
        with file.path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                wrong = None if number <= file.skipped else self._wrong(line.rstrip("\r\n"))
                if wrong is not None:
                    refuse(file.path, f"has {wrong[0]} on line {number}", wrong[1], cause)
        refuse(file.path, "changed while it was read, or has no ratings", "ratings", cause)

    def _wrong(self, line: str) -> tuple[str, str] | None:
        """Return what *line* has that it must not have, and what is expected, or None when it is a rating."""
        cells = line.split(self._file.delimiter)
        if len(cells) != len(COLUMNS):
            return f"{len(cells)} columns", "four: user, film, rating and time"
        for name, cell in zip(("user", "film"), cells[:2], strict=True):
            if not (cell.isascii() and cell.isdigit() and 1 <= int(cell) <= LARGEST_ID):
                return f"the {name} {shown(cell)}", f"a whole number from 1 to {LARGEST_ID:,}"
        if int(cells[1]) not in self._keys:
            return f"a rating of the film {cells[1]}, which the folder does not list", "ratings of listed films"
        if not _STARS[0] <= _float(cells[2]) <= _STARS[1]:
            return f"the rating {shown(cells[2])}", "a number from 0.5 to 5"
        if not 0 <= _float(cells[3]) < math.inf:
            return f"the time {shown(cells[3])}", "seconds since 1970"
        return None


def _check_header(file: RatingsFile) -> None:
    """Raise FileFormatError unless *file* is text and begins with its header."""
    with file.path.open("rb") as handle:
        head = handle.read(HEAD_BYTES)
    found = recognised(head)
    if found is not None:
        refuse(file.path, f"is {found}", "text")
    first = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].rstrip(b"\r").decode(errors="replace")
    if file.header and first.replace('"', "") != file.header:
        refuse(file.path, f"has the header {shown(first)}", shown(file.header))


def _usable(rows: Rows, known: Any) -> bool:
    film, stars, time = rows["film"], rows["rating"], rows["time"]
    listed = (film >= 1) & (film < len(known))
    if not (listed.all() and known[film].all() and (rows["user"] >= 1).all()):
        return False
    return bool(((stars >= _STARS[0]) & (stars <= _STARS[1]) & (time >= 0) & (time < math.inf)).all())


def _float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
