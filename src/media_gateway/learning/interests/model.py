"""What a recommender is, whatever keeps its state."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from media_gateway.models import Matrix, WatchEvent

LIKED_RATING: Final = 8.0
"""Of ten: four stars of five."""
LIKED_COMPLETION: Final = 0.7
"""The share watched above which a title without a rating counts as liked, as `preference_math` has it."""


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """An item for a user: its score, the share of each source in it (they sum to 1), and the liked item behind it.

    *because* is the key of the liked item that contributes most, None for a user who likes nothing yet.
    """

    key: str
    score: float
    shares: Mapping[str, float]
    because: str | None


class InterestModel(Protocol):
    """Learns from events and recommends items."""

    async def add_items(self, keys: Sequence[str], text: Matrix) -> None:
        """Make items known by the embeddings *text* (n, d) of what they are; known ones keep what was learned."""
        ...

    async def apply(self, events: Sequence[WatchEvent]) -> None:
        """Learn from *events*, in the order of their times and after all that were applied before.

        Events of unknown items are passed over.
        """
        ...

    async def refresh(self) -> None:
        """Bring up to date what is too slow to follow each event: the iALS vectors and the bridge from text."""
        ...

    async def recommend(self, user: str, *, k: int, at: float, excluded: Collection[str] = ()) -> list[Recommendation]:
        """Return the *k* best items for *user* at the time *at*, best first, without *excluded* and what was seen."""
        ...

    async def recommend_from(
        self, history: Sequence[WatchEvent], *, k: int, at: float, excluded: Collection[str] = ()
    ) -> list[Recommendation]:
        """Return what a user with this *history* would be recommended; nothing is learned from it and nothing kept."""
        ...


def is_like(event: WatchEvent) -> bool:
    """Tell whether *event* says that the user likes the item: 8 of 10, or without a rating over 0.7 watched."""
    if event.action == "dismiss":
        return False
    if event.rating is not None:
        return event.rating >= LIKED_RATING
    return event.action == "watch" and event.completion is not None and event.completion > LIKED_COMPLETION


def is_seen(event: WatchEvent) -> bool:
    """Tell whether the item need not be recommended to the user any more; a click or an exposure is too little."""
    return event.action in {"watch", "rating", "dismiss"}
