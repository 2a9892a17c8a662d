"""Records on their way in: checked, and brought into the form that the collection keeps."""

from collections.abc import Sequence

import numpy as np

from media_gateway.errors import DuplicateKeyError, shown
from media_gateway.models import ContentVector, Matrix
from media_gateway.stores.memory.changes import Put
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.writer import existing
from media_gateway.validation import checked_items, encoded_metadata


def put_of(items: Sequence[ContentVector], dimension: int) -> Put:
    """Return the change that writes *items*, or raise the errors of `checked_items` and `encoded_metadata`."""
    checked = checked_items(items, dimension)
    return Put(
        keys=[item.key for item in checked],
        metadata=[encoded_metadata(item) for item in checked],
        vectors=_stacked([item.vector for item in checked], dimension),
    )


def _stacked(rows: Sequence[np.ndarray[tuple[int], np.dtype[np.float32]]], dimension: int) -> Matrix:
    return np.stack(rows) if rows else np.empty((0, dimension), dtype=np.float32)


class BulkLoad:
    """Batches of new records, gathered until they are written together."""

    def __init__(self, collection: Collection, *, takes_known: bool = False) -> None:
        self._collection = collection
        self._takes_known = takes_known
        self._puts: list[Put] = []
        self._keys: set[str] = set()

    def add(self, batch: Sequence[ContentVector]) -> None:
        """Check *batch* and keep it; raises DuplicateKeyError for a key that came before.

        So does a key that is in the collection, unless the load was made to take those too.
        """
        put = put_of(batch, self._collection.space.dimension)
        for key in put.keys:
            if key in self._keys:
                raise DuplicateKeyError(
                    f"the key {shown(key)} is given twice in one bulk load; give each key once",
                    field="key",
                    given=key,
                    expected="each key once",
                )
            if not self._takes_known and key in self._collection.records.slot_of:
                raise existing(key)
        self._keys.update(put.keys)
        self._puts.append(put)

    def change(self) -> Put:
        """Return the change that writes all batches."""
        dimension = self._collection.space.dimension
        return Put(
            keys=[key for put in self._puts for key in put.keys],
            metadata=[text for put in self._puts for text in put.metadata],
            vectors=np.concatenate([np.empty((0, dimension), dtype=np.float32), *(put.vectors for put in self._puts)]),
        )
