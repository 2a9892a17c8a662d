"""`backup` and `restore`: copies of the collection in files, and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from media_gateway.cli.options import BackendOption, JsonOption, examples, place, read_settings
from media_gateway.cli.output import note, print_json, size
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.models import Restored
    from media_gateway.settings import Settings
    from media_gateway.transfer.backup import Checked, Made

_EXAMPLES = examples(
    "media-gateway backup",
    "media-gateway backup --to /mnt/backups --backend postgres --json",
    "media-gateway backup check",
)
RESTORE_EXAMPLES = examples(
    "media-gateway restore data/backups/backup-20260102.dump --backend postgres",
    "media-gateway restore backup-20260102.snap --json",
)

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    help="Back the collection up: backup-YYYYMMDD.dump or .snap, and a manifest beside it.",
    epilog=_EXAMPLES,
)


@app.callback(epilog=_EXAMPLES)
def backup(
    context: typer.Context,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to; by default RUVECTOR_BACKUP_PATH.", show_default=False),
    ] = None,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Back the collection up: backup-YYYYMMDD.dump or .snap, and a manifest beside it."""
    if context.invoked_subcommand is not None:
        return
    settings = read_settings(context, backend)
    note(f"backing up {place(settings)}")
    made = run(lambda: _make(settings, to))
    if as_json:
        print_json({"path": str(made.path), "place": place(settings), **made.manifest.as_json()})
        return
    manifest = made.manifest
    typer.echo(f"{made.path}: {manifest.facts.count:,} records, {size(manifest.size)}")


@app.command(epilog=examples("media-gateway backup check", "media-gateway backup check /mnt/backups --json"))
def check(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(help="Where backups are; by default RUVECTOR_BACKUP_PATH.", show_default=False)
    ] = None,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore the newest backup beside what runs, compare it with its manifest, and remove it again."""
    settings = read_settings(context, backend)
    checked = run(lambda: _check(settings, folder))
    age = checked.age.total_seconds()
    if as_json:
        print_json({"path": str(checked.path), "good": True, "age_seconds": round(age), **checked.manifest.as_json()})
    else:
        typer.echo(f"{checked.path} is good: {checked.manifest.facts.count:,} records, {_age(age)} old")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A backup, with its manifest beside it.")],
    no_owner: Annotated[
        bool,
        typer.Option("--no-owner", help="Make everything this role's own, where the roles of the backup are missing."),
    ] = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the place of what runs, once it was restored beside it and found whole; what ran is kept."""
    settings = read_settings(context, backend)
    note(f"restoring into {place(settings)}")
    restored = run(lambda: _restore(settings, file, keeps_owners=not no_owner))
    if as_json:
        print_json({"restored": str(file), "place": restored.place, "kept": restored.kept, "advice": restored.advice})
        return
    typer.echo(f"{file} is now in the place of {restored.place}")
    if restored.kept is not None:
        typer.echo(f"kept: {restored.kept}")
    for sentence in restored.advice:
        typer.echo(sentence)


async def _make(settings: "Settings", folder: Path | None) -> "Made":
    from media_gateway.wiring import backups

    return await (await backups(settings, folder)).make()


async def _check(settings: "Settings", folder: Path | None) -> "Checked":
    from media_gateway.wiring import backups

    return await (await backups(settings, folder)).check()


async def _restore(settings: "Settings", file: Path, **options: Any) -> "Restored":
    from media_gateway.wiring import backups

    return await (await backups(settings, file.parent, **options)).restore(file, note)


def _age(seconds: float) -> str:
    """Return an age in its two largest units, for example 3 d 4 h."""
    minutes = int(seconds // 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
