"""What has a gateway take part in a rollout that is set while it runs."""

from media_gateway.contracts import Companion, VectorStore
from media_gateway.models import VectorSpace
from media_gateway.monitored import Monitoring
from media_gateway.rollout import RolloutStore
from media_gateway.rollout.following import MemoryFollower, PostgresFollower
from media_gateway.rollout.guard import Guard
from media_gateway.searching import StoreInUse
from media_gateway.settings import Settings
from media_gateway.wiring.stores import rollout_parts


def following(
    use: StoreInUse, settings: Settings, *, space: VectorSpace, monitoring: Monitoring | None
) -> list[Companion]:
    """Return what looks after the store in *use* from now on; nothing where it is a rollout's, which follows by itself."""
    if isinstance(use.store, RolloutStore):
        return []

    def turn_to(store: VectorStore) -> None:
        use.turn_to(store)
        if monitoring is not None:
            monitoring.watch_store(store)

    parts = rollout_parts(settings, space=space, monitoring=monitoring)
    follower = (
        MemoryFollower(use.store, parts.files, Guard(parts.rules), turn_to)
        if settings.backend == "memory"
        else PostgresFollower(use.store, parts, turn_to)
    )
    follower.start()
    return [follower]
