"""A store in plain Python, slow and short, that says what the contract says: the other side of differential tests."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from media_gateway.filters import (
    And,
    Condition,
    GenresAll,
    GenresAny,
    MediaTypeIs,
    MetadataEquals,
    MetadataExists,
    MetadataIn,
    MetadataRange,
    Not,
    Or,
    RatingBetween,
    ReleasedBetween,
)
from media_gateway.json_values import canonical_object, canonical_text
from media_gateway.models import ContentVector, SearchRequest, SearchResult, Vector, usable_date

TOLERANCE = 1e-6


def cosine(left: Vector, right: Vector) -> float:
    """Return the cosine similarity, summed exactly."""
    pairs = list(zip(left.astype(np.float64).tolist(), right.astype(np.float64).tolist(), strict=True))
    scale = math.sqrt(math.fsum(a * a for a, _ in pairs)) * math.sqrt(math.fsum(b * b for _, b in pairs))
    return math.fsum(a * b for a, b in pairs) / scale


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def equals(left: Any, right: Any) -> bool:
    """Compare as jsonb does: numbers by value, true and false apart from them, no regard to the order of keys."""
    if is_number(left) and is_number(right):
        return Fraction(repr(left)) == Fraction(repr(right))
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(equals(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equals(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


def genres(value: Any) -> set[int]:
    if not isinstance(value, list):
        return set()
    return {int(one) for one in value if is_number(one) and one == math.floor(one) and 0 <= one < 2**31}


def _in_range(condition: MetadataRange, metadata: Mapping[str, Any]) -> bool:
    value = metadata.get(condition.key)
    if isinstance(value, str) != condition.is_text or not (isinstance(value, str) or is_number(value)):
        return False

    def order(one: Any) -> Any:
        # The bytes of UTF-8 are in the order of code points.
        return one.encode() if isinstance(one, str) else Fraction(repr(one))

    tests = {
        "low": lambda bound: order(value) >= bound,
        "high": lambda bound: order(value) <= bound,
        "above": lambda bound: order(value) > bound,
        "below": lambda bound: order(value) < bound,
    }
    return all(tests[name](order(bound)) for name, bound in condition.bounds.items())


def holds(condition: Condition, metadata: Mapping[str, Any]) -> bool:  # noqa: C901, PLR0912
    """Tell whether *condition* holds for canonical *metadata*."""
    match condition:
        case MediaTypeIs(media_type=media_type):
            return metadata.get("media_type") == media_type
        case GenresAny(ids=ids):
            return bool(genres(metadata.get("genre_ids")) & set(ids))
        case GenresAll(ids=ids):
            return set(ids) <= genres(metadata.get("genre_ids"))
        case RatingBetween(low=low, high=high):
            rating = metadata.get("vote_average")
            return is_number(rating) and (low is None or rating >= low) and (high is None or rating <= high)
        case ReleasedBetween(first=first, last=last):
            day = usable_date(metadata.get("release_date"))
            return day is not None and (first is None or day >= first) and (last is None or day <= last)
        case MetadataEquals(key=key, value=value):
            return key in metadata and equals(metadata[key], value)
        case MetadataIn(key=key, values=values):
            return key in metadata and any(equals(metadata[key], value) for value in values)
        case MetadataRange():
            return _in_range(condition, metadata)
        case MetadataExists(key=key):
            return key in metadata
        case And(parts=parts):
            return all(holds(part, metadata) for part in parts)
        case Or(parts=parts):
            return any(holds(part, metadata) for part in parts)
        case Not(part=part):
            return not holds(part, metadata)
        case _:
            raise AssertionError(condition)


class ReferenceStore:
    """Records in a dict."""

    def __init__(self) -> None:
        self.records: dict[str, ContentVector] = {}

    def upsert(self, items: list[ContentVector]) -> None:
        for item in items:
            entries = canonical_object(item.metadata)
            self.records[item.key] = ContentVector(key=item.key, vector=item.vector, metadata=entries)

    def delete(self, keys: list[str]) -> int:
        return sum(self.records.pop(key, None) is not None for key in dict.fromkeys(keys))

    def ordered(self) -> list[ContentVector]:
        return [self.records[key] for key in sorted(self.records, key=str.encode)]

    def ranking(self, request: SearchRequest) -> list[tuple[float, str]]:
        """Return score and key of everything that qualifies, min_score aside, best first."""
        assert request.vector is not None
        qualified = [
            record
            for record in self.ordered()
            if record.key not in request.exclude and (request.where is None or holds(request.where, record.metadata))
        ]
        scored = [(cosine(request.vector, record.vector), record.key) for record in qualified]
        return sorted(scored, key=lambda pair: -pair[0])


def check_result(reference: ReferenceStore, request: SearchRequest, result: SearchResult) -> None:
    """Raise AssertionError when *result* is not what the contract allows: scores to 1e-6, near ties may swap."""
    ranking = reference.ranking(request)
    scores = {key: score for score, key in ranking}
    low = -2.0 if request.min_score is None else request.min_score
    surely = sum(score > low + TOLERANCE for score, _ in ranking)
    perhaps = sum(score > low - TOLERANCE for score, _ in ranking)
    assert min(surely, request.k) <= len(result.hits) <= min(perhaps, request.k)
    assert len({hit.key for hit in result.hits}) == len(result.hits)
    for hit, (expected, _) in zip(result.hits, ranking, strict=False):
        assert hit.key in scores
        assert abs(hit.score - scores[hit.key]) <= TOLERANCE
        assert abs(hit.score - expected) <= 2 * TOLERANCE
        assert -1 <= hit.score <= 1
        assert hit.score > low
        assert canonical_text(hit.metadata) == canonical_text(dict(reference.records[hit.key].metadata))
    # Where a score repeats exactly, keys are in order.
    order = [(-hit.score, hit.key.encode()) for hit in result.hits]
    assert order == sorted(order)
    assert result.exhausted == (len(result.hits) < request.k)
