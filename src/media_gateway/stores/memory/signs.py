"""Signs of products with random directions: a sketch of each vector, which tells at little cost what cannot be near.

A random direction tells two vectors apart, by the sign of the product, with a chance of their angle over pi (Charikar
2002, "Similarity estimation techniques from rounding algorithms"). So the number of signs that differ tells the angle, as
far as a binomial distribution is narrow, whatever the vectors are. Who is not ruled out by it is compared exactly.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from media_gateway.models import Matrix
from media_gateway.stores.memory.exact import GATHERING_COST, Query, rough_scores
from media_gateway.stores.memory.records import RecordsView, Slots

SURE_RECALL: Final = 0.99
"""The recall that signs reach for sure: beyond `_DEVIATIONS` there are .01 of the true neighbours."""
_DEVIATIONS: Final = 2.33
_FEWEST_BITS: Final = 256
"""Vectors shorter than this are read as quickly as so many signs would rule them out."""
_WORD: Final = 64
_SIGNED_ROWS: Final = 512
_BLOCK: Final = 8192
"""Slots whose differing signs are counted together: what that takes stays in a processor's own cache."""
_FIRST: Final = 256
"""Records compared first, those with the fewest differing signs; the best of them tell how far the others may be."""
_BASE_COST: Final = 5000
"""What a search by signs takes in rows scored where they lie, beside counting signs: some 1,000 rows copied and compared
(of 100,000 records of 768 numbers, 300 to 3,000), the query's own signs, and the way to a thread."""
_GATHERED_COST: Final = 0.2
_IN_PLACE_COST: Final = 0.06
"""Counting the differing signs of one record, picked out or among others, in rows scored where they lie (measured: 0.2
and 0.06)."""

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sketch:
    """The signs of the first *filled* slots: *words* are (bits / 64, slots), *directions* (bits, dimension)."""

    directions: Matrix
    words: Words
    filled: int

    def near(self, records: RecordsView, slots: Slots, query: Query, k: int) -> Slots:
        """Return those of *slots*, which ascend, that may be among the best *k*, ascending: all that have no signs too."""
        signed = slots[: np.searchsorted(slots, self.filled)]
        first = max(_FIRST, 2 * k)
        if len(signed) <= first:
            return slots
        differing = self._differing(signed, query)
        nearest = np.partition(differing, first - 1)[first - 1]
        scores = rough_scores(records, signed[differing <= nearest], query)
        worst = float(np.partition(scores, len(scores) - k)[len(scores) - k])
        near = signed[differing <= max(self._most_differing(worst), float(nearest))]
        return np.concatenate([near, slots[len(signed) :]])

    def _most_differing(self, score: float) -> float:
        """Return how many signs differ at most for nearly all vectors that score as well as *score*."""
        bits = len(self.directions)
        chance = math.acos(min(max(score, -1.0), 1.0)) / math.pi
        return bits * chance + _DEVIATIONS * math.sqrt(bits * chance * (1 - chance))

    def _differing(self, slots: Slots, query: Query) -> npt.NDArray[np.uint16]:
        begin, end = int(slots[0]), int(slots[-1]) + 1
        # Not a matrix product, which would start threads for so little.
        signs = _packed(np.vecdot(self.directions, query.unit)[np.newaxis])[0]
        if _GATHERED_COST * len(slots) < _IN_PLACE_COST * (end - begin):
            return self._counted(signs, slots)
        return self._counted(signs, range(begin, end))[slots - begin]

    def _counted(self, signs: Words, slots: Slots | range) -> npt.NDArray[np.uint16]:
        counts = np.zeros(len(slots), dtype=np.uint16)
        for start in range(0, len(slots), _BLOCK):
            block, part = slots[start : start + _BLOCK], counts[start : start + _BLOCK]
            for words, sign in zip(self.words, signs, strict=True):
                chosen = words[block.start : block.stop] if isinstance(block, range) else words.take(block)
                part += np.bitwise_count(chosen ^ sign)
        return counts


class Signs:
    """The signs of one collection's vectors, made when they are wanted, by one thread; any may search what is shown."""

    def __init__(self, dimension: int, most_bits: int) -> None:
        bits = min(dimension, most_bits) // _WORD * _WORD
        self._dimension = dimension
        self._bits = bits if bits >= _FEWEST_BITS else 0
        self._directions: Matrix | None = None
        self.is_wanted = False
        self.sketch: Sketch | None = None

    @property
    def nbytes(self) -> int:
        """The bytes of memory held."""
        sketch = self.sketch
        return 0 if sketch is None else sketch.words.nbytes + sketch.directions.nbytes

    @property
    def filled(self) -> int:
        """The number of slots that have signs: the first ones."""
        return 0 if self.sketch is None else self.sketch.filled

    def is_due(self, end: int) -> bool:
        """Tell whether signs are wanted of slots below *end* that have none."""
        return self.is_wanted and self.filled < end

    def cost(self, count: int, span: int, waiting: int = 0) -> float:
        """Return what finding the best of *count* slots within *span* costs, in rows scored where they lie.

        *waiting* of them have no signs. Infinite for vectors so short that they never have.
        """
        if not self._bits:
            return math.inf
        return _BASE_COST + min(_GATHERED_COST * count, _IN_PLACE_COST * span) + GATHERING_COST * waiting

    def extend(self, vectors: Matrix, end: int) -> None:
        """Make signs of some of the slots below *end* that have none, of which *vectors* are the rows."""
        if self._directions is None:
            self._directions = _directions(self._dimension, self._bits)
        begin = self.filled
        upto = min(begin + _SIGNED_ROWS, end)
        words = self._with_room(end)
        words[:, begin:upto] = _packed(vectors[begin:upto] @ self._directions.T).T
        self.sketch = Sketch(directions=self._directions, words=words, filled=upto)

    def _with_room(self, end: int) -> Words:
        former = np.empty((self._bits // _WORD, 0), dtype=np.uint64) if self.sketch is None else self.sketch.words
        capacity = former.shape[1]
        if end <= capacity:
            return former
        words = np.empty((len(former), max(end, capacity + capacity // 2)), dtype=np.uint64)
        words[:, :capacity] = former
        return words

    def anew(self) -> "Signs":
        """Return signs for slots that were numbered anew, none made yet."""
        signs = Signs(self._dimension, self._bits)
        signs.is_wanted, signs._directions = self.is_wanted, self._directions
        return signs


def _directions(dimension: int, bits: int) -> Matrix:
    """Return *bits* random directions at right angles, the same ones each time: (bits, dimension), float32."""
    drawn = np.random.default_rng(0).standard_normal((dimension, bits), dtype=np.float32)
    # At right angles they tell more than independent ones: the number that differs spreads by a fifth less.
    at_right_angles: npt.NDArray[Any] = np.linalg.qr(drawn)[0]
    return np.ascontiguousarray(at_right_angles.T)


def _packed(products: Matrix) -> Words:
    """Return the signs of each row, 64 to a word."""
    return np.packbits(products > 0, axis=1).view(np.uint64)
