"""What was measured of a system, and the file that results are kept in."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson

from media_gateway.errors import FileFormatError


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of a recall-latency curve: a search of *width* (efSearch), one client, median milliseconds."""

    width: int
    recall: float
    p50_ms: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """The figures of one *system* on one data set of *n* rows.

    Latencies are of one client, warm, in milliseconds. *qps* are searches a second by one client, *qps_4* and *qps_16*
    by so many at once. *load_rows_per_s* counts writing alone, *build_s* is what building the index took after that;
    where writing builds the index both tell of the same seconds. *disk_bytes* and *memory_bytes* are None where there
    is nothing to tell. *width* is the efSearch that reached the recall target, None for an exact scan. *data*,
    *machine*, *versions* say what was measured on what; *notes* what is particular about it.
    """

    system: str
    n: int
    dimension: int
    k: int
    recall: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    qps: float
    qps_4: float
    qps_16: float
    load_rows_per_s: float
    build_s: float
    disk_bytes: int | None
    memory_bytes: int | None
    index: str
    width: int | None
    queries: int
    recall_target: float
    curve: Sequence[Point] = ()
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    machine: dict[str, Any] = field(default_factory=dict[str, Any])
    versions: dict[str, str] = field(default_factory=dict[str, str])
    notes: Sequence[str] = ()
    measured_at: str = ""
    command: str = ""

    @property
    def identity(self) -> tuple[Any, ...]:
        """Results of the same identity measure the same thing: the newer one counts."""
        return (self.system, self.data.get("fingerprint"), self.index, self.recall_target)

    def as_json(self) -> dict[str, Any]:
        """Return the result as a JSON object, numbers rounded to what was measured."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in cast("Sequence[Any]", value)]
    return value


class ResultFile:
    """The results in *path*, a JSON list; with None they are kept in memory alone."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.results: list[Result] = [] if path is None or not path.exists() else _read(path)

    def add(self, result: Result) -> None:
        """Keep *result*, in place of an older one of the same identity, and write the file at once."""
        others = [other for other in self.results if other.identity != result.identity]
        self.results = [*others, result]
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self._path.with_name(f"{self._path.name}.new")
            text = orjson.dumps([one.as_json() for one in self.results], option=orjson.OPT_INDENT_2)
            unfinished.write_bytes(text + b"\n")
            unfinished.replace(self._path)


def _read(path: Path) -> list[Result]:
    try:
        entries = orjson.loads(path.read_bytes())
        return [_result(entry) for entry in entries]
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise FileFormatError(
            f"{path} holds no results of media-gateway bench ({error}); name another file with --json, or remove it",
            path=str(path),
        ) from error


def _result(entry: dict[str, Any]) -> Result:
    given: dict[str, Any] = {**entry, "curve": [Point(**point) for point in entry["curve"]]}
    return Result(**given)
