"""Recommendations for a user."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from media_gateway.filter_json import condition_from_text
from media_gateway.learning.service import exposures
from media_gateway.models import MAX_KEY_BYTES, Recommended
from media_gateway.server.answering import TheGateway, TheService, as_json, checked_k
from media_gateway.server.auth import READ
from media_gateway.server.documentation import STORED, answers
from media_gateway.server.routing import JsonRoute, decoded_key
from media_gateway.server.wire import learning as wire

router = APIRouter(route_class=JsonRoute, tags=["learning"])


async def _user_of(
    user: Annotated[
        str,
        Path(description="The user, percent-encoded.", max_length=3 * MAX_KEY_BYTES, examples=["ann"]),
    ],
) -> str:
    return decoded_key(user)


@router.get(
    "/v1/users/{user}/recommendations",
    operation_id="recommend",
    summary="Recommend to a user",
    dependencies=[READ],
    responses=answers(
        wire.Recommended, "What suits the user best, best first.", *STORED, example=wire.RECOMMENDED_EXAMPLE
    ),
)
async def recommend(
    service: TheService,
    gateway: TheGateway,
    user: Annotated[str, Depends(_user_of)],
    query: Annotated[wire.RecommendationsQuery, Query()],
) -> Response:
    """Return what suits *user* best, without what was seen, each with its reason; of somebody unknown, what is popular."""
    where = None if query.where is None else condition_from_text(query.where)
    began = time.perf_counter()
    found = await gateway.recommend(user, k=checked_k(query.k, service.settings.http_max_k), where=where)
    milliseconds = (time.perf_counter() - began) * 1000
    if query.note:
        await gateway.note(exposures(found))
    return as_json(
        {
            "user": found.user,
            "list_id": str(found.list_id),
            "version": found.version,
            "likes": found.likes,
            "items": [_shown(item) for item in found.items],
            "milliseconds": round(milliseconds, 3),
        }
    )


def _shown(item: Recommended) -> dict[str, Any]:
    return {
        "key": item.key,
        "score": item.score,
        "reason": item.reason,
        "because": item.because,
        "source": item.source,
        "shares": dict(item.shares),
        "metadata": item.metadata,
    }
