"""Words of a search that name a genre, a type or a time, taken as filters that are shown beside the hits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from media_gateway.errors import UnsupportedError
from media_gateway.filter_json import condition_to_json
from media_gateway.filters import Condition
from media_gateway.gateway import Gateway
from media_gateway.models import Hit, SearchResult
from media_gateway.query_words import NamedFilter, named_filters

_NOBODY = "nobody in particular"
"""The user of a search that names none: one of whom nothing is known gets what is popular."""


@dataclass(frozen=True, kw_only=True)
class Interpreted:
    """What a text asks for: *text*, to be searched for within *where*, of which its words named the *filters*.

    *rest* is what its words say beside the filters; where that is empty, *text* is the whole text as it was.
    """

    text: str
    where: Condition | None
    filters: Sequence[NamedFilter]
    rest: str

    @property
    def is_filter_alone(self) -> bool:
        """Whether nothing is left to search for but the filters."""
        return bool(self.filters) and not self.rest

    def as_json(self) -> dict[str, Any]:
        """Return what an answer says of the interpretation: the filters with their words, and what was searched for."""
        shown = [
            {"words": one.words, "label": one.label, "where": condition_to_json(one.condition)} for one in self.filters
        ]
        return {"filters": shown, "searched": self.rest}


def interpreted(text: str, where: Condition | None, *, keep: Sequence[str] = ()) -> Interpreted:
    """Return what *text* asks for within *where*; words in *keep* name no filter."""
    named = named_filters(text, keep=keep)
    condition = named.condition
    if condition is None:
        return Interpreted(text=text, where=where, filters=(), rest=text)
    # Within the filters, words that say nothing else still bring up what they describe best.
    return Interpreted(
        text=named.rest or text,
        where=condition if where is None else where & condition,
        filters=named.filters,
        rest=named.rest,
    )


async def popular(gateway: Gateway, where: Condition | None, *, k: int, user: str | None = None) -> SearchResult | None:
    """Return the *k* records that pass *where* and suit *user* best or, without one, are most popular.

    Their score is the recommendation's. None where nothing was learned yet, or nothing can be: under `memory`.
    """
    try:
        found = await gateway.recommend(user or _NOBODY, k=k, where=where)
    except UnsupportedError:
        return None
    if found.version is None or not found.items:
        return None
    hits = [Hit(key=one.key, score=one.score, metadata=one.metadata) for one in found.items]
    return SearchResult(hits=hits, exact=False, exhausted=len(hits) < k)
