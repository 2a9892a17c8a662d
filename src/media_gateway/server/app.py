"""The HTTP application: routes, gates and problem documents put together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI
from starlette.middleware import Middleware

from media_gateway.monitoring.metrics import Metrics
from media_gateway.server.documentation import DESCRIPTION, document
from media_gateway.server.gates import gates
from media_gateway.server.hosts import is_loopback
from media_gateway.server.http_metrics import HttpMetrics
from media_gateway.server.refusals import answer_with_problems
from media_gateway.server.routes import (
    console,
    contents,
    events,
    health,
    operations,
    recommendations,
    rollout,
    search,
    stats,
)
from media_gateway.server.routing import RawKeys
from media_gateway.server.service import Service
from media_gateway.settings import Settings

START_SECONDS: Final = 10.0
"""How long the service waits for its store before it listens; afterwards it tells callers that it is not ready."""

_TAGS: Final = [
    {"name": "search", "description": "Finding records."},
    {"name": "contents", "description": "Writing, reading and removing records."},
    {"name": "learning", "description": "What users do, and what suits them; on PostgreSQL."},
    {"name": "rollout", "description": "Moving from memory to PostgreSQL, for operators."},
    {"name": "operations", "description": "How the service and its store are."},
]


def build_app(settings: Settings) -> FastAPI:
    """Return the application; the gateway is opened when it starts and closed when it ends.

    `app.state` has the *service*, and in *counts* the metrics of requests. Starting raises SettingsError, and under
    `memory` what keeps the store from opening; a PostgreSQL that is away keeps nothing from starting.
    """
    metrics = Metrics()
    counts = HttpMetrics(metrics.registry)
    service = Service(settings, metrics=metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await service.start(patience=START_SECONDS)
        try:
            yield
        finally:
            app.state.repeats.close()
            await service.aclose()

    app = FastAPI(
        title="media-gateway",
        summary="The vector layer of a film and series discovery product.",
        description=DESCRIPTION,
        version=version("media-gateway"),
        openapi_tags=_TAGS,
        lifespan=lifespan,
        # Their pages fetch scripts from elsewhere, which the content security policy forbids.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(RawKeys), *gates(settings, counts=counts)],
    )
    app.state.service = service
    app.state.counts = counts
    for module in (search, contents, events, recommendations, stats, operations, rollout, health, console):
        app.include_router(module.router)
    answer_with_problems(app)
    document(app, reads_are_open=is_loopback(settings.http_host))
    return app
