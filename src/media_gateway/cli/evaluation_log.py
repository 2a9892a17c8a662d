"""A MovieLens folder as the log that `learn evaluate` learns from."""

from pathlib import Path
from typing import TYPE_CHECKING

from media_gateway.cli.output import note

if TYPE_CHECKING:
    from media_gateway.embeddings.local import LocalEmbedder
    from media_gateway.filters import Condition
    from media_gateway.learning.evaluation.log import EventLog
    from media_gateway.learning.evaluation.queries import Narrow
    from media_gateway.transfer import MovieLensFilm


async def rated_log(dataset: Path, embedder: "LocalEmbedder") -> "tuple[EventLog, Narrow]":
    """Return the ratings in *dataset* as a log, and how a query narrows its films."""
    import numpy as np

    from media_gateway.learning.evaluation.log import Items, event_log
    from media_gateway.query_words import named_filters
    from media_gateway.transfer import open_movielens

    folder = open_movielens(dataset)
    films = folder.films
    events = [event async for event in folder.ratings().events()]
    note(f"embedding {len(films):,} films")
    text = await embedder.embed([film.text for film in films])
    genres, years = ([film.extra.get(name) for film in films] for name in ("genres", "year"))
    items = Items(
        keys=[film.key for film in films],
        text=np.asarray(text, dtype=np.float64),
        genres=[[str(genre) for genre in some] if isinstance(some, list) else [] for some in genres],
        years=[year if isinstance(year, int) else None for year in years],
    )

    def narrow(query: str) -> "np.ndarray[tuple[int], np.dtype[np.bool_]] | None":
        condition = named_filters(query).condition
        return None if condition is None else np.array([_passes(film, condition) for film in films])

    return event_log(items, events), narrow


def _passes(film: "MovieLensFilm", condition: "Condition") -> bool:
    from media_gateway.filters import And, GenresAny, MediaTypeIs, ReleasedBetween

    match condition:
        case And(parts=parts):
            return all(_passes(film, part) for part in parts)
        case GenresAny(ids=ids):
            return not set(ids).isdisjoint(film.genre_ids)
        case MediaTypeIs(media_type=kind):
            return film.media_type == kind
        case ReleasedBetween(first=first, last=last):
            day = film.release_date
            return day is not None and (first is None or first <= day) and (last is None or day <= last)
        case _:
            return True
