"""What the `index` commands print."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer

from media_gateway.cli.output import print_facts, print_json, print_table, size
from media_gateway.stores.postgres.capacity import MEASURED, capacity, fit
from media_gateway.stores.postgres.indexes import (
    BuildPlan,
    BuiltField,
    BuiltIndex,
    FieldIndex,
    IndexState,
    RebuildAdvice,
)


def parameters(index: IndexState) -> str:
    """Return the kind of *index* and what it was made with."""
    if index.definition is None:
        return "not ours"
    return f"{index.definition.kind}, m {index.definition.m}, ef_construction {index.definition.ef_construction}"


def index_as_json(index: IndexState, advice: RebuildAdvice | None = None) -> dict[str, Any]:
    """Return what programs get of an *index*."""
    definition, build_note = index.definition, index.note
    facts: dict[str, Any] = {
        "name": index.name,
        "kind": definition.kind if definition else None,
        "m": definition.m if definition else None,
        "ef_construction": definition.ef_construction if definition else None,
        "valid": index.is_valid,
        "bytes": index.bytes,
        "built_at": build_note.built_at.isoformat() if build_note else None,
        "build_seconds": build_note.seconds if build_note else None,
    }
    if advice is not None:
        facts |= {"rebuild_advised": advice.is_advised, "advice": advice.reason}
    return facts


def field_as_json(index: FieldIndex) -> dict[str, Any]:
    """Return what programs get of an *index* on a field."""
    field = index.field
    return {
        "name": index.name,
        "field": field.name if field else None,
        "type": field.type if field else None,
        "valid": index.is_valid,
        "bytes": index.bytes,
    }


def print_fields(indexes: Sequence[FieldIndex]) -> None:
    """Print the indexes on fields, if there are any."""
    cells = [
        (
            index.field.name if index.field else "unknown",
            index.field.type if index.field else "",
            index.name,
            size(index.bytes),
            "yes" if index.is_valid else "NO",
        )
        for index in indexes
    ]
    if cells:
        print_table(("field", "type", "index", "size", "valid"), cells, right=("size",))


def print_built_field(built: BuiltField, server: str, *, as_json: bool) -> None:
    """Print what was *built* on *server*."""
    index = built.index
    if as_json:
        print_json({"server": server, **field_as_json(index), "seconds": built.seconds, "dropped": list(built.dropped)})
        return
    dropped = f"; dropped {', '.join(built.dropped)}" if built.dropped else ""
    if built.seconds is None:
        typer.echo(f"{index.name} is there already, and its statistics are new, on {server}{dropped}")
        return
    typer.echo(f"built {index.name} in {built.seconds:.1f} s, {size(index.bytes)}, on {server}{dropped}")


def plan_as_json(found: BuildPlan) -> dict[str, Any]:
    """Return what programs get of what a build takes."""
    taken = found.estimate
    return {
        "kind": taken.definition.kind,
        "m": taken.definition.m,
        "ef_construction": taken.definition.ef_construction,
        "rows": taken.rows,
        "dimension": taken.dimension,
        "memory_bytes": taken.memory_bytes,
        "disk_bytes": taken.disk_bytes,
        "seconds": taken.seconds,
        "seconds_from": taken.source,
        "given_memory_bytes": found.maintenance,
        "fits_memory": found.fits_memory,
    }


def plan_text(found: BuildPlan) -> str:
    """Return in a sentence what a build takes."""
    taken = found.estimate
    time = "" if taken.seconds is None else f", about {_duration(taken.seconds)} (by {taken.source})"
    text = (
        f"{taken.definition.name} over {taken.rows:,} rows of {taken.dimension} numbers takes "
        f"{size(taken.disk_bytes)} of disk, {size(taken.memory_bytes)} of memory while it is built{time}"
    )
    if found.fits_memory:
        return text
    return f"{text}; the build is given {size(found.maintenance)}, so it will take many times longer"


def print_built(built: BuiltIndex, server: str, *, as_json: bool) -> None:
    """Print what was *built* on *server*."""
    if as_json:
        print_json(
            {
                "server": server,
                **index_as_json(built.index),
                "seconds": built.seconds,
                "dropped": list(built.dropped),
                "estimate": plan_as_json(built.plan),
            }
        )
        return
    dropped = f"; dropped {', '.join(built.dropped)}" if built.dropped else ""
    typer.echo(f"built {built.index.name} in {built.seconds:.1f} s, {size(built.index.bytes)}, on {server}{dropped}")


def print_capacity(rows: int, dimension: int, memory: int | None, m: int, *, as_json: bool) -> None:
    """Print what so many rows take, and what fits a machine of *memory*."""
    found = capacity(rows, dimension, memory=memory, m=m, model=fit(MEASURED))
    if as_json:
        print_json({**asdict(found), "memory": memory})
        return
    print_facts({"rows": rows, "dimension": dimension, "table": size(found.heap_bytes)})
    cells = [
        (
            variant.name if variant.is_offered else f"{variant.name} (not offered here)",
            size(variant.index_bytes),
            size(variant.build_memory),
            _duration(variant.build_seconds),
            f"{variant.p50_ms:.1f} / {variant.p95_ms:.1f}",
            f"{variant.cold_p50_ms:,.0f}",
            variant.basis,
            _fits(variant.fits, variant.partitions, variant.needs_memory),
        )
        for variant in found.variants
    ]
    header = ("index", "size", "build memory", "build", "p50 / p95 ms", "cold p50 ms", "times", "fits")
    print_table(header, cells, right=("size", "build memory", "build", "p50 / p95 ms", "cold p50 ms"))


def _fits(fits: bool | None, partitions: int | None, needed: int) -> str:
    if fits is None or partitions is None:
        return f"in {size(needed)}"
    if not fits:
        return f"no, it wants {size(needed)}"
    return "yes" if partitions == 1 else "yes, but the graph of its build outgrows half of the memory"


def _duration(seconds: float) -> str:
    if seconds < 90:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    if seconds < 5_400:  # noqa: PLR2004
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
