"""What is on record of a tuning."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

TuningTrigger: TypeAlias = Literal["asked", "recall", "growth", "untuned"]
TuningAction: TypeAlias = Literal["tuned", "advised", "failed"]


@dataclass(frozen=True, kw_only=True)
class TuningEntry:
    """One entry of the audit: what *process* did *at* a time, on what *trigger*, and the *reason* in a sentence.

    *recall_sampled* is the recall of *samples* real searches before, None where nobody sampled; *ef_before* and *ef_after*
    are the widths, *recall_after* is what tuning measured at the latter. *advice* are sentences about what else would help.
    *at* is None for an entry that is about to be made.
    """

    process: str
    trigger: TuningTrigger
    action: TuningAction
    reason: str
    target: float
    at: datetime | None = None
    recall_sampled: float | None = None
    samples: int = 0
    table_rows: int | None = None
    ef_before: int | None = None
    ef_after: int | None = None
    recall_after: float | None = None
    advice: Sequence[str] = ()
    seconds: float = 0.0
