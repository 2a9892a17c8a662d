"""Events: what users did."""

import time
from typing import Annotated

from fastapi import APIRouter, Body, Response

from media_gateway.errors import InvalidRequestError
from media_gateway.learning.events import time_of
from media_gateway.models import WatchEvent
from media_gateway.server.answering import TheGateway, TheService, as_json
from media_gateway.server.auth import WRITE
from media_gateway.server.documentation import STORED, answers
from media_gateway.server.routing import JsonRoute
from media_gateway.server.wire.learning import EVENTS_EXAMPLES, NOTED_EXAMPLE, EventIn, EventsBody, Noted

router = APIRouter(route_class=JsonRoute, tags=["learning"])


@router.post(
    "/v1/events",
    operation_id="note_events",
    summary="Note what users did",
    dependencies=[WRITE],
    status_code=202,
    responses=answers(Noted, "They will be written within moments.", *STORED, 415, status=202, example=NOTED_EXAMPLE),
)
async def note(
    service: TheService, gateway: TheGateway, body: Annotated[EventsBody, Body(openapi_examples=EVENTS_EXAMPLES)]
) -> Response:
    """Keep what users did, to learn from it; nobody waits for the database."""
    most = service.settings.http_max_batch
    if len(body.events) > most:
        raise InvalidRequestError(
            f"the body has {len(body.events):,} events; expected at most {most:,}, or what RUVECTOR_HTTP_MAX_BATCH says",
            field="events",
            given=len(body.events),
            expected=most,
        )
    now = time.time()
    taken = await gateway.note([_event(event, now) for event in body.events])
    return as_json({"accepted": taken, "dropped": len(body.events) - taken}, status=202)


def _event(given: EventIn, now: float) -> WatchEvent:
    when = given.time
    if when is None:
        when = now if given.id is None else time_of(given.id)
    return WatchEvent(
        user=given.user,
        key=given.key,
        time=when,
        action=given.action,
        completion=given.completion,
        rating=given.rating,
        id=given.id,
        rank=given.rank,
        source=given.source,
        version=given.version,
        list_id=given.list_id,
        context=given.context,
    )
