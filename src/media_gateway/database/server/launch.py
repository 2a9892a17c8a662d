"""A program of its own, run by its path: become an ordinary user in a user namespace, then become another program.

PostgreSQL refuses to run as uid 0. In a user namespace the same process bears another number while every file stays
its owner's, so that nothing is chowned and no folder is opened to others. Arguments: the number to bear, then the
program and its own arguments. It exits with REFUSED when the system grants no namespace. Nothing but the standard
library may be imported here, since the interpreter is started without site packages.
"""

import ctypes
import os
import struct
import sys
from pathlib import Path
from typing import NoReturn

REFUSED = 125

# Numbers of the kernel's interface: sched.h, capability.h, prctl.h; the last id is reserved for "none".
_CLONE_NEWUSER = 0x10000000
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_LAST_ID = 2**32 - 2


def main(arguments: list[str]) -> NoReturn:
    """Enter the namespace and become the program; exit with REFUSED and a line on stderr when that is not granted."""
    number, program = int(arguments[0]), arguments[1:]
    try:
        _enter(number)
    except OSError as error:
        sys.stderr.write(f"no user namespace: {error.strerror}\n")
        sys.exit(REFUSED)
    os.execv(program[0], program)  # noqa: S606  a program and its arguments, no shell


def _enter(number: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    group = os.getegid()
    user = os.geteuid()
    helper, ask = _start_helper(os.getpid(), number)
    try:
        _checked(libc.unshare(_CLONE_NEWUSER))
        os.write(ask, b"1")
    finally:
        os.close(ask)
        _, status = os.waitpid(helper, 0)
    if status == 0:
        _keep_reach(libc)
        return
    process = Path("/proc/self")
    process.joinpath("setgroups").write_text("deny")
    process.joinpath("gid_map").write_text(f"{number} {group} 1")
    process.joinpath("uid_map").write_text(f"{number} {user} 1")


def _start_helper(pid: int, number: int) -> tuple[int, int]:
    """Fork a child that maps every id of *pid* once a byte was written to the returned descriptor.

    Only a process that stayed outside has the right to map more than itself.
    """
    asked, ask = os.pipe()
    helper = os.fork()
    if helper:
        os.close(asked)
        return helper, ask
    os.close(ask)
    os._exit(0 if os.read(asked, 1) and _map_everyone(pid, number) else 1)


def _map_everyone(pid: int, number: int) -> bool:
    """Map all ids to themselves, except that 0 and *number* change places; False when this is not root's to do."""
    lines = [(0, number, 1), (number, 0, 1), (1, 1, number - 1), (number + 1, number + 1, _LAST_ID - number)]
    text = "\n".join(f"{inside} {outside} {count}" for inside, outside, count in lines if count)
    try:
        for name in ("gid_map", "uid_map"):
            Path(f"/proc/{pid}/{name}").write_text(text)
    except OSError:
        return False
    return True


def _keep_reach(libc: ctypes.CDLL) -> None:
    """Keep the right to pass through folders, which root has: its data may lie in the closed home of a user."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    mask = 1 << _CAP_DAC_READ_SEARCH
    _checked(libc.capset(header, struct.pack("=6I", mask, mask, mask, 0, 0, 0)))
    arguments = (_PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0)
    _checked(libc.prctl(_PR_CAP_AMBIENT, *(ctypes.c_ulong(argument) for argument in arguments)))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
