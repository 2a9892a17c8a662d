"""The journal of intents: which keys may differ between the stores, and which store has their newest value.

Lines of JSON behind their CRC-32, appended; an intent is synced before the write that it speaks of begins. A line that
a crash tore is the last one and was never acknowledged, so reading stops at the first that fails its check. Keys that
were brought over are noted without a sync: to bring one over again does no harm.
"""

import asyncio
import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import anyio.to_thread

from media_gateway.errors import SnapshotDamagedError
from media_gateway.models import ChangePosition
from media_gateway.rollout.files import disk_faults, replace_file
from media_gateway.rollout.state import Side

_COMPACT_BYTES: Final = 8 * 2**20
_KEYS_A_LINE: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class LiveFacts:
    """How far a live move has come.

    Writes go to *truth* first. *is_complete*: the other store has everything, open intents aside. *is_confirmed*: what
    was written to PostgreSQL while it was the truth has reached memory; false after going back while PostgreSQL was
    away. *position* is how far its change log was followed. *epoch* is that of the state under which this was last so;
    None in journals that do not say.
    """

    truth: Side = "memory"
    is_complete: bool = False
    is_confirmed: bool = True
    position: ChangePosition | None = None
    epoch: int | None = None

    @classmethod
    def parsed(cls, value: dict[str, Any]) -> "LiveFacts":
        """Return the facts that were written as a JSON object."""
        position = value["position"]
        return cls(
            truth=value["truth"],
            is_complete=value["is_complete"],
            is_confirmed=value["is_confirmed"],
            position=None if position is None else ChangePosition(**position),
            epoch=value.get("epoch"),
        )


class Ledger:
    """The intents in the file at *path*, which need not exist; used from one event loop, by one process."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises StoreFullError when its folder cannot be written."""
        self.path = path
        with disk_faults(path):
            content = read_ledger(path)
        self.open = content.open
        """Keys that may differ, each with the store that has its newest value."""
        self.facts = content.facts
        self._under_way: Counter[str] = Counter()
        self._lines: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._flush: asyncio.Task[None] | None = None
        self._facts_turn = asyncio.Lock()
        with disk_faults(path):
            replace_file(path, self._compacted())
            self._file: BinaryIO = path.open("ab", buffering=0)
            self._size = self._file.tell()

    async def begin(self, keys: Sequence[str], side: Side) -> None:
        """Note, synced, that *keys* are about to be written to *side*; to be followed by `end`."""
        self._under_way.update(keys)
        try:
            await self._append(_open_lines(keys, side))
        except BaseException:
            self.end(keys)
            raise
        self.open.update(dict.fromkeys(keys, side))

    def end(self, keys: Sequence[str]) -> None:
        """Note that the write that `begin` announced is over, whatever became of it."""
        self._under_way.subtract(keys)
        for key in keys:
            if self._under_way[key] <= 0:
                del self._under_way[key]

    def is_under_way(self, key: str) -> bool:
        """Tell whether a write to *key* has begun and not ended."""
        return key in self._under_way

    def close_keys(self, keys: Iterable[str]) -> None:
        """Note that both stores have the same under *keys*; those with a write under way stay open."""
        closed = [key for key in keys if key in self.open and key not in self._under_way]
        for key in closed:
            del self.open[key]
        if closed:
            # Written with the next intent.
            self._lines.extend(_line(["d", chunk]) for chunk in _chunks(closed))

    async def set_facts(self, facts: LiveFacts) -> LiveFacts:
        """Keep *facts*, synced."""
        return await self.change_facts(facts, lambda _: facts)

    async def change_facts(self, initial: LiveFacts, change: Callable[[LiveFacts], LiveFacts]) -> LiveFacts:
        """Keep, synced, what *change* makes of the facts, *initial* where there are none, and return it.

        Changes are made one after the other, each of what the one before it left.
        """
        async with self._facts_turn:
            facts = change(self.facts or initial)
            await self._append([_line(["f", asdict(facts)])])
            self.facts = facts
            return facts

    def note_position(self, position: ChangePosition) -> None:
        """Keep how far the change log was followed, with the next intent: to read it again does no harm.

        Nothing is noted while the facts change: the line would stand behind theirs, with what they were before.
        """
        if self.facts is not None and self.facts.position != position and not self._facts_turn.locked():
            self.facts = replace(self.facts, position=position)
            self._lines.append(_line(["f", asdict(self.facts)]))

    async def aclose(self) -> None:
        """Write what waits and close the file."""
        if not self._file.closed:
            await self._append([])
            self._file.close()

    async def _append(self, lines: Sequence[bytes]) -> None:
        self._lines.extend(lines)
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(written)
        if self._flush is None:
            self._flush = asyncio.create_task(self._write_all())
        await written

    async def _write_all(self) -> None:
        """Write what waits, all of it with one sync, until nothing does."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            data, self._lines = b"".join(self._lines), []
            try:
                await anyio.to_thread.run_sync(self._write, data)
                if self._size > _COMPACT_BYTES and not self._lines:
                    await anyio.to_thread.run_sync(self._compact, self._compacted())
            except Exception as error:  # noqa: BLE001  handed to those who wait
                for one in waiting:
                    if not one.done():
                        one.set_exception(error)
            else:
                for one in waiting:
                    if not one.done():
                        one.set_result(None)
        self._flush = None

    def _write(self, data: bytes) -> None:
        with disk_faults(self.path):
            try:
                self._file.write(data)
                os.fsync(self._file.fileno())
            except OSError:
                # Half a line would hide what is appended behind it.
                self._file.truncate(self._size)
                raise
        self._size += len(data)

    def _compact(self, content: bytes) -> None:
        with disk_faults(self.path):
            replace_file(self.path, content)
            self._file.close()
            self._file = self.path.open("ab", buffering=0)
            self._size = self._file.tell()

    def _compacted(self) -> bytes:
        lines = [] if self.facts is None else [_line(["f", asdict(self.facts)])]
        for side in ("memory", "postgres"):
            lines.extend(_open_lines([key for key, newest in self.open.items() if newest == side], side))
        return b"".join(lines)


@dataclass(frozen=True, kw_only=True)
class LedgerContent:
    """What a ledger's file says: the keys that are *open*, each with the store of its newest value, and the *facts*."""

    open: dict[str, Side]
    facts: LiveFacts | None


def read_ledger(path: Path) -> LedgerContent:
    """Return what the file at *path* says, also while its process writes it; nothing where there is no file."""
    found: dict[str, Side] = {}
    facts: LiveFacts | None = None
    for kind, *rest in _read(path):
        match kind, rest:
            case "o", [side, keys]:
                found.update(dict.fromkeys(keys, side))
            case "d", [keys]:
                for key in keys:
                    found.pop(key, None)
            case "f", [value]:
                facts = LiveFacts.parsed(value)
            case _:
                raise SnapshotDamagedError(
                    f"{path} holds an entry {kind!r} that this program does not know; use the version that wrote it",
                    path=str(path),
                )
    return LedgerContent(open=found, facts=facts)


def _open_lines(keys: Sequence[str], side: Side) -> list[bytes]:
    return [_line(["o", side, chunk]) for chunk in _chunks(keys)]


def _chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    for begin in range(0, len(keys), _KEYS_A_LINE):
        yield list(keys[begin : begin + _KEYS_A_LINE])


def _line(value: list[Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=True).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(path: Path) -> Iterator[list[Any]]:
    if not path.exists():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        check, _, text = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or check != b"%08x" % zlib.crc32(text):
            return
        yield json.loads(text)
