"""What works beside a gateway."""

from typing import Protocol


class Companion(Protocol):
    """Work in the background of a gateway, which ends before the gateway does."""

    async def aclose(self) -> None:
        """End it; closing twice does no harm."""
        ...
