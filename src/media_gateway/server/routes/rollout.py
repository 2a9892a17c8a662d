"""Steering the move from memory to PostgreSQL, for operators."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from media_gateway.errors import UnsupportedError
from media_gateway.server.answering import TheService, as_json
from media_gateway.server.auth import Admin, Reader
from media_gateway.server.documentation import STORED, answers
from media_gateway.server.exchange import Caller
from media_gateway.server.keys import Scope
from media_gateway.server.routing import JsonRoute
from media_gateway.server.wire.rollout import (
    CHANGED_EXAMPLE,
    ROLLOUT_EXAMPLES,
    SHOWN_EXAMPLE,
    RollbackBody,
    RolloutBody,
    RolloutChanged,
    RolloutShown,
)
from media_gateway.settings import Settings
from media_gateway.steering.changes import Change, Wish, change, roll_back
from media_gateway.steering.facts import read_status

router = APIRouter(route_class=JsonRoute, tags=["rollout"])

_FOR_OPERATORS = ("failure", "stuck", "differing")
_ANSWERS = "answers"


@router.get(
    "/v1/rollout",
    operation_id="rollout",
    summary="The state of the rollout",
    responses=answers(RolloutShown, "The state.", *STORED, example=SHOWN_EXAMPLE),
)
async def rollout(service: TheService, caller: Reader) -> Response:
    """Return which store answers and which is the truth; PostgreSQL need not answer."""
    found = await read_status(_moving(service.settings))
    return as_json(found if caller.scope == Scope.admin else _for_readers(found))


@router.post(
    "/v1/rollout",
    operation_id="set_rollout",
    summary="Set the mode of the rollout",
    responses=answers(RolloutChanged, "It is set.", *STORED, 415, example=CHANGED_EXAMPLE),
)
async def set_rollout(
    service: TheService, caller: Admin, body: Annotated[RolloutBody, Body(openapi_examples=ROLLOUT_EXAMPLES)]
) -> Response:
    """Set off, shadow, canary or on, as media-gateway rollout set does, and wait a while for this process to switch."""
    wish = Wish(
        mode=body.mode,
        percent=body.percent,
        reason=body.reason,
        may_discard=body.discard,
        alone=body.alone,
        who=_name(caller),
    )
    settings = _moving(service.settings)
    return _changed(await change(settings, wish))


@router.post(
    "/v1/rollback",
    operation_id="rollback",
    summary="Back to memory at once",
    responses=answers(RolloutChanged, "It is set.", *STORED, 415, example=CHANGED_EXAMPLE),
)
async def rollback(
    service: TheService,
    caller: Admin,
    body: Annotated[RollbackBody, Body(examples=[{"reason": "slow answers"}])],
) -> Response:
    """Turn reads and writes back to memory, also while PostgreSQL is away, as media-gateway rollback does."""
    settings = _moving(service.settings)
    return _changed(await roll_back(settings, body.reason, who=_name(caller), verify=False))


def _moving(settings: Settings) -> Settings:
    """Return *settings*; raises UnsupportedError under memory, where no connection to PostgreSQL is opened."""
    if settings.backend == "memory":
        raise UnsupportedError(
            "this service runs with RUVECTOR_BACKEND=memory, which asks no PostgreSQL; a rollout counts under postgres",
            feature="rollout",
            store="memory",
        )
    return settings


def _name(caller: Caller) -> str:
    return f"key {caller.name}"


def _changed(done: Change) -> Response:
    shown = {"sentence": done.sentence, **done.as_json()}
    shown.pop("verified")
    return as_json(shown)


def _for_readers(found: dict[str, Any]) -> dict[str, Any]:
    """Return *found* without who set it, what names servers, and what others searched for."""
    service: dict[str, Any] | None = found["service"]
    if service is not None:
        service = {name: value for name, value in service.items() if name not in _FOR_OPERATORS}
    postgres = _ANSWERS if found["postgres"] == _ANSWERS else "does not answer"
    return {**found, "who": None, "why": None, "guard": None, "postgres": postgres, "service": service}
