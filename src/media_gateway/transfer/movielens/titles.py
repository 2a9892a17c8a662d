"""How MovieLens writes titles: "Matrix, The (1999)" is The Matrix, of 1999."""

import re
from typing import Final

_YEAR: Final = re.compile(
    r"(?P<title>.*\S)\s*\((?P<year>(?:18|19|20)[0-9]{2})(?:\s?[-\u2013]\s?(?:[0-9]{4})?)?\)(?:\s*\(V\))?"
)
"""A series has the years it ran, and a film that went straight to video a (V) behind the year."""
_ARTICLES: Final = "The|A|An|Le|La|Les|Un|Une|El|Los|Las|Una|Il|Lo|Gli|Der|Die|Das|Den|Ein|Eine|De|Det|Het|O|Os"  # as the data has them
_ARTICLE_BEHIND: Final = re.compile(rf"(?P<rest>[^()]*\S), (?P<article>{_ARTICLES}|L')(?=\s*(?:[()]|$))")


def split_title(published: str) -> tuple[str, int | None]:
    """Return the title as people write it, and its year, or None where it bears none.

    Articles return to the front, in other titles in brackets too: "Vie rêvée, La (Dream Life, The) (1998)" gives
    "La Vie rêvée (The Dream Life)" and 1998. Of the years that a series ran, the first counts.
    """
    text = published.strip()
    found = _YEAR.fullmatch(text)
    title = text if found is None else found["title"]
    return _ARTICLE_BEHIND.sub(_in_front, title), None if found is None else int(found["year"])


def _in_front(found: re.Match[str]) -> str:
    article, rest = found["article"], found["rest"]
    start = len(rest) - len(rest.lstrip())
    return f"{rest[:start]}{article}{'' if article.endswith(chr(39)) else ' '}{rest[start:]}"
