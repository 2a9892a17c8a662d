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
    hybrid_text_weight: Annotated[float, Field(validation_alias=named("RUVECTOR_HYBRID_TEXT_WEIGHT"), gt=0, le=1e3)] = (
        2.0
    )
    """What a place in the ranking by words counts in hybrid searches."""
    hybrid_vector_weight: Annotated[
        float, Field(validation_alias=named("RUVECTOR_HYBRID_VECTOR_WEIGHT"), gt=0, le=1e3)
    ] = 1.0
    """What a place in the ranking by vectors counts there."""
    index: Annotated[Literal["auto", "vector", "halfvec"], Field(validation_alias=named("RUVECTOR_INDEX"))] = "auto"
    """Which index searches of PostgreSQL walk; auto is the halfvec index where there is one."""
    search_log_share: Annotated[float, Field(validation_alias=named("RUVECTOR_SEARCH_LOG_SHARE"), ge=0, le=1)] = 0.01
    """The share of searches that are kept in PostgreSQL, where that is the backend; 0 keeps none."""
    search_log_text: Annotated[bool, Field(validation_alias=named("RUVECTOR_SEARCH_LOG_TEXT"))] = False
    """Whether the words of those searches are kept too."""
    search_log_days: Annotated[int, Field(validation_alias=named("RUVECTOR_SEARCH_LOG_DAYS"), ge=1, le=3650)] = 30
    """Days after which they are forgotten."""
    search_log_rows: Annotated[int, Field(validation_alias=named("RUVECTOR_SEARCH_LOG_ROWS"), ge=1)] = 100_000
    """How many are kept at most; the oldest go first."""
