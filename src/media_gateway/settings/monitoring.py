"""Settings of what the service tells about itself."""

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from media_gateway.settings.names import named


class MonitoringSettings(BaseSettings):
    """How much is spent on measuring the recall of real searches, and with what a service is watched."""

    recall_sample_share: Annotated[float, Field(validation_alias=named("RUVECTOR_RECALL_SAMPLE_SHARE"), ge=0, le=1)] = (
        0.01
    )
    """The share of searches that are answered again, exactly and in the background; 0 measures nothing."""
    recall_samples_a_minute: Annotated[
        float, Field(validation_alias=named("RUVECTOR_RECALL_SAMPLES_A_MINUTE"), gt=0, le=6000)
    ] = 30.0
    """How many of them a minute at most."""
    api_key: Annotated[SecretStr | None, Field(validation_alias=named("RUVECTOR_API_KEY"))] = None
    """The key that `media-gateway monitor --service` shows to a service that asks for one."""
