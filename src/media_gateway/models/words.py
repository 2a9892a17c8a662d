"""What a search text asks for: words, quoted phrases, and what must not be there."""

import re
from dataclasses import dataclass
from typing import Final, Self

MAX_TEXT_CHARACTERS: Final = 10_000
"""The longest search text: a long page. More is a mistake, and would be parsed and sent with each search."""
MAX_TERMS: Final = 24
"""Words and phrases of a text that are looked up, the first ones: each is counted in the index by itself."""
STOP_WORDS: Final = frozenset(
    (
        "a", "about", "above", "after", "again", "against", "all", "am", "an", "and", "any", "are", "as", "at", "be",
        "because", "been", "before", "being", "below", "between", "both", "but", "by", "can", "did", "do", "does",
        "doing", "don", "down", "during", "each", "few", "for", "from", "further", "had", "has", "have", "having",
        "he", "her", "here", "hers", "herself", "him", "himself", "his", "how", "i", "if", "in", "into", "is", "it",
        "its", "itself", "just", "me", "more", "most", "my", "myself", "no", "nor", "not", "now", "of", "off", "on",
        "once", "only", "or", "other", "our", "ours", "ourselves", "out", "over", "own", "s", "same", "she", "should",
        "so", "some", "such", "t", "than", "that", "the", "their", "theirs", "them", "themselves", "then", "there",
        "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "very", "was", "we", "were",
        "what", "when", "where", "which", "while", "who", "whom", "why", "will", "with", "you", "your", "yours",
        "yourself", "yourselves",
    )
)  # fmt: skip
"""Words so common that PostgreSQL's `english` configuration leaves them out of its index."""

_PIECE: Final = re.compile(r'(-?)(?:"([^"]*)(?:"|$)|([^\s"]+))')


@dataclass(frozen=True, kw_only=True)
class Words:
    """A search text, read as web searches are: `"a phrase"` must be there, `-word` or `-"a phrase"` must not be.

    Each of *terms*, words and phrases alike, counts for what holds it; *phrases* are those that must be there, and
    *excluded* what must not be. *sentence* is the text as a person would say it, without marks and what is excluded,
    or the whole text where nothing of it is left.
    """

    terms: tuple[str, ...]
    phrases: tuple[str, ...]
    excluded: tuple[str, ...]
    sentence: str

    @classmethod
    def read(cls, text: str) -> Self:
        """Read *text*; there is no text that cannot be read, but some have no terms.

        Common words count only where there are no others: "the thing" asks for "thing", "it" for "it".
        """
        terms: list[str] = []
        phrases: list[str] = []
        excluded: list[str] = []
        spoken: list[str] = []
        for sign, phrase, word in _PIECE.findall(text):
            piece = phrase or word
            if not re.search(r"\w", piece):
                continue
            if sign:
                excluded.append(piece)
                continue
            spoken.append(piece)
            terms.append(piece)
            if phrase:
                phrases.append(phrase)
        telling = [term for term in terms if term in phrases or not _is_common(term)]
        return cls(
            terms=_distinct(telling or terms)[:MAX_TERMS],
            phrases=_distinct(phrases)[:MAX_TERMS],
            excluded=_distinct(excluded)[:MAX_TERMS],
            sentence=" ".join(spoken) or text,
        )


def _is_common(word: str) -> bool:
    return re.sub(r"^\W+|\W+$", "", word).lower() in STOP_WORDS


def _distinct(texts: list[str]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(text.casefold(), text)
    return tuple(first.values())
