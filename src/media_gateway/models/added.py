"""What became of what was given to be stored."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Added:
    """What `Gateway.add` did: *written* records are new or changed, *unchanged* ones were there already."""

    written: int
    unchanged: int
