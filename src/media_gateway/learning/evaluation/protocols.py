"""What is asked of a recommender, and what would have been right: the cases of each protocol.

G asks for returning users at the start of a window what they will like in it. C5 and C20 ask for users who come after
all training what they will like after their first 5 or 20 likes; in the tails the most popular tenth of the items is
neither candidate nor answer. See docs/learning.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from media_gateway.learning.evaluation.log import EventLog
from media_gateway.learning.interests.arrays import Ids

PROTOCOLS: Final = ("G", "C5", "C20", "C5 tail", "C20 tail")
DEPTH: Final = 10
GUEST_LIKES: Final = (5, 20)
_POPULAR_SHARE: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Question:
    """A user to recommend to at a time: all that a method may know beside the log up to the cut.

    *history* are the places in the log of what the user did so far, *left_out* the rows of items that are not asked
    for: those seen and, in a tail, the popular ones.
    """

    protocol: str
    user: int
    history: Ids
    left_out: Ids
    at: float
    is_guest: bool


@dataclass(frozen=True, kw_only=True)
class Case:
    """A *question*, and the rows of the items that the user liked later."""

    question: Question
    relevant: Ids


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Cases that are asked of a method that has learned from the first *cut* events of the log."""

    cut: int
    cases: list[Case]


def stages(log: EventLog, *, guests: tuple[float, float], windows: Sequence[float]) -> list[Stage]:
    """Return the cases of all protocols on *log*, by their cuts.

    Guests start after the first share of the log and are followed up to the second; *windows* are the shares at which
    one window for returning users ends and the next begins.
    """
    start, end = log.cut(guests[0]), log.cut(guests[1])
    popular = most_popular(log, start)
    asked = {start: guest_cases(log, start, end, popular)}
    for first, last in pairwise(windows):
        cut = log.cut(first)
        asked.setdefault(cut, []).extend(returning_cases(log, cut, log.cut(last)))
    return [Stage(cut=cut, cases=cases) for cut, cases in sorted(asked.items())]


def reported_stages(log: EventLog) -> list[Stage]:
    """Return what is reported: guests after 70 %, windows 70-80, 80-90 and 90-100 %."""
    return stages(log, guests=(0.7, 1.0), windows=(0.7, 0.8, 0.9, 1.0))


def tuning_stages(log: EventLog) -> list[Stage]:
    """Return what settings are chosen by: the same questions on the first 70 % of *log* alone."""
    return stages(log.before(log.cut(0.7)), guests=(5 / 7, 1.0), windows=(5 / 7, 6 / 7, 1.0))


def most_popular(log: EventLog, cut: int) -> Ids:
    """Return the rows of the tenth of all items with most likes among the first *cut* events."""
    likes = np.bincount(log.rows[:cut][log.liked[:cut]], minlength=len(log.items.keys))
    return np.argsort(-likes, kind="stable")[: int(_POPULAR_SHARE * len(likes))]


def returning_cases(log: EventLog, cut: int, end: int) -> list[Case]:
    """Return a case for each user with events before *cut* and likes of other items from there to *end*."""
    cases: list[Case] = []
    for user, places in enumerate(log.by_user):
        past, future = places[places < cut], places[(places >= cut) & (places < end)]
        seen = np.unique(log.rows[past])
        relevant = np.setdiff1d(log.rows[future][log.liked[future]], seen)
        if len(past) and len(relevant):
            question = Question(
                protocol="G", user=user, history=past, left_out=seen, at=float(log.times[cut]), is_guest=False
            )
            cases.append(Case(question=question, relevant=relevant))
    return cases


def guest_cases(log: EventLog, cut: int, end: int, popular: Ids, *, steps: Sequence[int] = GUEST_LIKES) -> list[Case]:
    """Return the cases of users whose first event is at *cut* or later, after each of *steps* likes, whole and tail."""
    cases: list[Case] = []
    for user, every in enumerate(log.by_user):
        places = every[every < end]
        if not len(places) or places[0] < cut:
            continue
        for likes in steps:
            case = _guest_case(log, user, places, likes)
            if case is None:
                continue
            cases.append(case)
            rest = np.setdiff1d(case.relevant, popular)
            if len(rest):
                asked = case.question
                tail = Question(
                    protocol=f"{asked.protocol} tail",
                    user=user,
                    history=asked.history,
                    left_out=np.union1d(asked.left_out, popular),
                    at=asked.at,
                    is_guest=True,
                )
                cases.append(Case(question=tail, relevant=rest))
    return cases


def _guest_case(log: EventLog, user: int, places: Ids, likes: int) -> Case | None:
    liked = np.flatnonzero(log.liked[places])
    if len(liked) <= likes:
        return None
    end = int(liked[likes - 1]) + 1
    history, later = places[:end], places[end:]
    seen = np.unique(log.rows[history])
    relevant = np.setdiff1d(log.rows[later][log.liked[later]], seen)
    if not len(relevant):
        return None
    question = Question(
        protocol=f"C{likes}",
        user=user,
        history=history,
        left_out=seen,
        at=float(log.times[history[-1]]),
        is_guest=True,
    )
    return Case(question=question, relevant=relevant)
