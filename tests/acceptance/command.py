"""Running the installed command as a user does: in a folder, with nothing of ours in the environment."""

import contextlib
import functools
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from media_gateway.cli import main
from media_gateway.embeddings.minilm import MiniLm

PROGRAM = Path(sys.executable).with_name("media-gateway")
SAMPLE_ROWS = 614

_loaded_model = functools.cache(MiniLm.load)


@dataclass(frozen=True, kw_only=True)
class Finished:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True, kw_only=True)
class Command:
    """The command in *folder*, with *variables* set."""

    folder: Path
    variables: dict[str, str]

    def __call__(self, *arguments: str, timeout: float = 110, **variables: str) -> Finished:
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=self.folder,
            env=self._environment(variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        return Finished(code=done.returncode, out=done.stdout, err=done.stderr)

    def inside(self, *arguments: str, **variables: str) -> Finished:
        """Run in this process, which saves a second or two of imports and of loading the model; exit code and output
        are the same.
        """
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, {**self.variables, **variables}),
            mock.patch.object(sys, "argv", [str(PROGRAM), *arguments]),
            mock.patch.object(MiniLm, "load", _loaded_model),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        return Finished(code=code, out=_written(out), err=_written(err))

    def stopped(self, number: signal.Signals, is_time: Callable[[], bool], *arguments: str) -> Finished:
        """Run, and send the signal as soon as *is_time*."""
        process = subprocess.Popen(
            [PROGRAM, *arguments],
            cwd=self.folder,
            env=self._environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and not is_time() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        return Finished(code=process.returncode, out=out, err=err)

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        return {**os.environ, **self.variables, **variables}


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def assert_refused(done: Finished, *said: str) -> None:
    """One sentence on stderr, nothing on stdout, exit code 1."""
    assert (done.code, done.out) == (1, ""), done
    (line,) = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in done.err
    for part in said:
        assert part in line
