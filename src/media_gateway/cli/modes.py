"""How `search` takes its text: by meaning, by its words, or by both; the options, and what they give together."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from media_gateway.models import HybridWeights, SearchMode

HybridOption = Annotated[bool, typer.Option("--hybrid", help="By meaning and by words at once; on PostgreSQL.")]
WordsOption = Annotated[
    bool, typer.Option("--words", help="By words alone, without a model: names, titles, years; on PostgreSQL.")
]
TextWeightOption = Annotated[
    float | None,
    typer.Option(help="What words count in --hybrid, where meaning counts 1; 2 by default.", show_default=False),
]


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A *mode* of searching, and for hybrid search the *weights* that were asked for, None for those of the settings."""

    mode: "SearchMode"
    weights: "HybridWeights | None"


MEANING: Final = Mode(mode="meaning", weights=None)


def chosen_mode(text: str | None, *, hybrid: bool, words: bool, text_weight: float | None) -> Mode:
    """Return the mode that the options give, or raise InvalidRequestError where they contradict one another."""
    from media_gateway.errors import InvalidRequestError
    from media_gateway.models import MAX_WEIGHT, HybridWeights
    from media_gateway.validation import check_not_blank

    if text is not None and (hybrid or words):
        check_not_blank(text)
    if hybrid and words:
        message = "--hybrid and --words are given; expected one of them: --hybrid searches by words too"
    elif (hybrid or words) and text is None:
        message = f"--{'hybrid' if hybrid else 'words'} is given without a TEXT; give the words to look for"
    elif text_weight is not None and not hybrid:
        message = "--text-weight is given without --hybrid; give both, or leave it out"
    elif text_weight is not None and not 0 <= text_weight <= MAX_WEIGHT:
        message = f"--text-weight is {text_weight:g}; expected a number from 0 to {MAX_WEIGHT:,}"
    else:
        weights = None if text_weight is None else HybridWeights(text=text_weight, vector=1.0)
        return Mode(mode="hybrid" if hybrid else "words" if words else "meaning", weights=weights)
    raise InvalidRequestError(message, field="mode", given=text, expected="options that fit together")
