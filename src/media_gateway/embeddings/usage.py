"""What a service was asked for and what it cost: counters that statistics read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final, Literal


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars for a million of *unit*, as the service published it on *as_of*."""

    dollars: float
    unit: Literal["tokens", "characters"]
    as_of: date


_SEEN: Final = date(2026, 4, 1)

PRICES: Final[Mapping[str, Price]] = {
    "openai/text-embedding-3-small": Price(dollars=0.02, unit="tokens", as_of=_SEEN),
    "openai/text-embedding-3-large": Price(dollars=0.13, unit="tokens", as_of=_SEEN),
    "openai/text-embedding-ada-002": Price(dollars=0.10, unit="tokens", as_of=_SEEN),
    "vertex/gemini-embedding-001": Price(dollars=0.15, unit="tokens", as_of=_SEEN),
    "vertex/text-embedding-004": Price(dollars=0.025, unit="characters", as_of=_SEEN),
    "vertex/text-embedding-005": Price(dollars=0.025, unit="characters", as_of=_SEEN),
    "vertex/text-multilingual-embedding-002": Price(dollars=0.025, unit="characters", as_of=_SEEN),
}
"""List prices of single (not batch) requests, by the name of the vector space's model; discounts are not known here."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one endpoint did so far in this process.

    *requests* counts answered and failed ones alike, repetitions among them; *tokens* and *characters* are what the
    service says that it counted. *cost* is in US dollars at list price, or None when the price is unknown or the
    service did not say what it counted.
    """

    requests: int = 0
    repeated: int = 0
    failed: int = 0
    texts: int = 0
    cut_texts: int = 0
    tokens: int = 0
    characters: int = 0
    cost: float | None = None


class UsageMeter:
    """Counts up a `Usage` at *price*."""

    def __init__(self, price: Price | None) -> None:
        self._price = price
        self._requests = 0
        self._repeated = 0
        self._failed = 0
        self._texts = 0
        self._cut_texts = 0
        self._tokens = 0
        self._characters = 0
        self._is_counted = True

    def count_request(self, *, is_repeated: bool) -> None:
        """Count a request that goes out."""
        self._requests += 1
        self._repeated += is_repeated

    def count_failure(self) -> None:
        """Count a request that brought no vectors."""
        self._failed += 1

    def count_cut(self, texts: int) -> None:
        """Count *texts* that were longer than the model takes."""
        self._cut_texts += texts

    def count_answer(self, *, texts: int, tokens: int | None, characters: int | None) -> None:
        """Count an answer for *texts*, with what the service says that it counted."""
        self._texts += texts
        self._tokens += tokens or 0
        self._characters += characters or 0
        if self._price is not None and (tokens if self._price.unit == "tokens" else characters) is None:
            self._is_counted = False

    def usage(self) -> Usage:
        """Return what was counted so far."""
        return Usage(
            requests=self._requests,
            repeated=self._repeated,
            failed=self._failed,
            texts=self._texts,
            cut_texts=self._cut_texts,
            tokens=self._tokens,
            characters=self._characters,
            cost=self._cost(),
        )

    def _cost(self) -> float | None:
        if self._price is None or not self._is_counted:
            return None
        counted = self._tokens if self._price.unit == "tokens" else self._characters
        return counted * self._price.dollars / 1_000_000


def total(usages: Sequence[Usage]) -> Usage:
    """Return the sum of *usages*; its cost is None when an endpoint that was asked has an unknown one."""
    used = [usage for usage in usages if usage.requests]
    costs = [usage.cost for usage in used]
    known = [cost for cost in costs if cost is not None]
    numbers: dict[str, Any] = {
        name: sum(getattr(usage, name) for usage in usages) for name in asdict(Usage()) if name != "cost"
    }
    return Usage(**numbers, cost=sum(known) if len(known) == len(costs) else None)
