"""Embeddings by OpenAI's API, or any server that speaks it, through OpenAI's SDK."""

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import orjson
from pydantic import SecretStr

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
from media_gateway.errors import SettingsError
from media_gateway.models import VectorSpace

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

BASE_URL: Final = "https://api.openai.com/v1"
MODEL: Final = "text-embedding-3-small"
DIMENSION: Final = 768
LIMITS: Final = Limits(texts=2_048, tokens=300_000, text_bytes=8_191)
"""OpenAI's API reference, "Create embeddings": inputs and tokens of a request, and a little below 8,192 of an input."""

_QUICK: Final = 32
"""Vectors that are read on the event loop, in a millisecond; 2,048 of them take a tenth of a second."""
_NO_KEY: Final = "none"
"""The SDK insists on a key; servers that ask for none look at none."""
_NO_QUOTA: Final = "insufficient_quota"


class OpenAIEmbedder(RemoteEmbedder):
    """Embeds with *model* at *base_url*, cut by the service to *dimension* numbers.

    *api_key* may be left out for servers that ask for none. *send_dimensions* false leaves the parameter `dimensions`
    out, for models of one size; *dimension* must then be that size. *batch_size* is the most texts of a request, for
    servers that take fewer than OpenAI.

    Building one connects to nothing; raises SettingsError for an unusable URL or key and EmbeddingError when the SDK is
    not installed. `embed` is described at `RemoteEmbedder`.
    """

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        base_url: str = BASE_URL,
        model: str = MODEL,
        dimension: int = DIMENSION,
        send_dimensions: bool = True,
        batch_size: int | None = None,
        concurrency: int = 4,
        policy: RetryPolicy | None = None,
    ) -> None:
        space = VectorSpace(model=f"openai/{model}", dimension=dimension)
        require_sdk("openai", extra="openai", model=space.model)
        url = checked_url(base_url, field="OPENAI_BASE_URL")
        texts = min(batch_size or LIMITS.texts, LIMITS.texts)
        super().__init__(
            _OpenAIApi(_checked_key(api_key), url, model, dimension, send_dimensions=send_dimensions),
            space=space,
            limits=Limits(texts=texts, tokens=LIMITS.tokens, text_bytes=LIMITS.text_bytes),
            price=PRICES.get(space.model) if host_of(url) == host_of(BASE_URL) else None,
            concurrency=concurrency,
            policy=policy,
        )


class _OpenAIApi:
    def __init__(
        self, api_key: SecretStr | None, base_url: str, model: str, dimension: int, *, send_dimensions: bool
    ) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._model = model
        self._dimension = dimension
        self._send_dimensions = send_dimensions
        self._opening = asyncio.Lock()
        self._sdk: ModuleType | None = None
        self._client: AsyncOpenAI | None = None
        self.service = Service(
            name="OpenAI" if base_url == BASE_URL else "the OpenAI-compatible server",
            endpoint=host_of(base_url),
            model=f"openai/{model}",
            check={
                "unavailable": f"try again later, or name further endpoints of {model} in OPENAI_BASE_URL",
                "authentication": "check OPENAI_API_KEY and what its project may use",
                "refused": f"check that OPENAI_EMBEDDING_MODEL, {model}, exists there and gives {dimension} numbers; for "
                "a model of one size set RUVECTOR_DIMENSION to it and OPENAI_SEND_DIMENSIONS=false",
                "response": f"check that OPENAI_BASE_URL ends as the server wants it (often /v1), that {model} gives "
                f"{dimension} numbers there, or set RUVECTOR_DIMENSION to what it gives",
            },
        )

    async def request(self, texts: Sequence[str], purpose: EmbeddingPurpose) -> Answer | Fault:  # noqa: ARG002 - OpenAI's models do not tell queries from documents
        openai, client = await self._opened()
        dimensions = self._dimension if self._send_dimensions else openai.omit
        try:
            response = await client.embeddings.with_raw_response.create(
                model=self._model, input=list(texts), dimensions=dimensions, encoding_format="base64"
            )
            body = response.content
        except openai.APIConnectionError as error:
            return unreachable(f"cannot be reached, or ended the connection ({type(error.__cause__).__name__})")
        except openai.APIStatusError as error:
            return self._status_fault(error, texts)
        if len(texts) <= _QUICK:
            return self._answer(body, len(texts))
        return await asyncio.to_thread(self._answer, body, len(texts))

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _opened(self) -> "tuple[ModuleType, AsyncOpenAI]":
        async with self._opening:
            openai = self._sdk = self._sdk or await imported("openai")
            client = self._client
            if client is None:
                key = self._api_key.get_secret_value() if self._api_key else _NO_KEY
                # One place repeats requests and limits their time: ours.
                client = openai.AsyncOpenAI(api_key=key, base_url=self._base_url, max_retries=0, timeout=None)
                self._client = client
            return openai, client

    def _status_fault(self, error: "APIStatusError", texts: Sequence[str]) -> Fault:
        if error.code == _NO_QUOTA:
            # Sent with status 429, but waiting does not bring money.
            return Fault(
                kind="authentication", reason="says that the account has no quota left", status=error.status_code
            )
        secrets = [self._api_key.get_secret_value()] if self._api_key is not None else []
        body = cast("dict[str, object]", error.body) if isinstance(error.body, dict) else {}
        return fault_of_status(
            error.status_code,
            said=quotable(body.get("message"), secrets=secrets, texts=texts),
            retry_after=retry_after(error.response.headers.get("retry-after")),
        )

    def _answer(self, body: bytes, count: int) -> Answer | Fault:
        try:
            parsed: Any = orjson.loads(body)
            items: list[dict[str, Any]] = parsed["data"]
            rows = _in_order(items)
        except (KeyError, TypeError, ValueError, binascii.Error):
            return unusable("answered with something that is not a list of embeddings in JSON, or was cut off")
        if rows is None:
            return unusable("answered with indexes that do not fit the texts")
        vectors = unit_rows(rows, count=count, dimension=self._dimension)
        if isinstance(vectors, Fault):
            return vectors
        return Answer(vectors=vectors, tokens=_tokens(parsed))


def _checked_key(key: SecretStr | None) -> SecretStr | None:
    # What HTTP libraries say about a header that they cannot send quotes it.
    if key is None:
        return None
    stripped = key.get_secret_value().strip()
    if not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        raise SettingsError(
            "OPENAI_API_KEY holds a blank or a character that no key has (value hidden); copy the key once more",
            field="OPENAI_API_KEY",
            given="(hidden)",
            expected="a key of plain letters, digits and signs",
        )
    return SecretStr(stripped)


def _in_order(items: Sequence[dict[str, Any]]) -> list[Any] | None:
    """Return the vectors of *items* by their `index`, or None when the indexes are not 0, 1, ...; without any, as sent."""
    indexes = [item.get("index") for item in items]
    rows = [_row(item["embedding"]) for item in items]
    if all(index is None for index in indexes):
        return rows
    by_index = dict(zip(indexes, rows, strict=True))
    if by_index.keys() != set(range(len(items))):
        return None
    return [by_index[index] for index in range(len(items))]


def _row(embedding: Any) -> Any:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    if not isinstance(embedding, list):
        raise TypeError
    return embedding  # pyright: ignore[reportUnknownVariableType]


def _tokens(parsed: Mapping[str, Any]) -> int | None:
    usage = parsed.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, Mapping) else None  # pyright: ignore[reportUnknownVariableType]
    return tokens if isinstance(tokens, int) else None
