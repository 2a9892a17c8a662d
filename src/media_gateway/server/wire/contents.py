"""Contents and records, as they are written and read."""

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, SkipValidation, WithJsonSchema

from media_gateway.server.wire.base import EXAMPLE_KEY, Key, Numbers, Shown, Wire


def _json(schema: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema(schema)


class ContentIn(Wire):
    """A film or a series; its title and overview are embedded. Further entries become metadata beside these."""

    # What the entries may be is for `MediaContent` to say, in its own words.
    model_config = ConfigDict(extra="allow")

    id: Annotated[
        SkipValidation[Any],
        _json({"type": "integer", "minimum": 1, "maximum": 2**53, "description": "Its number at TMDB."}),
    ]
    media_type: Annotated[SkipValidation[Any], _json({"enum": ["movie", "tv"]})]
    title: Annotated[SkipValidation[Any], _json({"type": "string", "minLength": 1, "pattern": r"[A-Za-z0-9]"})]
    overview: Annotated[SkipValidation[Any], _json({"type": ["string", "null"]})] = None
    genre_ids: Annotated[
        SkipValidation[Any],
        _json(
            {
                "type": ["array", "null"],
                "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
                "description": "TMDB's.",
            }
        ),
    ] = None
    vote_average: Annotated[SkipValidation[Any], _json({"type": ["number", "null"], "minimum": 0, "maximum": 10})] = (
        None
    )
    release_date: Annotated[SkipValidation[Any], _json({"type": ["string", "null"], "format": "date"})] = None
    poster_path: Annotated[SkipValidation[Any], _json({"type": ["string", "null"]})] = None


class RecordIn(Wire):
    """A record that brings its own vector, of the collection's model."""

    key: Key
    vector: Numbers
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])


class ContentsBody(Wire):
    """What to write, all of it or none: either *contents*, which are embedded, or *records* with vectors of their own."""

    contents: Annotated[list[ContentIn] | None, Field(min_length=1)] = None
    records: Annotated[list[RecordIn] | None, Field(min_length=1)] = None


class Written(Shown):
    """What was written: *written* are new or changed, *unchanged* were there already; *keys* as they were given."""

    written: int
    unchanged: int
    keys: list[str]


class Record(Shown):
    """A record as it is stored."""

    key: Annotated[str, Field(examples=[EXAMPLE_KEY])]
    metadata: dict[str, Any]
    vector: Annotated[list[float] | None, Field(description="Where it was asked for.")] = None


CONTENTS_EXAMPLES: Final[dict[str, Any]] = {
    "contents": {
        "summary": "Films and series, embedded by the service",
        "value": {
            "contents": [
                {
                    "id": 603,
                    "media_type": "movie",
                    "title": "The Matrix",
                    "overview": "A hacker learns that the world he lives in is not real.",
                    "genre_ids": [28, 878],
                    "vote_average": 8.2,
                    "release_date": "1999-03-31",
                }
            ]
        },
    },
    "records": {
        "summary": "Records with vectors of their own (shortened)",
        "value": {"records": [{"key": "clip-7", "vector": [0.12, -0.03, 0.99], "metadata": {"title": "Trailer"}}]},
    },
}
WRITTEN_EXAMPLE: Final = {"written": 1, "unchanged": 0, "keys": [EXAMPLE_KEY]}
RECORD_EXAMPLE: Final = {
    "key": EXAMPLE_KEY,
    "metadata": {"id": 603, "media_type": "movie", "title": "The Matrix", "release_date": "1999-03-31"},
}
