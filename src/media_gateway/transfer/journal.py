"""The journal of a resumable transfer: what was asked for, and how far the target is known to have it.

A line of JSON a step, each synced before the next one begins. A last line that a crash cut off was never acted on, and
is cut away.
"""

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn, Self

import orjson

from media_gateway.errors import FileFormatError, InvalidInputError, StoreLockedError
from media_gateway.transfer.copy import Copied
from media_gateway.transfer.replacing import fault
from media_gateway.transfer.sources import Batch, Place
from media_gateway.whole_files import sync_folder

_VERSION: Final = 1
_BEGINNING: Final = b'{"transfer":'


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a transfer is: the *place* in its source and the *last* key that were acknowledged, and the counts.

    *is_unsure* tells that a batch behind it was begun, and may be in the target or not.
    """

    place: Place | None = None
    last: str | None = None
    copied: Copied = field(default_factory=Copied)
    is_unsure: bool = False
    is_finished: bool = False


class TransferJournal:
    """The journal at *path*, held by one process at a time; a context manager.

    *terms* are what a later run must agree to: the ends, the conflicts, the space. Raises InvalidInputError when the
    journal is of other terms, StoreLockedError while another process uses it, FileFormatError when it is no journal,
    and StoreFullError where it cannot be written.
    """

    def __init__(self, path: Path, terms: Mapping[str, str]) -> None:
        self.path = path
        self.standing = Standing()
        self.expected: int | None = None
        """Records that there are to be moved, as far as this run knows; whoever watches the transfer reads it here."""
        self._terms = dict(terms)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise fault(error, path) from error
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def is_new(self) -> bool:
        """Whether nothing was begun yet."""
        return self.standing == Standing()

    def begin(self, batch: Batch) -> None:
        """Note, before it is written, that *batch* is on its way."""
        self._append({"begin": batch.place, "rows": len(batch.records), "of": self.expected})
        self.standing = replace(self.standing, is_unsure=True)

    def done(self, batch: Batch, copied: Copied) -> None:
        """Note that the target has *batch*; *copied* counts the whole transfer."""
        last = batch.records[-1].key
        self._append({"done": batch.place, "last": last, **_counts(copied)})
        self.standing = Standing(place=batch.place, last=last, copied=copied)

    def finish(self) -> None:
        """Note that the target has everything."""
        self._append({"finished": True})
        self.standing = replace(self.standing, is_finished=True)

    def discard(self) -> None:
        """Remove the file of a transfer of which nothing was begun."""
        self.path.unlink(missing_ok=True)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreLockedError(
                f"{self.path} is in use: the same transfer runs in another process; wait for it, or stop it",
                path=str(self.path),
            ) from error

    def _read(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        lines = [self._parsed(line) for line in whole.splitlines()]
        if lines:
            self._check_terms(lines[0])
        elif not (_BEGINNING.startswith(data) or data.startswith(_BEGINNING)):
            self._refuse("is no journal of a transfer")
        if len(whole) < len(data):
            os.ftruncate(self._file.fileno(), len(whole))
        if not lines:
            self._append({"transfer": _VERSION, **self._terms})
            sync_folder(self.path.parent)
        for line in lines[1:]:
            self._take(line)

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            value = orjson.loads(line)
        except ValueError as error:
            self._refuse("holds a line that is no JSON", error)
        if not isinstance(value, dict):
            self._refuse("holds a line that is no JSON object")
        return value  # pyright: ignore[reportUnknownVariableType]

    def _check_terms(self, head: dict[str, Any]) -> None:
        if head.get("transfer") != _VERSION:
            self._refuse("is no journal of a transfer that this program can go on with")
        for name, wanted in self._terms.items():
            found = head.get(name)
            if found != wanted:
                raise InvalidInputError(
                    f"the journal {self.path} belongs to a transfer with {name} {found!r}, but this one has {wanted!r}; "
                    "repeat that command to go on with it, or name another file with --journal",
                    field=name,
                    given=wanted,
                    expected=found,
                )

    def _take(self, line: dict[str, Any]) -> None:
        match line:
            case {"begin": _}:
                self.standing = replace(self.standing, is_unsure=True)
            case {"done": place, "last": last, "read": read, "written": written, "kept": kept}:
                copied = Copied(read=read, written=written, kept=kept)
                self.standing = Standing(place=place, last=last, copied=copied)
            case {"finished": True}:
                self.standing = replace(self.standing, is_finished=True, is_unsure=False)
            case _:
                self._refuse("holds a step that this program does not know")

    def _append(self, line: Mapping[str, object]) -> None:
        try:
            self._file.write(orjson.dumps(line) + b"\n")
            self._file.flush()
            os.fdatasync(self._file.fileno())
        except OSError as error:
            raise fault(error, self.path) from error

    def _refuse(self, found: str, cause: Exception | None = None) -> NoReturn:
        raise FileFormatError(
            f"{self.path} {found}; name another file with --journal, or remove it to begin anew",
            path=str(self.path),
            given=found,
            expected="a journal of a transfer",
        ) from cause


def _counts(copied: Copied) -> dict[str, int]:
    return {"read": copied.read, "written": copied.written, "kept": copied.kept}
