"""The options that filter what is searched, and the condition that they give together."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from media_gateway.cli.options import TypeChoice, choice

if TYPE_CHECKING:
    from media_gateway.filters import Condition

TypeOption = Annotated[
    TypeChoice | None,
    typer.Option(
        "--type",
        parser=choice("type", TypeChoice),
        metavar="<movie|tv>",
        help="Films or series only.",
        show_default=False,
    ),
]
GenreOption = Annotated[
    list[str] | None,
    typer.Option("--genre", help="Of this genre, by name or TMDB id; given again: of any of them.", show_default=False),
]
MinRatingOption = Annotated[float | None, typer.Option(help="Rated at least so, of 10.", show_default=False)]
MaxRatingOption = Annotated[float | None, typer.Option(help="Rated at most so, of 10.", show_default=False)]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="YEAR|DATE", help="Released in that year or on that day, or later.", show_default=False
    ),
]
ToOption = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="YEAR|DATE", help="Released in that year or on that day, or earlier.", show_default=False
    ),
]
WhereOption = Annotated[
    str | None,
    typer.Option(
        metavar="JSON", help='Any filter, such as {"metadata": "country", "equals": "FR"}.', show_default=False
    ),
]


def condition_of(
    *,
    media_type: TypeChoice | None,
    genres: Sequence[str],
    rating: tuple[float | None, float | None],
    released: tuple[str | None, str | None],
    where: str | None,
) -> "Condition | None":
    """Return the condition that all of the filter options give together, or None when none is given.

    Raises InvalidFilterError for a genre, a day or a JSON filter that cannot be understood.
    """
    from media_gateway.cli.genres import genre_ids
    from media_gateway.filter_json import condition_from_text
    from media_gateway.filters import And, GenresAny, MediaTypeIs, RatingBetween, ReleasedBetween

    parts: list[Condition] = []
    if media_type is not None:
        parts.append(MediaTypeIs(media_type.value))
    if genres:
        parts.append(GenresAny([number for genre in genres for number in genre_ids(genre)]))
    if rating != (None, None):
        parts.append(RatingBetween(low=rating[0], high=rating[1]))
    if released != (None, None):
        first, last = released
        parts.append(ReleasedBetween(first=_day(first, "from", "01-01"), last=_day(last, "to", "12-31")))
    if where is not None:
        parts.append(condition_from_text(where))
    if len(parts) > 1:
        return And(parts)
    return parts[0] if parts else None


def _day(given: str | None, option: str, of_year: str) -> date | None:
    from media_gateway.errors import InvalidFilterError, shown
    from media_gateway.models import usable_date

    if given is None:
        return None
    day = usable_date(f"{given}-{of_year}" if len(given) == 4 else given)  # noqa: PLR2004  the digits of a year
    if day is None:
        raise InvalidFilterError(
            f"--{option} is {shown(given)}; expected a year such as 1999 or a day such as 1999-03-30",
            field=option,
            given=given,
            expected="a year or a day",
        )
    return day
