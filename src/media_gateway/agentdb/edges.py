"""Causal edges: what one kind of memory does to what comes after it."""

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from media_gateway.agentdb.context import Context
from media_gateway.agentdb.paging import paged
from media_gateway.agentdb.records import CausalEdge
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import checked_number, checked_text, checked_whole, json_text, json_value


class Edges:
    """The causal edges of an open file."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def add(
        self,
        from_id: int,
        to_id: int,
        *,
        from_type: str = "episode",
        to_type: str = "episode",
        uplift: float,
        confidence: float,
        similarity: float = 0.0,
        sample_size: int | None = None,
        evidence_ids: Sequence[int] | None = None,
        mechanism: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Add an edge and return its id; an id of 0 stands for no memory in particular.

        Raises InvalidInputError, among others for a confidence outside 0..1, and UnsupportedError when the file is
        open for reading only.
        """
        now = self._context.now
        row = (
            checked_whole(from_id, "from_id"),
            checked_text(from_type, "from_type"),
            checked_whole(to_id, "to_id"),
            checked_text(to_type, "to_type"),
            checked_number(similarity, "similarity", least=-1, most=1),
            checked_number(uplift, "uplift"),
            checked_number(confidence, "confidence", least=0, most=1),
            None if sample_size is None else checked_whole(sample_size, "sample_size"),
            None if evidence_ids is None else json_text(list(evidence_ids), field="evidence_ids"),
            None,
            None,
            None if mechanism is None else checked_text(mechanism, "mechanism"),
            now,
            now,
            None,
            json_text(metadata, field="metadata"),
        )

        def added(connection: sqlite3.Connection) -> int:
            return connection.execute(statement("edge_add"), row).lastrowid or 0

        return await self._context.file.write(added)

    async def scan(self) -> AsyncIterator[CausalEdge]:
        """Yield every edge by ascending id."""
        async for row in paged(self._context.file, "edge_page"):
            yield edge_of(row)


def edge_of(row: Sequence[Any]) -> CausalEdge:
    """Return the edge of a row of the table."""
    return CausalEdge(
        id=row[0],
        from_memory_id=row[1],
        from_memory_type=row[2],
        to_memory_id=row[3],
        to_memory_type=row[4],
        similarity=row[5],
        uplift=row[6],
        confidence=row[7] if row[7] is not None else 0.0,
        sample_size=row[8],
        evidence_ids=json_value(row[9]),
        experiment_ids=json_value(row[10]),
        confounder_score=row[11],
        mechanism=row[12],
        created_at=row[13],
        updated_at=row[14],
        last_validated_at=row[15],
        metadata=json_value(row[16]),
    )
