"""`doctor`: what is wrong, why it matters, and what mends it."""

import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from media_gateway.cli.options import BackendOption, JsonOption, examples, place, read_settings
from media_gateway.cli.output import clean, note, print_json
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.monitoring.diagnosis import Diagnosis, Finding
    from media_gateway.settings import Settings
    from media_gateway.upkeep import Mended

DOCTOR_EXAMPLES = examples(
    "media-gateway doctor",
    "media-gateway doctor --fix --backend postgres",
    "media-gateway doctor --json --strict",
)
_WIDTH = 100


def doctor(
    context: typer.Context,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Mend what is safe to mend: start, create, build, warm and tune; nothing is ended or deleted."
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find out what is wrong with the backend, why it matters, and which command mends it. Exits with 1 for errors."""
    settings = read_settings(context, backend)
    mended, found = run(lambda: _examine(settings, fix=fix, says=not as_json))
    if as_json:
        print_json(_as_json(settings, found, mended, fix=fix))
    else:
        _print(settings, found)
    if found.count("error") or (strict and found.count("warning")):
        raise typer.Exit(1)


async def _examine(settings: "Settings", *, fix: bool, says: bool) -> tuple[list["Mended"], "Diagnosis"]:
    from media_gateway.upkeep import diagnose, mend

    found = await diagnose(settings)
    if not fix:
        return [], found
    return await mend(settings, found, on_mended=_tell if says else None)


def _tell(mended: "Mended") -> None:
    note(f"{mended.code}: {mended.done or f'could not be mended: {mended.error}'}")


def _as_json(settings: "Settings", found: "Diagnosis", mended: list["Mended"], *, fix: bool) -> dict[str, Any]:
    values: dict[str, Any] = {"place": place(settings), **found.as_json()}
    if fix:
        values["mended"] = [{"code": one.code, "done": one.done, "error": one.error} for one in mended]
    return values


def _print(settings: "Settings", found: "Diagnosis") -> None:
    for finding in found.findings:
        _print_finding(finding)
    checked = f"checked: {', '.join(found.checked)}"
    typer.echo(textwrap.fill(checked, _WIDTH))
    if found.skipped:
        typer.echo(textwrap.fill(f"not checked, because of the above: {', '.join(found.skipped)}", _WIDTH))
    if found.is_healthy:
        typer.echo(f"{place(settings)}: everything is healthy")
        return
    fixable = sum(finding.is_fixable for finding in found.findings)
    counts = ", ".join(
        f"{count} {name}{'s' if count != 1 else ''}"
        for name, count in (("error", found.count("error")), ("warning", found.count("warning")))
        if count
    )
    hint = f"; media-gateway doctor --fix mends {fixable} of them" if fixable else ""
    typer.echo(f"{place(settings)}: {counts}{hint}")


def _print_finding(finding: "Finding") -> None:
    typer.echo(f"{finding.severity.upper()}  {finding.code}")
    does_it = "  (doctor --fix does it)" if finding.is_fixable else ""
    for name, text in (("seen", finding.seen), ("why", finding.matters)):
        typer.echo(textwrap.fill(clean(text), _WIDTH, initial_indent=f"  {name:<5}", subsequent_indent=" " * 7))
    # Never broken into lines, to be copied.
    typer.echo(f"  do   {clean(finding.command)}{does_it}")
    typer.echo("")
