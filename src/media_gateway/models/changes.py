"""What became known of a collection's changes, and how far a reader has come."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ChangePosition:
    """A place in the change log *log*: everything before *number* of *transaction* was read.

    A log belongs to one database of one server. A copy of the database, made from a backup say, has another log.
    """

    log: str
    transaction: int
    number: int


@dataclass(frozen=True, kw_only=True)
class ChangedKeys:
    """The keys that were written or removed behind a position, and the *position* to go on from.

    *is_everything* means that any record may have changed: after a bulk load, or when the log no longer reaches back
    so far. *is_end* means that nothing further could be read at that moment.
    """

    keys: Sequence[str]
    is_everything: bool
    is_end: bool
    position: ChangePosition
