"""Words of a search that name a genre, a type or a time, taken as filters that the answer shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from media_gateway.errors import UnsupportedError
from media_gateway.filter_json import condition_to_json
from media_gateway.filters import Condition
from media_gateway.gateway import Gateway
from media_gateway.models import Hit, SearchResult
from media_gateway.query_words import NamedFilter, named_filters
from media_gateway.server.wire.search import SearchBody

_NOBODY = "nobody in particular"
"""The user of a search that names none: one of whom nothing is known gets what is popular."""


@dataclass(frozen=True, kw_only=True)
class Interpreted:
    """What to search for: *body* with the text that is left, and *where*, the filters that were named among it.

    *filters* is None when nobody asked for an interpretation; *rest* is empty when all words became filters.
    """

    body: SearchBody
    where: Condition | None
    filters: Sequence[NamedFilter] | None = None
    rest: str = ""

    @property
    def is_filter_alone(self) -> bool:
        """Whether nothing is left to search for but the filters."""
        return bool(self.filters) and not self.rest

    def shown(self) -> dict[str, Any]:
        """Return what the answer says of the interpretation."""
        if self.filters is None:
            return {}
        shown = [
            {"words": one.words, "label": one.label, "where": condition_to_json(one.condition)} for one in self.filters
        ]
        return {"filters": shown, "searched": self.rest}


def interpreted(body: SearchBody, where: Condition | None) -> Interpreted:
    """Return what *body* asks for, where its words may name filters beside *where*."""
    if not body.interpret or body.text is None:
        return Interpreted(body=body, where=where)
    named = named_filters(body.text, keep=body.keep)
    condition = named.condition
    both = where if condition is None else condition if where is None else where & condition
    # Within the filters, words that say nothing else still bring up what they describe best.
    text = named.rest or body.text
    left = body.model_copy(update={"text": text})
    return Interpreted(body=left, where=both, filters=named.filters, rest=named.rest if condition else text)


async def popular(gateway: Gateway, asked: Interpreted, k: int) -> SearchResult | None:
    """Return the *k* that suit the user best, or are most popular, within the filters; None where nothing was learned."""
    try:
        found = await gateway.recommend(asked.body.user or _NOBODY, k=k, where=asked.where)
    except UnsupportedError:
        return None
    if found.version is None or not found.items:
        return None
    hits = [Hit(key=one.key, score=one.score, metadata=one.metadata) for one in found.items]
    return SearchResult(hits=hits, exact=False, exhausted=len(hits) < k)
