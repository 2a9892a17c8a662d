"""What users do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from uuid import UUID

WatchAction: TypeAlias = Literal["watch", "rating", "click", "dismiss", "exposure"]


@dataclass(frozen=True, kw_only=True)
class WatchEvent:
    """What a user did with a record at a time (Unix seconds): *completion* in [0, 1], *rating* in [0, 10].

    An "exposure" says that the record was shown: at which *rank*, from 1, for which *source* mostly, by which *version* of
    the model, and in which list. A click may name the list that it was made in. *context* is any JSON object that says more.

    The *id* is a UUID of version 7 of the very time, by which an event that is written twice counts once. Without one
    it is made of what the event says, so that an import which is run again adds nothing.
    """

    user: str
    key: str
    time: float
    action: WatchAction = "watch"
    completion: float | None = None
    rating: float | None = None
    id: UUID | None = None
    rank: int | None = None
    source: str | None = None
    version: int | None = None
    list_id: UUID | None = None
    context: Mapping[str, Any] | None = None
