"""MovieLens folders: films to load and ratings to learn from. The data itself is never part of this project."""

from media_gateway.transfer.movielens.films import MovieLensFilm
from media_gateway.transfer.movielens.folder import MovieLens, open_movielens
from media_gateway.transfer.movielens.ratings import MovieLensRatings

__all__ = ["MovieLens", "MovieLensFilm", "MovieLensRatings", "open_movielens"]
