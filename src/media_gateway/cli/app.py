"""The command `media-gateway`: its groups of commands, its global options, and how errors end it."""

import logging
import sys
from typing import Annotated

import typer

from media_gateway.cli import (
    agentdb,
    backup,
    bench,
    db,
    demo,
    doctor,
    index,
    keys,
    learn,
    load,
    monitor,
    recommend,
    rollback,
    rollout,
    search,
    serve,
    stats,
    transfer,
    tune,
    watch,
)
from media_gateway.cli.options import BackendOption, GlobalOptions, examples
from media_gateway.cli.output import fail
from media_gateway.cli.run import exit_on_signals
from media_gateway.errors import MediaGatewayError

_EXAMPLES = examples(
    "media-gateway demo",
    "media-gateway load sample",
    'media-gateway search "like Inception but lighter"',
    "RUVECTOR_BACKEND=postgres media-gateway stats",
)

# Plain help and errors: they come at once, and read the same in a pipe.
app = typer.Typer(
    name="media-gateway",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; every error that this package raises on purpose is one sentence on stderr and exit code 1."""
    exit_on_signals()
    if sys.stdout is not None:
        # A terminal that cannot show a letter of a title shows a question mark.
        sys.stdout.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    try:
        app()
    except MediaGatewayError as error:
        fail(error)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"media-gateway {version('media-gateway')}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


@app.callback(epilog=_EXAMPLES)
def root(
    context: typer.Context,
    backend: BackendOption = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Log what happens, on stderr.")] = False,
    version: VersionOption = False,  # noqa: ARG001  its callback prints it
) -> None:
    """Find films and series by meaning, in memory or on PostgreSQL."""
    context.obj = GlobalOptions(backend=backend)
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


app.command(epilog=demo.DEMO_EXAMPLES)(demo.demo)
app.command(epilog=load.LOAD_EXAMPLES)(load.load)
app.command(epilog=search.SEARCH_EXAMPLES)(search.search)
app.command(epilog=search.SIMILAR_EXAMPLES)(search.similar)
app.command(epilog=watch.WATCH_EXAMPLES)(watch.watch)
app.command(epilog=recommend.RECOMMEND_EXAMPLES)(recommend.recommend)
app.command(epilog=stats.STATS_EXAMPLES)(stats.stats)
app.command(epilog=serve.SERVE_EXAMPLES)(serve.serve)
app.command(epilog=tune.TUNE_EXAMPLES)(tune.tune)
app.command(epilog=doctor.DOCTOR_EXAMPLES)(doctor.doctor)
app.command(epilog=monitor.MONITOR_EXAMPLES)(monitor.monitor)
app.command(epilog=bench.BENCH_EXAMPLES)(bench.bench)
app.add_typer(db.app, name="db")
app.add_typer(index.app, name="index")
app.add_typer(transfer.app, name="transfer")
app.add_typer(backup.app, name="backup")
app.command(epilog=backup.RESTORE_EXAMPLES)(backup.restore)
app.add_typer(rollout.app, name="rollout")
app.command(epilog=rollback.ROLLBACK_EXAMPLES)(rollback.rollback)
app.add_typer(keys.app, name="keys")
app.add_typer(agentdb.app, name="agentdb")
app.add_typer(learn.app, name="learn")
