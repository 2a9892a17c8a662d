"""Settings of searching."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from media_gateway.settings.names import named


class SearchSettings(BaseSettings):
    """How well and by what searches are answered."""

    recall_target: Annotated[float, Field(validation_alias=named("RUVECTOR_RECALL_TARGET"), gt=0, le=1)] = 0.95
    """The recall@10 that approximate searches must reach."""
    exact: Annotated[bool, Field(validation_alias=named("RUVECTOR_EXACT"))] = False
    """Whether every search scans all that passes its filter."""
    engine: Annotated[Literal["vector", "ruvector"], Field(validation_alias=named("RUVECTOR_ENGINE"))] = "vector"
    """The PostgreSQL extension in use."""
