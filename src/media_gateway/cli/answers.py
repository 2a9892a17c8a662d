"""Searching with the time taken, for the commands that search."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from media_gateway.cli.explaining import explained
from media_gateway.cli.modes import MEANING, Mode

if TYPE_CHECKING:
    from media_gateway.contracts import VectorStore
    from media_gateway.filters import Condition
    from media_gateway.gateway import Gateway
    from media_gateway.models import Explanation, SearchRequest, SearchResult


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How many hits of which kind: the options that `search` and `similar` share."""

    k: int
    where: "Condition | None"
    min_score: float | None
    exact: bool
    explain: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A result, the milliseconds that the store took for it and, where there was a text, those of embedding that.

    *is_empty* tells that nothing was ever loaded. *explanation* is how the store did it, where that was asked for.
    *by_popularity* tells that nothing was searched for: these are the most popular that pass.
    """

    result: "SearchResult"
    store_ms: float
    embedding_ms: float | None
    is_empty: bool
    explanation: "Explanation | None" = None
    by_popularity: bool = False


async def timed(
    store: "VectorStore", request: "SearchRequest", embedding_ms: float | None = None, *, explain: bool = False
) -> Answer:
    """Return what *store* answers to *request*, and how long it took; *embedding_ms* went before.

    With *explain* it searches once more and tells how.
    """
    began = time.perf_counter()
    result = await store.search(request)
    store_ms = (time.perf_counter() - began) * 1000
    is_empty = not result.hits and (await store.stats()).count == 0
    explanation = await explained(store, request) if explain else None
    return Answer(
        result=result, store_ms=store_ms, embedding_ms=embedding_ms, is_empty=is_empty, explanation=explanation
    )


async def timed_search(gateway: "Gateway", text: str, wanted: Wanted, mode: Mode = MEANING) -> Answer:
    """Search for *text* by meaning, or by meaning and words, the embedding and the store timed apart."""
    from media_gateway.models import SearchRequest, Words
    from media_gateway.validation import checked_text

    is_hybrid = mode.mode == "hybrid"
    sentence = Words.read(checked_text(text)).sentence if is_hybrid else text
    began = time.perf_counter()
    vector = await gateway.embed(sentence)
    embedding_ms = (time.perf_counter() - began) * 1000
    request = SearchRequest(
        vector=vector,
        text=text if is_hybrid else None,
        weights=mode.weights,
        k=wanted.k,
        where=wanted.where,
        min_score=wanted.min_score,
        exact=wanted.exact,
    )
    return await timed(gateway.store, request, embedding_ms, explain=wanted.explain)


async def timed_words(store: "VectorStore", text: str, wanted: Wanted) -> Answer:
    """Search for the words of *text*; nothing is embedded."""
    from media_gateway.models import SearchRequest

    request = SearchRequest(text=text, k=wanted.k, where=wanted.where, min_score=wanted.min_score, exact=wanted.exact)
    return await timed(store, request, explain=wanted.explain)


async def timed_popular(gateway: "Gateway", wanted: Wanted) -> Answer | None:
    """Find the most popular of what passes; None where nothing was learned of that, or nearness was asked for."""
    from media_gateway.interpreting import popular

    began = time.perf_counter()
    result = None if wanted.min_score is not None else await popular(gateway, wanted.where, k=wanted.k)
    if result is None:
        return None
    store_ms = (time.perf_counter() - began) * 1000
    return Answer(result=result, store_ms=store_ms, embedding_ms=None, is_empty=False, by_popularity=True)


async def timed_similar(store: "VectorStore", key: str, wanted: Wanted) -> Answer:
    """Search for what is near the record *key*; raises NotFoundError when there is none."""
    from media_gateway.errors import NotFoundError
    from media_gateway.models import SearchRequest

    (record,) = await store.get([key])
    if record is None:
        raise NotFoundError(key)
    request = SearchRequest(
        vector=record.vector,
        k=wanted.k,
        where=wanted.where,
        min_score=wanted.min_score,
        exclude=(key,),
        exact=wanted.exact,
    )
    return await timed(store, request)


def timing(answer: Answer, embedding: str = "to embed the text") -> str:
    """Return the line under a table: how many hits, how long the store took for them, and how it found them.

    *embedding* says what the time before that went into.
    """
    hits = len(answer.result.hits)
    before = "" if answer.embedding_ms is None else f", after {answer.embedding_ms:.1f} ms {embedding}"
    how = "compared with all" if answer.result.exact else "by the index"
    if answer.by_popularity:
        how = "by what was learned"
    return f"{hits} hit{'' if hits == 1 else 's'} in {answer.store_ms:.1f} ms, {how}{before}"
