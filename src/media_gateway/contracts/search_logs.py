"""What keeps searches to look at later."""

from collections.abc import Mapping
from typing import Any, Protocol

from media_gateway.models import LoggedSearch


class SearchLog(Protocol):
    """Keeps a sample of the searches, off their path: no method but `aclose` waits, and none fails."""

    def wants(self) -> bool:
        """Return whether the next search is in the sample."""
        ...

    def add(self, search: LoggedSearch) -> None:
        """Take *search* to be written soon; it is dropped, and counted, where that cannot be done."""
        ...

    def measures(self) -> Mapping[str, Any]:
        """Return what it did so far in this process, as a JSON object: logged, dropped, waiting, ..."""
        ...

    async def aclose(self) -> None:
        """Write what waits, for a few seconds at most; closing twice does no harm."""
        ...
