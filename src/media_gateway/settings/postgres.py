"""Settings of the PostgreSQL server and the pool of connections to it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from media_gateway.settings.names import named

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class PostgresSettings(BaseSettings):
    """Which server, and how it is used."""

    database_url: Annotated[SecretStr | None, Field(validation_alias=named("DATABASE_URL"))] = None
    postgres_host: Annotated[str | None, Field(validation_alias=named("POSTGRES_HOST"))] = None
    postgres_port: Annotated[int | None, Field(validation_alias=named("POSTGRES_PORT"), ge=1, le=65535)] = None
    postgres_db: Annotated[str | None, Field(validation_alias=named("POSTGRES_DB"))] = None
    postgres_user: Annotated[str | None, Field(validation_alias=named("POSTGRES_USER"))] = None
    postgres_password: Annotated[SecretStr | None, Field(validation_alias=named("POSTGRES_PASSWORD"))] = None
    postgres_sslmode: Annotated[SslMode | None, Field(validation_alias=named("POSTGRES_SSLMODE"))] = None
    """How much of TLS a connection to one's own server must have; verify-full is the one to use across a network."""
    postgres_sslrootcert: Annotated[str | None, Field(validation_alias=named("POSTGRES_SSLROOTCERT"))] = None
    """The file of the authorities' certificates that are trusted, or `system`."""
    postgres_sslcert: Annotated[Path | None, Field(validation_alias=named("POSTGRES_SSLCERT"))] = None
    """The file of the client's own certificate."""
    postgres_sslkey: Annotated[Path | None, Field(validation_alias=named("POSTGRES_SSLKEY"))] = None
    """The file of its key."""
    postgres_bin_dir: Annotated[Path | None, Field(validation_alias=named("POSTGRES_BIN_DIR"))] = None
    """The folder of pg_dump and pg_restore; by default those that fit the server are looked for."""
    pool_min: Annotated[int, Field(validation_alias=named("POSTGRES_POOL_MIN"), ge=0, le=1000)] = 2
    pool_max: Annotated[int, Field(validation_alias=named("POSTGRES_POOL_MAX"), ge=1, le=1000)] = 20
    pool_timeout: Annotated[float, Field(validation_alias=named("POSTGRES_POOL_TIMEOUT"), gt=0)] = 30.0
    """Seconds that a caller waits for a free connection."""
    statement_timeout: Annotated[float, Field(validation_alias=named("POSTGRES_STATEMENT_TIMEOUT"), gt=0)] = 10.0
    """Seconds that a serving statement may take."""
    transaction_pooler: Annotated[bool, Field(validation_alias=named("POSTGRES_TRANSACTION_POOLER"))] = False
    """Whether a pooler in transaction mode, such as PgBouncer, stands before the server."""

    def tls_parameters(self) -> dict[str, Any]:
        """Return what is set of TLS as libpq's parameters."""
        given = {
            "sslmode": self.postgres_sslmode,
            "sslrootcert": self.postgres_sslrootcert,
            "sslcert": self.postgres_sslcert,
            "sslkey": self.postgres_sslkey,
        }
        return {name: str(value) for name, value in given.items() if value is not None}
