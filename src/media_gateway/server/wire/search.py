"""Searches and their answers."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from media_gateway.models import MAX_K, MAX_TEXT_CHARACTERS, MAX_WEIGHT
from media_gateway.server.wire.base import EXAMPLE_KEY, Flag, Key, Numbers, Shown, Whole, Wire
from media_gateway.server.wire.filters import Where

_METADATA: Final = {"id": 603, "media_type": "movie", "title": "The Matrix", "release_date": "1999-03-31"}

Count = Annotated[Whole, Field(ge=1, le=MAX_K, description="How many to find; the service may allow fewer.")]
MinScore = Annotated[
    float, Field(ge=-1, le=1, allow_inf_nan=False, description="Only what scores above this cosine similarity.")
]
User = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="Who asks: kept with the searches that are logged; during a rollout reads from one store.",
    ),
]


class Weights(Wire):
    """What a place in either ranking counts in a hybrid search; only their ratio matters, and not both are 0."""

    text: Annotated[float, Field(ge=0, le=MAX_WEIGHT)] = 2.0
    vector: Annotated[float, Field(ge=0, le=MAX_WEIGHT)] = 1.0


class SearchBody(Wire):
    """What to look for: a text, or a vector of the collection's model."""

    text: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_TEXT_CHARACTERS,
            description='What to look for, in words. With words or hybrid, "quoted phrases" must be there and -words not.',
        ),
    ] = None
    vector: Annotated[Numbers | None, Field(description="A vector instead of a text; nothing is embedded.")] = None
    mode: Annotated[
        Literal["meaning", "words", "hybrid"],
        Field(description="By meaning, by words without asking the model, or by both at once; words need PostgreSQL."),
    ] = "meaning"
    weights: Annotated[Weights | None, Field(description="For hybrid; those of the settings by default.")] = None
    k: Count = 10
    where: Annotated[Where | None, Field(description="Only records for which this holds.")] = None
    min_score: MinScore | None = None
    exact: Annotated[bool, Field(description="Compare with everything instead of using the index.")] = False
    user: User | None = None
    explain: Annotated[bool, Field(description="Tell also how the store found them; for searches by meaning.")] = False
    interpret: Annotated[
        bool,
        Field(description="Make filters of words that name a genre, a type or a time; the answer shows which."),
    ] = False
    keep: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=100)], ...],
        Field(max_length=20, strict=False, description="Words that interpret shall leave in the text."),
    ] = ()


SEARCH_EXAMPLES: Final[dict[str, Any]] = {
    "meaning": {
        "summary": "By meaning, films since 1990 only",
        "value": {
            "text": "a hacker finds out that the world is not real",
            "k": 5,
            "where": {"and": [{"media_type": "movie"}, {"released": {"first": "1990-01-01"}}]},
        },
    },
    "explained": {"summary": "With its explanation", "value": {"text": "toys come alive", "k": 3, "explain": True}},
    "interpreted": {
        "summary": "Films and 1990 to 1999 become filters",
        "value": {"text": "90s movies about toys", "k": 5, "interpret": True},
    },
    "hybrid": {
        "summary": "By meaning and words; on PostgreSQL",
        "value": {
            "text": "Nolan film about dreams -interstellar",
            "mode": "hybrid",
            "weights": {"text": 2, "vector": 1},
        },
    },
}


class SimilarQuery(Wire):
    """The query of a request for similar records."""

    k: Annotated[int, Field(ge=1, le=MAX_K, strict=False, description="How many to find.")] = 10
    min_score: Annotated[
        float | None, Field(ge=-1, le=1, allow_inf_nan=False, strict=False, description="Only what scores above this.")
    ] = None
    exact: Annotated[Flag, Field(description="Compare with everything instead of using the index.")] = False
    where: Annotated[
        str | None,
        Field(
            description="A filter as JSON text; its form is that of the schema Filter.",
            examples=['{"media_type": "movie"}'],
        ),
    ] = None
    user: User | None = None
    vector: Annotated[Flag, Field(description="Give the vectors of the hits too.")] = False


class FoundHit(Shown):
    """One answer: its key, its score, and what is known of it."""

    key: Annotated[Key, Field(examples=[EXAMPLE_KEY])]
    score: Annotated[
        float,
        Field(description="Cosine similarity, -1 to 1; in searches by words the share of the text's words, 0 to 1."),
    ]
    metadata: dict[str, Any]
    matched: Annotated[
        Literal["meaning", "words", "both"] | None,
        Field(description="By what it was found, where words were asked for."),
    ] = None
    rank_score: Annotated[float | None, Field(description="What hits of a hybrid search are ordered by.")] = None
    vector: Annotated[list[float] | None, Field(description="Where it was asked for.")] = None


class Explained(Shown):
    """How the store answered: by which way, why, and in what time."""

    backend: str
    way: Literal["scan", "index", "count"]
    reason: str
    exact: bool
    hits: int
    milliseconds: float
    rows: tuple[int, int] | None = None
    turn: int | None = None
    index: str | None = None
    ef_search: int | None = None
    candidates: int | None = None
    statement: str | None = None
    plan: list[str]


class FilterShown(Shown):
    """A filter that words of the text named; those words in the body's keep take it off."""

    words: Annotated[str, Field(examples=["90s"])]
    label: Annotated[str, Field(examples=["1990 to 1999"])]
    where: Where


class Found(Shown):
    """The hits, best first."""

    hits: list[FoundHit]
    exact: Annotated[bool, Field(description="Whether everything that passes the filter was compared.")]
    exhausted: Annotated[bool, Field(description="Whether fewer than k came back because nothing further qualifies.")]
    milliseconds: Annotated[
        float, Field(description="What the search took in the service, a text's embedding included.")
    ]
    explanation: Explained | None = None
    ordered_by: Annotated[
        Literal["score", "popularity"],
        Field(description="Popularity where nothing but filters was asked for; score is then the recommendation's."),
    ] = "score"
    filters: Annotated[list[FilterShown] | None, Field(description="With interpret: what words became.")] = None
    searched: Annotated[
        str | None,
        Field(description="With interpret: the text that was searched for; empty when all of it became filters."),
    ] = None


FOUND_EXAMPLE: Final = {
    "hits": [{"key": EXAMPLE_KEY, "score": 0.53121, "metadata": _METADATA}],
    "exact": True,
    "exhausted": False,
    "milliseconds": 4.82,
    "ordered_by": "score",
}
