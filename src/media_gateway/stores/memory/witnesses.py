"""Recall as new records meet it: queries that the graph does not know yet.

Queries made of records that have nodes flatter narrow searches, however they are moved: the node that a query was made of
leads to the others. So records are searched for just before they get nodes of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from media_gateway.models import Vector
from media_gateway.stores.memory.calibration import RECALL_AT, SAME_SCORE, best_of
from media_gateway.stores.memory.records import RecordsView, Slots

WANTED: Final = 400
FEWEST: Final = 200
"""Witnesses on whose word a width may be chosen: the standard error of a recall of .96 is then .006."""
FEWEST_NODES: Final = 1_000
"""Nodes below which nothing is asked: there a narrow search saves nothing."""
_GROWTH_OF_MISSES: Final = 0.5
"""The power of the number of nodes by which the misses of a width grow: .3 to .6 each time that short texts' vectors, points
in clusters and points without structure double, from 1,250 to 5,000 nodes, and less from there on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Witness:
    """A record of direction *unit* that was searched for when the graph had so many *nodes*, none of them its own.

    *found* are the nodes that searches of each width came to.
    """

    unit: Vector
    nodes: int
    found: Sequence[npt.NDArray[np.int64]]


def recalls(view: RecordsView, slot_of: npt.NDArray[np.int64], witnesses: Sequence[Witness], size: int) -> list[float]:
    """Return for each width which share of the true neighbours the *witnesses* would find among *size* nodes.

    That is what they found of those that are there still, its misses grown as the graph has since. *slot_of* gives the
    slot of each node in *view*, -1 where the record is gone.
    """
    nodes = np.flatnonzero(slot_of >= 0)
    units = np.stack([witness.unit for witness in witnesses])
    limits = np.array([witness.nodes for witness in witnesses])
    best = best_of(view, slot_of[nodes], units, RECALL_AT, is_late=lambda part: nodes[part] >= limits[:, np.newaxis])
    missed = RECALL_AT - np.array(
        [
            [_hits(view, slot_of[found], witness.unit, worst) for found in witness.found]
            for witness, worst in zip(witnesses, best.scores[:, -1].tolist(), strict=True)
        ]
    )
    grown = (size / np.maximum(limits, 1)[:, np.newaxis]) ** _GROWTH_OF_MISSES
    return np.maximum(1 - (missed * grown).mean(axis=0) / RECALL_AT, 0).tolist()


def _hits(view: RecordsView, slots: Slots, unit: Vector, worst: float) -> int:
    there = slots[slots >= 0]
    scores = (view.vectors[there] @ unit) * view.inverse_norms[there]
    return min(int(np.count_nonzero(scores >= worst - SAME_SCORE)), RECALL_AT)
