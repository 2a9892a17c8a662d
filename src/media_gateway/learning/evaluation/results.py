"""What an evaluation found: means with intervals, and whether the goals were met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from media_gateway.learning.evaluation.baselines import Parameters
from media_gateway.learning.evaluation.continual import Forgetting, Incremental
from media_gateway.learning.evaluation.metrics import Estimate, mean_estimate, ratio_estimate
from media_gateway.learning.evaluation.protocols import PROTOCOLS
from media_gateway.learning.evaluation.queries import QueryResults
from media_gateway.learning.evaluation.ranking import OURS, Answer

_TEXT: Final = "text"
_TEXT_POPULARITY: Final = "text + popularity"
_EASE: Final = "EASE"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Something that was aimed at: *estimate* is to be at least *wanted*."""

    name: str
    wanted: float
    estimate: Estimate

    @property
    def is_met(self) -> bool:
        """Whether the value, not its whole interval, reaches what is wanted."""
        return self.estimate.value >= self.wanted


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All that one run found. *chosen* are the settings of each baseline for each protocol; *learner* names what learned.

    Where our method was not asked for, nothing learned event by event: *learner* and *ms_an_event* are None.
    """

    events: int
    users: int
    items: int
    learner: str | None
    answers: Sequence[Answer]
    chosen: Mapping[str, Mapping[str, Parameters]]
    incremental: Sequence[Incremental]
    forgetting: Forgetting | None
    queries: QueryResults | None
    seconds: float
    ms_an_event: float | None

    @cached_property
    def protocols(self) -> list[str]:
        """The protocols that have cases, in their usual order."""
        present = {one.case.question.protocol for one in self.answers}
        return [protocol for protocol in PROTOCOLS if protocol in present]

    @cached_property
    def methods(self) -> list[str]:
        """All methods that were asked for, ours last."""
        return sorted(dict.fromkeys(one.method for one in self.answers), key=lambda name: name == OURS)

    def users_of(self, protocol: str) -> int:
        """Return how many users are asked for in *protocol*."""
        return len({one.case.question.user for one in self._of(protocol, self.methods[0])})

    def estimate(self, protocol: str, method: str) -> Estimate:
        """Return the mean NDCG@10 of *method* on *protocol*."""
        answers = self._of(protocol, method)
        return mean_estimate([one.ndcg for one in answers], [one.case.question.user for one in answers])

    def ratio(self, protocol: str, method: str) -> Estimate:
        """Return our mean NDCG@10 on *protocol* over that of *method*, users drawn together."""
        ours, theirs = self._of(protocol, OURS), self._of(protocol, method)
        return ratio_estimate(
            [one.ndcg for one in ours], [one.ndcg for one in theirs], [one.case.question.user for one in ours]
        )

    @cached_property
    def goals(self) -> list[Goal]:
        """What was aimed at on MovieLens-100K, as far as this run tells of it."""
        levels = {"C5": 0.36, "C20": 0.40, "C20 tail": 0.21, "G": 0.19}
        ratios = {
            ("C20 tail", _TEXT): 2.2,
            ("C20 tail", _TEXT_POPULARITY): 2.0,
            ("G", _EASE): 1.1,
            ("G", _TEXT_POPULARITY): 0.95,
            ("C5", _EASE): 1.0,
            ("C20", _EASE): 1.0,
            ("C5 tail", _EASE): 1.0,
            ("C20 tail", _EASE): 1.0,
        }
        found = [
            Goal(name=f"{protocol}, NDCG@10", wanted=wanted, estimate=self.estimate(protocol, OURS))
            for protocol, wanted in levels.items()
            if self._of(protocol, OURS)
        ]
        found.extend(
            Goal(name=f"{protocol}, against {method}", wanted=wanted, estimate=self.ratio(protocol, method))
            for (protocol, method), wanted in ratios.items()
            if self._of(protocol, OURS) and self._of(protocol, method)
        )
        found.extend(
            Goal(name=f"{one.protocol}, per event against a full refresh", wanted=0.98, estimate=one.ratio)
            for one in self.incremental
        )
        if self.forgetting is not None:
            found.append(Goal(name="forgetting, A kept", wanted=0.98, estimate=self.forgetting.a_kept))
            found.append(Goal(name="forgetting, B learned", wanted=0.95, estimate=self.forgetting.b_learned))
        if self.queries is not None:
            found.append(Goal(name="held-out queries, against text", wanted=4.0, estimate=self.queries.gain))
            found.append(
                Goal(
                    name="queries without a filter, against text + popularity",
                    wanted=1.0,
                    estimate=self.queries.other_wordings,
                )
            )
        return found

    def _of(self, protocol: str, method: str) -> list[Answer]:
        return self._grouped.get((protocol, method), [])

    @cached_property
    def _grouped(self) -> dict[tuple[str, str], list[Answer]]:
        groups: dict[tuple[str, str], list[Answer]] = {}
        for one in self.answers:
            groups.setdefault((one.case.question.protocol, one.method), []).append(one)
        # The same cases in the same order for every method, so that methods are compared case by case.
        return {
            key: sorted(group, key=lambda one: (one.case.question.user, one.case.question.at))
            for key, group in groups.items()
        }
