"""The state of a rollout: numbered entries, of which the highest holds."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, cast, get_args

from media_gateway.errors import InvalidRequestError, shown

Mode: TypeAlias = Literal["off", "shadow", "canary", "on"]
Side: TypeAlias = Literal["memory", "postgres"]

MODES: tuple[Mode, ...] = get_args(Mode)


def other(side: Side) -> Side:
    """Return the side that is not *side*."""
    return "postgres" if side == "memory" else "memory"


@dataclass(frozen=True, kw_only=True)
class RolloutState:
    """One entry: the *mode* that *who* set *at* a time, and *why*.

    *percent* of the users read from PostgreSQL under canary. With *follows* memory is one end of a live move, so that
    nothing is lost by going back; it is false only when the move is over. *tripped* means that the guard turned reads
    back to memory. Entries are ordered by *epoch*; two of one epoch by their time, and then by their id.
    """

    epoch: int
    mode: Mode
    percent: float
    follows: bool = True
    tripped: bool = False
    at: datetime
    who: str
    why: str
    id: str

    @property
    def rank(self) -> tuple[int, datetime, str]:
        """What tells which of two entries holds."""
        return self.epoch, self.at, self.id

    @property
    def truth(self) -> Side:
        """The store that writes go to first: PostgreSQL once the mode is on."""
        return "postgres" if self.mode == "on" else "memory"

    @property
    def is_over(self) -> bool:
        """Whether PostgreSQL stands alone, as it does where no state was ever recorded."""
        return self.mode == "on" and not self.follows

    @property
    def text(self) -> str:
        """The state in few words, such as "canary 25 %, tripped"."""
        words = f"canary {self.percent:g} %" if self.mode == "canary" else self.mode
        if self.is_over:
            words += ", alone"
        return f"{words}, tripped" if self.tripped else words

    def as_json(self) -> dict[str, Any]:
        """Return the entry as a JSON object, from which `parsed` makes it again."""
        return {
            "id": self.id,
            "epoch": self.epoch,
            "mode": self.mode,
            "percent": self.percent,
            "follows": self.follows,
            "tripped": self.tripped,
            "at": self.at.isoformat(),
            "who": self.who,
            "why": self.why,
        }

    @classmethod
    def parsed(cls, value: dict[str, Any]) -> "RolloutState":
        """Return the entry that `as_json` gave; raises KeyError, TypeError or ValueError for anything else."""
        if value["mode"] not in MODES:
            raise ValueError(value["mode"])
        fields: dict[str, Any] = {**value, "at": datetime.fromisoformat(value["at"])}
        return cls(**fields)


def new_state(
    former: RolloutState | None,
    *,
    mode: Mode,
    percent: float,
    who: str,
    why: str,
    follows: bool = True,
    tripped: bool = False,
) -> RolloutState:
    """Return the entry that follows on *former*."""
    return RolloutState(
        epoch=1 if former is None else former.epoch + 1,
        mode=mode,
        percent=percent,
        follows=follows,
        tripped=tripped,
        at=datetime.now(UTC),
        who=who,
        why=why,
        id=str(uuid.uuid4()),
    )


def latest(states: "list[RolloutState]") -> RolloutState | None:
    """Return the entry that holds among *states*, None when there is none."""
    return max(states, key=lambda state: state.rank, default=None)


def checked_mode(mode: str, percent: float | None) -> tuple[Mode, float]:
    """Return the mode that is named and its percent: that of canary is given, the others' follows from them.

    Raises InvalidRequestError.
    """
    if mode not in MODES:
        raise InvalidRequestError(
            f"the mode is {shown(mode)}; expected off, shadow, canary or on", field="mode", given=mode, expected=MODES
        )
    if mode == "canary":
        if percent is None or not 0 < percent < 100:  # noqa: PLR2004  the bounds of a share
            given = "no percent" if percent is None else f"{percent:g}"
            raise InvalidRequestError(
                f"canary was given {given}; expected the percent of users, above 0 and below 100, "
                "for example: rollout set canary 25",
                field="percent",
                given=percent,
                expected="above 0 and below 100",
            )
        return "canary", float(percent)
    if percent is not None:
        raise InvalidRequestError(
            f"{mode} was given {percent:g} percent; only canary takes one", field="percent", given=percent
        )
    return cast("Mode", mode), 100.0 if mode == "on" else 0.0
