"""Texts on their way to a model: what is refused before any work is done, and how a long one is cut."""

from collections.abc import Sequence

from media_gateway.errors import InvalidInputError, shown
from media_gateway.json_values import unusable_text

_MOST_BYTES_A_CHARACTER = 4


def checked_texts(texts: Sequence[str]) -> list[str]:
    """Return *texts* as a list.

    Raises InvalidInputError, naming the text, for one that is empty or blank, is not text, or has a NUL character or
    lone surrogate, and for a single str given in place of a list.
    """
    if isinstance(texts, str):
        raise _invalid("texts", texts, "a list of texts", "put it into a list")
    checked = list(texts)
    for index, text in enumerate(checked):
        name = "the text" if len(checked) == 1 else f"texts[{index}]"
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _invalid(name, text, "text", "give a str")
        if not text.strip():
            raise _invalid(name, text, "at least one letter, digit or sign", "give one, or leave it out")
        reason = unusable_text(text)
        if reason is not None:
            raise _invalid(name, text, f"text without {reason}", "remove it")
    return checked


def cut_to_bytes(text: str, limit: int) -> str:
    """Return the longest beginning of *text* that has at most *limit* bytes of UTF-8: *text* itself when it fits."""
    if len(text) * _MOST_BYTES_A_CHARACTER <= limit:
        return text
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[:limit].decode(errors="ignore")


def _invalid(name: str, given: object, expected: str, advice: str) -> InvalidInputError:
    return InvalidInputError(
        f"{name} is {shown(given)}; expected {expected}: {advice}", field=name, given=given, expected=expected
    )
