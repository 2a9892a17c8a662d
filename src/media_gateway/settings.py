"""The settings, and the only reader of the environment.

An argument wins over the environment, which wins over a `.env` file in the working folder, which wins over the
default. Names are those of `.env.example`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from media_gateway.errors import SettingsError, shown

Backend = Literal["memory", "postgres"]
EmbeddingProvider = Literal["auto", "local", "openai", "vertex", "own"]


def _named(*names: str) -> Any:
    """Return an alias that takes the environment's *names* and, first of all, the argument's own."""
    return AliasChoices(*names)


class Settings(BaseSettings):
    """Everything that an operator can choose.

    Built by `Settings.read(...)`, which raises SettingsError in one sentence where pydantic would list its findings.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", populate_by_name=True, frozen=True
    )

    backend: Annotated[Backend, Field(validation_alias=_named("RUVECTOR_BACKEND"))] = "memory"
    """Where vectors live. Under memory no PostgreSQL connection is ever opened."""
    memory_path: Annotated[Path, Field(validation_alias=_named("RUVECTOR_MEMORY_PATH"))] = Path("data/memory.snap")
    """The memory store's snapshot; its journal lies beside it."""
    dimension: Annotated[int | None, Field(validation_alias=_named("RUVECTOR_DIMENSION"), ge=1, le=4000)] = None
    """Numbers of a vector; by default what the embedder gives."""
    recall_target: Annotated[float, Field(validation_alias=_named("RUVECTOR_RECALL_TARGET"), gt=0, le=1)] = 0.95
    """The recall@10 that approximate searches must reach."""
    exact: Annotated[bool, Field(validation_alias=_named("RUVECTOR_EXACT"))] = False
    """Whether every search scans all that passes its filter."""
    engine: Annotated[Literal["vector", "ruvector"], Field(validation_alias=_named("RUVECTOR_ENGINE"))] = "vector"
    """The PostgreSQL extension in use."""
    embedded_path: Annotated[Path, Field(validation_alias=_named("RUVECTOR_EMBEDDED_PATH"))] = Path("data/embedded")
    """The folder of the embedded PostgreSQL."""
    auto_migrate: Annotated[bool | None, Field(validation_alias=_named("RUVECTOR_AUTO_MIGRATE"))] = None
    """Whether opening a store brings its schema up to date; by default on the embedded server and in empty databases."""

    database_url: Annotated[SecretStr | None, Field(validation_alias=_named("DATABASE_URL"))] = None
    postgres_host: Annotated[str | None, Field(validation_alias=_named("POSTGRES_HOST"))] = None
    postgres_port: Annotated[int | None, Field(validation_alias=_named("POSTGRES_PORT"), ge=1, le=65535)] = None
    postgres_db: Annotated[str | None, Field(validation_alias=_named("POSTGRES_DB"))] = None
    postgres_user: Annotated[str | None, Field(validation_alias=_named("POSTGRES_USER"))] = None
    postgres_password: Annotated[SecretStr | None, Field(validation_alias=_named("POSTGRES_PASSWORD"))] = None
    pool_min: Annotated[int, Field(validation_alias=_named("POSTGRES_POOL_MIN"), ge=0, le=1000)] = 2
    pool_max: Annotated[int, Field(validation_alias=_named("POSTGRES_POOL_MAX"), ge=1, le=1000)] = 20
    pool_timeout: Annotated[float, Field(validation_alias=_named("POSTGRES_POOL_TIMEOUT"), gt=0)] = 30.0
    """Seconds that a caller waits for a free connection."""
    statement_timeout: Annotated[float, Field(validation_alias=_named("POSTGRES_STATEMENT_TIMEOUT"), gt=0)] = 10.0
    """Seconds that a serving statement may take."""
    transaction_pooler: Annotated[bool, Field(validation_alias=_named("POSTGRES_TRANSACTION_POOLER"))] = False
    """Whether a pooler in transaction mode, such as PgBouncer, stands before the server."""

    embedding_provider: Annotated[EmbeddingProvider, Field(validation_alias=_named("EMBEDDING_PROVIDER"))] = "auto"
    """What embeds texts. `auto` is Vertex AI where a project is named, else OpenAI where a key is, else local; `own`
    means that vectors come ready-made and no text is embedded."""
    own_model: Annotated[str | None, Field(validation_alias=_named("RUVECTOR_MODEL"))] = None
    """The name of the model that makes vectors of one's own."""
    embedding_timeout: Annotated[float, Field(validation_alias=_named("EMBEDDING_TIMEOUT"), gt=0)] = 30.0
    """Seconds that one request to a service may take."""
    embedding_deadline: Annotated[float, Field(validation_alias=_named("EMBEDDING_DEADLINE"), gt=0)] = 120.0
    """Seconds that a request may take with its repetitions and the pauses among them."""
    embedding_concurrency: Annotated[int, Field(validation_alias=_named("EMBEDDING_CONCURRENCY"), ge=1, le=1000)] = 4
    """Requests to a service under way at once."""
    embedding_batch_size: Annotated[int | None, Field(validation_alias=_named("EMBEDDING_BATCH_SIZE"), ge=1)] = None
    """The most texts of a request, for servers that take fewer than the service that they imitate."""
    embedding_cache_seconds: Annotated[float, Field(validation_alias=_named("EMBEDDING_CACHE_SECONDS"), ge=0)] = 300.0
    """Seconds that a vector stays in memory; 0 keeps none."""
    embedding_cache_size: Annotated[int, Field(validation_alias=_named("EMBEDDING_CACHE_SIZE"), ge=0)] = 10_000
    """Vectors in memory at most; 0 keeps none."""
    embedding_cache_table: Annotated[bool, Field(validation_alias=_named("EMBEDDING_CACHE_TABLE"))] = True
    """Whether vectors of a service are kept in PostgreSQL too, where that is the backend."""

    openai_api_key: Annotated[SecretStr | None, Field(validation_alias=_named("OPENAI_API_KEY"))] = None
    openai_base_url: Annotated[str | None, Field(validation_alias=_named("OPENAI_BASE_URL"))] = None
    """The endpoint, OpenAI's own by default; several of one model are parted by commas."""
    openai_embedding_model: Annotated[str, Field(validation_alias=_named("OPENAI_EMBEDDING_MODEL"), min_length=1)] = (
        "text-embedding-3-small"
    )
    openai_send_dimensions: Annotated[bool, Field(validation_alias=_named("OPENAI_SEND_DIMENSIONS"))] = True
    """Whether requests name the dimension; false for models of one size, which refuse it."""
    vertex_project: Annotated[str | None, Field(validation_alias=_named("VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"))] = (
        None
    )
    vertex_location: Annotated[
        str | None, Field(validation_alias=_named("VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION"))
    ] = None
    """The region, us-central1 by default; several are parted by commas."""
    vertex_embedding_model: Annotated[str, Field(validation_alias=_named("VERTEX_EMBEDDING_MODEL"), min_length=1)] = (
        "text-embedding-005"
    )
    vertex_base_url: Annotated[str | None, Field(validation_alias=_named("VERTEX_BASE_URL"))] = None
    """A private endpoint in place of the region's own."""

    @field_validator(
        "database_url",
        "postgres_host",
        "postgres_port",
        "postgres_db",
        "postgres_user",
        "postgres_password",
        "dimension",
        "auto_migrate",
        "embedding_batch_size",
        "own_model",
        "openai_api_key",
        "openai_base_url",
        "vertex_project",
        "vertex_location",
        "vertex_base_url",
        mode="before",
    )
    @classmethod
    def _empty_means_unset(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _pool_sizes_agree(self) -> Self:
        if self.pool_min > self.pool_max:
            raise ValueError(
                f"POSTGRES_POOL_MIN is {self.pool_min}; expected at most POSTGRES_POOL_MAX, {self.pool_max}"
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
            raise _explained(error) from None

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
            return _parsed_url(self.database_url)
        password = self.postgres_password.get_secret_value() if self.postgres_password else None
        parameters = {
            "host": self.postgres_host or "localhost",
            "port": self.postgres_port or 5432,
            "dbname": self.postgres_db or "media_vectors",
            "user": self.postgres_user or "media_gateway",
            "password": password,
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


def _explained(error: ValidationError) -> SettingsError:
    finding = error.errors(include_url=False, include_context=False)[0]
    name = str(finding["loc"][0]) if finding["loc"] else "settings"
    field = Settings.model_fields.get(name)
    secret = field is not None and "Secret" in str(field.annotation)
    given = "(hidden)" if secret else finding.get("input")
    if finding["type"] == "literal_error":
        message = f"{name} is {shown(given)}; expected {_choices(name)}"
    elif finding["type"] == "value_error":
        message = finding["msg"].removeprefix("Value error, ")
    else:
        message = f"{name} is {shown(given)}; {finding['msg'][0].lower()}{finding['msg'][1:]}"
    return SettingsError(message, field=name, given=given, expected=finding["msg"])


def _choices(name: str) -> str:
    for field_name, field in Settings.model_fields.items():
        aliases = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else []
        if name == field_name or name in aliases:
            values = getattr(field.annotation, "__args__", ())
            return " or ".join(repr(value) for value in values)
    return "another value"
