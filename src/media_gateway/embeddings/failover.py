"""One model at several endpoints: when one fails, the next is asked. Never another model."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from media_gateway.contracts import EmbeddingPurpose
from media_gateway.embeddings.remote import RemoteEmbedder
from media_gateway.embeddings.texts import checked_texts
from media_gateway.embeddings.usage import total
from media_gateway.errors import (
    EmbeddingResponseError,
    EmbeddingServiceError,
    EmbeddingUnavailableError,
    ModelMismatchError,
    SettingsError,
)
from media_gateway.models import Matrix, Vector, VectorSpace

REST_SECONDS: Final = 30.0
"""Seconds for which an endpoint that failed is asked only after the others."""
_PROBE: Final = "A stranger comes to a small town by the sea and changes the lives of two sisters."
_SAME_MODEL: Final = 0.99
"""Cosine between the answers of two endpoints to one text: 0.999 and more for one model on other hardware, while two
models, even of one family, have next to nothing in common."""

_log = logging.getLogger(__name__)


class FailoverEmbedder:
    """Asks *embedders*, endpoints of one and the same model, in their order, until one answers.

    An endpoint that failed is asked last for half a minute. Before an endpoint serves for the first time it embeds a
    sentence, and one whose vector is not that of the first endpoint is left out: it has another model under the same
    name. While the first endpoint has not answered in this process, nothing is known to compare with, so no other one
    stands in.

    Raises ModelMismatchError when the embedders are of different spaces, SettingsError when there are none.
    """

    def __init__(self, embedders: Sequence[RemoteEmbedder]) -> None:
        if not embedders:
            raise SettingsError("there is no endpoint to embed with; name at least one", field="embedders")
        self._space = embedders[0].space
        for embedder in embedders[1:]:
            if embedder.space != self._space:
                raise ModelMismatchError(
                    f"{embedder.space} cannot stand in for {self._space}, whose vectors are others; "
                    "name endpoints of one model",
                    given=embedder.space,
                    expected=self._space,
                )
        self._endpoints = [_Endpoint(embedder) for embedder in embedders]
        self._probing = asyncio.Lock()
        self._reference: Vector | None = None

    def __repr__(self) -> str:
        hosts = ", ".join(endpoint.embedder.endpoint for endpoint in self._endpoints)
        return f"{type(self).__name__}({self._space}, at {hosts})"

    @property
    def space(self) -> VectorSpace:
        """The space of every endpoint."""
        return self._space

    def usage(self) -> Mapping[str, Any]:
        """Return the sum over the endpoints, and each one's own."""
        embedders = [endpoint.embedder for endpoint in self._endpoints]
        return {
            **asdict(total([embedder.counted for embedder in embedders])),
            "endpoints": [dict(embedder.usage()) for embedder in embedders],
        }

    async def embed(self, texts: Sequence[str], purpose: EmbeddingPurpose = "document") -> Matrix:
        """Return what the first endpoint that answers gives, as `RemoteEmbedder.embed` describes it.

        Raises, when every endpoint failed, the error that all of them share, else EmbeddingUnavailableError, with what
        each one said.
        """
        checked = checked_texts(texts)
        failures: list[EmbeddingServiceError] = []
        for endpoint in sorted(self._endpoints, key=lambda endpoint: endpoint.is_resting):
            try:
                await self._check(endpoint)
                return await endpoint.embedder.embed(checked, purpose)
            except EmbeddingServiceError as error:
                endpoint.rest(error)
                failures.append(error)
                _log.warning("%s at %s %s; the next endpoint is asked", error.service, error.endpoint, error.reason)
        if len(failures) == 1:
            raise failures[0]
        raise _all_failed(failures) from failures[-1]

    async def aclose(self) -> None:
        """Close the connections to every endpoint; twice does no harm."""
        for endpoint in self._endpoints:
            await endpoint.embedder.aclose()

    @property
    def _all_rest(self) -> bool:
        return all(endpoint.is_resting for endpoint in self._endpoints)

    async def _check(self, endpoint: "_Endpoint") -> None:
        async with self._probing:
            if endpoint.is_checked:
                return
            if endpoint.failure is not None and endpoint.is_resting and not self._all_rest:
                # It failed for the caller before this one, a moment ago.
                raise endpoint.failure
            if self._reference is None and endpoint is not self._endpoints[0]:
                raise _unknown_model(endpoint.embedder, self._endpoints[0].embedder)
            (probe,) = await endpoint.embedder.embed([_PROBE], "document")
            if self._reference is None:
                self._reference = probe
            likeness = float(self._reference @ probe)
            if likeness < _SAME_MODEL:
                raise _another_model(endpoint.embedder, likeness)
            endpoint.is_checked = True


class _Endpoint:
    def __init__(self, embedder: RemoteEmbedder) -> None:
        self.embedder = embedder
        self.is_checked = False
        self.failure: EmbeddingServiceError | None = None
        self._rests_until = 0.0

    @property
    def is_resting(self) -> bool:
        return time.monotonic() < self._rests_until

    def rest(self, failure: EmbeddingServiceError) -> None:
        self.failure = failure
        self._rests_until = time.monotonic() + REST_SECONDS


def _unknown_model(embedder: RemoteEmbedder, first: RemoteEmbedder) -> EmbeddingUnavailableError:
    reason = f"may stand in only after {first.endpoint} has answered once in this process, to be compared with it"
    return EmbeddingUnavailableError(
        f"{embedder.endpoint} {reason}; bring {first.endpoint} back, or, where both surely serve "
        f"{embedder.space.model}, name {embedder.endpoint} first",
        model=embedder.space.model,
        service=embedder.space.model.partition("/")[0],
        endpoint=embedder.endpoint,
        reason=reason,
    )


def _another_model(embedder: RemoteEmbedder, likeness: float) -> EmbeddingResponseError:
    reason = f"gives other vectors than the endpoint before it (cosine {likeness:.3f} for one text)"
    return EmbeddingResponseError(
        f"{embedder.endpoint} {reason}; name only endpoints that serve {embedder.space.model} itself",
        model=embedder.space.model,
        service=embedder.space.model.partition("/")[0],
        endpoint=embedder.endpoint,
        reason=reason,
    )


def _all_failed(failures: Sequence[EmbeddingServiceError]) -> EmbeddingServiceError:
    kinds = {type(failure) for failure in failures}
    kind = kinds.pop() if len(kinds) == 1 else EmbeddingUnavailableError
    last = failures[-1]
    return kind(
        f"none of {len(failures)} endpoints of {last.model} gave an answer: " + "; ".join(map(str, failures)),
        model=last.model,
        service=last.service,
        endpoint=", ".join(failure.endpoint for failure in failures),
        reason="; ".join(failure.reason for failure in failures),
        status=last.status,
    )
