"""The guard: figures of a sliding window, and whether they are bad enough to turn reads back."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

_MOST_SAMPLES: Final = 10_000
_FEWEST_BAD: Final = 2
"""Failures that a single unlucky answer does not make."""
_PROBES: Final = 3
"""Looks at the server that must fail one after the other."""


@dataclass(frozen=True, kw_only=True)
class GuardRules:
    """Bounds of the new store's answers over *window* seconds, judged from *fewest* samples on.

    *error_rate* and *overlap* are shares in [0, 1], *p95_ms* the 95th percentile of the latency in milliseconds.
    """

    error_rate: float = 0.01
    p95_ms: float = 200.0
    overlap: float = 0.8
    window: float = 30.0
    fewest: int = 50


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of *values*, not empty, that *share* of them do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


class Guard:
    """Gathers what the new store does; *clock* gives seconds."""

    def __init__(self, rules: GuardRules, clock: Callable[[], float] = time.monotonic) -> None:
        self.rules = rules
        self._clock = clock
        self._answers: deque[tuple[float, float, bool]] = deque(maxlen=_MOST_SAMPLES)
        self._overlaps: deque[tuple[float, float]] = deque(maxlen=_MOST_SAMPLES)
        self._failed_probes = 0

    def answered(self, milliseconds: float) -> None:
        """Note an answer of the new store and how long it took."""
        self._answers.append((self._clock(), milliseconds, False))

    def failed(self, milliseconds: float) -> None:
        """Note that the new store gave no answer, and after how long."""
        self._answers.append((self._clock(), milliseconds, True))

    def compared(self, overlap: float) -> None:
        """Note the share of hits that both stores gave."""
        self._overlaps.append((self._clock(), overlap))

    def probed(self, *, is_there: bool) -> None:
        """Note whether the server answered the process itself, which tells of an outage also when nobody searches."""
        self._failed_probes = 0 if is_there else self._failed_probes + 1

    def reset(self) -> None:
        """Begin anew: an operator set the state, or the mode changed."""
        self._answers.clear()
        self._overlaps.clear()
        self._failed_probes = 0

    def verdict(self) -> str | None:
        """Return why reads must go back to the old store, in a sentence; None when all is well."""
        if self._failed_probes >= _PROBES:
            return f"PostgreSQL did not answer {self._failed_probes} looks in a row"
        self._forget()
        rules = self.rules
        answers = len(self._answers)
        if answers >= rules.fewest:
            bad = sum(failed for _, _, failed in self._answers)
            if bad >= _FEWEST_BAD and bad > rules.error_rate * answers:
                return f"{bad} of {answers} searches failed in {rules.window:g} s, above {rules.error_rate:.1%}"
            p95 = percentile([milliseconds for _, milliseconds, _ in self._answers], 0.95)
            if p95 > rules.p95_ms:
                return f"p95 was {p95:.0f} ms over {answers} searches in {rules.window:g} s, above {rules.p95_ms:g} ms"
        if len(self._overlaps) >= rules.fewest:
            mean = sum(overlap for _, overlap in self._overlaps) / len(self._overlaps)
            if mean < rules.overlap:
                return f"{mean:.0%} of the hits were the same in {len(self._overlaps)} comparisons, below {rules.overlap:.0%}"
        return None

    def figures(self) -> dict[str, Any]:
        """Return the window's figures as a JSON object."""
        self._forget()
        latencies = [milliseconds for _, milliseconds, _ in self._answers]
        overlaps = [overlap for _, overlap in self._overlaps]
        return {
            "searches": len(latencies),
            "failed": sum(failed for _, _, failed in self._answers),
            "p95_ms": round(percentile(latencies, 0.95), 3) if latencies else None,
            "overlap": round(sum(overlaps) / len(overlaps), 4) if overlaps else None,
            "failed_probes": self._failed_probes,
        }

    def _forget(self) -> None:
        oldest = self._clock() - self.rules.window
        for samples in (self._answers, self._overlaps):
            while samples and samples[0][0] < oldest:
                samples.popleft()
