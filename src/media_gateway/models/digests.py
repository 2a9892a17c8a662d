"""What two collections are compared by: the hash of each record, and the sum of the hashes of all."""

import hashlib
import json
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from media_gateway.json_values import canonical_text
from media_gateway.models.records import ContentVector, Metadata, Vector

RowHash: TypeAlias = tuple[str, bytes]
"""A key, and the SHA-256 of the record's `row_image`."""

_KEY_LENGTH: Final = struct.Struct(">I")
_VECTOR_HEAD: Final = struct.Struct(">HH")
_LANES: Final = struct.Struct(">4Q")
_LANE_MASK: Final = 2**64 - 1
_has_exponent: Final = re.compile(r"[0-9]e[+-]?[0-9]").search
_encoded: Final = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, kw_only=True)
class CollectionDigest:
    """The *count* of a collection's records and the sum of their hashes, which no order of the records changes.

    *lanes* are the four 64-bit numbers of a SHA-256, each summed for itself modulo 2**64. Of two collections with one
    digest, each holds the same records bit for bit: keys, vectors and metadata; times of writing are no part of it.
    """

    count: int = 0
    lanes: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def text(self) -> str:
        """The sum as 64 hexadecimal digits."""
        return _LANES.pack(*self.lanes).hex()

    def plus(self, hashes: Iterable[bytes]) -> "CollectionDigest":
        """Return the digest of a collection that also has the records of *hashes*."""
        joined = list(hashes)
        columns = zip(*(_LANES.unpack(one) for one in joined), strict=True)
        sums = [sum(column) for column in columns] or [0, 0, 0, 0]
        return CollectionDigest.of(len(joined) + self.count, [a + b for a, b in zip(self.lanes, sums, strict=True)])

    @classmethod
    def of(cls, count: int, sums: Iterable[int]) -> "CollectionDigest":
        """Return the digest of *count* records whose lanes add up to *sums*, taken as signed or unsigned numbers."""
        first, second, third, fourth = (int(number) & _LANE_MASK for number in sums)
        return cls(count=count, lanes=(first, second, third, fourth))


def row_image(key: str, vector: Vector, metadata: Metadata) -> bytes:
    """Return the bytes that a record's hash is made of; *metadata* is in canonical form.

    The length of the key (u32, big-endian) and the key in UTF-8; the vector as pgvector's `vector_send` writes it,
    which is its dimension and a zero (u16, big-endian) and the numbers as big-endian float32; the metadata as
    PostgreSQL writes jsonb.
    """
    name = key.encode()
    head = _KEY_LENGTH.pack(len(name)) + name + _VECTOR_HEAD.pack(vector.shape[0], 0)
    return head + vector.astype(">f4").tobytes() + metadata_text(metadata).encode()


def row_hash(record: ContentVector) -> bytes:
    """Return the SHA-256 of *record*, whose metadata is in canonical form."""
    return hashlib.sha256(row_image(record.key, record.vector, record.metadata)).digest()


def metadata_text(metadata: Metadata) -> str:
    """Return canonical *metadata* as PostgreSQL writes jsonb."""
    # The encoder in C writes the same but for numbers with exponents, and takes a tenth of the time.
    entries: dict[str, Any] = dict(metadata)
    text = _encoded(entries)
    return canonical_text(entries) if _has_exponent(text) else text


@dataclass(frozen=True, kw_only=True)
class RowImage:
    """A record's image taken apart again: *vector* and *metadata* as bytes."""

    vector: bytes
    metadata: bytes

    @classmethod
    def parsed(cls, image: bytes) -> "RowImage":
        """Return the parts of an *image* that `row_image` or a server made."""
        begin = _KEY_LENGTH.size + _KEY_LENGTH.unpack_from(image)[0]
        dimension, _ = _VECTOR_HEAD.unpack_from(image, begin)
        end = begin + _VECTOR_HEAD.size + 4 * dimension
        return cls(vector=image[begin:end], metadata=image[end:])


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What a merge did: *written* records are new or replaced others, *kept* keys had a record that stayed as it was."""

    written: int = 0
    kept: int = 0
