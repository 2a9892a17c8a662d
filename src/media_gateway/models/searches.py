"""A search that was answered, as it is kept for tuning and learning."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from media_gateway.filters import Condition
from media_gateway.models.records import Vector

SearchKind: TypeAlias = Literal["text", "vector", "similar"]
"""What was given: words, a vector, or the key of a record."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LoggedSearch:
    """One search and its answer: *keys* best first, *latency_ms* the store's time without the embedding of a text.

    *at* has a time zone. *text* is the words of a search by words, where they are kept; *user* is who asked, where the
    caller said so.
    """

    at: datetime
    kind: SearchKind
    vector: Vector
    k: int
    where: Condition | None
    keys: Sequence[str]
    exact: bool
    latency_ms: float
    text: str | None = None
    user: str | None = None
