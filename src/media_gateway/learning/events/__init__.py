"""The log of what users did: append-only, each event once, by months."""

from media_gateway.learning.events.checking import checked_event
from media_gateway.learning.events.ids import derived_id, first_id, new_id, time_of
from media_gateway.learning.events.table import EventTable
from media_gateway.learning.events.writer import EventPace, EventWriter

__all__ = ["EventPace", "EventTable", "EventWriter", "checked_event", "derived_id", "first_id", "new_id", "time_of"]
