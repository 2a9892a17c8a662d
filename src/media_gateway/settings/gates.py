"""Settings of what stands before the HTTP service: keys, hosts, rates and limits."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from media_gateway.settings.names import named


class GateSettings(BaseSettings):
    """Who is let in, and how much of it at a time."""

    keys_path: Annotated[Path, Field(validation_alias=named("RUVECTOR_KEYS_PATH"))] = Path("data/keys.json")
    """The file of API keys."""
    http_allowed_hosts: Annotated[str | None, Field(validation_alias=named("RUVECTOR_HTTP_ALLOWED_HOSTS"))] = None
    """Names that the service is asked by besides localhost and its own address, parted by commas; * is any."""
    http_rate_limit: Annotated[float, Field(validation_alias=named("RUVECTOR_HTTP_RATE_LIMIT"), ge=0)] = 100.0
    """Requests a second that a key may make on average, where it has no rate of its own; 0 is any number."""
    http_rate_burst: Annotated[float, Field(validation_alias=named("RUVECTOR_HTTP_RATE_BURST"), gt=0)] = 5.0
    """Seconds of that rate which a key may save up and spend at once."""
    http_max_in_flight: Annotated[int, Field(validation_alias=named("RUVECTOR_HTTP_MAX_IN_FLIGHT"), ge=1)] = 32
    """Requests that are worked on at once."""
    http_max_queued: Annotated[int, Field(validation_alias=named("RUVECTOR_HTTP_MAX_QUEUED"), ge=0)] = 64
    """Requests that may wait for that."""
    http_queue_seconds: Annotated[float, Field(validation_alias=named("RUVECTOR_HTTP_QUEUE_SECONDS"), gt=0)] = 1.0
    """Seconds that one waits at most."""
    http_request_seconds: Annotated[float, Field(validation_alias=named("RUVECTOR_HTTP_REQUEST_SECONDS"), gt=0)] = 30.0
    """Seconds that a request may be worked on."""
    http_max_body_bytes: Annotated[int, Field(validation_alias=named("RUVECTOR_HTTP_MAX_BODY_BYTES"), ge=1)] = (
        16_777_216
    )
    """Bytes of a request's body."""
    http_header_seconds: Annotated[float, Field(validation_alias=named("RUVECTOR_HTTP_HEADER_SECONDS"), gt=0)] = 10.0
    """Seconds in which the headers of a request must have come."""
    http_body_seconds: Annotated[float, Field(validation_alias=named("RUVECTOR_HTTP_BODY_SECONDS"), gt=0)] = 30.0
    """Seconds in which its body must have come, and in which a client must take in more of an answer."""
    http_max_connections: Annotated[int, Field(validation_alias=named("RUVECTOR_HTTP_MAX_CONNECTIONS"), ge=1)] = 1000
    """Connections open at once."""
