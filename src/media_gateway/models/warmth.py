"""What bringing a collection's index into memory came to."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

WarmingWay: TypeAlias = Literal["pg_prewarm", "searches", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Prewarmed:
    """How many *bytes* were read in how many *seconds*, and *how*.

    "pg_prewarm" read the index, and rows as far as they fit, page after page. "searches" walked the index where that
    extension cannot be had; what they read is not counted. "nothing" is there to read.
    """

    bytes: int
    seconds: float
    how: WarmingWay
