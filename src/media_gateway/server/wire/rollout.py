"""The state of a rollout, as it is read and set."""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from media_gateway.server.wire.base import Shown, Wire

ModeName = Literal["off", "shadow", "canary", "on"]


class RolloutBody(Wire):
    """The mode to set; *percent* goes with canary."""

    mode: ModeName
    percent: Annotated[
        float | None, Field(ge=0, le=100, description="Of canary: the share of users on PostgreSQL.")
    ] = None
    reason: Annotated[str, Field(max_length=500, description="Why, for the history.")] = ""
    discard: Annotated[
        bool, Field(description="At the first state: let what only the store that follows has be lost.")
    ] = False
    alone: Annotated[
        bool, Field(description="With on: end the move; memory follows no longer, there is no way back.")
    ] = False


class RollbackBody(Wire):
    """Back to memory, reads and writes, also while PostgreSQL is away."""

    reason: Annotated[str, Field(max_length=500, description="Why, for the history.")] = ""


class RolloutShown(Shown):
    """The state that holds, and what the process that serves says of it."""

    state: Annotated[str, Field(examples=["canary 25 %"])]
    mode: ModeName | None
    percent: float | None
    epoch: int | None
    at: str | None
    who: str | None
    why: str | None
    tripped: bool
    postgres: Annotated[str, Field(description="answers, or does not answer; with an admin key what it says.")]
    service: dict[str, Any] | None


class RolloutChanged(Shown):
    """What was set, and what became of it."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    sentence: str
    former: Annotated[str | None, Field(alias="from")]
    to: str
    epoch: int
    recorded: Annotated[bool, Field(description="Whether PostgreSQL has it too, not only this machine's file.")]
    seconds: Annotated[float | None, Field(description="After which the process that serves had switched.")]
    remarks: list[str]


ROLLOUT_EXAMPLES: Final[dict[str, Any]] = {
    "canary": {
        "summary": "A quarter of the users",
        "value": {"mode": "canary", "percent": 25, "reason": "shadow looked good"},
    },
    "on": {"summary": "All of them", "value": {"mode": "on", "reason": "canary looked good"}},
}
SHOWN_EXAMPLE: Final[dict[str, Any]] = {
    "state": "canary 25 %",
    "mode": "canary",
    "percent": 25.0,
    "epoch": 4,
    "at": "2026-05-04T10:20:30.123+00:00",
    "who": "key ops",
    "why": "shadow looked good",
    "tripped": False,
    "postgres": "answers",
    "service": {"reads": "memory and PostgreSQL", "truth": "memory", "is_complete": True},
}
CHANGED_EXAMPLE: Final[dict[str, Any]] = {
    "sentence": "rollout is canary 25 % (epoch 4); process 4711 switched after 0.12 s",
    "from": "shadow",
    "to": "canary 25 %",
    "epoch": 4,
    "recorded": True,
    "seconds": 0.12,
    "remarks": [],
}
