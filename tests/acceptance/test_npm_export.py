"""A collection of the real npm package, exported by the documented script, moved and verified."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.command import Command

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]
SCRIPT = Path(__file__).parents[2] / "examples" / "export_ruvector.js"
FILL = """
const { VectorDB } = require('ruvector');
(async () => {
  const db = new VectorDB({ dimensions: 48, storagePath: 'films.db' });
  const entries = [];
  for (let number = 0; number < 1200; number++) {
    const vector = new Float32Array(48);
    for (let at = 0; at < 48; at++) vector[at] = Math.sin(number * 48 + at * at) / 3;
    vector[7] = -0;
    const metadata = number % 3 ? JSON.stringify({ title: `Film ${number}`, vote_average: number / 7 }) : undefined;
    entries.push({ id: `movie-${number}`, vector, metadata });
  }
  await db.insertBatch(entries);
  console.log(await db.len());
})();
"""


def node(folder: Path, *words: str) -> str:
    return subprocess.run(["node", *words], cwd=folder, check=True, capture_output=True, text=True, timeout=120).stdout


def test_a_collection_of_the_npm_package_comes_over(command: Command) -> None:
    folder = command.folder
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "ruvector@0.1.31"]
    subprocess.run(install, cwd=folder, check=True, capture_output=True, timeout=400)
    assert node(folder, "-e", FILL).strip() == "1200"
    (folder / "export_ruvector.js").write_text(SCRIPT.read_text())
    (folder / "export.jsonl").write_text(node(folder, "export_ruvector.js", "films.db", "48", "my-model"))
    lines = (folder / "export.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"media_gateway": {"model": "my-model", "dimension": 48}}
    done = command("transfer", "run", "--from", "export.jsonl", "--to", "memory:films.snap", "--json").json()
    assert done["written"] == 1200
    report = command("transfer", "verify", "--from", "export.jsonl", "--to", "memory:films.snap", "--json", "-").json()
    assert (report["equal"], report["count_to"]) == (True, 1200)
    assert sum('"metadata":"{}"' in line for line in lines) == 400
    assert all(json.loads(line)["vector"][7] == 0 and ",-0.0," in line for line in lines[1:])
