"""`monitor`: what goes on, live in the terminal or once as JSON."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from media_gateway.cli.options import BackendOption, JsonOption, examples, read_settings
from media_gateway.cli.output import print_json
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.settings import Settings

MONITOR_EXAMPLES = examples(
    "media-gateway monitor",
    "media-gateway monitor --service http://127.0.0.1:8080",
    "media-gateway monitor --once --json",
)
_INTERRUPTED = 130
_SCRAPE_SECONDS = 1.0
"""Between two looks at a service where only one picture is wanted: enough for rates."""


def monitor(
    context: typer.Context,
    service: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A running service, whose latencies, rates and recall are shown too.",
            show_default=False,
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show connections, slow statements, sizes, index use, transactions, replication, rollout, transfers, backups, disks.

    Refreshes until Ctrl-C. Where stdout is no terminal, and with --json, one picture a look is printed. Nothing is started or
    changed; what cannot be reached is shown as such.
    """
    settings = read_settings(context, backend)
    if once:
        _print(run(lambda: _once(settings, service)), as_json=as_json)
        return
    try:
        run(lambda: _follow(settings, service, interval, as_json=as_json))
    except SystemExit as end:
        if end.code != _INTERRUPTED:
            raise
        # Ctrl-C is how a live picture is left.
        raise typer.Exit(0) from end


async def _once(settings: "Settings", service: str | None) -> dict[str, Any]:
    from media_gateway.cli.overview import Watch

    async with Watch(settings, url=service) as watch:
        return await watch.look_twice(_SCRAPE_SECONDS)


async def _follow(settings: "Settings", service: str | None, interval: float, *, as_json: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    from media_gateway.cli.monitor_view import picture
    from media_gateway.cli.overview import Watch

    console = Console(highlight=False)
    async with Watch(settings, url=service) as watch:
        if as_json or not console.is_terminal:
            while True:
                _print(await watch.look(), as_json=as_json)
                await asyncio.sleep(interval)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(picture(await watch.look()), refresh=True)
                await asyncio.sleep(interval)


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from rich.console import Console

    from media_gateway.cli.monitor_view import picture

    Console(highlight=False).print(picture(found))
