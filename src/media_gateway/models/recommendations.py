"""What is recommended to a user, and why; and what is known of a user's taste."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from media_gateway.models.records import Vector


@dataclass(frozen=True, kw_only=True)
class Recommended:
    """A record for a user: *score* orders a list and compares with no other one.

    *shares* say how much each source speaks for it (they sum to 1): "behaviour" and "ials", what users of the same taste like,
    "text", what it is about, and "popularity", "recent" and "newest", how popular it is. All are 0 for what only fills a list
    for what its record says of it, which is *by*: "rated" by its ratings, "famous" by its popularity elsewhere, "released" by
    its date, or "listed", by nothing. *because* is the liked record behind it, with its title where it has one; both are None for
    a user who likes nothing yet. *reason* says it in words.
    """

    key: str
    score: float
    metadata: dict[str, Any]
    shares: Mapping[str, float]
    because: str | None
    because_title: str | None
    reason: str
    by: str | None = None

    @property
    def source(self) -> str:
        """The source with the largest share, or *by* where it fills a list."""
        return self.by or max(self.shares, key=lambda name: self.shares[name])


@dataclass(frozen=True, kw_only=True)
class Recommendations:
    """A list for *user*, best first, at a time: *list_id* names it where its items are shown and clicked.

    *likes* is what is known to be liked by the user, *version* that of the model, None before there is one.
    """

    user: str
    items: Sequence[Recommended]
    likes: int
    list_id: UUID
    version: int | None
    at: float


@dataclass(frozen=True, kw_only=True, eq=False)
class UserPreferences:
    """The preference profile of *user*: the unit vector that events move, from a *model* of the collection.

    *confidence* is 0.1 to 0.95; *genre_affinities* have a number in [0, 1] for each genre's id. *interactions* are the events
    that moved it.
    """

    user: str
    vector: Vector
    model: str
    confidence: float
    genre_affinities: Mapping[str, float]
    interactions: int
    updated_at: datetime
