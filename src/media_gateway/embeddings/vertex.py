"""Embeddings by Vertex AI, through Google's Gen AI SDK."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from media_gateway.contracts import EmbeddingPurpose
from media_gateway.embeddings.batching import Limits
from media_gateway.embeddings.endpoints import checked_url, host_of
from media_gateway.embeddings.redaction import quotable
from media_gateway.embeddings.remote import RemoteEmbedder
from media_gateway.embeddings.retries import RetryPolicy, retry_after
from media_gateway.embeddings.sdks import imported, require_sdk
from media_gateway.embeddings.services import (
    Answer,
    Fault,
    Service,
    fault_of_status,
    unit_rows,
    unreachable,
    unusable,
)
from media_gateway.embeddings.usage import PRICES
from media_gateway.models import VectorSpace

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.genai import Client
    from google.genai.types import EmbedContentResponse

MODEL: Final = "text-embedding-005"
LOCATION: Final = "us-central1"
DIMENSION: Final = 768

LIMITS: Final = Limits(texts=250, tokens=19_500, text_bytes=16_384)
"""Google Cloud, "Get text embeddings": 250 texts and 20,000 tokens a request, of which 500 are left for marks.

Of a text the service reads 2,048 tokens and leaves out the rest, so more than 8 bytes a token are not worth sending.
"""
GEMINI_LIMITS: Final = Limits(texts=1, tokens=19_500, text_bytes=16_384)
"""The same page: Gemini models take one text a request."""

_TASKS: Final[Mapping[EmbeddingPurpose, str]] = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}
_MULTI_REGIONS: Final = ("us", "eu")
_HTTP_LIBRARIES: Final = {"httpx2": "HTTPError", "httpx": "HTTPError", "aiohttp": "ClientError"}
"""What the SDK may send requests with, and the root of its errors."""


class VertexEmbedder(RemoteEmbedder):
    """Embeds with *model* in *location* for *project*, cut by the service to *dimension* numbers.

    Queries and documents are embedded as such (RETRIEVAL_QUERY, RETRIEVAL_DOCUMENT). The login is *credentials*, or by
    default what Google's libraries find (application default credentials). *base_url* replaces the location's endpoint,
    for private ones.

    Building one connects to nothing; raises SettingsError for an unusable URL and EmbeddingError when the SDK is not
    installed. `embed` is described at `RemoteEmbedder`.
    """

    def __init__(
        self,
        *,
        project: str,
        location: str = LOCATION,
        model: str = MODEL,
        dimension: int = DIMENSION,
        base_url: str | None = None,
        credentials: "Credentials | None" = None,
        batch_size: int | None = None,
        concurrency: int = 4,
        policy: RetryPolicy | None = None,
    ) -> None:
        space = VectorSpace(model=f"vertex/{model}", dimension=dimension)
        require_sdk("google.genai", extra="vertex", model=space.model)
        url = None if base_url is None else checked_url(base_url, field="VERTEX_BASE_URL")
        limits = GEMINI_LIMITS if model.startswith("gemini") else LIMITS
        texts = min(batch_size or limits.texts, limits.texts)
        super().__init__(
            _VertexApi(project, location, model, dimension, base_url=url, credentials=credentials),
            space=space,
            limits=Limits(texts=texts, tokens=limits.tokens, text_bytes=limits.text_bytes),
            price=PRICES.get(space.model),
            concurrency=concurrency,
            policy=policy,
        )


class _Sdk(NamedTuple):
    """The modules of Google's SDK that are spoken to."""

    types: ModuleType
    errors: ModuleType
    auth: ModuleType


class _VertexApi:
    def __init__(
        self,
        project: str,
        location: str,
        model: str,
        dimension: int,
        *,
        base_url: str | None,
        credentials: "Credentials | None",
    ) -> None:
        self._project = project
        self._location = location
        self._model = model
        self._dimension = dimension
        self._base_url = base_url
        self._credentials = credentials
        self._opening = asyncio.Lock()
        self._sdk: _Sdk | None = None
        self._client: Client | None = None
        self.service = Service(
            name="Vertex AI",
            endpoint=_host(location) if base_url is None else host_of(base_url),
            model=f"vertex/{model}",
            check={
                "unavailable": f"try again later, or name further locations of {model} in VERTEX_LOCATION",
                "authentication": "run gcloud auth application-default login or check GOOGLE_APPLICATION_CREDENTIALS, "
                f"and that the account has the role Vertex AI User in the project {project}",
                "refused": f"check that VERTEX_EMBEDDING_MODEL, {model}, is offered in {location}, gives {dimension} "
                f"numbers, and that the project {project} has the Vertex AI API enabled",
                "response": f"check VERTEX_EMBEDDING_MODEL, {model}, and that it gives {dimension} numbers",
            },
        )

    async def request(self, texts: Sequence[str], purpose: EmbeddingPurpose) -> Answer | Fault:
        sdk, client = await self._opened()
        types, errors, auth = sdk
        config = types.EmbedContentConfig(task_type=_TASKS[purpose], output_dimensionality=self._dimension)
        try:
            response = await client.aio.models.embed_content(model=self._model, contents=list(texts), config=config)
        except errors.APIError as error:
            return _status_fault(error, texts)
        except auth.TransportError as error:
            return unreachable(f"cannot be asked: Google's login server cannot be reached ({type(error).__name__})")
        except (auth.GoogleAuthError, RuntimeError) as error:
            reason = f"cannot be asked: no usable login ({type(error).__name__})"
            return Fault(kind="authentication", reason=reason, is_transient=getattr(error, "retryable", False))
        except (OSError, *_http_errors()) as error:
            return unreachable(f"cannot be reached, or ended the connection ({type(error).__name__})")
        except (json.JSONDecodeError, AttributeError, TypeError, ValueError, KeyError):
            # What the SDK raises on its way through JSON that is cut off or of another shape.
            return unusable("answered with something that is not a list of embeddings in JSON, or was cut off")
        return self._answer(response, len(texts))

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aio.aclose()
            client.close()

    async def _opened(self) -> "tuple[_Sdk, Client]":
        # Under the lock: a module that another task is just importing can be looked at, but is not whole.
        async with self._opening:
            if self._sdk is None:
                self._sdk = _Sdk(
                    types=await imported("google.genai.types"),
                    errors=await imported("google.genai.errors"),
                    auth=await imported("google.auth.exceptions"),
                )
            client = self._client
            if client is None:
                genai = await imported("google.genai")
                types = self._sdk.types
                options = types.HttpOptions(
                    base_url=self._base_url,
                    # One place repeats requests: ours. Without options the SDK repeats some by itself.
                    retry_options=types.HttpRetryOptions(attempts=1),
                )
                # Loading certificates and looking for a login takes a while.
                client = await asyncio.to_thread(
                    genai.Client,
                    vertexai=True,
                    project=self._project,
                    location=self._location,
                    credentials=self._credentials,
                    http_options=options,
                )
                self._client = client
            return self._sdk, client

    def _answer(self, response: "EmbedContentResponse", count: int) -> Answer | Fault:
        embeddings = response.embeddings or []
        vectors = unit_rows([each.values or [] for each in embeddings], count=count, dimension=self._dimension)
        if isinstance(vectors, Fault):
            return vectors
        statistics = [each.statistics for each in embeddings]
        counts = [each.token_count for each in statistics if each is not None and each.token_count is not None]
        metadata = response.metadata
        return Answer(
            vectors=vectors,
            tokens=int(sum(counts)) if len(counts) == count else None,
            characters=metadata.billable_character_count if metadata is not None else None,
            cut=sum(bool(each.truncated) for each in statistics if each is not None),
        )


def _host(location: str) -> str:
    """Return the endpoint that the SDK chooses for *location*."""
    if location == "global":
        return "aiplatform.googleapis.com"
    if location in _MULTI_REGIONS:
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"


def _status_fault(error: Any, texts: Sequence[str]) -> Fault:
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    return fault_of_status(
        error.code, said=quotable(error.message, texts=texts), retry_after=retry_after(headers.get("retry-after"))
    )


def _http_errors() -> tuple[type[Exception], ...]:
    """Return the error roots of the HTTP libraries that are loaded."""
    return tuple(
        getattr(sys.modules[module], name) for module, name in _HTTP_LIBRARIES.items() if module in sys.modules
    )
