"""`learn`: what is learned from what users do, and how well."""

import typer

from media_gateway.cli import evaluating, learned_users, learning
from media_gateway.cli.options import examples

app = typer.Typer(
    help="Learn from what users do, and measure how well.",
    no_args_is_help=True,
    epilog=examples("media-gateway learn evaluate --dataset ml-100k"),
)
app.command(epilog=evaluating.EVALUATE_EXAMPLES)(evaluating.evaluate)
app.command("import", epilog=learning.IMPORT_EXAMPLES)(learning.import_events)
app.command(epilog=learning.RUN_EXAMPLES)(learning.run)
app.command(epilog=learning.STATUS_EXAMPLES)(learning.status)
app.command(epilog=learning.REBUILD_EXAMPLES)(learning.rebuild)
app.command(epilog=learned_users.EXPORT_EXAMPLES)(learned_users.export)
app.command(epilog=learned_users.ERASE_EXAMPLES)(learned_users.erase)
