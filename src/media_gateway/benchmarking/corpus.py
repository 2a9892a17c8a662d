"""A corpus of real texts, embedded by the local model; every tenth text is kept back to be asked for."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import orjson

from media_gateway.benchmarking.datasets import Dataset, blocks_of
from media_gateway.embeddings.local import LocalEmbedder
from media_gateway.errors import FileFormatError

SAMPLE: Final = "sample"
_HELD_OUT: Final = 10
_FEWEST_TEXTS: Final = 20
_TITLE_LENGTH: Final = 200


async def embed_corpus(source: str, *, queries: int, seed: int = 0, size: int | None = None) -> Dataset:
    """Return the texts of *source* as rows: `sample`, a `.txt` file with a text a line, or a `.jsonl` file.

    An object of the latter has a "text", or a "title" and perhaps an "overview"; the whole object becomes metadata.
    Texts that come twice count once, and at most *size* are taken. One in ten, chosen by *seed*, at most *queries*, is
    not searched but asked for. Takes about a second for 150 short texts. Raises FileFormatError.
    """
    texts: dict[str, dict[str, Any]] = {}
    for text, metadata in _rows(source):
        if size is not None and len(texts) == size:
            break
        texts.setdefault(text, metadata)
    if len(texts) < _FEWEST_TEXTS:
        raise _refused(source, f"it has {len(texts)} different texts; expected at least {_FEWEST_TEXTS}")
    embedder = LocalEmbedder()
    try:
        vectors = await embedder.embed(list(texts), "document")
    finally:
        await embedder.aclose()
    order = np.random.default_rng(seed).permutation(len(texts))
    held_out = min(queries, len(texts) // _HELD_OUT)
    kept: list[int] = sorted(order[held_out:].tolist())
    described = list(texts.values())
    return Dataset(
        name=source if source == SAMPLE else Path(source).stem,
        n=len(kept),
        queries=np.ascontiguousarray(vectors[order[:held_out]]),
        blocks=blocks_of(np.ascontiguousarray(vectors[kept])),
        metadata=lambda number: described[kept[number]],
        options={"seed": seed, "model": embedder.space.model},
    )


def _rows(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    lines = _lines(source)
    if source.endswith(".txt"):
        yield from ((text, {"title": text[:_TITLE_LENGTH]}) for line in lines if (text := line.strip()))
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _text_of(source, number, line)


def _lines(source: str) -> list[str]:
    if source == SAMPLE:
        return (files("media_gateway") / "data" / "catalogue.jsonl").read_text(encoding="utf-8").splitlines()
    if not source.endswith((".txt", ".jsonl", ".ndjson")):
        raise _refused(source, "its ending is unknown; expected .txt, .jsonl, or the word sample")
    try:
        return Path(source).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(source, f"it cannot be read ({error})") from error


def _text_of(source: str, number: int, line: str) -> tuple[str, dict[str, Any]]:
    try:
        entries = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _refused(source, f"line {number} is not JSON ({error})") from error
    found = cast("dict[str, Any]", entries) if isinstance(entries, dict) else {}
    parts = [found.get("text")] if "text" in found else [found.get("title"), found.get("overview")]
    text = ". ".join(part for part in parts if isinstance(part, str) and part.strip())
    if not text:
        raise _refused(source, f'line {number} has no text; expected an object with a "text" or a "title"')
    return text, found


def _refused(source: str, why: str) -> FileFormatError:
    return FileFormatError(f"{source} cannot be used: {why}", path=source)
