"""Embeddings made in this process: texts become vectors on threads of their own, never on the event loop."""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np

from media_gateway.contracts import EmbeddingPurpose
from media_gateway.embeddings.minilm import SPACE, MiniLm
from media_gateway.embeddings.texts import checked_texts
from media_gateway.errors import EmbeddingError, InvalidInputError, shown
from media_gateway.models import Matrix, VectorSpace

BATCH_SIZE: Final = 4
"""Texts that run together (docs/local-models.md has the measurement): larger batches lose to padding and caches."""
_MOST_THREADS: Final = 8


class LocalEmbedder:
    """Embeds with all-MiniLM-L6-v2 on *threads* threads, by default one a usable core and at most 8.

    Building one costs nothing; the model loads at the first `embed`, in about half a second. One embedder may serve
    any number of tasks and event loops. Queries have threads of their own and do not wait behind documents.
    """

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise InvalidInputError(
                f"threads is {shown(threads)}; expected a whole number from 1",
                field="threads",
                given=threads,
                expected=1,
            )
        self._threads = threads if threads is not None else min(_usable_cores(), _MOST_THREADS)
        self._lanes: dict[EmbeddingPurpose, ThreadPoolExecutor] = {
            "query": ThreadPoolExecutor(self._threads, thread_name_prefix="embed-query"),
            "document": ThreadPoolExecutor(self._threads, thread_name_prefix="embed-document"),
        }
        self._lock = threading.Lock()
        self._model: MiniLm | None = None
        self._closed = False

    @property
    def space(self) -> VectorSpace:
        """The model's name and dimension, known without loading it."""
        return SPACE

    async def embed(self, texts: Sequence[str], purpose: EmbeddingPurpose = "document") -> Matrix:
        """Return one unit vector a text: (n, 384) float32, in the order of *texts*; (0, 384) for none.

        The same text gives the same vector alone, in any batch and for either *purpose*, which only chooses the
        threads. Of a long text the first 256 word pieces count, some 200 English words.

        Raises InvalidInputError, naming the text, for one that is empty or blank, is not text, or has a NUL character
        or lone surrogate; EmbeddingError when the model cannot be loaded or the embedder is closed.
        """
        checked = checked_texts(texts)
        vectors = np.empty((len(checked), SPACE.dimension), dtype=np.float32)
        running: deque[tuple[list[int], Future[Matrix]]] = deque()
        try:
            for batch in _batches(checked):
                # One more than there are threads, so that none idles while this task is waiting for its turn.
                if len(running) > self._threads:
                    await _collect(running, vectors)
                running.append((batch, self._submit([checked[index] for index in batch], purpose)))
            while running:
                await _collect(running, vectors)
        finally:
            for _, future in running:
                future.cancel()
        return vectors

    async def aclose(self) -> None:
        """Release the model and the threads; an `embed` still under way fails with EmbeddingError. Twice does no harm."""
        self._closed = True
        for lane in self._lanes.values():
            lane.shutdown(wait=False)
        # On a thread, since the lock is held for as long as the model loads.
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        with self._lock:
            self._model = None

    def _submit(self, texts: list[str], purpose: EmbeddingPurpose) -> Future[Matrix]:
        try:
            return self._lanes[purpose].submit(self._embed_batch, texts)
        except RuntimeError as error:
            if self._closed:
                raise _closed_error() from error
            raise EmbeddingError(f"no thread to embed on could be started: {error}", model=SPACE.model) from error

    def _embed_batch(self, texts: list[str]) -> Matrix:
        return self._loaded().embed(texts)

    def _loaded(self) -> MiniLm:
        with self._lock:
            if self._closed:
                raise _closed_error()
            if self._model is None:
                self._model = MiniLm.load()
            return self._model


def _closed_error() -> EmbeddingError:
    return EmbeddingError("the embedder is closed; open another one to embed with", model=SPACE.model)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


async def _collect(running: deque[tuple[list[int], Future[Matrix]]], vectors: Matrix) -> None:
    batch, future = running.popleft()
    vectors[batch] = await asyncio.wrap_future(future)


def _batches(texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield positions in *texts*, texts of like length together, the longest first, so that buffers grow only once."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]), reverse=True)
    for start in range(0, len(order), BATCH_SIZE):
        yield order[start : start + BATCH_SIZE]
