"""`index`: the vector index of a PostgreSQL collection, and those on fields of metadata."""

from typing import TYPE_CHECKING, Annotated

import typer

from media_gateway.cli.index_field import field
from media_gateway.cli.index_options import (
    KindChoice,
    KindOption,
    LinksOption,
    MaintenanceOption,
    WidthOption,
    byte_size,
)
from media_gateway.cli.options import BackendOption, JsonOption, choice, examples, place, read_settings
from media_gateway.cli.output import note, print_facts, print_json, print_table, size
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.stores.postgres.indexes import BuiltIndex, IndexState

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The vector index of a PostgreSQL collection: what it takes, building it while searches go on, warming it; and "
    "indexes on fields of metadata.",
    epilog=examples(
        "media-gateway index status",
        "media-gateway index build --kind halfvec",
        "media-gateway index estimate --rows 10000000 --dimension 768 --memory 24GB",
    ),
)


@app.command(epilog=examples("media-gateway index status", "media-gateway index status --json"))
def status(context: typer.Context, backend: BackendOption = None, as_json: JsonOption = False) -> None:
    """Tell which indexes there are, whether a vector index is better built anew, and how far a build under way is."""
    from media_gateway.cli.index_reports import field_as_json, index_as_json, parameters, print_fields
    from media_gateway.cli.indexing import read_report

    settings = read_settings(context, backend)
    report = run(lambda: read_report(settings))
    going_on = report.progress
    if as_json:
        progress = None
        if going_on is not None:
            progress = {
                "phase": going_on.phase,
                "percent": going_on.percent,
                "seconds": going_on.seconds,
                "seconds_left": going_on.seconds_left,
            }
        print_json(
            {
                "server": settings.server(),
                "rows": report.table.rows,
                "dead_rows": report.table.dead,
                "dimension": report.table.dimension,
                "indexes": [index_as_json(index, advice) for index, advice in report.indexes],
                "fields": [field_as_json(index) for index in report.fields],
                "building": progress,
            }
        )
        return
    print_facts({"place": place(settings), "rows": report.table.rows, "dimension": report.table.dimension})
    if going_on is not None:
        done = "" if going_on.percent is None else f", {going_on.percent:.0f} %"
        left = "" if going_on.seconds_left is None else f", about {going_on.seconds_left:,.0f} s left"
        typer.echo(f"a build is under way: {going_on.phase}{done}{left}")
    rows = [
        (index.name, parameters(index), size(index.bytes), "yes" if index.is_valid else "NO", advice.reason)
        for index, advice in report.indexes
    ]
    if rows:
        print_table(("index", "parameters", "size", "valid", "advice"), rows, right=("size",))
    else:
        note("there is no vector index: searches compare with everything; try: media-gateway index build")
    print_fields(report.fields)


@app.command(
    epilog=examples(
        "media-gateway index estimate --kind halfvec",
        "media-gateway index estimate --rows 10000000 --dimension 768 --memory 24GB",
        "media-gateway index estimate --rows 1000000 --dimension 1536 --json",
    )
)
def estimate(
    context: typer.Context,
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="Rows to reckon with, in place of the collection's.", show_default=False),
    ] = None,
    dimension: Annotated[
        int | None, typer.Option(min=1, max=4000, help="Numbers of a vector, with --rows.", show_default=False)
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(parser=byte_size, metavar="SIZE", help="Memory of the machine, with --rows.", show_default=False),
    ] = None,
    kind: KindOption = KindChoice.vector,
    m: LinksOption = 16,
    ef_construction: WidthOption = 64,
    maintenance_memory: MaintenanceOption = None,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what building an index takes: memory, disk and time, by a short build over some of the collection's rows.

    With --rows no server is asked: the table, each kind of index, its build and its searches are reckoned for that many
    rows, and with --memory what fits such a machine.
    """
    from media_gateway.cli.index_reports import plan_as_json, plan_text, print_capacity
    from media_gateway.cli.indexing import plan
    from media_gateway.database.index_definitions import IndexDefinition
    from media_gateway.errors import SettingsError

    if rows is not None:
        if dimension is None:
            raise SettingsError("--rows needs --dimension, the numbers of a vector", field="dimension")
        print_capacity(rows, dimension, memory, m, as_json=as_json)
        return
    if dimension is not None or memory is not None:
        raise SettingsError(
            "--dimension and --memory go with --rows; without it the collection is looked at", field="rows"
        )
    settings = read_settings(context, backend)
    definition = IndexDefinition(kind=kind.value, m=m, ef_construction=ef_construction)
    found = run(lambda: plan(settings, definition, maintenance_memory))
    if as_json:
        print_json({"server": settings.server(), **plan_as_json(found)})
    else:
        typer.echo(plan_text(found))


@app.command(
    epilog=examples(
        "media-gateway index build --kind halfvec",
        "media-gateway index build --m 24 --ef-construction 128 --replace",
        "media-gateway index build --kind halfvec --maintenance-memory 2GB --json",
    )
)
def build(
    context: typer.Context,
    kind: KindOption = KindChoice.vector,
    m: LinksOption = 16,
    ef_construction: WidthOption = 64,
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop the other vector indexes when this one is there.")
    ] = False,
    maintenance_memory: MaintenanceOption = None,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a vector index while searches and writes go on. It says beforehand what that takes, and shows how far it is.

    Stopped with Ctrl-C it leaves nothing behind.
    """
    from media_gateway.cli.index_reports import plan_text, print_built
    from media_gateway.cli.indexing import build_resources, index_endpoint
    from media_gateway.cli.progress import LoadProgress
    from media_gateway.database.index_definitions import IndexDefinition
    from media_gateway.stores.postgres.indexes import build_index

    settings = read_settings(context, backend)
    definition = IndexDefinition(kind=kind.value, m=m, ef_construction=ef_construction)
    with LoadProgress() as progress:

        async def work() -> "BuiltIndex":
            return await build_index(
                await index_endpoint(settings),
                definition,
                resources=build_resources(settings, maintenance_memory),
                replaces=replace,
                on_plan=lambda found: note(plan_text(found)),
                on_progress=lambda at: progress.stage(at.phase, at.done, at.total),
            )

        built = run(work)
    print_built(built, settings.server(), as_json=as_json)


@app.command(
    epilog=examples(
        "media-gateway index rebuild", "media-gateway index rebuild --kind halfvec --maintenance-memory 4GB"
    )
)
def rebuild(
    context: typer.Context,
    kind: KindOption = KindChoice.vector,
    maintenance_memory: MaintenanceOption = None,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build an index anew as it is defined, and clear away what builds that were cut off have left.

    The old one serves until the new one is there.
    """
    from media_gateway.cli.index_reports import plan_text, print_built
    from media_gateway.cli.indexing import build_resources, index_endpoint
    from media_gateway.cli.progress import LoadProgress
    from media_gateway.stores.postgres.indexes import rebuild_index

    settings = read_settings(context, backend)
    with LoadProgress() as progress:

        async def work() -> "BuiltIndex":
            return await rebuild_index(
                await index_endpoint(settings),
                kind.value,
                resources=build_resources(settings, maintenance_memory),
                on_plan=lambda found: note(plan_text(found)),
                on_progress=lambda at: progress.stage(at.phase, at.done, at.total),
            )

        built = run(work)
    print_built(built, settings.server(), as_json=as_json)


@app.command(
    epilog=examples("media-gateway index drop --kind halfvec", "media-gateway index drop --kind vector --json")
)
def drop(
    context: typer.Context,
    kind: Annotated[
        KindChoice,
        typer.Option(
            parser=choice("kind", KindChoice), metavar="<vector|halfvec>", help="Which one.", show_default=False
        ),
    ],
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drop a vector index while searches and writes go on. Where it was the only one, searches compare with everything."""
    from media_gateway.cli.indexing import index_endpoint
    from media_gateway.stores.postgres.indexes import drop_index

    settings = read_settings(context, backend)

    async def work() -> "IndexState":
        return await drop_index(await index_endpoint(settings), kind.value)

    dropped = run(work)
    if as_json:
        print_json({"server": settings.server(), "dropped": dropped.name, "bytes": dropped.bytes})
    else:
        typer.echo(f"dropped {dropped.name}, {size(dropped.bytes)}, on {settings.server()}")


@app.command(epilog=examples("media-gateway index warm", "media-gateway index warm --json"))
def warm(context: typer.Context, backend: BackendOption = None, as_json: JsonOption = False) -> None:
    """Bring the index, and rows as far as they fit, into the server's memory, so that the first searches are quick."""
    from media_gateway.cli.indexing import warm as warm_index

    settings = read_settings(context, backend)
    warmed = run(lambda: warm_index(settings))
    if as_json:
        print_json({"server": settings.server(), "bytes": warmed.bytes, "seconds": warmed.seconds, "how": warmed.how})
    elif warmed.how == "searches":
        typer.echo(
            f"warmed by searches in {warmed.seconds:.1f} s, since pg_prewarm cannot be had on {settings.server()}"
        )
    else:
        typer.echo(f"read {size(warmed.bytes)} into memory in {warmed.seconds:.1f} s on {settings.server()}")


app.command(
    epilog=examples(
        "media-gateway index field runtime --type number",
        "media-gateway index field country --type text --json",
        "media-gateway index field runtime --type number --drop",
    )
)(field)
