"""The options that several commands share, and the settings that they lead to."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from media_gateway.settings import Settings


class BackendChoice(StrEnum):
    """Where vectors live."""

    memory = "memory"
    postgres = "postgres"


class TypeChoice(StrEnum):
    """What a title is."""

    movie = "movie"
    tv = "tv"


_Choice = TypeVar("_Choice", bound=StrEnum)


def choice(option: str, choices: type[_Choice]) -> Callable[[str], _Choice]:
    """Return what reads the text of *option* as one of *choices*; it raises SettingsError for another text.

    That is none of the ValueErrors, which the option parser would turn into an error of usage.
    """

    def read(text: str) -> _Choice:
        from media_gateway.errors import SettingsError, shown

        if text not in list(choices):
            *others, last = (f"'{one}'" for one in choices)
            expected = f"{', '.join(others)} or {last}"
            raise SettingsError(
                f"--{option} is {shown(text)}; expected {expected}", field=option, given=text, expected=expected
            )
        return choices(text)

    return read


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do it without being asked again.")]
BackendOption = Annotated[
    BackendChoice | None,
    typer.Option(
        parser=choice("backend", BackendChoice),
        metavar="<memory|postgres>",
        help="Where vectors live; wins over RUVECTOR_BACKEND.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class GlobalOptions:
    """What was given before the command's name."""

    backend: BackendChoice | None


def read_settings(context: typer.Context, backend: BackendChoice | None = None, **arguments: Any) -> "Settings":
    """Return the settings of a command, for which *backend* or else the global `--backend` was given."""
    from media_gateway.settings import Settings

    given: GlobalOptions = context.find_root().obj
    chosen = backend or given.backend
    return Settings.read(backend=chosen.value if chosen else None, **arguments)


def place(settings: "Settings") -> str:
    """Return how the commands name where they read and write."""
    return f"the memory file {settings.memory_path}" if settings.backend == "memory" else settings.server()


def examples(*commands: str) -> str:
    """Return the end of a command's help: *commands* to copy."""
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))


def check_yes(what: str, *, yes: bool) -> None:
    """Raise InvalidInputError, which says *what* would be done, where `--yes` was not given."""
    from media_gateway.errors import InvalidInputError

    if not yes:
        raise InvalidInputError(f"this would {what}; say --yes to do it", field="yes", given=False, expected=True)
