"""The service with the sample catalogue, for load; and how long it takes to be itself again."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.load import asked_by, searches
from tests.postgres import TestServer
from tests.services import Running, running


def tell(capsys: pytest.CaptureFixture[str], **figures: object) -> None:
    """Show *figures* on the terminal, also when the test passes."""
    with capsys.disabled():
        sys.stdout.write("\n" + json.dumps(figures) + "\n")


@contextmanager
def loaded_service(backend: str, folder: Path, server: TestServer | None = None) -> Iterator[Running]:
    """Run the service on *backend*, under `postgres` in a new database of *server*, until the block ends."""
    variables = {"RUVECTOR_BACKEND": backend}
    if server is not None and backend == "postgres":
        conninfo = server.new_database()
        names = {"POSTGRES_HOST": "host", "POSTGRES_PORT": "port", "POSTGRES_DB": "dbname", "POSTGRES_USER": "user"}
        variables |= {name: str(conninfo[part]) for name, part in names.items()}
    Command(folder=folder, variables=variables)("load", "sample", "--json").json()
    with running(folder, **variables) as service:
        yield service


async def seconds_to_recover(service: Running, *, at_most: float) -> float:
    """Return the seconds until all that four clients ask within half a second is answered with 200."""
    began = time.monotonic()
    while True:
        since = time.monotonic() - began
        seen = await asked_by(service.address, searches(service.address), clients=4, seconds=0.5)
        if set(seen.statuses) == {200} and not seen.failures:
            return since
        assert since < at_most, seen.as_json()
