"""The vector space: whether the settings, the record and the column mean the same one."""

from typing import Final

from media_gateway.database.collection import column_dimension, recorded_space
from media_gateway.errors import EmbeddingError, SettingsError
from media_gateway.models import VectorSpace
from media_gateway.monitoring.diagnosis.findings import RESTORE, Finding, Kind
from media_gateway.monitoring.diagnosis.parts import DiagnosisParts
from media_gateway.monitoring.diagnosis.view import ServerView

MODEL: Final = Kind(
    code="model_mismatch",
    severity="error",
    matters="vectors of two models cannot be compared, so the collection is not opened",
)
DIMENSION: Final = Kind(
    code="dimension_mismatch",
    severity="error",
    matters="the record says what every vector must be, and the column takes another; writes and searches fail",
)
EMBEDDER: Final = Kind(code="embedder_unusable", severity="error", matters="no text can be embedded, so none be found")
KINDS: Final = (MODEL, DIMENSION, EMBEDDER)


async def examine(view: ServerView) -> list[Finding]:
    """Return where the space of the collection, its column and the settings differ."""
    recorded = await recorded_space(view.connection)
    column = await column_dimension(view.connection)
    found = judged_column(recorded, column)
    return found or judged_settings(recorded, view.parts)


def judged_column(recorded: VectorSpace | None, column: int | None) -> list[Finding]:
    """Return whether the *column* takes the vectors that are on record."""
    if recorded is None or column is None or column == recorded.dimension:
        return []
    return [
        DIMENSION.found(
            f"the collection is of {recorded}, and its column takes {column} numbers",
            f"{RESTORE}; of an empty table: ALTER TABLE content_vectors ALTER COLUMN vector TYPE vector({recorded.dimension})",
        )
    ]


def judged_settings(recorded: VectorSpace | None, parts: DiagnosisParts) -> list[Finding]:
    """Return whether the settings choose the model that the collection has on record."""
    try:
        chosen = parts.space()
    except (SettingsError, EmbeddingError) as error:
        return [EMBEDDER.found(str(error), "correct the setting that it names")]
    if recorded is None or recorded == chosen:
        return []
    return [
        MODEL.found(
            f"the collection holds vectors of {recorded}, and the settings choose {chosen}",
            "set EMBEDDING_PROVIDER and its model to the one on record; for the other one: an empty database",
        )
    ]
