"""`db roles`: roles with no more rights than they need."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from media_gateway.cli.options import JsonOption, examples, read_settings
from media_gateway.cli.output import note, print_json
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from media_gateway.database.roles import RoleMade, RolesMade, RoleWish
    from media_gateway.settings import Settings

ROLES_EXAMPLES = examples(
    "media-gateway db roles",
    "media-gateway db roles --dry-run",
    "POSTGRES_APP_PASSWORD=... POSTGRES_MONITOR_PASSWORD=... media-gateway db roles",
    "media-gateway db roles --application shop --prompt --json",
)

_DUTIES = {
    "application": "reads and writes rows, and may not change tables",
    "monitoring": "reads how the server does, and no searches of users",
}


def roles(
    context: typer.Context,
    application: Annotated[
        str | None, typer.Option(metavar="NAME", help="The application's role.", show_default="media_gateway_app")
    ] = None,
    monitoring: Annotated[
        str | None, typer.Option(metavar="NAME", help="The role that watches.", show_default="media_gateway_monitor")
    ] = None,
    prompt: Annotated[bool, typer.Option("--prompt", help="Ask for both passwords.")] = False,
    new_passwords: Annotated[
        bool, typer.Option("--new-passwords", help="Make up passwords for roles that are there, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the SQL and change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a role for the application, which may not change tables, and one that only watches.

    Run it as the tables' owner, after `db migrate`; any number of times. Passwords come from POSTGRES_APP_PASSWORD and
    POSTGRES_MONITOR_PASSWORD or the prompt; else new roles get generated ones, which are shown this once.
    """
    settings = read_settings(context, app_role=application, monitor_role=monitoring)
    wishes = _wishes(settings, asks=prompt and not dry_run)
    made = run(lambda: _made(settings, wishes, new_passwords=new_passwords, dry_run=dry_run))
    if as_json:
        print_json({"server": settings.server(), "dry_run": dry_run, **asdict(made)})
        return
    note(f"using {settings.server()}")
    if dry_run:
        _print_sql(made)
        return
    for role in made.roles:
        typer.echo(_sentence(role))
    for statement in made.left:
        note(f"a superuser must still run: {statement}")


def _wishes(settings: "Settings", *, asks: bool) -> "Sequence[RoleWish]":
    from media_gateway.database.roles import RoleWish

    def password(name: str, given: Any) -> str | None:
        if asks:
            return str(typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True))
        return None if given is None else given.get_secret_value()

    return (
        RoleWish(
            duty="application", name=settings.app_role, password=password(settings.app_role, settings.app_password)
        ),
        RoleWish(
            duty="monitoring",
            name=settings.monitor_role,
            password=password(settings.monitor_role, settings.monitor_password),
        ),
    )


async def _made(
    settings: "Settings", wishes: "Sequence[RoleWish]", *, new_passwords: bool, dry_run: bool
) -> "RolesMade":
    from media_gateway.database.engine import ENGINES
    from media_gateway.database.faults import faults_translated
    from media_gateway.database.roles import make_roles, planned_roles
    from media_gateway.database.schema import connect_dedicated
    from media_gateway.wiring import server_conninfo

    engine, server = ENGINES[settings.engine], settings.server()
    conninfo = await server_conninfo(settings)
    with faults_translated(server):
        connection = await connect_dedicated(conninfo)
        try:
            if dry_run:
                return await planned_roles(connection, engine, wishes, server=server)
            return await make_roles(connection, engine, wishes, server=server, new_passwords=new_passwords)
        finally:
            await connection.close()


def _print_sql(made: "RolesMade") -> None:
    for statement in made.statements:
        typer.echo(f"{statement};")
    for role in made.roles:
        if role.password_set:
            # psql asks for it and sends the server a verifier.
            typer.echo(f'\\password "{role.name}"')
    for statement in made.left:
        typer.echo(f"-- as a superuser: {statement};")


def _sentence(role: "RoleMade") -> str:
    what = "made" if role.is_new else "was there and has exactly its rights now"
    told = f"{role.name}: {what}; {_DUTIES[role.duty]}"
    if role.generated is not None:
        return f"{told}\n  password, shown this once: {role.generated}"
    return f"{told}; {'its password is set' if role.password_set else 'its password stays'}"
