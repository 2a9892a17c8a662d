"""The services' SDKs: optional, and imported only when a service is used, on a thread, since they take a second."""

import asyncio
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from media_gateway.errors import EmbeddingError


def require_sdk(module: str, *, extra: str, model: str) -> None:
    """Raise EmbeddingError, naming the extra to install, when the SDK *module* is not there; nothing is imported."""
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise EmbeddingError(
            f"embedding with {model} needs the package {module}, which is not installed; "
            f"run pip install 'media-gateway[{extra}]', or set EMBEDDING_PROVIDER=local",
            model=model,
        )


async def imported(module: str) -> ModuleType:
    """Import *module* without holding up the event loop."""
    return await asyncio.to_thread(import_module, module)
