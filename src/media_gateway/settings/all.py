"""The settings, and the only reader of the environment.

An argument wins over the environment, which wins over a `.env` file in the working folder, which wins over the
default. Names are those of `.env.example`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from media_gateway.errors import SettingsError
from media_gateway.settings.embedding import EmbeddingSettings
from media_gateway.settings.explained import explained
from media_gateway.settings.gates import GateSettings
from media_gateway.settings.learning import LearningSettings
from media_gateway.settings.monitoring import MonitoringSettings
from media_gateway.settings.names import named
from media_gateway.settings.postgres import PostgresSettings
from media_gateway.settings.roles import RoleSettings
from media_gateway.settings.rollout import RolloutSettings
from media_gateway.settings.search import SearchSettings
from media_gateway.settings.service import ServiceSettings
from media_gateway.settings.tuning import TuningSettings

Backend = Literal["memory", "postgres"]


class Settings(
    SearchSettings,
    PostgresSettings,
    RoleSettings,
    EmbeddingSettings,
    RolloutSettings,
    ServiceSettings,
    GateSettings,
    MonitoringSettings,
    TuningSettings,
    LearningSettings,
):
    """Everything that an operator can choose.

    Built by `Settings.read(...)`, which raises SettingsError in one sentence where pydantic would list its findings.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", populate_by_name=True, frozen=True
    )

    backend: Annotated[Backend, Field(validation_alias=named("RUVECTOR_BACKEND"))] = "memory"
    """Where vectors live. Under memory no PostgreSQL connection is ever opened."""
    memory_path: Annotated[Path, Field(validation_alias=named("RUVECTOR_MEMORY_PATH"))] = Path("data/memory.snap")
    """The memory store's snapshot; its journal lies beside it."""
    dimension: Annotated[int | None, Field(validation_alias=named("RUVECTOR_DIMENSION"), ge=1, le=4000)] = None
    """Numbers of a vector; by default what the embedder gives."""
    embedded_path: Annotated[Path, Field(validation_alias=named("RUVECTOR_EMBEDDED_PATH"))] = Path("data/embedded")
    """The folder of the embedded PostgreSQL."""
    backup_path: Annotated[Path, Field(validation_alias=named("RUVECTOR_BACKUP_PATH"))] = Path("data/backups")
    """The folder of backups."""
    auto_migrate: Annotated[bool | None, Field(validation_alias=named("RUVECTOR_AUTO_MIGRATE"))] = None
    """Whether opening a store brings its schema up to date; by default on the embedded server and in empty databases."""

    @field_validator("*", mode="before")
    @classmethod
    def _empty_means_unset(cls, value: object, info: ValidationInfo) -> object:
        field = cls.model_fields[info.field_name or ""]
        return None if value == "" and field.default is None else value

    @model_validator(mode="after")
    def _pool_sizes_agree(self) -> Self:
        if self.pool_min > self.pool_max:
            raise ValueError(
                f"POSTGRES_POOL_MIN is {self.pool_min}; expected at most POSTGRES_POOL_MAX, {self.pool_max}"
            )
        return self

    @model_validator(mode="after")
    def _widths_agree(self) -> Self:
        if self.self_tuning_least_ef > self.self_tuning_most_ef:
            raise ValueError(
                f"RUVECTOR_SELF_TUNING_LEAST_EF is {self.self_tuning_least_ef}; expected at most "
                f"RUVECTOR_SELF_TUNING_MOST_EF, {self.self_tuning_most_ef}"
            )
        return self

    @classmethod
    def read(cls, **arguments: Any) -> Self:
        """Return the settings that *arguments*, the environment, `.env` and the defaults give together.

        Arguments bear the names of the fields; None counts as not given. Raises SettingsError.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        unknown = sorted(given.keys() - cls.model_fields.keys())
        if unknown:
            raise SettingsError(
                f"there is no setting {unknown[0]!r}; the settings are {', '.join(sorted(cls.model_fields))}",
                field=unknown[0],
            )
        try:
            return cls(**given)
        except ValidationError as error:
            raise explained(error, cls.model_fields) from None

    @property
    def is_embedded(self) -> bool:
        """Whether PostgreSQL means the embedded server: none of the variables that name another one is set."""
        named = (
            self.database_url,
            self.postgres_host,
            self.postgres_port,
            self.postgres_db,
            self.postgres_user,
            self.postgres_password,
        )
        return all(value is None for value in named)

    def conninfo(self) -> dict[str, Any]:
        """Return libpq's connection parameters of the server that the settings name, the password among them.

        Raises SettingsError, without quoting it, when DATABASE_URL is not a connection string.
        """
        if self.database_url is not None:
            # What the address leaves open: a wish for TLS must not be dropped silently.
            return self.tls_parameters() | _parsed_url(self.database_url)
        password = self.postgres_password.get_secret_value() if self.postgres_password else None
        parameters = {
            "host": self.postgres_host or "localhost",
            "port": self.postgres_port or 5432,
            "dbname": self.postgres_db or "media_vectors",
            "user": self.postgres_user or "media_gateway",
            "password": password,
            **self.tls_parameters(),
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def server(self) -> str:
        """Return how messages name the server: user, host, port and database, never a password."""
        if self.is_embedded:
            return f"the embedded PostgreSQL in {self.embedded_path}"
        if self.database_url is None:
            given = self.conninfo()
            return f"{given['user']}@{given['host']}:{given['port']}/{given['dbname']}"
        given = {"host": "localhost", "port": 5432, "user": "", "dbname": ""} | _parsed_url(self.database_url)
        return f"{given['user']}@{given['host']}:{given['port']}/{given['dbname']}"


def _parsed_url(url: SecretStr) -> dict[str, Any]:
    # Imported here: under the memory backend nothing of PostgreSQL is needed.
    from psycopg import ProgrammingError  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        return dict(conninfo_to_dict(url.get_secret_value()))
    except ProgrammingError:
        # The driver's message quotes the string, password and all.
        raise SettingsError(
            "DATABASE_URL is not a connection string (value hidden); expected "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters of the password percent-encoded",
            field="DATABASE_URL",
            given="(hidden)",
            expected="postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        ) from None
