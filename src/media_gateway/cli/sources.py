"""Where `load` reads from: files of content or of vectors, a MovieLens folder, the sample catalogue."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final, TypeAlias

from media_gateway.errors import InvalidInputError
from media_gateway.models import ContentVector
from media_gateway.transfer import (
    ContentFile,
    ContentRow,
    MovieLens,
    VectorFile,
    open_content_file,
    open_movielens,
    open_vector_file,
)

SAMPLE: Final = "sample"
MOVIELENS: Final = "movielens"

Source: TypeAlias = ContentFile | VectorFile | MovieLens
Row: TypeAlias = ContentRow | ContentVector


@contextmanager
def opened_source(source: str, folder: str | None) -> Generator[Source]:
    """Lend what *source* names: the sample, the MovieLens *folder*, or a file.

    Raises InvalidInputError when *folder* is missing or comes with something else, and FileFormatError.
    """
    if (source == MOVIELENS) != (folder is not None):
        found = "movielens without a folder" if folder is None else f"the folder {folder!r} with {source!r}"
        raise InvalidInputError(
            f"load was given {found}; expected a file, sample, or movielens and its folder",
            field="source",
            given=source,
            expected="a file, sample, or movielens and its folder",
        )
    if folder is not None:
        yield open_movielens(Path(folder))
    elif source == SAMPLE:
        with as_file(files("media_gateway") / "data" / "catalogue.jsonl") as path:
            yield open_content_file(path)
    else:
        yield open_vector_file(Path(source)) or open_content_file(Path(source))
