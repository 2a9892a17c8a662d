"""The console, clicked through in a real browser on the real service and the sample catalogue."""

from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest

from media_gateway.server.keys import Scope
from tests.acceptance.command import SAMPLE_ROWS, Command
from tests.browser import Look, browser, tab
from tests.loaded import tell
from tests.services import Running, make_key, running

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

FOUND = ".card"
HOSTILE = {
    900_000_001: "<script>alert(1)</script>",
    900_000_002: "Endless " * 62 + "Title",
    900_000_003: "مرحبا بالعالم السينمائي",
    900_000_004: "👩‍🚀🎬 Space 🍿",
}
OVERVIEW = "A quokka conducts a brass band in an abandoned lighthouse."


@pytest.fixture(scope="module")
def service(embedded: Command) -> Iterator[Running]:
    with running(embedded.folder, RUVECTOR_BACKEND="postgres") as service:
        yield service


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture
def admin(service: Running) -> str:
    """The address with a key for everything."""
    return f"{service.address}/#key={service.client.headers['X-API-Key']}"


def search(page: Any, text: str) -> None:
    page.fill("#search", "")
    page.type("#search", text)
    page.wait_for_function("text => document.getElementById('results').dataset.text === text", arg=text)


def titles(page: Any) -> list[str]:
    return page.locator(f"{FOUND} h3").all_inner_texts()


def close_dialog(page: Any) -> None:
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")


def test_discover(chromium: Any, service: Running) -> None:
    with tab(chromium, service.address) as opened:
        page = opened.page
        page.wait_for_function("() => document.getElementById('state').dataset.state === 'ready'")
        assert f"{SAMPLE_ROWS} titles" in page.inner_text("#state")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "search"
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
        page.wait_for_function("() => document.querySelector('.card h3').innerText === 'Toy Story 4'")
        page.locator(".chip:not(.named)", has_text="from 2019").click()
        assert page.input_value("#filter-from") == ""
        page.locator(f"{FOUND} h3 button").first.click()
        page.wait_for_selector("dialog .near button")
        assert page.locator("dialog .near button").count() == 8
        close_dialog(page)
        page.click("#explain")
        page.wait_for_selector("dialog .pairs")
        assert "compar" in page.inner_text("dialog .pairs")
        close_dialog(page)
        page.fill("#search", "")
        page.locator("#ideas .chip").first.click()
        page.wait_for_selector(FOUND)
        assert opened.complaints == []


def test_people_see_the_ranking_change_and_why(chromium: Any, service: Running, admin: str) -> None:
    for user, films in {"bo": (862, 863, 10193), "cy": (862, 10193, 12), "di": (603, 78, 27205)}.items():
        events = [{"user": user, "key": f"movie-{film}", "completion": 1.0} for film in films]
        assert service.client.post("/v1/events", json={"events": events}).status_code == 202
    with tab(chromium, admin) as opened:
        page = opened.page
        page.wait_for_selector("#tab-people:not([hidden])")
        page.click("#tab-people")
        page.fill("#user", "eve of the test")
        page.keyboard.press("Enter")
        page.wait_for_selector("#watched")
        page.type("#watched", "toy story")
        page.locator(".seen .near li", has_text="Toy Story").locator("button").first.click()
        page.wait_for_selector(".change", timeout=30_000)
        assert "places changed" in page.inner_text(".change")
        page.wait_for_selector(".pick")
        assert "because you liked" in page.inner_text(".list")
        before = page.locator(".pick h3").all_inner_texts()
        page.locator(".pick button").first.click()
        page.wait_for_function("title => document.querySelector('.pick h3').innerText !== title", arg=before[0])
        page.wait_for_selector(".moved")
        assert before[0] not in page.locator(".pick h3").all_inner_texts()
        opened.shoot("people")
        assert opened.complaints == []


def test_operations(chromium: Any, service: Running, admin: str) -> None:
    with tab(chromium, admin) as opened:
        page = opened.page
        page.click("#tab-operations")
        page.wait_for_selector("#operations td >> text=Records")
        with httpx.Client(base_url=service.address) as client:
            for number in range(60):
                client.post("/v1/search", json={"text": f"a film about number {number % 7}"})
                if number % 10 == 0:
                    page.wait_for_timeout(1000)
        page.wait_for_function(
            "() => parseFloat(document.querySelector('#operations .reading').innerText) > 0", timeout=30_000
        )
        assert page.locator("#operations table").inner_text().count("content_vectors") >= 1
        page.click("#doctor-run")
        page.wait_for_selector("section[aria-label=Doctor] p[role=status]", timeout=60_000)
        assert page.locator("section[aria-label=Rollout] dd").first.inner_text() == "none recorded: PostgreSQL alone"
        opened.shoot("operations", whole=True)
        assert opened.complaints == []


@pytest.mark.parametrize("look", get_args(Look))
def test_everybody_can_use_it(chromium: Any, admin: str, look: Look) -> None:
    with tab(chromium, admin, look) as opened:
        page = opened.page
        search(page, "series about politics and dragons")
        found = opened.violations()
        page.locator(f"{FOUND} h3 button").first.click()
        page.wait_for_selector("dialog .near button")
        found += opened.violations()
        close_dialog(page)
        if look != "light":
            opened.shoot(f"discover-{look}")
        page.wait_for_selector("#tab-people:not([hidden])")
        page.focus("#tab-discover")
        page.keyboard.press("ArrowRight")
        page.fill("#user", "bo")
        page.keyboard.press("Enter")
        page.wait_for_selector(".pick")
        found += opened.violations()
        assert opened.is_as_wide_as_its_window()
        page.click("#tab-operations")
        page.wait_for_selector("#operations td >> text=Records")
        page.wait_for_timeout(2500)
        found += opened.violations()
        assert opened.is_as_wide_as_its_window()
        if look == "dark":
            opened.shoot(f"operations-{look}", whole=True)
        assert found == []
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
        page.wait_for_selector("section[aria-label=Rollout] dd")
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
            page.wait_for_selector("#banner:not([hidden])", timeout=15_000)
            assert "goes on by itself" in page.inner_text("#banner")
            opened.shoot("stopped")
        finally:
            port = ["--port", str(status["port"])] if status.get("port") else []
            assert embedded("db", "start", *port).code == 0
        page.wait_for_selector("#banner", state="hidden", timeout=30_000)
        page.wait_for_function("() => document.getElementById('results').dataset.text === 'toys that come alive'")


def test_it_is_quick(chromium: Any, service: Running, capsys: pytest.CaptureFixture[str]) -> None:
    with tab(chromium, service.address) as opened:
        page = opened.page
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
