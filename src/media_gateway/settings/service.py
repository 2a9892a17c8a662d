"""Settings of the HTTP service itself: where it listens, and how much one request may ask for."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from media_gateway.settings.names import named


class ServiceSettings(BaseSettings):
    """The address of `media-gateway serve`, the size of one request's work, and how long stopping may take."""

    http_host: Annotated[str, Field(validation_alias=named("RUVECTOR_HTTP_HOST"), min_length=1)] = "127.0.0.1"
    """The address to listen on; any other than loopback needs keys."""
    http_port: Annotated[int, Field(validation_alias=named("RUVECTOR_HTTP_PORT"), ge=0, le=65535)] = 8080
    """The port to listen on; 0 takes a free one."""
    http_max_k: Annotated[int, Field(validation_alias=named("RUVECTOR_HTTP_MAX_K"), ge=1, le=10_000)] = 1_000
    """The most hits that one request may ask for."""
    http_max_batch: Annotated[int, Field(validation_alias=named("RUVECTOR_HTTP_MAX_BATCH"), ge=1, le=10_000)] = 1_000
    """The most contents or records that one request may bring."""
    http_shutdown_seconds: Annotated[
        float, Field(validation_alias=named("RUVECTOR_HTTP_SHUTDOWN_SECONDS"), gt=0, le=3600)
    ] = 30.0
    """Seconds that requests under way get to end when the service is stopped."""
