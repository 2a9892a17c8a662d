"""Three of the moments that `make drill` kills transfers at."""

from pathlib import Path

import pytest

from tests.kills import TransferDrill, moments
from tests.postgres import TestServer


@pytest.mark.full
def test_a_transfer_that_was_killed_can_be_finished(tmp_path: Path) -> None:
    server = TestServer(tmp_path / "server")
    try:
        drill = TransferDrill.prepared(tmp_path, server)
        early, middle, late = moments(3, 3)
        drill.kill_client(middle, "resumable")
        drill.kill_server(early, "resumable")
        drill.kill_client(late, "in one step")
    finally:
        server.stop()
