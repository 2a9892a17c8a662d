"""The names of TMDB's genres."""

import difflib
import json
from importlib.resources import files

from media_gateway.errors import InvalidFilterError, shown


def genre_ids(given: str) -> list[int]:
    """Return the ids that *given* means: an id itself, or a name such as "Science Fiction", in upper or lower case.

    A name of films and of series with two ids gives both. Raises InvalidFilterError, with names like it, for a name
    that is not known.
    """
    if given.isascii() and given.isdigit() and len(given) < 20:  # noqa: PLR2004  longer ones are no 32-bit numbers
        return [int(given)]
    known = _known()
    found = known.get(given.strip().casefold())
    if found is None:
        near = difflib.get_close_matches(given.casefold(), known, n=3, cutoff=0.5) or sorted(known)
        raise InvalidFilterError(
            f"the genre {shown(given)} is not known; expected an id or a name such as {', '.join(near)}",
            field="genre",
            given=given,
            expected=sorted(known),
        )
    return found


def _known() -> dict[str, list[int]]:
    tables = json.loads((files("media_gateway") / "data" / "genres.json").read_text(encoding="utf-8"))
    known: dict[str, list[int]] = {}
    for table in tables.values():
        for number, name in table.items():
            ids = known.setdefault(name.casefold(), [])
            if int(number) not in ids:
                ids.append(int(number))
    return known
