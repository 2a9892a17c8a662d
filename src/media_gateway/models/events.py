"""What users do."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

WatchAction: TypeAlias = Literal["watch", "rating", "click", "dismiss", "exposure"]


@dataclass(frozen=True, kw_only=True)
class WatchEvent:
    """What a user did with a record at a time (Unix seconds): *completion* in [0, 1], *rating* in [0, 10]."""

    user: str
    key: str
    time: float
    action: WatchAction = "watch"
    completion: float | None = None
    rating: float | None = None
