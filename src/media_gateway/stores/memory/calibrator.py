"""Choosing how widely the index is searched, by measurement, in the thread that keeps the index."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from media_gateway.stores.memory.calibration import RECALL_AT, Trial, trials_of
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.index import Calibration, units_of
from media_gateway.stores.memory.records import RecordsView, Slots
from media_gateway.stores.memory.witnesses import FEWEST, FEWEST_NODES, WANTED, Witness, recalls

_log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.00005
"""Between steps: a thread that waits for a lock gets it only when the holder lets go for a moment."""
_SAFETY: Final = 0.01
"""How far above its target the recall is calibrated: twice the standard error of 400 queries at .95 (0.4 %), and a little
because trials are easier than queries held out where the records are short texts (0.7 % at a width of 40)."""
_PERFECT: Final = 0.9975
_GROWTH: Final = 1.5
"""By how much a collection grows until its width is measured again. Misses grow with it, by up to the root (`witnesses.py`):
the .04 of a width just wide enough for .95 become .049."""
_OFF_THE_DATA: Final = 3.0
"""How many times as much as the target allows trials may miss at a width that witnesses chose. Trials lie partly off the
data, as questions do that are worded otherwise than records, but in clusters farther than any question."""
_MOST: Final = 2 * WANTED
_HELD_SHARE: Final = 4
"""At most one in so many of the records that wait is held back."""


class Calibrator:
    """Measures the recall of the index of *collection*, and sets the smallest width that reaches *recall_target*.

    Widths below the usual ones are chosen on the word of witnesses only: of records that were searched for before they
    got their nodes. Where many wait, a sample of them is held back until all others have theirs; else some are heard as
    they come. Not for several threads, but for `is_due`.
    """

    def __init__(self, collection: Collection, recall_target: float, is_stopped: Callable[[], bool]) -> None:
        self._collection = collection
        self._target = recall_target
        self._goal = min(recall_target + _SAFETY, max(_PERFECT, recall_target))
        self._is_stopped = is_stopped
        self._random = np.random.default_rng(0)
        self._witnesses: list[Witness] = []
        self._is_stale = False

    def is_due(self) -> bool:
        """Tell whether there is something to measure; to be called while the lock is held."""
        index = self._collection.index
        found = index.calibration
        has_grown = self._is_stale or index.living >= _GROWTH * found.count
        return len(index.held) > 0 or has_grown or (not found.is_witnessed and len(self._witnesses) >= WANTED)

    def hold_back(self) -> None:
        """Hold back a sample of the records that wait, when they are many and the width is due when they have nodes."""
        collection = self._collection
        with collection.lock:
            index, found = collection.index, collection.index.calibration
            waiting = index.pending(collection.records, collection.shown)
            size = index.living + len(waiting)
            if len(index.held) or size < FEWEST_NODES or (found.is_witnessed and size < _GROWTH * found.count):
                return
            sample = self.sample(waiting)
            if len(sample):
                self._witnesses.clear()
                index.hold(sample)

    def sample(self, slots: Slots) -> Slots:
        """Return those of *slots* that are to be held back, ascending; none where they would be too few to be believed."""
        count = min(WANTED, len(slots) // _HELD_SHARE)
        if count < FEWEST:
            return slots[:0]
        return np.sort(np.random.default_rng(0).choice(slots, count, replace=False))

    def meet(self, slots: Slots) -> None:
        """Hear some of *slots*, which are about to get their nodes: as many as make up a sample until the width is due."""
        index = self._collection.index
        found = index.calibration
        if len(index.held) or len(index.graph) < FEWEST_NODES:
            return
        share = WANTED / max((_GROWTH - 1) * found.count, WANTED) if found.is_witnessed else 1.0
        drawn = slots[self._random.random(len(slots)) < share]
        self._hear(drawn[: max(_MOST - len(self._witnesses), 0)])

    def begin_anew(self, left_out: Slots) -> None:
        """Measure a graph that was built anew, and that *left_out* are not in; to be called while the lock is held."""
        self._witnesses.clear()
        self._collection.index.hold(left_out)
        self._is_stale = True

    def go_on(self) -> None:
        """Hear those that were held back and let them have nodes, or, when there are none, choose the width."""
        index = self._collection.index
        if not len(index.held):
            self._calibrate()
            return
        self._hear(index.held)
        with self._collection.lock:
            index.release()

    def _hear(self, slots: Slots) -> None:
        collection = self._collection
        generation = collection.generation
        for slot in slots:
            chosen = np.array([slot])
            with collection.lock:
                records, index = collection.records, collection.index
                if self._is_stopped() or generation != collection.generation:
                    return
                if not records.alive[slot] or index.nodes_of(chosen)[0] >= 0:
                    continue
                (unit,) = units_of(records.vectors, records.inverse_norms, chosen)
            found: list[Slots] = []
            for expansion in collection.tuning.narrow_expansions:
                with collection.lock:
                    found.append(index.nodes_of(index.search(unit, self._count(), expansion).slots))
            time.sleep(PAUSE_SECONDS)
            self._witnesses.append(Witness(unit=unit, nodes=len(index.graph), found=found))

    def _calibrate(self) -> None:
        collection = self._collection
        with collection.lock:
            index, records = collection.index, collection.records
            scene = _Scene(view=records.view(), nodes=index.graph.slots.copy(), generation=collection.generation)
            slots, living = records.living(), index.living
        trials = trials_of(scene.view, slots)
        found = self._narrow(scene, trials) or self._wide(scene, trials)
        is_witnessed = len(self._witnesses) >= FEWEST
        with collection.lock:
            if found is None or scene.generation != collection.generation:
                return
            collection.index.calibration = replace(found, count=living, is_witnessed=is_witnessed)
        self._witnesses.clear()
        self._is_stale = False
        if found.expansion is None:
            _log.warning("the index finds %.3f of the true neighbours at best; searches scan instead", found.recall)

    def _narrow(self, scene: "_Scene", trials: Sequence[Trial]) -> Calibration | None:
        """Return the smallest narrow width at which the witnesses, and nearly the *trials*, find enough."""
        if len(self._witnesses) < FEWEST:
            return None
        most_missed = _OFF_THE_DATA * (1 - self._target)
        widths, size = self._collection.tuning.narrow_expansions, len(scene.nodes)
        for width, found in zip(widths, recalls(scene.view, scene.nodes, self._witnesses, size), strict=True):
            if found >= self._goal and 1 - self._recall(scene.view, trials, width) <= most_missed:
                return Calibration(expansion=width, recall=found, count=0)
        return None

    def _wide(self, scene: "_Scene", trials: Sequence[Trial]) -> Calibration | None:
        """Return the smallest usual width at which *trials* find enough; None when slots were numbered anew meanwhile."""
        found = 1.0
        for expansion in self._collection.tuning.expansions:
            if self._is_stopped() or scene.generation != self._collection.generation:
                return None
            found = self._recall(scene.view, trials, expansion)
            if found >= self._goal:
                return Calibration(expansion=expansion, recall=found, count=0)
        return Calibration(expansion=None, recall=found, count=0)

    def _recall(self, view: RecordsView, trials: Sequence[Trial], expansion: int) -> float:
        collection = self._collection
        found = 0
        for trial in trials:
            with collection.lock:
                nearby = collection.index.search(trial.query.unit, self._count(), expansion)
            found += trial.hits(view, nearby.best(RECALL_AT))
            time.sleep(PAUSE_SECONDS)
        return found / max(sum(trial.count for trial in trials), 1)

    def _count(self) -> int:
        """Return how many nodes are asked for, so that enough of those left are records that are there."""
        index = self._collection.index
        return RECALL_AT + (index.gone * RECALL_AT) // max(index.living, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scene:
    """What is measured: records, the slot of each node, and the generation of the slots' numbers."""

    view: RecordsView
    nodes: npt.NDArray[np.int64]
    generation: int
