"""The picture that `monitor` shows of what it gathered."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from media_gateway.cli.output import clean, size

_STATEMENT_LENGTH: Final = 70
_DAY: Final = 86_400
_BAD: Final = "bold red"
_Section = Sequence[RenderableType]


def picture(found: Mapping[str, Any]) -> RenderableType:
    """Return what *found*, of `Watch.look`, looks like in a terminal."""
    backend = f"PostgreSQL, {found['server']}" if found["server"] else "memory"
    parts: list[RenderableType] = [Text(f"{found['at']}  {clean(backend)}", style="bold"), Text()]
    if found["service"] is not None:
        parts += _service(found["service"])
    if found["postgres"] is not None:
        parts += _postgres(found["postgres"])
    parts += _surroundings(found)
    return Group(*parts)


def _service(service: Mapping[str, Any]) -> _Section:
    if not service["up"]:
        return [Text(f"service    {service['url']}: {clean(service['error'])}", style=_BAD), Text()]
    http, pool = service["http"], service["pool"]
    first = (
        f"service    {service['url']}: {_number(http['per_second'])} requests/s, p95 {_ms(http['p95_ms'])}, "
        f"p99 {_ms(http['p99_ms'])}, {http['server_errors']:,.0f} server errors, {http['shed']:,.0f} shed, "
        f"{_number(http['in_flight'])} in flight, {_number(http['queued'])} queued"
    )
    lines = [first, *(_recall(one, service["recall_target"]) for one in service["searches"])]
    if pool is not None:
        lines.append(
            f"pool       {_number(pool['used'])} used, {_number(pool['idle'])} idle, {pool['max']:,.0f} at most; "
            f"wait p95 {_ms(pool['wait']['p95_ms'])}, {pool['timeouts']:,.0f} timeouts"
        )
    embedding = service["embedding"]
    lines.append(
        f"embedding  {_number(embedding['requests'])} requests, {_number(embedding['errors'])} errors, "
        f"{_dollars(embedding['cost_dollars'])}; cache {_number(embedding['cache_hits'])} hits, "
        f"{_number(embedding['cache_misses'])} misses"
    )
    operations = _table(
        ("operation", "store", "count", "per s", "p50", "p95", "p99", "errors"),
        [
            (
                one["operation"],
                one["store"],
                f"{one['count']:,.0f}",
                _number(one["per_second"]),
                *(_ms(one[f"p{share}_ms"]) for share in (50, 95, 99)),
                f"{one['errors']:,.0f}",
            )
            for one in service["operations"]
        ],
        text=2,
    )
    return [*(Text(line) for line in lines), operations]


def _postgres(postgres: Mapping[str, Any]) -> _Section:
    if not postgres["up"]:
        return [Text(f"PostgreSQL is down: {clean(postgres['error'])}", style=_BAD), Text()]
    states = ", ".join(f"{count} {state}" for state, count in sorted(postgres["connections"].items())) or "none"
    facts = [
        f"database   {clean(postgres['database'])}, {_number(postgres['records'])} records",
        f"clients    {states}; {postgres['connections_max']} at most",
        f"oldest     {_seconds(postgres['oldest_transaction'])} since the oldest open transaction began",
        f"standbys   {_standbys(postgres['standbys'])}",
    ]
    parts: list[RenderableType] = [Text(fact) for fact in facts]
    slow: Sequence[Mapping[str, Any]] = postgres["statements"] or []
    parts.append(
        _table(
            ("index", "size", "scans", "entries read", "rows fetched"),
            [
                (one["name"], size(one["bytes"]), f"{one['scans']:,}", f"{one['read']:,}", f"{one['fetched']:,}")
                for one in postgres["indexes"]
            ],
        )
    )
    parts.append(
        _table(
            ("table", "size", "live rows", "dead rows"),
            [
                (one["name"], size(one["bytes"]), f"{one['live']:,}", f"{one['dead']:,}")
                for one in postgres["tables"]
                if one["live"] or one["dead"]
            ],
        )
    )
    parts.append(
        _table(
            ("slow statement", "hash", "calls", "mean", "longest", "total"),
            [
                (
                    " ".join(clean(one["query"]).split())[:_STATEMENT_LENGTH],
                    one["hash"],
                    f"{one['calls']:,}",
                    *(_ms(one[name] * 1000) for name in ("mean", "longest", "total")),
                )
                for one in slow
            ],
            text=2,
        )
    )
    parts += [Text(f"not read: {name}: {clean(reason)}", style="dim") for name, reason in postgres["missing"].items()]
    return parts


def _surroundings(found: Mapping[str, Any]) -> _Section:
    backup, transfer, rollout = found["backup"], found["transfer"], found["rollout"]
    lines = [Text(f"rollout    {_rollout(rollout)}", style=_BAD if rollout and rollout.get("tripped") else "")]
    if transfer is not None:
        of = f" of {transfer['expected']:,}" if transfer["expected"] is not None else ""
        end = "finished" if transfer["finished"] else f"last step {_seconds(transfer['idle_seconds'])} ago"
        lines.append(Text(f"transfer   {transfer['done']:,}{of} records, {end}; {transfer['journal']}"))
    if backup is None:
        lines.append(Text("backup     none; make one with media-gateway backup"))
    elif backup["path"] is None:
        lines.append(Text(f"backup     {clean(backup['error'])}", style=_BAD))
    else:
        lines.append(Text(f"backup     {_seconds(backup['age_seconds'])} old: {backup['path']}"))
    disks = (
        f"disk       {disk['volume']}: {size(disk['free_bytes'])} free of {size(disk['size_bytes'])}"
        for disk in found["disks"]
    )
    return [*lines, *(Text(disk) for disk in disks)]


def _recall(searches: Mapping[str, Any], target: float | None) -> str:
    return (
        f"recall     {searches['store']}: {_share(searches['recall'])} of {searches['recall_samples']:,.0f} samples, "
        f"target {_share(target)}; {searches['exact']:,.0f} exact searches, {searches['index']:,.0f} by index, "
        f"{searches['short']:,.0f} short"
    )


def _rollout(rollout: Mapping[str, Any] | None) -> str:
    if rollout is None:
        return "none"
    if rollout["state"] is None:
        return f"not known: {clean(rollout['error'])}"
    service = rollout["service"]
    words = f"{rollout['state']}, epoch {rollout['epoch']}: {clean(rollout['why'])}"
    if service is None:
        return f"{words}; no process serves"
    if service.get("failure") and service.get("alone"):
        return f"{words}; process {service['pid']} takes no part: {clean(service['failure'])}"
    guard = service["guard"]
    overlap = "-" if guard["overlap"] is None else f"{guard['overlap']:.3f}"
    return f"{words}; process {service['pid']} reads {service['reads']}, guard p95 {_ms(guard['p95_ms'])}, overlap {overlap}"


def _standbys(standbys: Sequence[Mapping[str, Any]] | None) -> str:
    if standbys is None:
        return "not known"
    return ", ".join(f"{clean(one['name'])} {one['state']}, lag {_seconds(one['lag'])}" for one in standbys) or "none"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1) -> Table:
    """Return a table whose first *text* columns stand at the left and the figures at the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(header):
        table.add_column(name, justify="left" if place < text else "right", no_wrap=place >= text)
    for row in rows or [("none",)]:
        # Text objects: what looks like markup in a statement is none.
        table.add_row(*(Text(clean(cell)) for cell in row))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"  # noqa: PLR2004


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _dollars(value: float | None) -> str:
    return "cost not known" if value is None else f"{value:,.4f} US dollars"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f} ms" if value < 10 else f"{value:,.0f} ms"  # noqa: PLR2004


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value < 120:  # noqa: PLR2004  two minutes
        return f"{value:.0f} s"
    if value < 7_200:  # noqa: PLR2004  two hours
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.0f} h" if value < 2 * _DAY else f"{value / _DAY:.0f} days"
