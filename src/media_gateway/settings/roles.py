"""Settings of the roles that `db roles` makes."""

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from media_gateway.settings.names import named


class RoleSettings(BaseSettings):
    """Their names, and passwords that are set each time."""

    app_role: Annotated[str, Field(validation_alias=named("POSTGRES_APP_ROLE"))] = "media_gateway_app"
    """The role that the application logs in as."""
    app_password: Annotated[SecretStr | None, Field(validation_alias=named("POSTGRES_APP_PASSWORD"))] = None
    """Its password; one is generated where a new role gets none."""
    monitor_role: Annotated[str, Field(validation_alias=named("POSTGRES_MONITOR_ROLE"))] = "media_gateway_monitor"
    """The role that watches."""
    monitor_password: Annotated[SecretStr | None, Field(validation_alias=named("POSTGRES_MONITOR_PASSWORD"))] = None
    """Its password, likewise. Where it is given, the service reads what its metrics tell of PostgreSQL as this role."""
