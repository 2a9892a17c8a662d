"""The console, clicked through in a real browser on the real service and the sample catalogue."""

import re
from typing import Any

import pytest

from media_gateway.server.keys import Scope
from tests import console
from tests.acceptance.command import SAMPLE_ROWS, Command
from tests.browser import tab
from tests.console import FOUND, answered, close_dialog, search, titles
from tests.loaded import tell
from tests.services import Running, make_key

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

service = console.service

HOSTILE = {
    900_000_001: "<script>alert(1)</script>",
    900_000_002: "Endless " * 62 + "Title",
    900_000_003: "مرحبا بالعالم السينمائي",
    900_000_004: "👩‍🚀🎬 Space 🍿",
}
OVERVIEW = "A quokka conducts a brass band in an abandoned lighthouse."


def test_discover(chromium: Any, service: Running) -> None:
    with tab(chromium, service.address) as opened:
        page = opened.page
        opened.sees("#state", f"{SAMPLE_ROWS} titles")
        search(page, "90s movies about toys that come alive")
        assert titles(page)[0] == "Toy Story"
        chips = page.locator(".chip.named")
        assert [text.splitlines()[0] for text in chips.all_inner_texts()] == ["1990 to 1999", "Films"]
        opened.shoot("discover")
        chips.first.click()
        page.wait_for_function("() => document.querySelectorAll('.chip.named').length === 1")
        page.wait_for_function(_SHOWS, arg="Toy Story 3")
        page.select_option("#filter-genre", "Animation")
        page.fill("#filter-from", "2019")
        opened.sees(f"{FOUND} h3", "^Toy Story 4$")
        page.locator(".chip:not(.named)", has_text="from 2019").click()
        page.wait_for_function("() => document.getElementById('filter-from').value === ''")
        page.wait_for_function(_SHOWS, arg="Toy Story 3")
        page.fill("#search", "")
        page.locator("#ideas .chip").first.click()
        page.wait_for_selector(FOUND)
        assert opened.complaints == []


def test_more_like_this_leads_on(chromium: Any, service: Running) -> None:
    with tab(chromium, service.address) as opened:
        page = opened.page
        search(page, "toys that come alive")
        page.get_by_role("button", name="More like this: Toy Story", exact=True).click()
        opened.sees("dialog h2", "^Toy Story$")
        page.wait_for_selector("dialog .near button")
        near = page.locator("dialog .near button")
        assert near.count() == 8
        assert "Toy Story 2" in near.all_inner_texts()
        near.get_by_text("Toy Story 2", exact=True).click()
        opened.sees("dialog h2", "^Toy Story 2$")
        opened.sees("dialog .near", "Toy Story 3")
        close_dialog(page)
        assert opened.complaints == []


def test_it_explains_how_it_found(chromium: Any, service: Running) -> None:
    with tab(chromium, service.address) as opened:
        page = opened.page
        search(page, "90s movies about toys that come alive")
        opened.sees(".summary", r"\d+ titles · [\d.]+ ms · (exact|by the index)")
        page.click("#explain")
        page.wait_for_selector("dialog .pairs")
        told = dict(
            zip(*(page.locator(f"dialog .pairs {part}").all_inner_texts() for part in ("dt", "dd")), strict=True)
        )
        assert "compared" in told["Way"]
        assert told["Why"]
        assert re.fullmatch(r"[\d.]+ ms in the store", told["Took"])
        assert told["Exact"] == "yes"
        assert told["Store"] == "postgres"
        assert told["Searched for"].endswith("toys that come alive")
        assert "content_vectors" in page.inner_text("dialog .plan")
        opened.shoot("explain")
        close_dialog(page)
        assert opened.complaints == []


def test_people_see_the_ranking_change_and_why(chromium: Any, service: Running) -> None:
    with tab(chromium, service.console) as opened:
        page = opened.page
        page.wait_for_selector("#tab-people:not([hidden])")
        page.click("#tab-people")
        page.fill("#user", "eve of the test")
        page.keyboard.press("Enter")
        page.wait_for_selector("#watched")
        page.type("#watched", "toy story")
        page.locator(".seen .near li", has_text="Toy Story").locator("button").first.click()
        opened.sees(".change", "places changed")
        opened.sees(".list", "because you liked")
        before = page.locator(".pick h3").all_inner_texts()
        page.locator(".pick button").first.click()
        page.wait_for_function(
            "title => ![title, undefined].includes(document.querySelector('.pick h3')?.innerText)", arg=before[0]
        )
        page.wait_for_selector(".moved")
        assert before[0] not in page.locator(".pick h3").all_inner_texts()
        opened.shoot("people")
        assert opened.complaints == []


def test_titles_are_text(chromium: Any, service: Running) -> None:
    contents = [
        {"id": number, "media_type": "movie", "title": title, "overview": OVERVIEW, "genre_ids": [35]}
        for number, title in HOSTILE.items()
    ]
    assert service.client.post("/v1/contents", json={"contents": contents}).is_success
    try:
        for look in ("light", "phone"):
            with tab(chromium, service.address, look) as opened:
                page = opened.page
                page.on("dialog", lambda shown: opened.complaints.append(shown.message))
                search(page, OVERVIEW)
                assert set(HOSTILE.values()) <= {title.strip() for title in titles(page)}
                assert opened.is_as_wide_as_its_window()
                page.locator(f"{FOUND} h3 button", has_text="<script>").click()
                page.wait_for_selector("dialog .near button")
                assert page.inner_text("dialog h2") == HOSTILE[900_000_001]
                close_dialog(page)
                assert page.locator("main script").count() == 0
                if look == "light":
                    opened.shoot("titles")
                assert opened.complaints == []
    finally:
        for number in HOSTILE:
            service.client.delete(f"/v1/contents/movie-{number}")


def test_without_a_key_nothing_can_be_changed(chromium: Any, service: Running) -> None:
    with tab(chromium, service.address) as opened:
        page = opened.page
        page.click("#tab-operations")
        opened.sees("section[aria-label=Rollout] dl", "State\\s+none recorded: PostgreSQL alone")
        for name in ("Set", "Roll back now", "Examine now"):
            assert page.get_by_role("button", name=name).is_disabled()
        page.click("#tab-people")
        page.fill("#user", "bo")
        page.keyboard.press("Enter")
        page.wait_for_selector(".pick")
        assert page.locator(".pick button:enabled").count() == 0
        status = page.evaluate(
            "fetch('/v1/rollout', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{\"mode\":\"off\"}'})"
            ".then(answer => answer.status)"
        )
        assert status == 401
        page.click("#key-button")
        page.fill("#key-input", make_key(service.folder, Scope.write))
        page.get_by_role("button", name="Use it").click()
        page.wait_for_selector(".pick button:enabled")


def test_it_says_that_postgresql_is_stopped_and_recovers(chromium: Any, service: Running, embedded: Command) -> None:
    status = embedded("db", "status", "--json").json()
    with tab(chromium, service.address) as opened:
        page = opened.page
        search(page, "toys")
        assert titles(page)
        try:
            assert embedded("db", "stop").code == 0
            page.type("#search", " that come alive")
            opened.sees("#banner:not([hidden])", "goes on by itself")
            opened.shoot("stopped")
        finally:
            port = ["--port", str(status["port"])] if status.get("port") else []
            assert embedded("db", "start", *port).code == 0
        page.wait_for_selector("#banner", state="hidden")
        answered(page, "toys that come alive")


def test_it_is_quick(chromium: Any, service: Running, capsys: pytest.CaptureFixture[str]) -> None:
    with tab(chromium, service.address) as opened:
        page = opened.page
        page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
        painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        search(page, "toys")
        waited = [
            page.evaluate(_TYPE_ONE, text) for text in ("toys a", "toys al", "toys ali", "toys aliv", "toys alive")
        ]
        tell(capsys, first_paint_ms=painted, results_ms=sorted(waited)[2])
        # What is aimed at is 1,000 and 100; a busy machine is given more.
        assert painted < 3000
        assert sorted(waited)[2] < 1000


_SHOWS = "title => [...document.querySelectorAll('.card h3')].some(shown => shown.innerText === title)"
_TYPE_ONE = """text => new Promise(resolve => {
  const input = document.getElementById('search');
  performance.clearMarks('results-shown');
  const began = performance.now();
  const look = () => {
    const shown = performance.getEntriesByName('results-shown');
    if (shown.length) resolve(shown[0].startTime - began);
    else setTimeout(look, 2);
  };
  input.value = text;
  input.dispatchEvent(new Event('input'));
  look();
})"""
