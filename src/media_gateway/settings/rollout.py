"""Settings of a rollout's guard."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from media_gateway.settings.names import named


class RolloutSettings(BaseSettings):
    """When the guard turns reads back to memory."""

    guard_error_rate: Annotated[float, Field(validation_alias=named("RUVECTOR_GUARD_ERROR_RATE"), ge=0, le=1)] = 0.01
    """The share of PostgreSQL's searches that may fail."""
    guard_latency_ms: Annotated[float, Field(validation_alias=named("RUVECTOR_GUARD_LATENCY_MS"), gt=0)] = 200.0
    """Milliseconds that 95 of 100 searches must not exceed."""
    guard_overlap: Annotated[float, Field(validation_alias=named("RUVECTOR_GUARD_OVERLAP"), ge=0, le=1)] = 0.8
    """The share of hits that both stores must give, on average."""
    guard_window: Annotated[float, Field(validation_alias=named("RUVECTOR_GUARD_WINDOW"), gt=0)] = 30.0
    """Seconds that the guard looks back."""
    guard_samples: Annotated[int, Field(validation_alias=named("RUVECTOR_GUARD_SAMPLES"), ge=1)] = 50
    """Searches, or comparisons, below which it does not judge."""
