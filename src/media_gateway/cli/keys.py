"""`keys`: who may use the HTTP service, and for what."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from media_gateway.cli.options import JsonOption, choice, examples, read_settings
from media_gateway.cli.output import note, print_json, print_table

if TYPE_CHECKING:
    from media_gateway.server.keys import ApiKey

_UNITS: Final = {"d": "days", "h": "hours"}
_LONGEST_DAYS: Final = 36_500


class ScopeChoice(StrEnum):
    """What a key is good for."""

    read = "read"
    write = "write"
    admin = "admin"


app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="API keys of the HTTP service: create, list, revoke."
)

ScopeOption = Annotated[
    ScopeChoice,
    typer.Option(
        parser=choice("scope", ScopeChoice),
        metavar="<read|write|admin>",
        help="What it is good for; write includes read, admin everything.",
        show_default=False,
    ),
]


@app.command(
    epilog=examples(
        "media-gateway keys create web --scope read",
        "media-gateway keys create importer --scope write --expires 90d --rate 500",
        "media-gateway keys create prometheus --scope read > prometheus.key",
    )
)
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is; the log and refusals say so.", show_default=False)],
    scope: ScopeOption = ScopeChoice.read,
    expires: Annotated[
        str | None,
        typer.Option(help="When it ends: 90d, 12h, or a date such as 2031-01-31 (UTC).", show_default=False),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1e6,
            help="Requests a second; 0 is any number. RUVECTOR_HTTP_RATE_LIMIT else.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it: this once, since only its hash is kept."""
    from media_gateway.server.keys import KeyFile, Scope

    settings = read_settings(context)
    ends = _moment(expires) if expires is not None else None
    made, text = KeyFile(settings.keys_path).create(name, Scope[scope.value], expires=ends, rate=rate)
    if as_json:
        print_json({**_as_json(made), "key": text})
    else:
        typer.echo(text)
    note(f"the key {made.name} ({made.scope.name}) is in {settings.keys_path} as a hash; it is not shown again")


@app.command("list", epilog=examples("media-gateway keys list", "media-gateway keys list --json"))
def list_keys(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the keys: id, name, scope, rate, when made and when they end. The keys themselves are not kept."""
    from media_gateway.server.keys import KeyFile

    settings = read_settings(context)
    found = KeyFile(settings.keys_path).read()
    if as_json:
        print_json([_as_json(key) for key in found])
        return
    if not found:
        note(f"there are no keys in {settings.keys_path}; media-gateway keys create NAME makes one")
        return
    rows = [[str("-" if value is None else value) for value in _as_json(key).values()] for key in found]
    print_table(tuple(_as_json(found[0])), rows, right=("rate",))


@app.command(epilog=examples("media-gateway keys revoke web", "media-gateway keys revoke 1f0a9c3e --json"))
def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The key's name or id.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """End a key; a running service refuses it within a second."""
    from media_gateway.server.keys import KeyFile

    settings = read_settings(context)
    ended = KeyFile(settings.keys_path).revoke(name)
    if as_json:
        print_json(_as_json(ended))
    else:
        typer.echo(f"revoked the key {ended.name} ({ended.scope.name})")


def _as_json(key: "ApiKey") -> dict[str, Any]:
    shown = key.as_json()
    del shown["sha256"]
    shown["valid"] = key.is_valid_at(datetime.now(UTC))
    return shown


def _moment(text: str) -> datetime:
    """Return when a key ends for which *text* was given; raises SettingsError."""
    from media_gateway.errors import SettingsError, shown

    unit = _UNITS.get(text[-1:])
    try:
        if unit is not None:
            length = timedelta(**{unit: int(text[:-1])})
            if length <= timedelta(days=_LONGEST_DAYS):
                return datetime.now(UTC) + length
        else:
            given = datetime.fromisoformat(text)
            return given.replace(tzinfo=given.tzinfo or UTC)
    except (ValueError, OverflowError):
        pass
    expected = "days or hours such as 90d or 12h, or a date such as 2031-01-31"
    raise SettingsError(f"--expires is {shown(text)}; expected {expected}", field="expires", given=text)
