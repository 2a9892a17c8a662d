"""How `search --interpret` reads a text: its options, and how it shows what became filters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from media_gateway.cli.output import clean

if TYPE_CHECKING:
    from media_gateway.filters import Condition
    from media_gateway.interpreting import Interpreted

InterpretOption = Annotated[
    bool, typer.Option("--interpret", help="Make filters of words that name a genre, a type or a time, and show them.")
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="WORDS",
        help="Words that --interpret leaves in the text; may be given again.",
        show_default=False,
    ),
]


def interpretation(
    text: str | None, where: "Condition | None", *, interpret: bool, keep: Sequence[str]
) -> "Interpreted | None":
    """Return what *text* asks for within *where*, or None when that was not asked for.

    Raises InvalidRequestError where the options contradict one another.
    """
    from media_gateway.errors import InvalidRequestError
    from media_gateway.interpreting import interpreted

    if interpret and text is not None:
        return interpreted(text, where, keep=keep)
    if interpret:
        message = "--interpret is given without a TEXT; give the words to look for"
    elif keep:
        message = "--keep is given without --interpret; give both, or leave it out"
    else:
        return None
    raise InvalidRequestError(message, field="interpret", given=text, expected="options that fit together")


def interpretation_line(found: "Interpreted", *, by_popularity: bool) -> str:
    """Return what became of the words, in one line: `filters: "90s" is 1990 to 1999; searched for "about toys"`."""
    filters = ", ".join(f'"{one.words}" is {one.label}' for one in found.filters) or "none"
    searched = "the most popular come first" if by_popularity else f'searched for "{found.text}"'
    return clean(f"filters: {filters}; {searched}")
