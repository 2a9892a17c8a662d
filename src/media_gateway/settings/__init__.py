"""The settings, and the only reader of the environment."""

from media_gateway.settings.all import Backend, Settings
from media_gateway.settings.embedding import EmbeddingProvider

__all__ = ["Backend", "EmbeddingProvider", "Settings"]
