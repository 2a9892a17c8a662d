"""Whether the process lives, whether it can serve, and its metrics."""

from typing import Final

from fastapi import APIRouter, Response
from starlette.responses import PlainTextResponse

from media_gateway.server.answering import TheService, as_json
from media_gateway.server.auth import READ
from media_gateway.server.documentation import KEYED, answers
from media_gateway.server.problems import Problem
from media_gateway.server.wire.health import LIVE_EXAMPLE, READY_EXAMPLE, Live, Ready

router = APIRouter(tags=["operations"])

_METRICS_EXAMPLE: Final = 'media_gateway_searches_total{store="postgres",plan="index"} 1532.0\n'


@router.get(
    "/health/live",
    operation_id="live",
    summary="Does the process live?",
    responses=answers(Live, "It does.", 400, 408, 413, example=LIVE_EXAMPLE),
)
async def live() -> Response:
    """Answer; nothing is looked at."""
    return as_json({"live": True})


@router.get(
    "/health/ready",
    operation_id="ready",
    summary="Can it serve?",
    responses=answers(Ready, "It can.", 400, 408, 413, 503, example=READY_EXAMPLE),
)
async def ready(service: TheService) -> Response:
    """Return the checks, as they were half a second ago at most; 503 when one of them does not pass."""
    readiness = service.readiness()
    if readiness.is_ready:
        return as_json(readiness.as_json())
    failing = "; ".join(f"{check.name}: {check.detail}" for check in readiness.failing)
    problem = Problem(
        status=503,
        code="not-ready",
        detail=f"the service is not ready ({failing})",
        headers={"Retry-After": "1"},
    )
    return problem.response(readiness.as_json())


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics for Prometheus",
    dependencies=[READ],
    response_class=PlainTextResponse,
    responses={
        **answers(None, "", *KEYED),
        200: {
            "description": "Metrics in Prometheus' text format.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": _METRICS_EXAMPLE}},
        },
    },
)
async def metrics(service: TheService) -> Response:
    """Return the metrics of this process."""
    return Response(service.metrics.render(), headers={"Content-Type": service.metrics.content_type})
