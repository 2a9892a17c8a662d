"""Words of a query that name a genre, a type or a time, as conditions that can be shown and taken off again.

`named_filters("90s horror movies about toys")` gives the conditions for films, horror and 1990 to 1999, each with the
words that it came from, and what is left to be searched for, "about toys".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from media_gateway.filters import And, Condition, GenresAny, MediaTypeIs, ReleasedBetween

_GENRES: Final[Mapping[str, tuple[int, ...]]] = {
    r"action": (28, 10759),
    r"adventures?": (12, 10759),
    r"animat(?:ion|ed)|cartoons?": (16,),
    r"comed(?:y|ies)": (35,),
    r"crime": (80,),
    r"documentar(?:y|ies)": (99,),
    r"dramas?": (18,),
    r"famil(?:y|ies)|kids'?|children'?s?": (10751, 10762),
    r"fantas(?:y|ies)": (14, 10765),
    r"history|historical": (36,),
    r"horror": (27,),
    r"musicals?": (10402,),
    r"myster(?:y|ies)": (9648,),
    r"romances?|romantic": (10749,),
    r"sci-?fi|science[ -]fiction": (878, 10765),
    r"thrillers?": (53,),
    r"war": (10752, 10768),
    r"westerns?": (37,),
}
"""TMDB's ids, of films and of series, by the words that mean them."""
_TYPES: Final[Mapping[str, MediaTypeIs]] = {
    r"tv(?:[ -](?:shows?|series))?|series|shows?": MediaTypeIs("tv"),
    r"movies?|films?": MediaTypeIs("movie"),
}
_DECADES: Final = {
    "twenties": 1920,
    "thirties": 1930,
    "forties": 1940,
    "fifties": 1950,
    "sixties": 1960,
    "seventies": 1970,
    "eighties": 1980,
    "nineties": 1990,
}
_YEAR: Final = r"(?:18[89]|19[0-9]|20[0-9])[0-9]"
_LEAD: Final = r"(?:(?:from|of|in|during)\s+)?(?:the\s+)?"
_TIMES: Final = (
    re.compile(rf"\b{_LEAD}(?P<decade>(?:18[89]|19[0-9]|20[0-9])0)'?s\b", re.IGNORECASE),
    re.compile(rf"(?:\b{_LEAD}|(?<!\w))'?(?P<short>[2-9]0)'?s\b", re.IGNORECASE),
    re.compile(rf"\b{_LEAD}(?P<spoken>{'|'.join(_DECADES)})\b", re.IGNORECASE),
    re.compile(rf"\b(?P<bound>before|until|after|since)\s+(?P<from>{_YEAR})\b", re.IGNORECASE),
    re.compile(rf"\b(?:between|from)\s+(?P<first>{_YEAR})\s+(?:and|to)\s+(?P<last>{_YEAR})\b", re.IGNORECASE),
    re.compile(rf"\b(?:from|of|in)\s+(?P<year>{_YEAR})\b", re.IGNORECASE),
)
_QUOTED: Final = re.compile(r'"[^"]*"')
_IDLE: Final = re.compile(r"\b(?:a|an|the|good|best|great|some|any|from|of|in|and)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class NamedFilter:
    """A *condition* and the *words* of the query that named it."""

    words: str
    condition: Condition

    @property
    def label(self) -> str:
        """What the condition asks for, as people read it: "Films", "1990 to 1999", "Horror"."""
        match self.condition:
            case MediaTypeIs(media_type="movie"):
                return "Films"
            case MediaTypeIs():
                return "Series"
            case ReleasedBetween(first=first, last=last):
                return _period_label(first, last)
            case _:
                return self.words.capitalize()


@dataclass(frozen=True, kw_only=True)
class NamedFilters:
    """The *filters* that a query names, and the *rest* of its text, empty when nothing else was asked."""

    filters: Sequence[NamedFilter]
    rest: str

    @property
    def condition(self) -> Condition | None:
        """All conditions together, None where none was named."""
        parts = tuple(one.condition for one in self.filters)
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else And(parts)


def named_filters(text: str, *, keep: Sequence[str] = ()) -> NamedFilters:
    """Return what *text* names by words: each genre, one type and one time; words in *keep* name nothing.

    What stands in quotes is a title and names nothing. Of several times or types the first counts, and the others stay
    in the rest. A year counts only where a word such as "from" or "before" says so, since titles have years too; a
    decade ("90s", "nineties") always does.
    """
    shown = _QUOTED.sub(_blank, text)
    for words in keep:
        shown = re.sub(re.escape(words), _blank, shown, flags=re.IGNORECASE) if words else shown
    found: list[tuple[int, int, Condition]] = []
    times = [match for pattern in _TIMES for match in pattern.finditer(shown)]
    if times:
        first = min(times, key=lambda match: (match.start(), -match.end()))
        found.append((first.start(), first.end(), _period(first)))
    for word, ids in _GENRES.items():
        found.extend((match.start(), match.end(), GenresAny(ids)) for match in _words(word, shown))
    types = [(match, kind) for word, kind in _TYPES.items() for match in _words(word, shown)]
    if types:
        match, kind = min(types, key=lambda pair: pair[0].start())
        found.append((match.start(), match.end(), kind))
    found.sort(key=lambda one: one[0])
    rest, place = "", 0
    for start, end, _ in found:
        rest += text[place:start] + " "
        place = max(place, end)
    rest = " ".join((rest + text[place:]).split())
    return NamedFilters(
        filters=[NamedFilter(words=text[start:end].strip(), condition=condition) for start, end, condition in found],
        # What only held the named words together is no longer a question.
        rest=rest if _IDLE.sub("", rest).strip(" ,.;:!?'-") else "",
    )


def _period_label(first: date | None, last: date | None) -> str:
    if first is None or last is None:
        return f"until {last.year}" if last is not None else f"since {first.year}" if first is not None else "any time"
    return str(first.year) if first.year == last.year else f"{first.year} to {last.year}"


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _words(pattern: str, text: str) -> Sequence[re.Match[str]]:
    return list(re.finditer(rf"(?<![\w-])(?:{pattern})(?![\w-])", text, re.IGNORECASE))


def _period(found: re.Match[str]) -> ReleasedBetween:
    named = found.groupdict()
    if named.get("bound"):
        year, bound = int(named["from"]), named["bound"].lower()
        if bound in {"before", "until"}:
            return _years(None, year - (bound == "before"))
        return _years(year + (bound == "after"), None)
    if named.get("first"):
        first, last = sorted((int(named["first"]), int(named["last"])))
        return _years(first, last)
    if named.get("year"):
        return _years(int(named["year"]), int(named["year"]))
    if named.get("spoken"):
        decade = _DECADES[named["spoken"].lower()]
    else:
        decade = int(named["decade"]) if named.get("decade") else 1900 + int(named["short"])
    return _years(decade, decade + 9)


def _years(first: int | None, last: int | None) -> ReleasedBetween:
    return ReleasedBetween(
        first=None if first is None else date(first, 1, 1),
        last=None if last is None else date(last, 12, 31),
    )
