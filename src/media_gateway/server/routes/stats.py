"""The figures of the collection."""

from dataclasses import asdict

from fastapi import APIRouter, Response

from media_gateway.server.answering import TheService, as_json
from media_gateway.server.auth import READ
from media_gateway.server.documentation import STORED, answers
from media_gateway.server.wire.health import STATS_EXAMPLE, Stats

router = APIRouter(tags=["operations"], dependencies=[READ])


@router.get(
    "/v1/stats",
    operation_id="stats",
    summary="Size and make of the collection",
    responses=answers(Stats, "The figures.", *STORED, example=STATS_EXAMPLE),
)
async def stats(service: TheService) -> Response:
    """Return count, model, dimension, sizes and index, as they were two seconds ago at most."""
    shown = asdict(await service.stats())
    # Where the server is, is for those who run it.
    shown["details"].pop("server", None)
    return as_json(shown)
