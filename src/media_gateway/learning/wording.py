"""Why something is recommended, in words that claim no more than is known."""

from collections.abc import Mapping
from typing import Any, Final

from media_gateway.learning.interests.fusion import SOURCES, VECTOR_SOURCES
from media_gateway.learning.postgres.recommending import Ranked

_MANY: Final = 10
"""Users who like something, from which on they are many; fewer are counted."""
_WHEN: Final = {"popularity": "", "recent": " lately", "newest": " these days"}
_RATED_OF: Final = 10
"""What ratings reach to, where they do not go beyond."""

_MOST_VOTES: Final = 10**9
"""Beyond them a count of votes is none."""


def reason_of(ranked: Ranked) -> str:
    """Return why *ranked* is recommended: the liked item behind it, who else likes it, or what its record says."""
    made = ranked.recommendation
    if ranked.by is not None:
        return _standing(ranked.by, ranked.metadata)
    shares = made.shares
    taste = sum(shares[name] for name in SOURCES[:VECTOR_SOURCES])
    most = max(SOURCES[VECTOR_SOURCES:], key=lambda name: shares[name])
    if made.because is None:
        return "close to what you watch" if taste > shares[most] else _popular(most, ranked.likes)
    name = ranked.because_title or made.because
    return (
        f"because you liked {name}"
        if taste >= shares[most]
        else f"{_popular(most, ranked.likes)}, and you liked {name}"
    )


def _popular(source: str, likes: int) -> str:
    if likes >= _MANY:
        return f"liked by many{_WHEN[source]}"
    return "liked by one user" if likes == 1 else f"liked by {likes} users"


def _standing(by: str, metadata: Mapping[str, Any]) -> str:
    match by:
        case "rated":
            average = float(metadata["vote_average"])
            of = f" of {_RATED_OF}" if average <= _RATED_OF else ""
            return f"rated {average:.3g}{of}{_by_votes(metadata.get('vote_count'))}"
        case "famous":
            return "popular, as its record says"
        case "released":
            return f"released on {metadata['release_date']}"
        case _:
            return "in the collection"


def _by_votes(votes: object) -> str:
    if isinstance(votes, bool) or not isinstance(votes, int | float) or not 1 <= votes <= _MOST_VOTES:
        return ""
    return " by one vote" if votes < 2 else f" by {int(votes):,} votes"  # noqa: PLR2004  from two on they are several
