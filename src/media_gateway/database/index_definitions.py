"""The two vector indexes of a collection: what they are called, and the statements that make them.

`content_vectors_hnsw_idx` is on the vectors as they are stored. `content_vectors_halfvec_idx` is on their unit vectors
in 16-bit floats: half the size, up to 4,000 numbers; scores come from the stored vectors all the same.
"""

from dataclasses import dataclass
from typing import Final, Literal, LiteralString, TypeAlias

from media_gateway.database.engine import Engine
from media_gateway.database.statements import filled
from media_gateway.errors import InvalidRequestError, UnsupportedError

IndexKind: TypeAlias = Literal["vector", "halfvec"]

LARGEST_DIMENSION: Final[dict[IndexKind, int]] = {"vector": 2_000, "halfvec": 4_000}
"""Numbers that a vector of each kind may have to be indexed by HNSW (pgvector README, "HNSW")."""
INDEX_NAMES: Final[dict[IndexKind, str]] = {
    "vector": "content_vectors_hnsw_idx",
    "halfvec": "content_vectors_halfvec_idx",
}
_M_RANGE: Final = (2, 100)
_EF_RANGE: Final = (4, 1_000)
_VECTOR: Final = "{{access_method}} (vector {{cosine_ops}})"
_HALFVEC: Final = "{{access_method}} ((l2_normalize(vector)::halfvec({{dimension}})) halfvec_cosine_ops)"
_STATEMENT: Final = (
    "CREATE INDEX {{concurrently}}{{name}} ON content_vectors USING {{expression}} "
    "WITH (m = {{m}}, ef_construction = {{ef_construction}})"
)


@dataclass(frozen=True, kw_only=True)
class IndexDefinition:
    """An HNSW index of *kind* with *m* links a node, made with candidate lists of *ef_construction*.

    Raises InvalidRequestError for an *m* outside 2..100, an *ef_construction* outside 4..1,000 or below 2 m, which
    pgvector would refuse.
    """

    kind: IndexKind = "vector"
    m: int = 16
    ef_construction: int = 64

    def __post_init__(self) -> None:
        _check_within("m", self.m, *_M_RANGE)
        _check_within("ef_construction", self.ef_construction, max(_EF_RANGE[0], 2 * self.m), _EF_RANGE[1])

    @property
    def name(self) -> str:
        """The name that the index has when it serves."""
        return INDEX_NAMES[self.kind]

    def statement(
        self, engine: Engine, dimension: int, *, name: str | None = None, concurrently: bool = False
    ) -> LiteralString:
        """Return the statement that makes the index on vectors of *dimension* numbers.

        *name* is one of ours. Raises UnsupportedError where the engine has no such index, InvalidRequestError where
        the vectors have too many numbers for it.
        """
        if self.kind == "halfvec" and not engine.has_halfvec:
            raise UnsupportedError(
                f"the extension {engine.name!r} has no halfvec index; use --kind vector",
                feature="halfvec index",
                store="postgres",
            )
        if dimension > LARGEST_DIMENSION[self.kind]:
            raise InvalidRequestError(
                f"the vectors have {dimension:,} numbers; a {self.kind} index takes at most "
                f"{LARGEST_DIMENSION[self.kind]:,}"
                + ("; build the halfvec index (--kind halfvec)" if self.kind == "vector" else ""),
                field="kind",
                given=self.kind,
                expected=LARGEST_DIMENSION[self.kind],
            )
        values = {
            "concurrently": "CONCURRENTLY " if concurrently else "",
            "name": name or self.name,
            "m": str(int(self.m)),
            "ef_construction": str(int(self.ef_construction)),
        }
        expression = filled(
            _VECTOR if self.kind == "vector" else _HALFVEC,
            {
                "access_method": engine.access_method,
                "cosine_ops": engine.cosine_ops,
                "dimension": str(int(dimension)),
            },
        )
        return filled(_STATEMENT, {**values, "expression": expression})


def fitting_kind(dimension: int) -> IndexKind:
    """Return the kind of index that a new collection of *dimension* numbers gets."""
    return "vector" if dimension <= LARGEST_DIMENSION["vector"] else "halfvec"


def _check_within(field: str, given: int, least: int, most: int) -> None:
    if not least <= given <= most:
        raise InvalidRequestError(
            f"{field} is {given}; expected {least} to {most:,}", field=field, given=given, expected=(least, most)
        )
