"""Events, and recommendations."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from media_gateway.models import MAX_K
from media_gateway.server.wire.base import EXAMPLE_KEY, Flag, Key, Shown, Whole, Wire

_LIST: Final = "0192e4a0-7b1c-7def-8123-456789abcdef"

Name = Annotated[str, Field(min_length=1, max_length=200, examples=["ann"])]


class EventIn(Wire):
    """What a user did. One that is sent again with the same id, or with the same time and contents, counts once."""

    user: Name
    key: Key
    action: Annotated[
        Literal["watch", "rating", "click", "dismiss", "exposure"],
        Field(description="A watch needs completion or rating, a rating rating; an exposure says what was shown."),
    ] = "watch"
    time: Annotated[
        float | None,
        Field(ge=0, allow_inf_nan=False, description="Unix seconds; by default that of the id, or now."),
    ] = None
    completion: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False, description="The share watched.")] = None
    rating: Annotated[float | None, Field(ge=0, le=10, allow_inf_nan=False)] = None
    id: Annotated[UUID | None, Field(strict=False, description="A UUID of version 7, of the event's time.")] = None
    rank: Annotated[Whole | None, Field(ge=1, le=10_000, description="At which place it was shown, from 1.")] = None
    source: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    version: Annotated[Whole | None, Field(ge=0, le=2**53, description="That of the recommendations.")] = None
    list_id: Annotated[UUID | None, Field(strict=False, description="The list that it was shown or clicked in.")] = None
    context: Annotated[dict[str, Any] | None, Field(description="Anything else, 4,096 characters at most.")] = None


class EventsBody(Wire):
    """What users did."""

    events: Annotated[list[EventIn], Field(min_length=1)]


class Noted(Shown):
    """How many events were taken to be written soon; *dropped* are those for which there was no room: send them again."""

    accepted: int
    dropped: int


EVENTS_EXAMPLES: Final[dict[str, Any]] = {
    "watch": {
        "summary": "Ann watched a film to its end",
        "value": {"events": [{"user": "ann", "key": EXAMPLE_KEY, "completion": 1.0}]},
    },
    "click": {
        "summary": "Bob clicked the third of a list of recommendations",
        "value": {"events": [{"user": "bob", "key": EXAMPLE_KEY, "action": "click", "rank": 3, "list_id": _LIST}]},
    },
}
NOTED_EXAMPLE: Final = {"accepted": 1, "dropped": 0}


class RecommendationsQuery(Wire):
    """The query of a request for recommendations."""

    k: Annotated[int, Field(ge=1, le=MAX_K, strict=False, description="How many.")] = 10
    where: Annotated[
        str | None,
        Field(
            description="A filter as JSON text; its form is that of the schema Filter.",
            examples=['{"media_type": "movie"}'],
        ),
    ] = None
    note: Annotated[
        Flag, Field(description="Keep that they were shown, so that it can be measured what is clicked.")
    ] = True


class RecommendedItem(Shown):
    """One recommendation, what is known of it, and why it is one."""

    key: Annotated[str, Field(examples=[EXAMPLE_KEY])]
    score: Annotated[float, Field(description="What this list is ordered by; it compares with no other list.")]
    reason: str
    because: Annotated[str | None, Field(description="The key of the liked record behind it.")] = None
    source: Annotated[
        str,
        Field(description="The source with the largest share; for what fills a list, what its record is chosen by."),
    ]
    shares: Annotated[dict[str, float], Field(description="What each source says for it; they sum to 1.")]
    metadata: dict[str, Any]


class Recommended(Shown):
    """Recommendations, best first. *list_id* names the list in later events; *likes* is what is known of the user."""

    user: str
    list_id: UUID
    version: int | None
    likes: int
    items: list[RecommendedItem]
    milliseconds: float


RECOMMENDED_EXAMPLE: Final = {
    "user": "ann",
    "list_id": _LIST,
    "version": 3,
    "likes": 12,
    "items": [
        {
            "key": EXAMPLE_KEY,
            "score": 4.21,
            "reason": "because you liked Blade Runner",
            "because": "movie-78",
            "source": "behaviour",
            "shares": {
                "behaviour": 0.55,
                "ials": 0.2,
                "text": 0.1,
                "popularity": 0.1,
                "recent": 0.05,
                "newest": 0.0,
            },
            "metadata": {"id": 603, "media_type": "movie", "title": "The Matrix"},
        }
    ],
    "milliseconds": 6.1,
}
