"""The examples run as they are, each in a folder of its own; the notebook inside a running loop, and in a real kernel."""

import ast
import asyncio
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest

from tests.acceptance.command import Command, assert_refused

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOK = EXAMPLES / "notebook.ipynb"
SAID = {
    "quickstart.py": [
        "3 written, 0 there already",
        "'dolls that come alive': Toy Story (movie-862,",
        "'reality is an illusion': The Matrix (movie-603,",
        "'a teacher becomes a criminal': Breaking Bad (tv-1396,",
        "science fiction before 2000: The Matrix",
    ],
    "own_vectors.py": ["0.82 WALL-E", "this collection holds vectors of your own, of genres-1 (6 numbers)"],
    "sync_script.py": [
        "awkward humour at work: The Office",
        "knights and dragons: Game of Thrones",
        "a double life: Breaking Bad",
        "3 series",
    ],
}


def test_every_example_is_run_here() -> None:
    run_elsewhere = {"export_ruvector.js"}  # tests/acceptance/test_npm_export.py
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {*SAID, NOTEBOOK.name} | run_elsewhere


@pytest.mark.full
@pytest.mark.parametrize("name", SAID)
def test_an_example_runs(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "error", EXAMPLES / name],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (done.returncode, done.stderr) == (0, "")
        expected = [line.replace("3 written, 0", "0 written, 3") if _ else line for line in SAID[name]]
        for line in expected:
            assert line in done.stdout


def _cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_holds_no_outputs() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in _cells())


def test_the_cells_of_the_notebook_run_inside_a_running_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    async def run() -> None:
        names: dict[str, Any] = {}
        for cell in _cells():
            # As a kernel does it: one loop for all cells, which may await at their top level.
            code = compile("".join(cell["source"]), cell["id"], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            await _ran(code, names)
        assert names["result"].hits[0].key == "movie-862"

    asyncio.run(run())
    assert capsys.readouterr().out == "3\n"


async def _ran(code: CodeType, names: dict[str, Any]) -> None:
    done = eval(code, names)
    if inspect.isawaitable(done):
        await done


@pytest.mark.full
@pytest.mark.timeout(300)
def test_the_notebook_runs_in_a_real_kernel(tmp_path: Path) -> None:
    assert importlib.util.find_spec("nbclient"), (
        "install the extra packages: pip install -c constraints.txt -e '.[full]'"
    )
    # A process of its own: the client and the kernel's sockets warn about things that are not ours.
    program = """
        import sys
        import nbformat
        from nbclient import NotebookClient

        notebook = nbformat.read(sys.argv[1], as_version=4)
        NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
        texts = [output.get("text") or output["data"]["text/plain"] for cell in notebook.cells
                 for output in cell.get("outputs", [])]
        print("|".join(text.strip() for text in texts))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(NOTEBOOK)],
        cwd=tmp_path,
        env={
            **os.environ,
            "JUPYTER_PLATFORM_DIRS": "1",
            "HOME": str(tmp_path),
            "IPYTHONDIR": str(tmp_path / "ipython"),
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    added, found, middle, count = done.stdout.strip().split("|")
    assert added == "Added(written=3, unchanged=0)"
    assert "Toy Story" in found
    assert "Toy Story" in middle
    assert count == "3"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """The file of vectors that an example leaves behind."""
    subprocess.run([sys.executable, EXAMPLES / "own_vectors.py"], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "films.npz"


@pytest.mark.full
def test_the_command_loads_vectors_and_searches_by_a_vector(films: Path) -> None:
    command = Command(folder=films.parent, variables={"RUVECTOR_MODEL": "genres-1"})
    loaded = command("load", films.name, "--json").json()
    assert (loaded["written"], loaded["unchanged"]) == (4, 0)
    assert command("load", films.name, "--model", "genres-1", "--json").json()["unchanged"] == 4
    assert command("stats", "--json").json()["model"] == "genres-1"
    np.save(films.parent / "query.npy", np.array([0, 1, 1, 0, 0, 0]))
    by_file = command("search", "--vector", "query.npy", "--json").json()
    assert (by_file[0]["key"], len(by_file)) == ("movie-862", 4)
    assert command("search", "--vector-json", "[0, 1, 1, 0, 0, 0]", "--json").json() == by_file
    assert_refused(command("search", "toys"), "holds 4 vectors of genres-1 (6 numbers)")
    assert_refused(command("search", "--vector-json", "[1, 2]"), "2 numbers", "6")
    assert_refused(command("search", "toys", "--vector", "query.npy"), "exactly one of them")


def test_the_command_asks_for_the_model_of_vectors(films: Path) -> None:
    command = Command(folder=films.parent, variables={})
    assert_refused(command.inside("load", films.name), "name the model that made them with --model")


@pytest.mark.full
def test_the_command_loads_movielens(tmp_path: Path) -> None:
    folder = tmp_path / "ml small"
    folder.mkdir()
    (folder / "movies.csv").write_text('movieId,title,genres\n2571,"Matrix, The (1999)",Sci-Fi\n1,Toy Story (1995),X\n')
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n2571,0133093,603\n")
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n")
    command = Command(folder=tmp_path, variables={})
    loaded = command("load", "movielens", "ml small", "--json").json()
    assert (loaded["rows"], loaded["written"]) == (2, 2)
    assert command("load", "movielens", "ml small", "--json").json()["unchanged"] == 2
    hits = command("search", "The Matrix", "--genre", "Science Fiction", "--to", "1999", "--json").json()
    assert [(hit["key"], hit["title"]) for hit in hits] == [("movie-603", "The Matrix")]
    assert command("similar", "movie-603", "--json").json()[0]["key"] == "ml-1"
    assert_refused(command("load", "movielens"), "movielens without a folder")
    assert_refused(command("load", "movielens", "."), "holds no format of MovieLens")
