"""Transfers whose client or server is killed at 50 moments: every one can be finished, and none is half done."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from media_gateway.cli.addresses import url_of
from tests.acceptance.command import Command
from tests.kills import Mode, TransferDrill, fill, moments
from tests.postgres import TestServer

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3600)]
ROUNDS = 50
MODES: tuple[Mode, Mode] = ("resumable", "in one step")


@pytest.mark.parametrize("mode", MODES)
def test_the_client_killed(tmp_path: Path, postgres: TestServer, mode: Mode) -> None:
    drill = TransferDrill.prepared(tmp_path, postgres)
    for moment in moments(1, ROUNDS):
        drill.kill_client(moment, mode)


@pytest.mark.parametrize("mode", MODES)
def test_the_server_killed(tmp_path: Path, mode: Mode) -> None:
    server = TestServer(tmp_path / "server")
    try:
        drill = TransferDrill.prepared(tmp_path, server)
        for moment in moments(2, ROUNDS):
            drill.kill_server(moment, mode)
    finally:
        server.stop()


def test_a_hundred_thousand_vectors_there_and_back(tmp_path: Path, postgres: TestServer) -> None:
    command = Command(folder=tmp_path, variables={})
    asyncio.run(fill(tmp_path / "from.snap", 100_000))
    one, two = (f"postgres:{url_of(postgres.new_database())}" for _ in range(2))
    legs = ["memory:from.snap", one, "films.parquet", two, "memory:back.snap"]
    for source, target in pairwise(legs):
        done = command("transfer", "run", "--from", source, "--to", target, "--json", timeout=900).json()
        assert (done["read"], done["written"]) == (100_000, 100_000)
    report = command("transfer", "verify", "--from", legs[0], "--to", legs[-1], "--json", "-", timeout=300).json()
    assert (report["equal"], report["count_to"]) == (True, 100_000)
    assert report["digest_from"] == report["digest_to"]
