"""What an event must be before it is kept."""

import time as clock
from dataclasses import replace
from typing import Final, get_args

from media_gateway.errors import InvalidInputError, shown
from media_gateway.json_values import canonical_object
from media_gateway.learning.events.ids import derived_id, is_time_ordered, milliseconds, time_of
from media_gateway.models import WatchAction, WatchEvent
from media_gateway.preference_math import checked_rating, checked_share
from media_gateway.validation import checked_key

AHEAD_SECONDS: Final = 300.0
"""How far a clock of whoever sends events may run before ours."""
MOST_CONTEXT_BYTES: Final = 4_096
_MOST_RANK: Final = 10_000
_MOST_SOURCE: Final = 64
_ACTIONS: Final = get_args(WatchAction)


def checked_event(event: WatchEvent, *, now: float | None = None) -> WatchEvent:
    """Return *event* with its id, its time in whole milliseconds, and its context in the form of jsonb.

    Raises InvalidKeyError for a user or key that is not 1 to 512 bytes of text, InvalidMetadataError for a context that is
    no JSON object, and InvalidInputError for another action, a completion outside 0..1, a rating outside 0..10, a watch
    or rating that says neither, a rank outside 1..10,000, a time before 1970 or more than five minutes ahead of *now*, or an id
    that is not of version 7 or of another time.
    """
    checked_key(event.user, name="user")
    checked_key(event.key)
    if event.action not in _ACTIONS:
        raise _refused("action", event.action, f"one of {', '.join(_ACTIONS)}")
    _check_numbers(event)
    _check_time(event, clock.time() if now is None else now)
    context = None if event.context is None else canonical_object(dict(event.context), field="context")
    if context is not None and len(repr(context)) > MOST_CONTEXT_BYTES:
        raise _refused("context", f"{len(repr(context)):,} characters", f"at most {MOST_CONTEXT_BYTES:,}")
    checked = replace(event, time=milliseconds(event.time) / 1000, context=context)
    return checked if event.id is not None else replace(checked, id=derived_id(checked))


def _check_numbers(event: WatchEvent) -> None:
    if event.completion is not None:
        checked_share(event.completion, "completion")
    if event.rating is not None:
        checked_rating(event.rating)
    if event.action == "rating" and event.rating is None:
        raise _refused("rating", None, "a number from 0 to 10 in a rating")
    if event.action == "watch" and event.completion is None and event.rating is None:
        raise _refused("completion", None, "the share that was watched, from 0 to 1, in a watch")
    rank = event.rank
    if rank is not None and (isinstance(rank, bool) or not 1 <= rank <= _MOST_RANK):
        raise _refused("rank", rank, f"a whole number from 1 to {_MOST_RANK:,}")
    if event.source is not None and not 1 <= len(checked_key(event.source, name="source")) <= _MOST_SOURCE:
        raise _refused("source", event.source, f"at most {_MOST_SOURCE} characters")


def _check_time(event: WatchEvent, now: float) -> None:
    # Written so that NaN is refused too.
    if not 0 <= event.time <= now + AHEAD_SECONDS:
        raise _refused("time", event.time, "Unix seconds from 1970 until now")
    if event.id is None:
        return
    if not is_time_ordered(event.id):
        raise _refused("id", str(event.id), "a UUID of version 7, or no id")
    if milliseconds(time_of(event.id)) != milliseconds(event.time):
        raise _refused("id", str(event.id), "a UUID of version 7 of the event's own time, or no id")


def _refused(field: str, given: object, expected: str) -> InvalidInputError:
    return InvalidInputError(
        f"the event's {field} is {shown(given)}; expected {expected}", field=field, given=given, expected=expected
    )
