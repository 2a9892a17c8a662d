"""A log of events as arrays, in the order in which a learner would have met them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from media_gateway.errors import InvalidInputError
from media_gateway.learning.interests.arrays import Flags, Ids, Numbers, ids, places
from media_gateway.learning.interests.model import is_like, is_seen
from media_gateway.models import WatchEvent


@dataclass(frozen=True, kw_only=True)
class Items:
    """The items that can be recommended: keys, unit embeddings (n, d) of what they are, and genres and year if known."""

    keys: list[str]
    text: Numbers
    genres: Sequence[Sequence[str]] = ()
    years: Sequence[int | None] = ()

    @cached_property
    def centred(self) -> Numbers:
        """The embeddings less their mean: what is common to all says nothing."""
        return self.text - self.text.mean(axis=0)


@dataclass(frozen=True, kw_only=True)
class EventLog:
    """Events of known items, ordered by time, with equal times in an order drawn at random.

    *users* and *rows* (n,) number the users and the items of *events*; *liked* tells which are likes that no earlier
    event of the same user and item was.
    """

    items: Items
    events: list[WatchEvent]
    names: list[str]
    users: Ids
    rows: Ids
    times: Numbers
    liked: Flags

    def __len__(self) -> int:
        return len(self.events)

    def cut(self, share: float) -> int:
        """Return how many events lie before *share* of the log; events of one instant are not divided."""
        place = min(int(share * len(self)), len(self) - 1)
        return int(np.searchsorted(self.times, float(self.times[place]), side="left")) if share < 1 else len(self)

    def before(self, cut: int) -> "EventLog":
        """Return the log as it stood when it had *cut* events, with all items and users."""
        return EventLog(
            items=self.items,
            events=self.events[:cut],
            names=self.names,
            users=self.users[:cut],
            rows=self.rows[:cut],
            times=self.times[:cut],
            liked=self.liked[:cut],
        )

    @cached_property
    def by_user(self) -> list[Ids]:
        """For each user the places of all events in the log, in their order."""
        order = np.argsort(self.users, kind="stable")
        ends = np.cumsum(np.bincount(self.users, minlength=len(self.names)))
        starts = np.concatenate(([0], ends[:-1]))
        return [order[first:last] for first, last in zip(places(starts), places(ends), strict=True)]


def event_log(items: Items, events: Sequence[WatchEvent], *, seed: int = 0) -> EventLog:
    """Return the log of those *events* that tell what users saw and of which *items* know the key.

    Equal times are ordered at random by *seed*: files often have them in an order that tells more than users knew.
    Raises InvalidInputError when there are fewer than 100 such events.
    """
    numbers = {key: row for row, key in enumerate(items.keys)}
    known = [event for event in events if event.key in numbers and is_seen(event)]
    if len(known) < 100:  # noqa: PLR2004
        raise InvalidInputError(
            f"there are {len(known)} usable events; expected at least 100 ratings or watches of known items",
            field="events",
            given=len(known),
            expected=100,
        )
    chance = np.random.default_rng(seed).permutation(len(known))
    times = np.array([event.time for event in known])
    ordered = [known[place] for place in places(ids(np.lexsort((chance, times))))]
    names = list(dict.fromkeys(event.user for event in ordered))
    people = {name: number for number, name in enumerate(names)}
    liked_before: set[tuple[str, str]] = set()
    return EventLog(
        items=items,
        events=ordered,
        names=names,
        users=ids([people[event.user] for event in ordered]),
        rows=ids([numbers[event.key] for event in ordered]),
        times=np.sort(times),
        liked=np.array([_is_first_like(event, liked_before) for event in ordered]),
    )


def _is_first_like(event: WatchEvent, before: set[tuple[str, str]]) -> bool:
    pair = (event.user, event.key)
    if not is_like(event) or pair in before:
        return False
    before.add(pair)
    return True
