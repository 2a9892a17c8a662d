"""Embedding models: what turns texts into vectors."""

from media_gateway.embeddings.local import LocalEmbedder
from media_gateway.embeddings.own import OwnVectors

__all__ = ["LocalEmbedder", "OwnVectors"]
