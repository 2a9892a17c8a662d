"""A transfer whose client or server is killed at a moment, and what must hold afterwards."""

import asyncio
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import sql

from media_gateway.cli.addresses import url_of
from media_gateway.models import VectorSpace
from media_gateway.stores.memory import open_memory_store
from tests.acceptance.command import PROGRAM, Command, Finished
from tests.postgres import TestServer
from tests.samples import records

COUNT = 3_000
SPACE = VectorSpace(model="test", dimension=32)
Mode = Literal["resumable", "in one step"]


@dataclass(frozen=True, kw_only=True)
class TransferDrill:
    """Transfers of one memory file to databases of *server*, each of them new."""

    folder: Path
    server: TestServer
    seconds: float
    """How long an undisturbed transfer takes with its verification; moments are spread over this."""

    @classmethod
    def prepared(cls, folder: Path, server: TestServer) -> "TransferDrill":
        asyncio.run(fill(folder / "from.snap", COUNT))
        drill = cls(folder=folder, server=server, seconds=0)
        began = time.monotonic()
        conninfo = server.new_database()
        assert drill.start(conninfo, "resumable").wait(timeout=60) == 0
        server.drop_database(conninfo)
        return cls(folder=folder, server=server, seconds=time.monotonic() - began)

    def words(self, what: str, conninfo: dict[str, Any]) -> list[str]:
        return ["transfer", what, "--from", "memory:from.snap", "--to", f"postgres:{url_of(conninfo)}"]

    def start(self, conninfo: dict[str, Any], mode: Mode) -> "subprocess.Popen[bytes]":
        """Start a transfer and its verification, in a process group of its own."""
        run, verify = (
            " ".join(f"'{word}'" for word in [str(PROGRAM), *self.words(what, conninfo)]) for what in ("run", "verify")
        )
        options = f" --resumable --journal {conninfo['dbname']}.journal" if mode == "resumable" else ""
        return subprocess.Popen(
            ["/bin/sh", "-c", f"{run}{options} && {verify}"],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def finished(self, conninfo: dict[str, Any]) -> Finished:
        """Run the resumable transfer to its end."""
        command = Command(folder=self.folder, variables={})
        return command.inside(
            *self.words("run", conninfo), "--resumable", "--journal", f"{conninfo['dbname']}.journal", "--json"
        )

    def report(self, conninfo: dict[str, Any]) -> dict[str, Any]:
        """Verify, and return the report."""
        command = Command(folder=self.folder, variables={})
        return command.inside(*self.words("verify", conninfo), "--json", "-").json()

    def count(self, conninfo: dict[str, Any]) -> int:
        """Return how many records are in the target, once no session of a killed client is at work there."""
        with psycopg.connect(**conninfo, autocommit=True) as connection:
            for _ in range(600):
                others = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
                ).fetchone()
                if others == (0,):
                    break
                time.sleep(0.05)
            there = connection.execute("SELECT to_regclass('content_vectors') IS NOT NULL").fetchone()
            if there == (False,):
                return 0
            row = connection.execute(sql.SQL("SELECT count(*) FROM content_vectors")).fetchone()
            assert row is not None
            return row[0]

    def kill_client(self, moment: float, mode: Mode) -> None:
        """Kill the client at *moment*, a share of a whole transfer, and check what is left."""
        conninfo = self.server.new_database()
        process = self.start(conninfo, mode)
        time.sleep(moment * self.seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.check(conninfo, mode)

    def kill_server(self, moment: float, mode: Mode) -> None:
        """Kill the server's first process at *moment*, start it again, and check what is left."""
        conninfo = self.server.new_database()
        process = self.start(conninfo, mode)
        time.sleep(moment * self.seconds)
        pid = self.server.embedded.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        process.wait(timeout=60)
        self.server.embedded.start()
        self.check(conninfo, mode)

    def check(self, conninfo: dict[str, Any], mode: Mode) -> None:
        count = self.count(conninfo)
        if mode == "in one step":
            assert count in {0, COUNT}
            if count:
                assert self.report(conninfo)["equal"]
        else:
            done = self.finished(conninfo).json()
            assert (done["read"], done["written"], done["kept"]) == (COUNT, COUNT, 0)
            report = self.report(conninfo)
            assert report["equal"]
            assert report["count_to"] == COUNT
        self.server.drop_database(conninfo)


def moments(seed: int, count: int) -> list[float]:
    """Return moments from the start of a transfer to its end, each in a part of its own."""
    generator = random.Random(seed)
    return [(number + generator.random()) / count for number in range(count)]


async def fill(path: Path, count: int) -> None:
    """Make a memory store with *count* records."""
    store = await open_memory_store(path, space=SPACE)
    await store.upsert(records(count))
    await store.aclose()
