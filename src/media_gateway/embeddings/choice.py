"""Which embedder the settings mean, and the cache in front of it."""

from typing import Final

from media_gateway.contracts import Embedder
from media_gateway.embeddings import openai, vertex
from media_gateway.embeddings.cache import CachedEmbedder, VectorTable
from media_gateway.embeddings.endpoints import checked_urls
from media_gateway.embeddings.failover import FailoverEmbedder
from media_gateway.embeddings.local import LocalEmbedder
from media_gateway.embeddings.openai import OpenAIEmbedder
from media_gateway.embeddings.own import OwnVectors
from media_gateway.embeddings.remote import RemoteEmbedder
from media_gateway.embeddings.retries import RetryPolicy
from media_gateway.embeddings.vertex import VertexEmbedder
from media_gateway.errors import SettingsError
from media_gateway.settings import EmbeddingProvider, Settings

_ATTEMPTS_BEFORE_THE_NEXT: Final = 2
"""Requests to one of several endpoints: another one answers sooner than a third attempt would."""


def build_embedder(settings: Settings) -> Embedder:
    """Return the embedder that *settings* mean; it connects to nothing yet.

    That is Vertex AI when a project is named, else OpenAI when a key or a server is, else the local model, unless
    `embedding_provider` names one. Several endpoints stand in for one another, always with one model. Another provider never does: its vectors could
    not be compared with those in the collection.

    Raises SettingsError when the provider that is asked for lacks its settings, and EmbeddingError, naming what to
    install, when it lacks its SDK.
    """
    match chosen_provider(settings):
        case "vertex":
            return _of_endpoints(_vertex_embedders(settings))
        case "openai":
            return _of_endpoints(_openai_embedders(settings))
        case "own":
            return _own_vectors(settings)
        case _:
            return LocalEmbedder()


def cached(embedder: Embedder, settings: Settings, table: VectorTable | None = None) -> CachedEmbedder:
    """Return *embedder* behind the cache that *settings* describe.

    The persistent *table* is for a service's vectors: the local model's are not worth its space.
    """
    is_worth_it = settings.embedding_cache_table and not isinstance(embedder, LocalEmbedder | OwnVectors)
    return CachedEmbedder(
        embedder,
        seconds=settings.embedding_cache_seconds,
        size=settings.embedding_cache_size,
        table=table if is_worth_it else None,
    )


def chosen_provider(settings: Settings) -> EmbeddingProvider:
    """Return "vertex", "openai", "local" or "own": what *settings* ask for, or what they hold the access to."""
    if settings.embedding_provider != "auto":
        return settings.embedding_provider
    if settings.vertex_project is not None:
        return "vertex"
    if settings.openai_api_key is not None or settings.openai_base_url is not None:
        return "openai"
    return "local"


def _of_endpoints(embedders: list[RemoteEmbedder]) -> Embedder:
    return embedders[0] if len(embedders) == 1 else FailoverEmbedder(embedders)


def _own_vectors(settings: Settings) -> OwnVectors:
    if settings.own_model is None or settings.dimension is None:
        raise SettingsError(
            "EMBEDDING_PROVIDER is own, but RUVECTOR_MODEL and RUVECTOR_DIMENSION do not tell of which model and how "
            "many numbers your vectors are; set both",
            field="own_model" if settings.own_model is None else "dimension",
            expected="the model's name and its dimension",
        )
    return OwnVectors(model=settings.own_model, dimension=settings.dimension)


def _openai_embedders(settings: Settings) -> list[RemoteEmbedder]:
    if settings.openai_api_key is None and settings.openai_base_url is None:
        raise SettingsError(
            "EMBEDDING_PROVIDER is openai, but neither OPENAI_API_KEY nor, for a server that asks for no key, "
            "OPENAI_BASE_URL is set; set one of them, or EMBEDDING_PROVIDER=local",
            field="openai_api_key",
            expected="a key",
        )
    urls = checked_urls(settings.openai_base_url or openai.BASE_URL, field="OPENAI_BASE_URL") or [openai.BASE_URL]
    return [
        OpenAIEmbedder(
            api_key=settings.openai_api_key,
            base_url=url,
            model=settings.openai_embedding_model,
            dimension=settings.dimension or openai.DIMENSION,
            send_dimensions=settings.openai_send_dimensions,
            batch_size=settings.embedding_batch_size,
            concurrency=settings.embedding_concurrency,
            policy=_policy(settings, endpoints=len(urls)),
        )
        for url in urls
    ]


def _vertex_embedders(settings: Settings) -> list[RemoteEmbedder]:
    if settings.vertex_project is None:
        raise SettingsError(
            "EMBEDDING_PROVIDER is vertex, but neither VERTEX_PROJECT nor GOOGLE_CLOUD_PROJECT is set; "
            "set one of them, or EMBEDDING_PROVIDER=local",
            field="vertex_project",
            expected="the id of a Google Cloud project",
        )
    named = [name.strip() for name in (settings.vertex_location or "").split(",")]
    locations = list(dict.fromkeys(name for name in named if name)) or [vertex.LOCATION]
    return [
        VertexEmbedder(
            project=settings.vertex_project,
            location=location,
            model=settings.vertex_embedding_model,
            dimension=settings.dimension or vertex.DIMENSION,
            base_url=settings.vertex_base_url,
            batch_size=settings.embedding_batch_size,
            concurrency=settings.embedding_concurrency,
            policy=_policy(settings, endpoints=len(locations)),
        )
        for location in locations
    ]


def _policy(settings: Settings, *, endpoints: int) -> RetryPolicy:
    policy = RetryPolicy(timeout=settings.embedding_timeout, deadline=settings.embedding_deadline)
    if endpoints == 1:
        return policy
    return RetryPolicy(attempts=_ATTEMPTS_BEFORE_THE_NEXT, timeout=policy.timeout, deadline=policy.deadline)
