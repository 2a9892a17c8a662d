"""`db`: the PostgreSQL server and its schema."""

import os
import shutil
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from media_gateway.cli.options import JsonOption, examples, read_settings
from media_gateway.cli.output import note, print_facts, print_json
from media_gateway.cli.roles import ROLES_EXAMPLES, roles
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.database.server import ServerStatus
    from media_gateway.settings import Settings

_EXAMPLES = examples(
    "media-gateway db start",
    "media-gateway db status --json",
    'psql "$(media-gateway db url)"',
    "POSTGRES_HOST=db.example.org POSTGRES_PASSWORD=... media-gateway db migrate",
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The PostgreSQL server: the embedded one in ./data/embedded, unless DATABASE_URL or POSTGRES_... name another.",
    epilog=_EXAMPLES,
)


@app.command(
    epilog=examples("media-gateway db start", "media-gateway db start --port 5544", "media-gateway db start --json")
)
def start(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Listen on 127.0.0.1 too, on this port.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Start the embedded server; it runs on in the background until `db stop`."""
    from media_gateway.cli.servers import start_embedded

    settings = read_settings(context)
    status = run(lambda: start_embedded(settings, port=port))
    if as_json:
        print_json(_status_as_json(status))
    else:
        typer.echo(f"{settings.server()} runs: PostgreSQL {status.version}, pid {status.pid}, log in {status.log}")


@app.command(epilog=examples("media-gateway db stop", "media-gateway db stop --json"))
def stop(context: typer.Context, as_json: JsonOption = False) -> None:
    """Stop the embedded server; its data stays, and it stays stopped until `db start`."""
    from media_gateway.cli.servers import stop_embedded

    settings = read_settings(context)
    was_running = run(lambda: stop_embedded(settings))
    if as_json:
        print_json({"was_running": was_running, "server": settings.server()})
    else:
        typer.echo(f"{settings.server()} {'is stopped' if was_running else 'was not running'}")


@app.command(epilog=examples("media-gateway db status", "media-gateway db status --json"))
def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Tell which server is meant, whether it answers, its version, its vector extension and the state of its schema."""
    settings = read_settings(context)
    facts = run(lambda: _status(settings))
    if as_json:
        print_json(facts)
    else:
        print_facts({name: _written(value) for name, value in facts.items()})


@app.command(
    epilog=examples("media-gateway db migrate", "DATABASE_URL=postgresql://... media-gateway db migrate --json")
)
def migrate(context: typer.Context, as_json: JsonOption = False) -> None:
    """Bring the schema up to date: tables, index and functions; what is there already is left alone."""
    from media_gateway.upkeep import apply_migrations

    settings = read_settings(context)
    applied = run(lambda: apply_migrations(settings))
    if as_json:
        print_json({"applied": applied, "server": settings.server()})
    elif applied:
        typer.echo(f"applied to {settings.server()}: {', '.join(applied)}")
    else:
        typer.echo(f"{settings.server()} is up to date")


@app.command(
    epilog=examples('psql "$(media-gateway db url)"', "media-gateway db url --tcp", "media-gateway db url --json")
)
def url(
    context: typer.Context,
    tcp: Annotated[
        bool, typer.Option("--tcp", help="The address over TCP of an embedded server that was started with a port.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the address of the database in one line, as any PostgreSQL client takes it, its password included."""
    settings = read_settings(context)
    address = run(lambda: _url(settings, is_tcp=tcp))
    if as_json:
        print_json({"url": address})
    else:
        typer.echo(address)


@app.command(
    epilog=examples(
        "media-gateway db psql",
        'media-gateway db psql -c "select count(*) from content_vectors"',
        "media-gateway db psql --json          (the command that would run)",
    ),
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def psql(
    context: typer.Context,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGS]...", help="Arguments for psql.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Open psql on the database; ARGS are handed to it."""
    settings = read_settings(context)
    command, password = run(lambda: _psql(settings))
    command += arguments or []
    if as_json:
        print_json({"program": command[0], "arguments": command[1:], "server": settings.server()})
        return
    note(f"using {settings.server()}")
    if password is not None:
        # In the environment of the child alone: arguments can be read by every user of the machine.
        os.environ["PGPASSWORD"] = password
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606  a program and its arguments, no shell


app.command(epilog=ROLES_EXAMPLES)(roles)


async def _status(settings: "Settings") -> dict[str, Any]:
    from media_gateway.cli.servers import embedded, read_facts

    facts: dict[str, Any] = {"server": settings.server(), "embedded": settings.is_embedded, "running": True}
    if settings.is_embedded:
        server = embedded(settings, "look at")
        found = server.status()
        facts.update(_status_as_json(found))
        if not found.running:
            return facts
        conninfo = server.conninfo()
    else:
        conninfo = settings.conninfo()
    facts.update(asdict(await read_facts(settings, conninfo)))
    return facts


def _written(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[object]", value))) or None
    # A port is not a quantity: no separators.
    return str(value) if type(value) is int else value


def _status_as_json(found: "ServerStatus") -> dict[str, Any]:
    return {name: str(value) if hasattr(value, "__fspath__") else value for name, value in asdict(found).items()}


async def _url(settings: "Settings", *, is_tcp: bool) -> str:
    from media_gateway.cli.addresses import url_of
    from media_gateway.cli.servers import embedded
    from media_gateway.wiring import server_conninfo

    conninfo = await server_conninfo(settings)
    if is_tcp:
        return embedded(settings, "ask for its port").tcp_url()
    return url_of(conninfo)


async def _psql(settings: "Settings") -> tuple[list[str], str | None]:
    from media_gateway.cli.addresses import without_password
    from media_gateway.database.server import EmbeddedServer
    from media_gateway.wiring import server_conninfo

    conninfo, password = without_password(await server_conninfo(settings))
    # The embedded server's own psql knows its version; another server's is best known to the system's.
    found = None if settings.is_embedded else shutil.which("psql")
    program = found or str(EmbeddedServer(settings.embedded_path).binary("psql"))
    return [program, "-d", conninfo], password
