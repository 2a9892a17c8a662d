"""A real browser for tests, and axe-core to examine pages with; what is not there skips the test and says so."""

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

AXE = "axe-core@4.14.1"
SHOTS = os.environ.get("CONSOLE_SHOTS")
"""A folder that screenshots are written to."""
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_MATCHES = """([selector, pattern]) =>
  new RegExp(pattern, "s").test(document.querySelector(selector)?.innerText.trim() ?? "")"""

Look = Literal["light", "dark", "phone"]


@dataclass(frozen=True)
class Tab:
    """A page in the browser, and what its console complained of."""

    page: Any
    axe: str
    complaints: list[str] = field(default_factory=list)

    def shoot(self, name: str, *, whole: bool = False) -> None:
        """Write a screenshot where they are asked for."""
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.evaluate("() => window.scrollTo(0, 0)")
            self.page.mouse.move(0, 0)
            self.page.screenshot(path=f"{SHOTS}/console-{name}.png", full_page=whole)

    def sees(self, selector: str, pattern: str) -> None:
        """Wait until the text of *selector* matches *pattern*, a regular expression as JavaScript has them."""
        self.page.wait_for_function(_MATCHES, arg=[selector, pattern])

    def violations(self) -> list[str]:
        """Return what axe-core finds at WCAG AA, by rule and element."""
        self.page.evaluate(self.axe)
        found = self.page.evaluate("rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", _RULES)
        return [f"{one['id']}: {[node['html'][:200] for node in one['nodes']]}" for one in found["violations"]]

    def is_as_wide_as_its_window(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@contextmanager
def browser() -> Iterator[Any]:
    """Lend Debian's Chromium."""
    from playwright import sync_api  # noqa: PLC0415  what `make test-full` installs

    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium; on Debian: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def tab(chromium: Any, address: str, look: Look = "light") -> Iterator[Tab]:
    """Open *address* in a new window, dark or as wide as a phone."""
    size = {"width": 375, "height": 780} if look == "phone" else {"width": 1280, "height": 860}
    context = chromium.new_context(
        viewport=size, color_scheme="dark" if look == "dark" else "light", reduced_motion="reduce"
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    opened = Tab(page, axe_source())
    page.on("console", lambda said: opened.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    try:
        page.goto(address)
        page.wait_for_selector("#search")
        yield opened
    finally:
        context.close()


@functools.cache
def axe_source() -> str:
    """Return axe-core's script, installed by npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm to install axe-core with")
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"media-gateway-axe-{os.getuid()}"
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([npm, "install", "--silent", "--prefix", str(folder), AXE], check=True, timeout=120)
    return script.read_text()
