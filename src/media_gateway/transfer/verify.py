"""Proving that two ends hold the same: counts, digests, the records that differ, and what searches find."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from json import loads
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from media_gateway.contracts import Digests
from media_gateway.models import CollectionDigest
from media_gateway.models.digests import RowImage
from media_gateway.transfer.comparison import HashStream, Kind, pairs

Part: TypeAlias = Literal["vector", "metadata"]

_IMAGES_AT_ONCE: Final = 5_000


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A record that the ends do not have in common: its *key*, the *kind*, and of a changed one the *parts*.

    *numbers* counts those of its vector whose bits differ, None where the lengths do.
    """

    key: str
    kind: Kind
    parts: Sequence[Part] = ()
    numbers: int | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two ends were found to hold. *kinds* counts all differences, *differences* names the first of them.

    *respelled* counts records whose metadata has the same values in other digits, such as 8.50 for 8.5: their hashes
    differ, and they do not.
    """

    first: CollectionDigest
    second: CollectionDigest
    kinds: dict[Kind, int] = field(default_factory=dict[Kind, int])
    differences: Sequence[Difference] = ()
    respelled: int = 0

    @property
    def is_equal(self) -> bool:
        """Whether both ends hold the same records."""
        return not self.kinds


async def compare(first: Digests, second: Digests, *, limit: int) -> Comparison:
    """Compare two ends by their digests and, where these differ, record by record; name up to *limit* differences.

    Where they agree nothing but two sums is moved, else a key and a hash a record, and the contents of those that
    differ. Each end is looked at as it is at one moment, so writers in between show as differences.
    """
    found = Comparison(first=await first.digest(), second=await second.digest())
    return found if found.first == found.second else await _differences(first, second, limit)


async def _differences(first: Digests, second: Digests, limit: int) -> Comparison:
    kinds: dict[Kind, int] = {}
    named: list[Difference] = []
    waiting: list[str] = []
    respelled = 0

    async def look() -> None:
        nonlocal respelled
        for difference in await _changed(first, second, waiting):
            if difference is None:
                respelled += 1
            else:
                _count(difference, kinds, named, limit)
        waiting.clear()

    one, other = HashStream(first.row_hashes()), HashStream(second.row_hashes())
    async for pair in pairs(one, other):
        if pair.kind == "changed":
            waiting.append(pair.key)
            if len(waiting) == _IMAGES_AT_ONCE:
                await look()
        elif pair.kind is not None:
            _count(Difference(key=pair.key, kind=pair.kind), kinds, named, limit)
    await look()
    named.sort(key=lambda difference: difference.key)
    return Comparison(
        first=one.digest, second=other.digest, kinds=kinds, differences=named[:limit], respelled=respelled
    )


def _count(difference: Difference, kinds: dict[Kind, int], named: list[Difference], limit: int) -> None:
    kinds[difference.kind] = kinds.get(difference.kind, 0) + 1
    if len(named) < limit:
        named.append(difference)


async def _changed(first: Digests, second: Digests, keys: Sequence[str]) -> list[Difference | None]:
    """Return what sets the records of *keys* apart; None for those whose values are the same."""
    if not keys:
        return []
    pairs_of = zip(keys, await first.row_images(keys), await second.row_images(keys), strict=True)
    return [_difference(key, one, other) for key, one, other in pairs_of]


def _difference(key: str, one: bytes | None, other: bytes | None) -> Difference | None:
    if one is None or other is None:
        # Removed between two looks.
        return Difference(key=key, kind="extra" if one is None else "missing")
    left, right = RowImage.parsed(one), RowImage.parsed(other)
    parts: list[Part] = []
    numbers: int | None = 0
    if left.vector != right.vector:
        parts.append("vector")
        numbers = _differing(left.vector, right.vector)
    if _values(left.metadata) != _values(right.metadata):
        parts.append("metadata")
    return Difference(key=key, kind="changed", parts=parts, numbers=numbers) if parts else None


def _differing(one: bytes, other: bytes) -> int | None:
    if len(one) != len(other):
        return None
    return int(np.count_nonzero(np.frombuffer(one, dtype=">u4") != np.frombuffer(other, dtype=">u4")))


def _values(text: bytes) -> Any:
    return loads(text, parse_float=_number, parse_int=_number)


def _number(digits: str) -> tuple[Decimal]:
    # Wrapped, since a bare 1 equals True.
    return (Decimal(digits),)
