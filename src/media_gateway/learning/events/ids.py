"""Ids of events: UUIDs of version 7 (RFC 9562), which begin with the time in milliseconds and so sort by it."""

import hashlib
import os
from typing import Final
from uuid import UUID

from media_gateway.json_values import dump
from media_gateway.models import WatchEvent

_VERSION: Final = 7
_VARIANT: Final = 0b10
_REST_BITS: Final = 80
_LARGEST: Final = (1 << _REST_BITS) - 1


def new_id(time: float) -> UUID:
    """Return an id that nobody else makes, of the *time* in Unix seconds, cut to milliseconds."""
    return _id(time, int.from_bytes(os.urandom(10)))


def derived_id(event: WatchEvent) -> UUID:
    """Return the id of *event* that follows from all that it says, so that the same event has the same id anywhere.

    74 bits of a SHA-256 tell events of one millisecond apart.
    """
    said = (
        event.user,
        event.key,
        event.action,
        event.completion,
        event.rating,
        event.rank,
        event.source,
        event.version,
        None if event.list_id is None else str(event.list_id),
        None if event.context is None else dict(sorted(event.context.items())),
    )
    return _id(event.time, int.from_bytes(hashlib.sha256(dump(list(said))).digest()[:10]))


def time_of(event_id: UUID) -> float:
    """Return the time of an id, Unix seconds in whole milliseconds."""
    return (event_id.int >> _REST_BITS) / 1000


def is_time_ordered(event_id: UUID) -> bool:
    """Tell whether *event_id* is of version 7, as the ids of events are."""
    return event_id.version == _VERSION


def first_id(time: float) -> UUID:
    """Return the smallest number that an id of the *time* can be; it is a bound and no id."""
    return UUID(int=milliseconds(time) << _REST_BITS)


def last_id(event_id: UUID) -> UUID:
    """Return the largest number that an id of the same millisecond can be."""
    return UUID(int=event_id.int | _LARGEST)


def milliseconds(time: float) -> int:
    """Return *time* in whole milliseconds; what a float cannot hold exactly is brought back to the nearest one."""
    # 1700000000.123 is stored a little lower; cutting it as it stands would lose a millisecond on each way.
    return int(time * 1000 + 1e-3)


def _id(time: float, rest: int) -> UUID:
    number = milliseconds(time) << _REST_BITS | rest & _LARGEST
    number = number & ~(0xF << 76) | _VERSION << 76
    return UUID(int=number & ~(0b11 << 62) | _VARIANT << 62)
