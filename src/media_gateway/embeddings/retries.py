"""Asking again: exponential back-off with jitter, as long as the service wants it, within one deadline."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

from media_gateway.embeddings.services import Answer, Fault, unreachable


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and how long: at most *attempts* requests within *deadline* seconds, pauses among them.

    One request may take *timeout* seconds. The pause before the second one is half to all of *first_pause* seconds at
    random, twice that before each further one, never over *longest_pause*. A service that asks for a longer pause
    (Retry-After) gets it, up to *longest_wait* seconds; one that asks for more is given up at once.
    """

    attempts: int = 6
    timeout: float = 30.0
    deadline: float = 120.0
    first_pause: float = 0.5
    longest_pause: float = 20.0
    longest_wait: float = 60.0

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after so many *failures*, at least 1."""
        whole = min(self.longest_pause, self.first_pause * 2 ** (failures - 1))
        return whole * random.uniform(0.5, 1)  # noqa: S311 - spreads callers in time, guards nothing


async def repeated(attempt: Callable[[bool], Awaitable[Answer | Fault]], policy: RetryPolicy) -> Answer | Fault:
    """Return the answer of *attempt*, called until it is one, its fault is not transient, or patience ends.

    *attempt* is told whether it is a repetition. A fault that is returned says how often the service was asked.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + policy.deadline
    failures = 0
    while True:
        outcome = await _limited(attempt, min(policy.timeout, end - loop.time()), is_repeated=failures > 0)
        if isinstance(outcome, Answer) or not outcome.is_transient:
            return outcome
        failures += 1
        wait = max(policy.pause(failures), outcome.retry_after or 0)
        if outcome.retry_after is not None and outcome.retry_after > policy.longest_wait:
            return _given_up(outcome, f" and asks to wait {outcome.retry_after:.0f} s")
        if failures >= policy.attempts or loop.time() + wait >= end:
            spent = policy.deadline - (end - loop.time())
            return _given_up(outcome, f", {failures} times in {spent:.0f} s" if failures > 1 else "")
        await asyncio.sleep(wait)


async def _limited(
    attempt: Callable[[bool], Awaitable[Answer | Fault]], seconds: float, *, is_repeated: bool
) -> Answer | Fault:
    # The SDKs' own time limits start anew with every byte that arrives.
    try:
        async with asyncio.timeout(seconds):
            return await attempt(is_repeated)
    except TimeoutError:
        return unreachable(f"gave no whole answer within {seconds:.3g} s")


def _given_up(fault: Fault, how: str) -> Fault:
    return replace(fault, reason=f"{fault.reason}{how}", is_transient=False)


def retry_after(value: str | None, *, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks to wait, from 0, or None when it says nothing usable.

    RFC 9110, 10.2.3: whole seconds, or an HTTP date; fractions of a second are taken too.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now or datetime.now(UTC))
    return max(0.0, seconds) if seconds is not None and isfinite(seconds) else None


def _seconds_until(date: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()
