"""The options of the `index` commands."""

import re
from enum import StrEnum
from typing import Annotated, Final

import typer

from media_gateway.cli.options import choice

_UNITS: Final = {"": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


class KindChoice(StrEnum):
    """How an index holds numbers."""

    vector = "vector"
    halfvec = "halfvec"


class FieldTypeChoice(StrEnum):
    """What a field of metadata holds."""

    number = "number"
    text = "text"


def byte_size(text: str) -> int:
    """Return the bytes that *text* such as 2GB means; raises SettingsError for anything else."""
    from media_gateway.errors import SettingsError, shown

    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(|KB|MB|GB|TB)", text.strip(), re.IGNORECASE)
    if found is None or not float(found[1]):
        raise SettingsError(
            f"a size is {shown(text)}; expected a number with KB, MB, GB or TB, such as 2GB", field="size", given=text
        )
    return int(float(found[1]) * _UNITS[found[2].upper()])


KindOption = Annotated[
    KindChoice,
    typer.Option(
        parser=choice("kind", KindChoice),
        metavar="<vector|halfvec>",
        help="vector is of the numbers as stored; halfvec of 16 bits a number: half the size, up to 4,000 numbers.",
    ),
]
LinksOption = Annotated[int, typer.Option("--m", help="Links of a node, 2 to 100.")]
WidthOption = Annotated[int, typer.Option("--ef-construction", help="Candidates while building, 4 to 1,000.")]
MaintenanceOption = Annotated[
    int | None,
    typer.Option(
        parser=byte_size,
        metavar="SIZE",
        help="Memory that the build may take on the server, such as 2GB; by default up to half of this machine's for the "
        "embedded server, else the server's maintenance_work_mem.",
        show_default=False,
    ),
]
