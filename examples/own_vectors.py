"""Bring vectors of your own model, and search with a vector: `python examples/own_vectors.py`.

Here a film's vector is made of its genres. No embedding model is loaded; the model's name goes on record, so that
vectors of another one are refused.
"""

import asyncio
from pathlib import Path

import numpy as np

from media_gateway import ContentVector, OwnVectors, Settings, open_gateway
from media_gateway.errors import UnsupportedError

GENRES = ("action", "animation", "comedy", "crime", "romance", "science fiction")
FILMS = {
    "movie-603": ("The Matrix", {"action", "science fiction"}),
    "movie-862": ("Toy Story", {"animation", "comedy"}),
    "movie-949": ("Heat", {"action", "crime"}),
    "movie-10681": ("WALL-E", {"animation", "science fiction", "romance"}),
}


def vector_of(genres: set[str]) -> np.ndarray:
    return np.array([genre in genres for genre in GENRES], dtype=np.float32)


async def main() -> None:
    settings = Settings.read(memory_path=Path("data/genres.snap"))
    model = OwnVectors(model="genres-1", dimension=len(GENRES))
    async with open_gateway(settings, embedder=model) as gateway:
        await gateway.add_vectors(
            [
                ContentVector(key=key, vector=vector_of(genres), metadata={"title": title})
                for key, (title, genres) in FILMS.items()
            ]
        )
        result = await gateway.search_vector(vector_of({"animation", "science fiction"}), k=2)
        for hit in result.hits:
            print(f"{hit.score:.2f} {hit.metadata['title']}")
        try:
            await gateway.search("robots in love")
        except UnsupportedError as error:
            print(error)


asyncio.run(main())

# The same for the command line: media-gateway load films.npz --model genres-1
np.savez(
    "films.npz",
    keys=np.array(list(FILMS)),
    vectors=np.stack([vector_of(genres) for _, genres in FILMS.values()]),
)
