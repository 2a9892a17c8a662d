"""How a search was answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

SearchWay: TypeAlias = Literal["scan", "index", "count"]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The way that a search went, why, and what it took.

    *way* is `scan` (all that passes is compared, or what a sketch of it does not rule out), `index` (the index is walked and filtered) or `count` (what passes is
    counted up to *turn*, then the cheaper of the two). *reason* says in words why. *rows* bounds how many records
    pass, None where that is not known; *turn* is the number of them from which on the index is the cheaper way.
    *index* and *ef_search*, its width, are None for a scan; *candidates* are those fetched from it before the best k
    are taken by their exact scores. *exact* tells that everything that passes was compared in the end, *hits* how many
    came back, *milliseconds* how long the store took. *statement* and *plan* are the SQL and what the server did with
    it, None and empty where there is no server.
    """

    backend: str
    way: SearchWay
    reason: str
    exact: bool
    hits: int
    milliseconds: float
    rows: tuple[int, int] | None = None
    turn: int | None = None
    index: str | None = None
    ef_search: int | None = None
    candidates: int | None = None
    statement: str | None = None
    plan: Sequence[str] = ()
