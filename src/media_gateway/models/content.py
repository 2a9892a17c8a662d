"""Films and series."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, Final, Self, cast

from media_gateway.errors import InvalidContentError, shown
from media_gateway.filters import MEDIA_TYPES, MediaType
from media_gateway.json_values import Json, canonical_object

_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def usable_date(value: object) -> date | None:
    """Return the date that *value*, "YYYY-MM-DD", names, or None when it names none."""
    if not isinstance(value, str) or _ISO_DATE.fullmatch(value) is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


@dataclass(frozen=True, kw_only=True)
class MediaContent:
    """A film or a series, as `load` insists on it.

    *id* is its number at TMDB (1..2^53), *genre_ids* are TMDB's too; *vote_average* lies in [0, 10]; *extra* holds
    further JSON entries, which become metadata beside the named ones. Raises InvalidContentError naming the field.
    """

    id: int
    media_type: MediaType
    title: str
    overview: str = ""
    genre_ids: tuple[int, ...] = ()
    vote_average: float | None = None
    release_date: date | None = None
    poster_path: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict[str, Json])

    @property
    def key(self) -> str:
        """The record's key: `movie-603`, `tv-1399`."""
        return f"{self.media_type}-{self.id}"

    @property
    def text(self) -> str:
        """What is embedded: the title, then the overview."""
        return f"{self.title}. {self.overview}" if self.overview else self.title

    def metadata(self) -> dict[str, Json]:
        """Return the record's metadata in canonical form; what is not known is left out."""
        known: dict[str, object] = {
            "id": self.id,
            "media_type": self.media_type,
            "title": self.title,
            "overview": self.overview,
            "genre_ids": list(self.genre_ids),
        }
        if self.vote_average is not None:
            known["vote_average"] = self.vote_average
        if self.release_date is not None:
            known["release_date"] = self.release_date.isoformat()
        if self.poster_path is not None:
            known["poster_path"] = self.poster_path
        return canonical_object({**self.extra, **known}, field=f"metadata of {self.key}")

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Self:
        """Return the content that *given* describes, as read from a file or a request.

        Entries with other names become *extra*, beside those of an "extra" object. Empty dates and null values count
        as not known. Raises InvalidContentError for a missing or unusable entry, InvalidMetadataError for an extra
        that is not JSON.
        """
        entries = dict(given)
        extra: object = entries.pop("extra", None) or {}
        if not isinstance(extra, Mapping):
            raise _invalid("extra", extra, "an object")
        named = cast("Mapping[str, object]", extra)
        rest = {name: value for name, value in entries.items() if name not in _CONTENT_FIELDS}
        everything = canonical_object({**named, **rest}, field="extra")
        clash = sorted(_CONTENT_FIELDS & everything.keys())
        if clash:
            raise _invalid("extra", clash[0], "names other than those of the fields")
        return cls(
            id=_identifier(entries.get("id")),
            media_type=_media_type(entries.get("media_type")),
            title=_title(entries.get("title")),
            overview=_optional_text(entries.get("overview"), "overview") or "",
            genre_ids=_genre_ids(entries.get("genre_ids")),
            vote_average=_vote_average(entries.get("vote_average")),
            release_date=_release_date(entries.get("release_date")),
            poster_path=_optional_text(entries.get("poster_path"), "poster_path"),
            extra=everything,
        )


_CONTENT_FIELDS: Final = frozenset(entry.name for entry in fields(MediaContent)) - {"extra"}


def _invalid(name: str, given: object, expected: str) -> InvalidContentError:
    return InvalidContentError(
        f"{name} is {shown(given)}; expected {expected}", field=name, given=given, expected=expected
    )


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _identifier(value: object) -> int:
    number = _whole(value)
    if number is None or not 1 <= number <= 2**53:
        raise _invalid("id", value, "a whole number from 1")
    return number


def _media_type(value: object) -> MediaType:
    for known in MEDIA_TYPES:
        if value == known:
            return known
    raise _invalid("media_type", value, "'movie' or 'tv'")


def _title(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _invalid("title", value, "text that is not empty")
    canonical_object({"title": value}, field="title")
    return value


def _optional_text(value: object, name: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _invalid(name, value, "text")
    canonical_object({name: value}, field=name)
    return value


def _genre_ids(value: object) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise _invalid("genre_ids", value, "a list of whole numbers")
    numbers = [_whole(item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    usable = tuple(number for number in numbers if number is not None and 0 <= number < 2**31)
    if len(usable) != len(numbers):
        raise _invalid("genre_ids", value, "a list of whole numbers below 2^31")  # pyright: ignore[reportUnknownArgumentType]
    return usable


def _vote_average(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:  # noqa: PLR2004
        raise _invalid("vote_average", value, "a number from 0 to 10")
    return float(value)


def _release_date(value: object) -> date | None:
    if value is None or value == "":
        return None
    if type(value) is date:  # a datetime is a date too, but names a moment
        return value
    day = usable_date(value)
    if day is None:
        raise _invalid("release_date", value, "a date written YYYY-MM-DD")
    return day
