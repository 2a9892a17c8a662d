"""What learns from what users do, and where that comes from."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

from media_gateway.filters import Condition
from media_gateway.models import Recommendations, UserPreferences, WatchEvent


class Learning(Protocol):
    """Keeps what users do, and recommends by what was learned from it.

    Methods that wait raise StoreUnavailableError when the server cannot be reached.
    """

    def note(self, events: Sequence[WatchEvent]) -> int:
        """Take *events* to be written soon, and return how many were taken; those beyond a full queue are dropped.

        It never waits. Raises InvalidInputError, and then takes none.
        """
        ...

    async def record(self, events: Sequence[WatchEvent]) -> int:
        """Write *events*, and return how many of them were not there yet; when it returns they are durable."""
        ...

    async def recommend(
        self, user: str, *, k: int, where: Condition | None, exclude: Sequence[str], at: float
    ) -> Recommendations:
        """Return the *k* best records for *user* that pass *where*, without *exclude* and what the user has seen."""
        ...

    async def preferences(self, user: str) -> UserPreferences | None:
        """Return the preference profile of *user*, or None where there is none."""
        ...

    def measures(self) -> Mapping[str, Any]:
        """Return what became of the events that were noted in this process, as a JSON object."""
        ...

    async def aclose(self) -> None:
        """Write what waits, for a few seconds at most; closing twice does no harm."""
        ...


class EventSource(Protocol):
    """Where watch events come from, in the order of their times."""

    def events(self) -> AsyncGenerator[WatchEvent]:
        """Yield every event; whoever stops before the end closes the generator."""
        ...
