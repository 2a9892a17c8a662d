"""Moving data between files and stores."""

from media_gateway.transfer.files import ContentFile, ContentRow, open_content_file
from media_gateway.transfer.movielens import MovieLens, MovieLensFilm, MovieLensRatings, open_movielens
from media_gateway.transfer.vectors import VectorFile, open_vector_file

__all__ = [
    "ContentFile",
    "ContentRow",
    "MovieLens",
    "MovieLensFilm",
    "MovieLensRatings",
    "VectorFile",
    "open_content_file",
    "open_movielens",
    "open_vector_file",
]
