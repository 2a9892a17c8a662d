"""That everybody can use the console: by keys alone, with a screen reader, in light, dark and at a phone's width."""

from typing import Any, get_args

import pytest

from tests import console
from tests.browser import Look, Tab, tab
from tests.console import FOUND, answered, close_dialog, search
from tests.services import Running

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

service = console.service

QUESTION = "90s movies about toys that come alive"

CLOSE_AND_GO_ON = """() => {
  document.querySelector("dialog").close();
  document.getElementById("search").focus();
}"""


def press(opened: Tab, key: str, *, focuses: str) -> None:
    opened.page.keyboard.press(key)
    opened.page.wait_for_function("wanted => document.activeElement.matches(wanted)", arg=focuses)


def test_all_of_it_is_reached_by_keys(chromium: Any, service: Running) -> None:
    with tab(chromium, service.console) as opened:
        page = opened.page
        page.wait_for_selector("#tab-people:not([hidden])")
        press(opened, "Tab", focuses=".skip")
        press(opened, "Tab", focuses="#tab-discover")
        for key, name in (
            ("ArrowRight", "people"),
            ("ArrowRight", "operations"),
            ("ArrowRight", "discover"),
            ("ArrowLeft", "operations"),
            ("Home", "discover"),
            ("End", "operations"),
        ):
            press(opened, key, focuses=f"#tab-{name}[aria-selected=true]")
            page.wait_for_selector(f"#{name}[role=tabpanel]")
            assert page.locator("[role=tab][aria-selected=true], [role=tab][tabindex='0']").count() == 1
            assert page.locator("[role=tabpanel]:visible").count() == 1
        press(opened, "Tab", focuses="#key-button")
        press(opened, "Enter", focuses="#key-input")
        press(opened, "Escape", focuses="#key-button")
        press(opened, "Shift+Tab", focuses="#tab-operations")
        press(opened, "Home", focuses="#tab-discover")
        press(opened, "/", focuses="#search")
        page.keyboard.type(QUESTION)
        answered(page, QUESTION)
        for name in ("type", "genre", "from", "to", "rating"):
            press(opened, "Tab", focuses=f"#filter-{name}")
        press(opened, "Tab", focuses=".chip.named")
        press(opened, "Enter", focuses="#search")
        page.wait_for_function("() => document.querySelectorAll('.chip.named').length === 1")
        for name in ("type", "genre", "from", "to", "rating"):
            press(opened, "Tab", focuses=f"#filter-{name}")
        press(opened, "Tab", focuses=".chip.named")
        press(opened, "Tab", focuses="#explain")
        press(opened, "Enter", focuses="dialog button")
        press(opened, "Escape", focuses="#explain")
        press(opened, "Tab", focuses=f"{FOUND} h3 button")
        press(opened, "Enter", focuses="dialog button")
        page.wait_for_selector("dialog .near button")
        press(opened, "Escape", focuses=f"{FOUND} h3 button")
        press(opened, "Enter", focuses="dialog button")
        page.evaluate(CLOSE_AND_GO_ON)
        page.wait_for_selector("dialog", state="detached")
        assert page.evaluate("() => document.activeElement.id") == "search", "a closed dialog took the focus back"
        assert opened.complaints == []


@pytest.mark.parametrize("look", get_args(Look))
def test_everybody_can_use_it(chromium: Any, service: Running, look: Look) -> None:
    with tab(chromium, service.console, look) as opened:
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
        opened.sees("section[aria-label=Requests] .reading", r"\d")
        found += opened.violations()
        assert opened.is_as_wide_as_its_window()
        assert found == []
        assert opened.complaints == []
