"""What is known of items and users, as arrays in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from media_gateway.errors import UnsupportedError
from media_gateway.learning.interests.arrays import Ids, Numbers, ids
from media_gateway.learning.interests.popularity import NO_HEAT
from media_gateway.learning.interests.settings import InterestSettings

Pairs: TypeAlias = npt.NDArray[np.float32]
"""The users (n, n) who like both items of a pair."""
MOST_ITEMS: Final = 20_000
"""Pair counts are a square of four-byte numbers here: 1.6 GB of them."""


class ItemTable:
    """One row an item. Arrays grow as items are added, and are changed in place by what learns."""

    def __init__(self, settings: InterestSettings) -> None:
        halflives = len(settings.halflives)
        self.keys: list[str] = []
        self.rows: dict[str, int] = {}
        self.text: Numbers = np.zeros((0, 0))
        self.text_mean: Numbers = np.zeros(0)
        self.likes: Numbers = np.zeros(0)
        self.heats: Numbers = np.zeros((0, halflives))
        self.learned: Numbers = np.zeros((0, settings.dimension))
        self.shown: Numbers = np.zeros((0, settings.dimension))
        self.ials: Numbers = np.zeros((0, settings.ials_dimension))
        self.pairs: Pairs = np.zeros((0, 0), dtype=np.float32)
        self.ties: Ids = ids([])

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, keys: Sequence[str], text: Numbers) -> None:
        """Append the items *keys*, none of them known, with embeddings *text* (n, d); all text is centred anew."""
        before, count = len(self), len(self) + len(keys)
        if count > MOST_ITEMS:
            raise UnsupportedError(
                f"interests in memory hold {MOST_ITEMS:,} items, not {count:,}; keep them in PostgreSQL",
                feature="interests",
                store="memory",
            )
        whole = np.concatenate((self.text + self.text_mean, text)) if before else np.array(text, dtype=np.float64)
        self.text_mean = whole.mean(axis=0)
        self.text = whole - self.text_mean
        self.rows.update((key, before + index) for index, key in enumerate(keys))
        self.keys.extend(keys)
        self.likes = np.concatenate((self.likes, np.zeros(len(keys))))
        self.heats = np.concatenate((self.heats, np.full((len(keys), self.heats.shape[1]), NO_HEAT)))
        self.learned = _grown(self.learned, len(keys))
        self.shown = _grown(self.shown, len(keys))
        self.ials = _grown(self.ials, len(keys))
        pairs = np.zeros((count, count), dtype=np.float32)
        pairs[:before, :before] = self.pairs
        self.pairs = pairs
        self.ties = np.concatenate((self.ties, ids([_tie(key) for key in keys])))


@dataclass(kw_only=True)
class UserHistory:
    """What a user did: when first, all rows seen, and the rows liked in their order."""

    first_time: float
    seen: set[int] = field(default_factory=set[int])
    liked: list[int] = field(default_factory=list[int])

    def latest(self, cap: int) -> Ids:
        """Return the rows of the latest *cap* likes."""
        return ids(self.liked[-cap:])


def count_pairs(pairs: Pairs, liked: Ids, new: Iterable[int], *, cap: int) -> None:
    """Count in *pairs* that a user who likes the rows *liked*, in that order, now likes each of *new* too, in order.

    Each like is paired with the *cap* likes before it. An item's own count, on the diagonal, is how many users like it.
    """
    known = liked[-cap:]
    for item in new:
        pairs[item, known] += 1.0
        pairs[known, item] += 1.0
        pairs[item, item] += 1.0
        known = np.append(known, item)[-cap:]


def _grown(table: Numbers, count: int) -> Numbers:
    return np.concatenate((table, np.zeros((count, table.shape[1]))))


def _tie(key: str) -> int:
    # By a hash and not by the key: orders of keys and numbers often follow popularity.
    return int.from_bytes(blake2b(key.encode(), digest_size=6).digest(), "big")
