"""Learning while the service runs: what users do is learned from within a second or two."""

import asyncio
import logging
from typing import Final

from anyio.from_thread import start_blocking_portal

from media_gateway.errors import MediaGatewayError
from media_gateway.settings import Settings
from media_gateway.wiring import open_learning

_log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 5.0
"""After which a learner that failed, because PostgreSQL is away or holds no collection yet, is tried again."""


async def keep_learning(settings: Settings) -> None:
    """Learn from the events that wait and that come, until it is cancelled.

    It survives whatever keeps it from learning. Several processes may do this at a time: each event is learned from once.
    It has an event loop and a thread of its own, since a batch computes for milliseconds and a refresh for seconds.
    """
    with start_blocking_portal() as portal:
        await asyncio.wrap_future(portal.start_task_soon(_follow, settings))


async def _follow(settings: Settings) -> None:
    said = ""
    while True:
        try:
            async with open_learning(settings) as desk:
                said = ""
                await desk.learner.follow()
        except MediaGatewayError as error:
            if str(error) != said:
                said = str(error)
                _log.warning("nothing is learned for now: %s", error)
        except Exception:  # noqa: BLE001  what is served does not depend on it
            _log.exception("learning failed and is tried again")
        await asyncio.sleep(_AGAIN_SECONDS)
