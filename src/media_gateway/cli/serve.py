"""`serve`: the gateway over HTTP."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from media_gateway.cli.options import BackendOption, JsonOption, examples, place, read_settings
from media_gateway.cli.output import note

if TYPE_CHECKING:
    from media_gateway.server.service import Service
    from media_gateway.settings import Settings

HostOption = Annotated[
    str | None,
    typer.Option(help="The address to listen on, 127.0.0.1 by default; others need an API key.", show_default=False),
]
PortOption = Annotated[
    int | None, typer.Option(help="The port, 8080 by default; 0 takes a free one.", show_default=False)
]


def serve(
    context: typer.Context,
    host: HostOption = None,
    port: PortOption = None,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer HTTP requests until Ctrl-C or SIGTERM; what is under way is finished then.

    A line tells the address as soon as requests are answered. The log, on stderr, has one JSON object a line. While
    PostgreSQL is away /health/ready says so, and the service recovers by itself.
    """
    from media_gateway.server.logs import log_as_json
    from media_gateway.server.serving import serve as serve_http

    settings = read_settings(context, backend, http_host=host, http_port=port)
    log_as_json(settings)
    serve_http(settings, lambda address, service: _tell(address, service, settings, as_json=as_json))


SERVE_EXAMPLES = examples(
    "media-gateway serve",
    "media-gateway serve --backend postgres --port 9000",
    "RUVECTOR_HTTP_PORT=0 media-gateway serve --json",
)


def _tell(address: str, service: "Service", settings: "Settings", *, as_json: bool) -> None:
    readiness = service.readiness()
    if as_json:
        # On one line, for whoever reads it while the service runs.
        typer.echo(json.dumps({"address": address, "ready": readiness.is_ready, "backend": settings.backend}))
    else:
        typer.echo(f"media-gateway answers at {address} ({place(settings)}); its interface: {address}/openapi.json")
    sys.stdout.flush()
    if not readiness.is_ready:
        failing = "; ".join(f"{check.name}: {check.detail}" for check in readiness.failing)
        note(f"not ready yet ({failing}); it becomes so by itself")
