"""Add films and series, search them by meaning, and filter: `python examples/quickstart.py`.

Data goes to ./data/memory.snap; RUVECTOR_BACKEND=postgres keeps it in PostgreSQL instead. Nothing else changes.
"""

import asyncio
from datetime import date

from media_gateway import GenresAny, MediaContent, ReleasedBetween, open_gateway

SCIENCE_FICTION = 878

CONTENTS = [
    MediaContent(
        id=862,
        media_type="movie",
        title="Toy Story",
        overview="A cowboy doll fears that a new space ranger will take his place in a boy's heart.",
        genre_ids=(16, 35, 10751),
        release_date=date(1995, 11, 22),
    ),
    MediaContent(
        id=603,
        media_type="movie",
        title="The Matrix",
        overview="A hacker learns that his world is a simulation run by machines, and joins those who fight them.",
        genre_ids=(28, SCIENCE_FICTION),
        release_date=date(1999, 3, 31),
    ),
    MediaContent(
        id=1396,
        media_type="tv",
        title="Breaking Bad",
        overview="A chemistry teacher who is dying turns to making drugs, and to crime.",
        genre_ids=(18, 80),
        release_date=date(2008, 1, 20),
    ),
]


async def main() -> None:
    async with open_gateway() as gateway:
        added = await gateway.add(CONTENTS)
        print(f"{added.written} written, {added.unchanged} there already")

        for text in ("dolls that come alive", "reality is an illusion", "a teacher becomes a criminal"):
            (best,) = (await gateway.search(text, k=1)).hits
            print(f"{text!r}: {best.metadata['title']} ({best.key}, {best.score:.2f})")

        condition = ReleasedBetween(last=date(1999, 12, 31)) & GenresAny([SCIENCE_FICTION])
        (hit,) = (await gateway.search("a story about crime", where=condition)).hits
        print(f"science fiction before 2000: {hit.metadata['title']}")


asyncio.run(main())
