"""The npm package ruvector, which is what this project replaces: measured in its own process, by its own clock."""

import asyncio
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import numpy as np
import orjson

from media_gateway.benchmarking.datasets import Dataset
from media_gateway.benchmarking.systems.base import Answers, Loaded, Sizes, System
from media_gateway.errors import UnsupportedError
from media_gateway.models import Matrix

VERSION: Final = "0.1.31"
_LINE_LIMIT: Final = 2**26
_INSTALL_SECONDS: Final = 300
_MOST_SECONDS: Final = 60.0
"""How long it is asked one part of the queries."""


def missing_programs() -> list[str]:
    """Return which of the programs that it needs are not installed."""
    return [name for name in ("node", "npm") if shutil.which(name) is None]


class NpmRuvector(System):
    """ruvector with its own defaults, stored in a file as it does by default. It scans, so there is no width to set."""

    name = "ruvector-npm"
    index = "none: exact scan"
    is_tunable = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._queries: Matrix = np.empty((0, 0), dtype=np.float32)

    async def load(self, data: Dataset) -> Loaded:
        await self._install()
        await anyio.to_thread.run_sync(self._write, data)
        self._queries = data.queries
        self._process = await asyncio.create_subprocess_exec(
            "node",
            "measure.cjs",
            cwd=self._folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_LIMIT,
        )
        answer = await self._ask(
            "load", rows="rows.f32", metadata="metadata.jsonl", asked="queries.f32", storage="ruvector.db",
            dimensions=data.dimension,
        )  # fmt: skip
        for name in ("rows.f32", "metadata.jsonl"):
            (self._folder / name).unlink()
        sizes = await self._ask("sizes")
        self.versions = {"ruvector (npm)": str(sizes["version"]["version"]), "node": str(sizes["node"])}
        return Loaded(load_s=float(answer["seconds"]), build_s=0.0)

    async def _install(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "measure.cjs"):
            (self._folder / name).write_bytes((files("media_gateway.benchmarking") / "node" / name).read_bytes())
        (self._folder / "ruvector.db").unlink(missing_ok=True)
        if (self._folder / "node_modules" / "ruvector").is_dir():
            return
        process = await asyncio.create_subprocess_exec(
            "npm", "install", "--no-audit", "--no-fund", "--loglevel=error",
            cwd=self._folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_INSTALL_SECONDS):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            said = b"it took too long"
        if process.returncode != 0:
            reason = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise UnsupportedError(
                f"npm could not install ruvector {VERSION}: {reason[0]}", feature="npm install", store=self.name
            )

    def _write(self, data: Dataset) -> None:
        with (self._folder / "rows.f32").open("wb") as rows, (self._folder / "metadata.jsonl").open("wb") as texts:
            for batch in data.records():
                rows.write(np.stack([record.vector for record in batch]).astype("<f4").tobytes())
                texts.writelines(orjson.dumps(record.metadata) + b"\n" for record in batch)
        (self._folder / "queries.f32").write_bytes(data.queries.astype("<f4").tobytes())

    async def answers(self, queries: Matrix) -> Answers:
        begin = int(np.flatnonzero((self._queries == queries[0]).all(axis=1))[0])
        answer = await self._ask("search", begin=begin, end=begin + len(queries), budget=_MOST_SECONDS)
        return Answers(times=answer["times"], found=answer["found"])

    async def throughput(self, queries: Matrix, clients: int, seconds: float) -> float:
        del queries
        return float((await self._ask("throughput", clients=clients, seconds=seconds))["rate"])

    async def sizes(self) -> Sizes:
        path = self._folder / "ruvector.db"
        answer = await self._ask("sizes")
        return Sizes(disk=path.stat().st_size if path.exists() else None, memory=int(answer["memory"]))

    async def aclose(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        for name in ("ruvector.db", "rows.f32", "metadata.jsonl", "queries.f32"):
            (self._folder / name).unlink(missing_ok=True)

    async def _ask(self, name: str, **given: Any) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("ruvector was not loaded")
        process.stdin.write(orjson.dumps({"name": name, **given}) + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise UnsupportedError(f"ruvector ended while it was asked to {name}", feature=name, store=self.name)
        answer = orjson.loads(line)["answer"]
        if "error" in answer:
            raise UnsupportedError(f"ruvector refused to {name}: {answer['error']}", feature=name, store=self.name)
        return answer
