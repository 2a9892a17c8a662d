"""Settings of what embeds texts."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from media_gateway.settings.names import named

EmbeddingProvider = Literal["auto", "local", "openai", "vertex", "own"]


class EmbeddingSettings(BaseSettings):
    """The model, its service and the cache before it."""

    embedding_provider: Annotated[EmbeddingProvider, Field(validation_alias=named("EMBEDDING_PROVIDER"))] = "auto"
    """What embeds texts. `auto` is Vertex AI where a project is named, else OpenAI where a key is, else local; `own`
    means that vectors come ready-made and no text is embedded."""
    own_model: Annotated[str | None, Field(validation_alias=named("RUVECTOR_MODEL"))] = None
    """The name of the model that makes vectors of one's own."""
    embedding_timeout: Annotated[float, Field(validation_alias=named("EMBEDDING_TIMEOUT"), gt=0)] = 30.0
    """Seconds that one request to a service may take."""
    embedding_deadline: Annotated[float, Field(validation_alias=named("EMBEDDING_DEADLINE"), gt=0)] = 120.0
    """Seconds that a request may take with its repetitions and the pauses among them."""
    embedding_concurrency: Annotated[int, Field(validation_alias=named("EMBEDDING_CONCURRENCY"), ge=1, le=1000)] = 4
    """Requests to a service under way at once."""
    embedding_batch_size: Annotated[int | None, Field(validation_alias=named("EMBEDDING_BATCH_SIZE"), ge=1)] = None
    """The most texts of a request, for servers that take fewer than the service that they imitate."""
    embedding_cache_seconds: Annotated[float, Field(validation_alias=named("EMBEDDING_CACHE_SECONDS"), ge=0)] = 300.0
    """Seconds that a vector stays in memory; 0 keeps none."""
    embedding_cache_size: Annotated[int, Field(validation_alias=named("EMBEDDING_CACHE_SIZE"), ge=0)] = 10_000
    """Vectors in memory at most; 0 keeps none."""
    embedding_cache_table: Annotated[bool, Field(validation_alias=named("EMBEDDING_CACHE_TABLE"))] = True
    """Whether vectors of a service are kept in PostgreSQL too, where that is the backend."""

    openai_api_key: Annotated[SecretStr | None, Field(validation_alias=named("OPENAI_API_KEY"))] = None
    openai_base_url: Annotated[str | None, Field(validation_alias=named("OPENAI_BASE_URL"))] = None
    """The endpoint, OpenAI's own by default; several of one model are parted by commas."""
    openai_embedding_model: Annotated[str, Field(validation_alias=named("OPENAI_EMBEDDING_MODEL"), min_length=1)] = (
        "text-embedding-3-small"
    )
    openai_send_dimensions: Annotated[bool, Field(validation_alias=named("OPENAI_SEND_DIMENSIONS"))] = True
    """Whether requests name the dimension; false for models of one size, which refuse it."""
    vertex_project: Annotated[str | None, Field(validation_alias=named("VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"))] = (
        None
    )
    vertex_location: Annotated[
        str | None, Field(validation_alias=named("VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION"))
    ] = None
    """The region, us-central1 by default; several are parted by commas."""
    vertex_embedding_model: Annotated[str, Field(validation_alias=named("VERTEX_EMBEDDING_MODEL"), min_length=1)] = (
        "text-embedding-005"
    )
    vertex_base_url: Annotated[str | None, Field(validation_alias=named("VERTEX_BASE_URL"))] = None
    """A private endpoint in place of the region's own."""
