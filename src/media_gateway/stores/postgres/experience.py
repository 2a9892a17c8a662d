"""What searches under a condition came to, remembered for a minute: how many rows passed, and how walks of the index ended."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_SECONDS: Final = 60.0
_CONDITIONS: Final = 1_000


@dataclass(kw_only=True)
class Experience:
    """Of one condition; it counts until *valid_until*, by the monotonic clock.

    *passed* rows, None when nobody looked, about so many where it *is_sampled*; and *walks* of the index, of which *filled*
    found as many rows as they were to.
    """

    valid_until: float
    passed: int | None = None
    is_sampled: bool = False
    walks: int = 0
    filled: int = 0

    @property
    def chance(self) -> float:
        """How likely the next walk finds enough: as often as those that were tried, and one more that did."""
        return (self.filled + 1) / (self.walks + 1)


class Experiences:
    """Those of the conditions that were asked for last, by an identity that only equal conditions share."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Experience] = OrderedDict()

    def of(self, identity: str) -> Experience:
        """Return what is known of the condition; nothing, where that is a minute old."""
        known = self._known.get(identity)
        if known is None or known.valid_until <= time.monotonic():
            return Experience(valid_until=0.0)
        return known

    def passed(self, identity: str, number: int, *, is_sampled: bool = False) -> None:
        """Remember that *number* rows passed, about so many where a sample told."""
        known = self._kept(identity)
        known.passed, known.is_sampled = number, is_sampled

    def walked(self, identity: str, *, is_filled: bool) -> None:
        """Remember how a walk of the index ended."""
        known = self._kept(identity)
        known.walks += 1
        known.filled += is_filled

    def _kept(self, identity: str) -> Experience:
        known = self.of(identity)
        if not known.valid_until:
            known.valid_until = time.monotonic() + _SECONDS
            self._known[identity] = known
        self._known.move_to_end(identity)
        if len(self._known) > _CONDITIONS:
            self._known.popitem(last=False)
        return known
