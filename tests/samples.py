"""Made-up records with the shape of real ones."""

import numpy as np

from media_gateway.models import ContentVector, Matrix


def clustered(count: int, dimension: int, *, seed: int = 0) -> Matrix:
    """Return unit rows in clusters with a decaying spectrum, as embeddings of real texts have."""
    generator = np.random.default_rng(seed)
    spectrum = 1 / np.sqrt(1 + np.arange(dimension))
    centres = generator.standard_normal((max(1, count // 50), dimension))
    rows = centres[generator.integers(0, len(centres), count)] + generator.standard_normal((count, dimension))
    rows = rows * spectrum
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def records(count: int, dimension: int = 32, *, seed: int = 0, prefix: str = "movie") -> list[ContentVector]:
    """Return records keyed `movie-0`, `movie-1`, ... with metadata as `load` writes it."""
    return [
        ContentVector(
            key=f"{prefix}-{number}",
            vector=vector,
            metadata={
                "id": number,
                "title": f"Title {number}",
                "media_type": "movie" if number % 2 else "tv",
                "genre_ids": [28, number % 7],
                "vote_average": number % 100 / 10,
                "release_date": f"20{number % 25:02d}-02-{number % 28 + 1:02d}",
            },
        )
        for number, vector in enumerate(clustered(count, dimension, seed=seed))
    ]
