"""Keyword search, and keyword search fused with nearest neighbours, each in one statement."""

from dataclasses import dataclass, replace
from typing import Any, Final, LiteralString

from media_gateway.database.pool import Pool, Row
from media_gateway.database.statements import filled
from media_gateway.database.where import Where, where_clause
from media_gateway.models import Hit, HybridWeights, Matched, SearchRequest, SearchResult, Words
from media_gateway.stores.postgres.planner import Plan
from media_gateway.stores.postgres.queries import statements
from media_gateway.stores.postgres.search import NearestSearch

MOST: Final = 1_000
"""Records up to which the words are counted and ranked; a word in more says too little to rank all that hold it."""
LEAST_CANDIDATES: Final = 50
CANDIDATES: Final = 4
"""Candidates of either side for each hit that is wanted, but at least `LEAST_CANDIDATES`."""
DAMPING: Final = 60
"""The constant of reciprocal rank fusion, as its authors found it."""
FIELDS: Final = "{0.4, 0.2, 1.0, 1.0}"
"""What a word counts in the overview, (nowhere), in other metadata such as names, and in the title."""
LEAST_SHARE: Final = 0.3
LEAST_OF_BEST: Final = 0.6
"""A record is a hybrid search's candidate by its words when it holds so much of the text's words, and of what the best
one holds. These three were chosen on judged queries (benchmarks/hybrid_search.py): without them a text that says what
a film is about, in words that are in no record, would bring up whatever holds one of them."""
_EVERYTHING: Final = 2**31 - 2
_NO_SCORE: Final = -3.0
_IN_NO_RECORD: Final = ("",)

_STATEMENTS: Final = statements("hybrid.sql")


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A request taken apart: its *words*, what *passes* in either ranking, and how much of each side is looked at."""

    request: SearchRequest
    words: Words
    where: Where
    wanted: int
    most: int

    @property
    def texts(self) -> dict[str, str]:
        """What the statements of both kinds are filled with."""
        queries = [_query(f"w{place}") for place in range(len(self.words.terms))]
        phrases = [_holds(_query(f"p{place}")) for place in range(len(self.words.phrases))]
        conditions = [self.where.text, *phrases] if self.where.text else phrases
        most = str(self.most)
        terms = [
            filled(
                _STATEMENTS["term"], {"place": str(place), "name": f"w{place}", "holds": _holds(query), "most": most}
            )
            for place, query in enumerate(queries)
        ]
        return {
            "terms": " UNION ALL ".join(terms),
            "holds_all": _holds(f"({' && '.join(queries)})"),
            "holds_any": _holds(f"({' || '.join(queries)})"),
            "passes": " AND ".join(conditions) or "true",
            "most": most,
            "wanted": str(self.wanted),
            "limit": str(int(self.request.k)),
            "fields": FIELDS,
            "damping": str(DAMPING),
        }

    @property
    def values(self) -> dict[str, Any]:
        """What is bound."""
        lowest = self.request.min_score
        return {
            **self.where.values,
            **_named("w", self.words.terms),
            **_named("p", self.words.phrases),
            "min_score": _NO_SCORE if lowest is None else lowest,
        }


class HybridSearch:
    """Answers checked requests with a text; *weights* are those of requests that bring none.

    With *always_exact* everything that holds a word is ranked, as for requests that ask for an exact answer.
    """

    def __init__(
        self, pool: Pool, nearest: NearestSearch, *, weights: HybridWeights, always_exact: bool = False
    ) -> None:
        self._pool = pool
        self._nearest = nearest
        self._weights = weights
        self._always_exact = always_exact

    async def find(self, request: SearchRequest) -> SearchResult:
        """Return what *request*'s text finds or, where it has a vector too, what text and vector find together.

        What the text excludes is in neither. A text without words finds nothing by itself, and beside a vector
        changes nothing.
        """
        words = Words.read(request.text or "")
        if not words.terms:
            if request.vector is None:
                return SearchResult(hits=[], exact=True, exhausted=True)
            words = replace(words, terms=_IN_NO_RECORD)
        where = _without(where_clause(request.where, tuple(request.exclude)), words)
        wanted = max(CANDIDATES * request.k, LEAST_CANDIDATES)
        is_whole = request.exact or self._always_exact
        asked = _Asked(
            request=request,
            words=words,
            where=where,
            wanted=wanted,
            most=_EVERYTHING if is_whole else max(MOST, wanted),
        )
        if request.vector is None:
            return await self._by_words(asked)
        return await self._by_both(asked)

    async def _by_words(self, asked: _Asked) -> SearchResult:
        texts = {**asked.texts, "also": "", "least_share": "0", "least_of_best": "0"}
        rows = await self._pool.fetch(_composed("words", texts), asked.values, prepare=False)
        hits = [Hit(key=row[1], score=row[2], metadata=row[3], matched="words") for row in rows if row[1] is not None]
        return SearchResult(hits=hits, exact=rows[0][0], exhausted=len(hits) < asked.request.k)

    async def _by_both(self, asked: _Asked) -> SearchResult:
        plan = await self._nearest.plan(asked.request, asked.where, k=asked.wanted)
        rows = await self._fused(asked, plan)
        whole, near, number = rows[0][:3]
        if plan.way == "count":
            self._nearest.remember(plan, asked.where, number or 0)
        is_scan = plan.way == "scan" or (plan.way == "count" and (number or 0) <= plan.turn)
        if near < asked.wanted and not is_scan:
            scan = Plan(way="scan", reason="the index came back short", turn=plan.turn)
            rows, is_scan = await self._fused(asked, scan), True
        hits = [_hit(row) for row in rows if row[3] is not None]
        return SearchResult(hits=hits, exact=is_scan and whole, exhausted=len(hits) < asked.request.k)

    async def _fused(self, asked: _Asked, plan: Plan) -> list[Row]:
        weights = asked.request.weights or self._weights
        # Where words alone decide the order, all that hold any are ranked, as in keyword search.
        is_selective = weights.vector > 0
        texts = {
            **asked.texts,
            "also": "UNION SELECT id FROM nearest",
            "nearest": self._nearest.statement(plan, asked.where, asked.wanted),
            "number": "number" if plan.way == "count" else "NULL::bigint",
            "least_share": str(LEAST_SHARE if is_selective else 0),
            "least_of_best": str(LEAST_OF_BEST if is_selective else 0),
        }
        values = {
            **asked.values,
            "vector": asked.request.vector,
            "text_weight": weights.text,
            "vector_weight": weights.vector,
        }
        return await self._pool.fetch(_composed("hybrid", texts), values, prepare=False)


def _composed(name: str, texts: dict[str, str]) -> LiteralString:
    return filled(_STATEMENTS[name], {**texts, "ranked": filled(_STATEMENTS["ranked"], texts)})


def _query(name: str) -> str:
    return filled(_STATEMENTS["query"], {"name": name})


def _holds(query: str) -> str:
    return filled(_STATEMENTS["holds"], {"query": query})


def _named(letter: str, texts: tuple[str, ...]) -> dict[str, str]:
    return {f"{letter}{place}": text for place, text in enumerate(texts)}


def _without(where: Where, words: Words) -> Where:
    """Return *where* without the records that hold what *words* exclude."""
    values = _named("x", words.excluded)
    parts = [where.text] if where.text else []
    parts += [f"NOT ({_holds(_query(name))})" for name in values]
    return replace(where, text=" AND ".join(parts), values={**where.values, **values})


def _hit(row: Row) -> Hit:
    _, _, _, key, score, metadata, rank_score, meaning_place, words_place = row
    return Hit(
        key=key,
        score=min(1.0, max(-1.0, score)),
        metadata=metadata,
        rank_score=rank_score,
        matched=_matched(meaning_place, words_place),
    )


def _matched(meaning_place: int | None, words_place: int | None) -> Matched:
    if meaning_place is None:
        return "words"
    return "meaning" if words_place is None else "both"
