"""Which records two collections do not have in common, from their hashes in the order of the keys."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from media_gateway.models import CollectionDigest, RowHash

Kind: TypeAlias = Literal["missing", "extra", "changed", "duplicate"]
"""`missing`: only the first side has the key; `extra`: only the second; `changed`: both, with other contents;
`duplicate`: a side has the key more than once."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The hashes that the two sides have for *key*: none, one, or several where a file repeats it."""

    key: str
    first: Sequence[bytes]
    second: Sequence[bytes]

    @property
    def kind(self) -> Kind | None:
        """What sets the sides apart, or None when nothing does."""
        if len(self.first) > 1 or len(self.second) > 1:
            return "duplicate"
        if not self.second:
            return "missing"
        if not self.first:
            return "extra"
        return None if self.first == self.second else "changed"


class HashStream:
    """Hashes by key, taken one key at a time; *digest* covers what was taken."""

    def __init__(self, batches: AsyncIterator[list[RowHash]]) -> None:
        self._batches = batches
        self._rows: list[RowHash] = []
        self._next = 0
        self._digest = CollectionDigest()
        self.key: str | None = None

    @property
    def digest(self) -> CollectionDigest:
        """Count and sum of the hashes of all batches read."""
        return self._digest

    async def start(self) -> None:
        """Read up to the first key."""
        await self._peek()

    async def take(self) -> list[bytes]:
        """Return all hashes of the present key, and go on to the next one; None is the key behind the last."""
        taken: list[bytes] = []
        key = self.key
        while key is not None and self.key == key:
            taken.append(self._rows[self._next][1])
            self._next += 1
            await self._peek()
        return taken

    async def _peek(self) -> None:
        if self._next >= len(self._rows):
            none: list[RowHash] = []
            self._rows = await anext(self._batches, none)
            self._next = 0
            self._digest = self._digest.plus(found for _, found in self._rows)
        self.key = self._rows[self._next][0] if self._rows else None


async def pairs(first: HashStream, second: HashStream) -> AsyncIterator[Pair]:
    """Yield every key of either side, in the order of the keys."""
    await first.start()
    await second.start()
    while first.key is not None or second.key is not None:
        key = min(key for key in (first.key, second.key) if key is not None)
        yield Pair(
            key=key,
            first=await first.take() if first.key == key else (),
            second=await second.take() if second.key == key else (),
        )
