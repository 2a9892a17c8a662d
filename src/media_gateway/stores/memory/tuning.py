"""The numbers that decide between scanning and the index, and where they come from."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class IndexTuning:
    """How a memory store searches. The defaults were measured by `benchmarks/memory_index.py` on two cores.

    *exact_floats*: below this many numbers (records times dimension) there is no index; a scan of 2 million takes
    0.4 ms. *candidate_cost*: records that can be scored where they lie while the index widens its search by one.
    *loop_floats*: a scan of more numbers than this leaves the event loop, since it takes longer than the hop costs.
    *most_candidates*: beyond it a scan outside the event loop is preferred to a long search on it.
    *most_signs*: the most signs kept of each vector, 64 in 8 bytes, which tell what need not be compared (`signs.py`); 0 is none.
    *rebuild_share*: share of replaced and deleted nodes at which the graph is built anew.
    *connectivity* and *expansion_add* are M and efConstruction of HNSW (Malkov and Yashunin 2016, arXiv:1603.09320);
    *expansions* are the efSearch values among which the smallest that reaches the recall target is chosen. They begin
    where vectors without any structure are found too: of 4,000 random directions of 32 numbers, 32 finds .917 of what
    queries held out look for, and 48 finds .966, though trials made of records show .963 and .988. *narrow_expansions*
    are chosen only on the word of records that had no nodes.
    """

    exact_floats: int = 2_000_000
    candidate_cost: float = 40.0
    loop_floats: int = 2_000_000
    most_candidates: int = 2_000
    most_signs: int = 1_024
    rebuild_share: float = 0.3
    connectivity: int = 16
    expansion_add: int = 128
    first_expansion: int = 128
    narrow_expansions: tuple[int, ...] = (12, 14, 16, 18, 20, 24, 28, 32, 40)
    expansions: tuple[int, ...] = (
        48, 56, 64, 72, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512, 640, 768, 1024
    )  # fmt: skip
