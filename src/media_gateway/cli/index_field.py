"""`index field`: an index on a field of metadata."""

from typing import TYPE_CHECKING, Annotated

import typer

from media_gateway.cli.index_options import FieldTypeChoice
from media_gateway.cli.options import BackendOption, JsonOption, choice, read_settings
from media_gateway.cli.output import print_json, size
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.settings import Settings
    from media_gateway.stores.postgres.indexes import BuiltField, FieldIndex


def field(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The entry of metadata, such as runtime.", show_default=False)],
    kind: Annotated[
        FieldTypeChoice,
        typer.Option(
            "--type",
            parser=choice("type", FieldTypeChoice),
            metavar="<number|text>",
            help="What the entry holds; values of other types are left out.",
            show_default=False,
        ),
    ],
    drop: Annotated[bool, typer.Option("--drop", help="Drop the index in place of building it.")] = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build an index on an entry of metadata while searches and writes go on, so that ranges over it read only what passes.

    It also gives PostgreSQL the statistics by which searches choose their way. One that is there is kept, and its
    statistics are taken anew. Stopped with Ctrl-C it leaves nothing behind.
    """
    settings = read_settings(context, backend)
    if drop:
        _drop(settings, name, kind, as_json=as_json)
    else:
        _build(settings, name, kind, as_json=as_json)


def _build(settings: "Settings", name: str, kind: FieldTypeChoice, *, as_json: bool) -> None:
    from media_gateway.cli.index_reports import print_built_field
    from media_gateway.cli.indexing import index_endpoint
    from media_gateway.cli.progress import LoadProgress
    from media_gateway.database.metadata_fields import MetadataField
    from media_gateway.stores.postgres.indexes import index_field

    wanted = MetadataField(name=name, type=kind.value)
    with LoadProgress() as progress:

        async def work() -> "BuiltField":
            return await index_field(
                await index_endpoint(settings),
                wanted,
                on_progress=lambda at: progress.stage(at.phase, at.done, at.total),
            )

        built = run(work)
    print_built_field(built, settings.server(), as_json=as_json)


def _drop(settings: "Settings", name: str, kind: FieldTypeChoice, *, as_json: bool) -> None:
    from media_gateway.cli.indexing import index_endpoint
    from media_gateway.database.metadata_fields import MetadataField
    from media_gateway.stores.postgres.indexes import drop_field

    wanted = MetadataField(name=name, type=kind.value)

    async def work() -> "FieldIndex":
        return await drop_field(await index_endpoint(settings), wanted)

    dropped = run(work)
    if as_json:
        print_json({"server": settings.server(), "dropped": dropped.name, "bytes": dropped.bytes})
    else:
        typer.echo(f"dropped {dropped.name}, {size(dropped.bytes)}, on {settings.server()}")
