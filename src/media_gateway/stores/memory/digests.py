"""Digests of a memory collection, computed on a view of it while it goes on serving."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from media_gateway.json_values import parse
from media_gateway.models import CollectionDigest, RowHash
from media_gateway.models.digests import row_image
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.records import RecordsView

_ROWS_AT_ONCE: Final = 5_000


class RecordsDigest:
    """The hashes of the records that *collection* has now. Its methods block; the collection may change meanwhile."""

    def __init__(self, collection: Collection) -> None:
        with collection.lock:
            self._slot_of = dict(collection.records.slot_of)
            self._view = collection.records.view()

    def whole(self) -> CollectionDigest:
        """Return count and sum of all hashes."""
        total = CollectionDigest()
        for rows in self._batches(list(self._slot_of)):
            total = total.plus(one for _, one in rows)
        return total

    def rows(self) -> Iterator[list[RowHash]]:
        """Yield key and hash of each record in the order of the keys."""
        return self._batches(sorted(self._slot_of))

    def images(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return for each of *keys* what its record's hash is made of."""
        slots = [self._slot_of.get(key) for key in keys]
        return [None if slot is None else _image(self._view, slot) for slot in slots]

    def sample(self, count: int) -> list[str]:
        """Return the keys of up to *count* records, spread by a hash of their keys."""
        return sorted(self._slot_of, key=lambda key: hashlib.sha256(key.encode()).digest())[:count]

    def _batches(self, keys: list[str]) -> Iterator[list[RowHash]]:
        for begin in range(0, len(keys), _ROWS_AT_ONCE):
            chosen = keys[begin : begin + _ROWS_AT_ONCE]
            yield [(key, hashlib.sha256(_image(self._view, self._slot_of[key])).digest()) for key in chosen]


def _image(view: RecordsView, slot: int) -> bytes:
    return row_image(view.keys[slot], view.vectors[slot], parse(view.metadata[slot]))
