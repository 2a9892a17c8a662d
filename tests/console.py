"""The console on the sample catalogue, and what its tests do in it again and again."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.command import Command
from tests.services import Running, running

FOUND = ".card"
LIKED = {"bo": (862, 863, 10193), "cy": (862, 10193, 12), "di": (603, 78, 27205)}


@pytest.fixture(scope="module")
def service(embedded: Command) -> Iterator[Running]:
    """The service on PostgreSQL, where three users liked something; modules take this fixture by an assignment."""
    with running(embedded.folder, RUVECTOR_BACKEND="postgres") as service:
        for user, films in LIKED.items():
            events = [{"user": user, "key": f"movie-{film}", "completion": 1.0} for film in films]
            assert service.client.post("/v1/events", json={"events": events}).status_code == 202
        deadline = time.monotonic() + 30
        while not service.client.get("/v1/users/bo/recommendations?k=1&note=false").json()["items"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield service


def search(page: Any, text: str) -> None:
    """Type *text* and wait for its answer."""
    page.fill("#search", "")
    page.type("#search", text)
    answered(page, text)


def answered(page: Any, text: str) -> None:
    """Wait for the answer to *text*."""
    page.wait_for_function("text => document.getElementById('results').dataset.text === text", arg=text)


def titles(page: Any) -> list[str]:
    """Return the titles that are shown, best first."""
    return page.locator(f"{FOUND} h3").all_inner_texts()


def close_dialog(page: Any) -> None:
    """Close the dialog by a key; it is gone a moment later."""
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
