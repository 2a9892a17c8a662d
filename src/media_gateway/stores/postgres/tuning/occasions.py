"""When searches are to be tuned anew without anybody asking."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from media_gateway.models import TuningTrigger

FEWEST_SAMPLES: Final = 50
"""Samples of real searches below which their recall decides nothing."""
FEWEST_SEARCHES: Final = 50
"""Logged searches below which there is nothing real to tune on."""
_GROWN: Final = 1.5
"""A collection so many times as large wants wider searches: about a tenth more on film texts."""


@dataclass(frozen=True, kw_only=True)
class Occasion:
    """A reason to tune: its kind, and the sentence that the audit gets."""

    trigger: TuningTrigger
    reason: str


ASKED: Final = Occasion(trigger="asked", reason="somebody asked for it")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What there is to decide by.

    *recall* of the last *samples* real searches lies between *low* and *high* for 95 percent sure. *rows* are in the table
    now; *tuned_at* and *tuned_rows* are of the last profile, None where there is none. *searches* are in the log, counted up to
    `FEWEST_SEARCHES`; *noted_at* is the last entry of the audit.
    """

    now: datetime
    target: float
    recall: float | None = None
    high: float = 1.0
    samples: int = 0
    rows: int | None = None
    searches: int = 0
    tuned_at: datetime | None = None
    tuned_rows: int | None = None
    noted_at: datetime | None = None


def occasion(standing: Standing, *, pause: timedelta) -> Occasion | None:
    """Return the reason to tune now, None where there is none, or where the last time lies less than *pause* back.

    A recall below the target counts only when it is so for 95 percent sure; growth and a first tuning only with enough
    real searches to measure with.
    """
    lately = max((at for at in (standing.noted_at, standing.tuned_at) if at is not None), default=None)
    if lately is not None and standing.now - lately < pause:
        return None
    if standing.recall is not None and standing.samples >= FEWEST_SAMPLES and standing.high < standing.target:
        return Occasion(
            trigger="recall",
            reason=f"recall of {standing.samples} real searches is {standing.recall:.3f}, surely below {standing.target:g}",
        )
    if standing.searches < FEWEST_SEARCHES:
        return None
    if standing.tuned_rows is None:
        return Occasion(
            trigger="untuned", reason="the collection was never tuned, and there are real searches to tune on"
        )
    if standing.rows is not None and standing.rows >= _GROWN * standing.tuned_rows:
        return Occasion(
            trigger="growth", reason=f"the collection grew from {standing.tuned_rows:,} to {standing.rows:,} records"
        )
    return None
