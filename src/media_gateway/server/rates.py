"""How many requests a second a key may make: a bucket of tokens for each."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MOST_BUCKETS: Final = 10_000
"""Buckets kept; there is one a key, and full ones can be forgotten."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float


class RateLimits:
    """Buckets of *burst* seconds' worth of tokens that fill at each caller's rate; a request takes one token.

    A bucket holds one token at least, so that slow rates let requests through at all.
    """

    def __init__(self, *, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, caller: str, rate: float) -> float:
        """Take a token of *caller*, who may make *rate* requests a second; 0 is any number.

        Returns 0 when there was one, and otherwise the seconds until there will be; then nothing is taken.
        """
        if rate == 0:
            return 0.0
        now = self._clock()
        most = max(1.0, rate * self._burst)
        bucket = self._buckets.get(caller)
        if bucket is None:
            if len(self._buckets) >= _MOST_BUCKETS:
                # Which is more than there are keys: most of these were revoked.
                self._buckets.clear()
            bucket = self._buckets[caller] = _Bucket(tokens=most, filled=now)
        bucket.tokens = min(most, bucket.tokens + (now - bucket.filled) * rate)
        bucket.filled = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0.0
        return (1 - bucket.tokens) / rate
