"""Reasons of recommendations claim no more than is known."""

from typing import Any

import pytest

from media_gateway.learning.interests.fusion import SOURCES
from media_gateway.learning.interests.model import Recommendation
from media_gateway.learning.postgres.recommending import Ranked
from media_gateway.learning.wording import reason_of


def ranked(shares: dict[str, float], *, because: str | None = None, **given: Any) -> Ranked:
    made = Recommendation(key="a", score=1.0, shares=dict.fromkeys(SOURCES, 0.0) | shares, because=because)
    return Ranked(recommendation=made, **{"metadata": {}, **given})


@pytest.mark.parametrize(
    ("likes", "words"), [(1, "liked by one user"), (9, "liked by 9 users"), (10, "liked by many lately")]
)
def test_few_who_like_something_are_counted(likes: int, words: str) -> None:
    assert reason_of(ranked({"recent": 1.0}, likes=likes)) == words
    liked = reason_of(ranked({"recent": 0.9, "text": 0.1}, likes=likes, because="b", because_title="Alien"))
    assert liked == f"{words}, and you liked Alien"


def test_what_the_user_likes_is_named_by_its_title_or_its_key() -> None:
    assert reason_of(ranked({"behaviour": 1.0}, because="b", because_title="Alien")) == "because you liked Alien"
    assert reason_of(ranked({"behaviour": 1.0}, because="b")) == "because you liked b"
    assert reason_of(ranked({"text": 1.0})) == "close to what you watch"


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"vote_average": 8.53, "vote_count": 1234}, "rated 8.53 of 10 by 1,234 votes"),
        ({"vote_average": 8, "vote_count": 1}, "rated 8 of 10 by one vote"),
        ({"vote_average": 8.0, "vote_count": True}, "rated 8 of 10"),
        ({"vote_average": 8.0, "vote_count": "many"}, "rated 8 of 10"),
        ({"vote_average": 8.0, "vote_count": 10**400}, "rated 8 of 10"),
        ({"vote_average": 87.0, "vote_count": 3}, "rated 87 by 3 votes"),
    ],
)
def test_ratings_are_told_as_the_record_has_them(metadata: dict[str, Any], words: str) -> None:
    assert reason_of(ranked({}, metadata=metadata, by="rated")) == words
