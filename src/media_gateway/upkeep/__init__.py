"""Looking after a backend: bringing its schema up to date, finding out what is wrong, mending what is safe to mend."""

from media_gateway.upkeep.looking import diagnose
from media_gateway.upkeep.mending import Mended, mend
from media_gateway.upkeep.migrating import apply_migrations

__all__ = ["Mended", "apply_migrations", "diagnose", "mend"]
