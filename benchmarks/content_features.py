"""How good the 64-number feature vectors are, on the sample catalogue, beside the local text model and chance.

Titles that answer the same judged query are related. For each title of such a pair: how many of its relatives are
among its ten nearest (recall), and how many of the ten share a genre (any overlap) and the type.

    python benchmarks/content_features.py
"""

import asyncio
import json
from datetime import date
from importlib.resources import files

import numpy as np
from film_queries import QUERIES

from media_gateway.embeddings.features import ContentEmbeddings
from media_gateway.embeddings.local import LocalEmbedder
from media_gateway.models import MediaContent

ON = date(2026, 1, 1)
K = 10


def catalogue() -> list[MediaContent]:
    text = (files("media_gateway") / "data" / "catalogue.jsonl").read_text(encoding="utf-8")
    return [MediaContent.from_mapping(json.loads(line)) for line in text.splitlines()]


def relatives(contents: list[MediaContent]) -> dict[int, set[int]]:
    places: dict[str, list[int]] = {}
    for place, content in enumerate(contents):
        places.setdefault(content.title, []).append(place)
        places.setdefault(f"{content.title} ({content.media_type})", []).append(place)
    related: dict[int, set[int]] = {}
    for query in QUERIES:
        answers = {place for title in query.grades for place in places.get(title, [])}
        for place in answers:
            related.setdefault(place, set()).update(answers - {place})
    return {place: others for place, others in related.items() if others}


def figures(vectors: np.ndarray, contents: list[MediaContent], related: dict[int, set[int]]) -> dict[str, float]:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    near = np.argsort(-scores, axis=1)[:, :K]
    recall = [len(others & set(near[place].tolist())) / min(len(others), K) for place, others in related.items()]
    genres = [
        np.mean([bool(set(contents[other].genre_ids) & set(content.genre_ids)) for other in near[place]])
        for place, content in enumerate(contents)
    ]
    kinds = [
        np.mean([contents[other].media_type == content.media_type for other in near[place]])
        for place, content in enumerate(contents)
    ]
    means = {"related in the first 10": recall, "of the 10 share a genre": genres, "of the 10 share the type": kinds}
    return {name: round(float(np.mean(values)), 3) for name, values in means.items()}


async def main() -> None:
    contents = catalogue()
    related = relatives(contents)
    embedder = LocalEmbedder()
    texts = await embedder.embed([content.text for content in contents])
    await embedder.aclose()
    candidates = {
        "features, 64": ContentEmbeddings(on=ON).vectors(contents),
        "local text model, 384": texts,
        "chance": np.random.default_rng(0).normal(size=(len(contents), 64)),
    }
    for name, vectors in candidates.items():
        print(json.dumps({"vectors": name, "titles": len(contents), **figures(vectors, contents, related)}))


if __name__ == "__main__":
    asyncio.run(main())
