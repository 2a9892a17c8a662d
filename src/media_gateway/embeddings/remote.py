"""An embedder behind HTTP: batches, bounded concurrency, repetition and counting, whatever the service."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from media_gateway.contracts import EmbeddingPurpose
from media_gateway.embeddings.batching import Limits, batches
from media_gateway.embeddings.retries import RetryPolicy, repeated
from media_gateway.embeddings.services import Answer, EmbeddingsApi, Fault
from media_gateway.embeddings.texts import checked_texts, cut_to_bytes
from media_gateway.embeddings.usage import Price, Usage, UsageMeter
from media_gateway.errors import EmbeddingError
from media_gateway.models import Matrix, VectorSpace

_QUERY_ATTEMPTS: Final = 3
"""Requests for a query at most: somebody is waiting."""

_log = logging.getLogger(__name__)


class RemoteEmbedder:
    """An `Embedder` of one endpoint of a service; it serves any number of tasks of one event loop.

    At most *concurrency* requests for documents are under way at once, and as many for queries, which therefore do not
    wait behind a long load. The service is first asked at the first `embed`.
    """

    def __init__(
        self,
        api: EmbeddingsApi,
        *,
        space: VectorSpace,
        limits: Limits,
        price: Price | None,
        concurrency: int = 4,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._api = api
        self._space = space
        self._limits = limits
        chosen = policy or RetryPolicy()
        self._policies: Mapping[EmbeddingPurpose, RetryPolicy] = {
            "query": replace(chosen, attempts=min(chosen.attempts, _QUERY_ATTEMPTS)),
            "document": chosen,
        }
        self._meter = UsageMeter(price)
        self._lanes: Mapping[EmbeddingPurpose, asyncio.Semaphore] = {
            "query": asyncio.Semaphore(concurrency),
            "document": asyncio.Semaphore(concurrency),
        }
        self._closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._space}, at {self.endpoint})"

    @property
    def space(self) -> VectorSpace:
        """The model's name, the service's before it, and the dimension that is asked for."""
        return self._space

    @property
    def endpoint(self) -> str:
        """The host that is asked."""
        return self._api.service.endpoint

    @property
    def counted(self) -> Usage:
        """What was asked and what it cost, so far in this process."""
        return self._meter.usage()

    def usage(self) -> Mapping[str, Any]:
        """Return `counted` as a mapping for statistics, with the endpoint."""
        return {"endpoint": self.endpoint, **asdict(self.counted)}

    async def embed(self, texts: Sequence[str], purpose: EmbeddingPurpose = "document") -> Matrix:
        """Return one unit vector a text: (n, d) float32, in the order of *texts*; (0, d) for none.

        Texts longer than the model takes are cut, and their number is logged. Transient faults are tried again within
        the policy's deadline. When one request fails for good the others are given up and nothing is returned.

        Raises InvalidInputError for a text that is empty or no text; EmbeddingUnavailableError,
        EmbeddingAuthenticationError, EmbeddingRefusedError and EmbeddingResponseError, each with what to check;
        EmbeddingError when the embedder is closed, also meanwhile.
        """
        self._check_open()
        prepared = self._cut(checked_texts(texts))
        vectors = np.empty((len(prepared), self._space.dimension), dtype=np.float32)
        try:
            fault = await self._fill(vectors, prepared, purpose)
        except RuntimeError:
            # What HTTP libraries raise when their client is closed under them.
            self._check_open()
            raise
        if fault is not None:
            self._check_open()
            raise self._api.service.error(fault)
        return vectors

    async def aclose(self) -> None:
        """Close the connections to the service; twice does no harm."""
        if not self._closed:
            self._closed = True
            await self._api.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise EmbeddingError("the embedder is closed; open another one to embed with", model=self._space.model)

    def _cut(self, texts: Sequence[str]) -> list[str]:
        limit = self._limits.text_bytes
        cut = [cut_to_bytes(text, limit) for text in texts]
        shortened = sum(new is not old for new, old in zip(cut, texts, strict=True))
        if shortened:
            self._meter.count_cut(shortened)
            _log.warning("%d of %d texts were cut to the %d bytes that are sent of one", shortened, len(texts), limit)
        return cut

    async def _fill(self, vectors: Matrix, texts: Sequence[str], purpose: EmbeddingPurpose) -> Fault | None:
        """Fill in the rows of *vectors*; return the first fault, all other requests given up."""

        async def embed_batch(batch: list[int]) -> Fault | None:
            async with self._lanes[purpose]:
                chosen = [texts[index] for index in batch]
                outcome = await repeated(lambda again: self._ask(chosen, purpose, again), self._policies[purpose])
            if isinstance(outcome, Fault):
                return outcome
            vectors[batch] = outcome.vectors
            return None

        tasks = [asyncio.create_task(embed_batch(batch)) for batch in batches(texts, self._limits)]
        try:
            for finished in asyncio.as_completed(tasks):
                fault = await finished
                if fault is not None:
                    return fault
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return None

    async def _ask(self, texts: Sequence[str], purpose: EmbeddingPurpose, is_repeated: bool) -> Answer | Fault:  # noqa: FBT001 - called in one place, by position
        self._check_open()
        self._meter.count_request(is_repeated=is_repeated)
        answered = False
        try:
            outcome = await self._api.request(texts, purpose)
            if isinstance(outcome, Answer):
                answered = True
                self._meter.count_cut(outcome.cut)
                self._meter.count_answer(texts=len(texts), tokens=outcome.tokens, characters=outcome.characters)
            return outcome
        finally:
            if not answered:
                self._meter.count_failure()
