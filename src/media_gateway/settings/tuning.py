"""Settings of searches that tune themselves."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from media_gateway.settings.names import named


class TuningSettings(BaseSettings):
    """What a service may do to the searches of PostgreSQL by itself."""

    self_tuning: Annotated[Literal["off", "advise", "on"], Field(validation_alias=named("RUVECTOR_SELF_TUNING"))] = (
        "advise"
    )
    """Whether it tunes when recall falls or the collection grows, only tells so in the audit, or does not look."""
    self_tuning_hours: Annotated[float, Field(validation_alias=named("RUVECTOR_SELF_TUNING_HOURS"), gt=0)] = 6.0
    """Hours that lie between two tunings, or two entries that one is due, at least."""
    self_tuning_least_ef: Annotated[
        int, Field(validation_alias=named("RUVECTOR_SELF_TUNING_LEAST_EF"), ge=1, le=1000)
    ] = 20
    """The narrowest search without a filter that it may choose."""
    self_tuning_most_ef: Annotated[
        int, Field(validation_alias=named("RUVECTOR_SELF_TUNING_MOST_EF"), ge=1, le=1000)
    ] = 400
    """The widest one."""
