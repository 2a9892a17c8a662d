"""`rollback`: back to memory, reads and writes, in one command."""

import sys
from typing import Annotated

import typer

from media_gateway.cli.options import JsonOption, examples, read_settings
from media_gateway.cli.output import note, print_json
from media_gateway.cli.run import run

ROLLBACK_EXAMPLES = examples("media-gateway rollback --reason 'slow answers'", "media-gateway rollback --json")


def rollback(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the history.", show_default=False)] = "",
    as_json: JsonOption = False,
) -> None:
    """Turn reads and writes back to memory at once, then compare both stores; exit 1 when they differ."""
    from media_gateway.steering.changes import roll_back

    settings = read_settings(context)
    done = run(lambda: roll_back(settings, reason))
    if as_json:
        print_json(done.as_json())
    else:
        typer.echo(done.sentence)
    for remark in done.remarks:
        note(remark)
    if done.verified is not None and done.verified["differing"]:
        sys.exit(1)
