"""The indexes of a PostgreSQL collection: what they take, building them on a live table, and when to do it anew.

Those on vectors, and those on fields of metadata.
"""

from media_gateway.stores.postgres.indexes.advice import (
    RebuildAdvice,
    read_rebuild_advice,
    rebuild_advice,
)
from media_gateway.stores.postgres.indexes.build import BuiltIndex, build_index, drop_index, rebuild_index
from media_gateway.stores.postgres.indexes.catalogue import (
    BuildNote,
    IndexState,
    TableState,
    known_rate,
    read_indexes,
    read_table,
)
from media_gateway.stores.postgres.indexes.estimate import (
    MEASURED_RATE,
    BuildRate,
    IndexEstimate,
    IndexForm,
    estimate_index,
    graph_bytes,
    index_bytes,
    scaled_seconds,
)
from media_gateway.stores.postgres.indexes.field_catalogue import FieldIndex, read_field_indexes
from media_gateway.stores.postgres.indexes.fields import BuiltField, drop_field, index_field
from media_gateway.stores.postgres.indexes.progress import BuildProgress, current_progress
from media_gateway.stores.postgres.indexes.resources import BuildPlan, BuildResources, local_resources, planned_build
from media_gateway.stores.postgres.indexes.sample import build_rate, sampled_rate

__all__ = [
    "MEASURED_RATE",
    "BuildNote",
    "BuildPlan",
    "BuildProgress",
    "BuildRate",
    "BuildResources",
    "BuiltField",
    "BuiltIndex",
    "FieldIndex",
    "IndexEstimate",
    "IndexForm",
    "IndexState",
    "RebuildAdvice",
    "TableState",
    "build_index",
    "build_rate",
    "current_progress",
    "drop_field",
    "drop_index",
    "estimate_index",
    "graph_bytes",
    "index_bytes",
    "index_field",
    "known_rate",
    "local_resources",
    "planned_build",
    "read_field_indexes",
    "read_indexes",
    "read_rebuild_advice",
    "read_table",
    "rebuild_advice",
    "rebuild_index",
    "sampled_rate",
    "scaled_seconds",
]
