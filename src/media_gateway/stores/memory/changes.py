"""What a write does to a collection, and how the journal spells it."""

import struct
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from media_gateway.models import Matrix
from media_gateway.stores.memory.container import Buffer
from media_gateway.stores.memory.texts import lengths_of, split

_HEAD: Final = struct.Struct("<BI")
_PUT: Final = 1
_REMOVE: Final = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Put:
    """Records to write: their keys, each one once, their metadata as JSON and the rows of their vectors."""

    keys: Sequence[str]
    metadata: Sequence[bytes]
    vectors: Matrix


@dataclass(frozen=True, kw_only=True)
class Remove:
    """Keys whose records are to go."""

    keys: Sequence[str]


Change: TypeAlias = Put | Remove


def without(change: Put, known: Container[str]) -> Put:
    """Return the part of *change* whose keys are not among the *known* ones."""
    rows = [row for row, key in enumerate(change.keys) if key not in known]
    if len(rows) == len(change.keys):
        return change
    return Put(
        keys=[change.keys[row] for row in rows],
        metadata=[change.metadata[row] for row in rows],
        vectors=change.vectors[rows],
    )


def encode(change: Change) -> list[Buffer]:
    """Return *change* as bytes, in pieces."""
    keys = [key.encode() for key in change.keys]
    if isinstance(change, Remove):
        return [_HEAD.pack(_REMOVE, len(keys)), lengths_of(keys), *keys]
    return [
        _HEAD.pack(_PUT, len(keys)),
        lengths_of(keys),
        lengths_of(change.metadata),
        b"".join(keys),
        b"".join(change.metadata),
        np.ascontiguousarray(change.vectors, dtype="<f4").reshape(-1).data,
    ]


def decode(payload: memoryview, dimension: int) -> Change:
    """Return the change that `encode` wrote; its vectors are a view into *payload*."""
    kind, count = _HEAD.unpack_from(payload)
    rest = payload[_HEAD.size :]
    key_lengths, rest = _lengths(rest, count)
    if kind == _REMOVE:
        return Remove(keys=[key.decode() for key in split(key_lengths, rest)])
    metadata_lengths, rest = _lengths(rest, count)
    keys_end = int(key_lengths.sum(dtype=np.int64))
    metadata_end = keys_end + int(metadata_lengths.sum(dtype=np.int64))
    return Put(
        keys=[key.decode() for key in split(key_lengths, rest[:keys_end])],
        metadata=list(split(metadata_lengths, rest[keys_end:metadata_end])),
        vectors=np.frombuffer(rest[metadata_end:], dtype="<f4").reshape(count, dimension),
    )


def _lengths(data: memoryview, count: int) -> "tuple[np.ndarray[tuple[int], np.dtype[np.uint32]], memoryview]":
    size = 4 * count
    return np.frombuffer(data[:size], dtype="<u4"), data[size:]
