"""Comparing two stores key by key while both are written to."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio.to_thread

from media_gateway.contracts import VectorStore
from media_gateway.models import ContentVector
from media_gateway.rollout.applier import differ

_PAGE: Final = 500
_NAMED: Final = 20


@dataclass(frozen=True, kw_only=True)
class Page:
    """Keys of which *count* were looked at, and those among them that *differ*."""

    count: int
    differing: list[str]


async def differing_pages(truth: VectorStore, follower: VectorStore) -> AsyncIterator[Page]:
    """Yield what differs between the stores, a page of keys at a time; what is being written meanwhile may be among it."""
    async for page in truth.scan(batch_size=_PAGE):
        found = await follower.get([record.key for record in page])
        yield Page(count=len(page), differing=await anyio.to_thread.run_sync(_differing, page, found))
    async for page in follower.scan(batch_size=_PAGE):
        found = await truth.get([record.key for record in page])
        extra = [record.key for record, one in zip(page, found, strict=True) if one is None]
        yield Page(count=len(extra), differing=extra)


def _differing(page: Sequence[ContentVector], found: Sequence[ContentVector | None]) -> list[str]:
    return [record.key for record, one in zip(page, found, strict=True) if one is None or differ(record, one)]


@dataclass(frozen=True, kw_only=True)
class Verified:
    """How many records were compared and how many differ; the first of those are named."""

    compared: int
    differing: int
    keys: list[str] = field(default_factory=list[str])

    def as_json(self) -> dict[str, Any]:
        return {"compared": self.compared, "differing": self.differing, "keys": self.keys}


async def verified(
    truth: VectorStore, follower: VectorStore, *, is_settled: Callable[[Sequence[str]], "Any"]
) -> Verified:
    """Compare every record of both stores and return what differs, while writers go on.

    What looks different is looked at again after `await is_settled(keys)`: a write may have been on its way.
    """
    compared = 0
    suspects: list[str] = []
    async for page in differing_pages(truth, follower):
        compared += page.count
        suspects.extend(page.differing)
    for _ in range(3):
        if not suspects:
            break
        await is_settled(suspects)
        pairs = [
            (key, one, another)
            for begin in range(0, len(suspects), _PAGE)
            for key, one, another in zip(
                suspects[begin : begin + _PAGE],
                await truth.get(suspects[begin : begin + _PAGE]),
                await follower.get(suspects[begin : begin + _PAGE]),
                strict=True,
            )
        ]
        suspects = [key for key, one, another in pairs if _is_different(one, another)]
    return Verified(compared=compared, differing=len(suspects), keys=sorted(suspects)[:_NAMED])


def _is_different(one: ContentVector | None, another: ContentVector | None) -> bool:
    if one is None or another is None:
        return one is not another
    return differ(one, another)
