"""Settings of learning."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from media_gateway.settings.names import named


class LearningSettings(BaseSettings):
    """What is kept of what users do."""

    event_days: Annotated[int | None, Field(validation_alias=named("RUVECTOR_EVENT_DAYS"), ge=1, le=36500)] = None
    """Days after which events are forgotten, whole months at a time; by default they are kept."""
    learn: Annotated[bool, Field(validation_alias=named("RUVECTOR_LEARN"))] = True
    """Whether the service learns from events while it runs, on PostgreSQL; else `media-gateway learn run` does."""
