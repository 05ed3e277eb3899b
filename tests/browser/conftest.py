"""A real Chromium for the tests of the dashboard, and what they ask of the page that is open in it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

T = TypeVar("T")
PATIENCE_MS: Final = 60_000.0
PANELS: Final = (
    "views",
    "genres",
    "films",
    "ratings",
    "activity",
    "audience",
    "quality",
    "users",
    "alerts",
    "dead_letters",
    "workers",
)
CHARTS: Final = ("views", "genres", "ratings", "activity", "audience", "quality")
DESKTOP: Final = (1440, 3_500)
"""High enough that all panels are seen, for those that are not do not ask."""
PHONE: Final = (390, 844)
_CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")
_NUMBER: Final = re.compile(r"-?[\d,]+(\.\d+)?")


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end in a thread of its own: in this one Playwright's loop runs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def number(text: str) -> float | None:
    """A figure as the English page writes it, None for one that does not exist."""
    if text == "–":
        return None
    assert _NUMBER.fullmatch(text), text
    return float(text.replace(",", ""))


class Dashboard:
    """The page in a browser; what it complains of, and whom it asks."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        self.hosts.add(urlsplit(request.url).netloc)

    def open(self, address: str, **state: str) -> None:
        """Opens the page in English, unless `state` says otherwise, without waiting for what it will show."""
        self.page.goto(f"{address}/?{urlencode({'lang': 'en', **state})}")

    def status(self, name: str) -> None:
        """Waits until the page says that it is in this state."""
        self.page.wait_for_selector(f"#status[data-state={name}]")

    def shown(self, panels: Sequence[str] = PANELS) -> None:
        """Waits until these panels show what they have asked for."""
        for panel in panels:
            self.page.wait_for_selector(f"#{panel}[data-state=shown]:not([aria-busy])")

    def tile(self, name: str) -> float | None:
        return number(self.page.inner_text(f"#tile-{name} .number"))

    def tile_becomes(self, name: str, text: str) -> None:
        """Waits until a tile shows this figure."""
        self.page.wait_for_function(
            "([id, text]) => document.getElementById(id)?.querySelector('.number').textContent === text",
            arg=[f"tile-{name}", text],
        )

    def as_table(self, panel: str) -> None:
        """Shows a chart's table."""
        button = self.page.locator(f"#{panel} .as-table")
        if button.get_attribute("aria-pressed") == "false":
            button.click()

    def rows(self, panel: str) -> list[list[str]]:
        """The cells of a panel's table, which is turned to if it is behind a chart."""
        if panel in CHARTS:
            self.as_table(panel)
        script = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        rows: list[list[str]] = self.page.locator(f"#{panel} tbody tr").evaluate_all(script)
        return rows

    def rows_become(self, panel: str, wanted: object) -> None:
        """Waits until a panel's table has this number of rows, or these cells."""
        if panel in CHARTS:
            self.as_table(panel)
        self.page.wait_for_function(
            """([panel, wanted]) => {
                const rows = [...document.querySelectorAll(`#${panel} tbody tr`)];
                const cells = rows.map((row) => [...row.cells].map((cell) => cell.textContent));
                return JSON.stringify(typeof wanted === "number" ? rows.length : cells) === JSON.stringify(wanted);
            }""",
            arg=[panel, wanted],
        )

    def state(self) -> Mapping[str, str]:
        """What the address says, but for the language."""
        pairs: dict[str, str] = self.page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")
        return {name: value for name, value in pairs.items() if name != "lang"}

    def texts(self) -> set[str]:
        """Every text on the page and in the names of its elements."""
        script = """() => {
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            const found = [];
            while (walker.nextNode()) found.push(walker.currentNode.textContent.trim());
            for (const node of document.querySelectorAll("[aria-label], [title]"))
                found.push(node.getAttribute("aria-label"), node.getAttribute("title"));
            return found.filter(Boolean);
        }"""
        return set(self.page.evaluate(script))

    def resize(self, size: tuple[int, int]) -> None:
        width, height = size
        self.page.set_viewport_size({"width": width, "height": height})


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """The system's Chromium; a test is skipped where there is none."""
    path = next((found for name in _CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("there is no Chromium here; on Debian: apt install chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def dashboard(chromium: Browser) -> Iterator[Dashboard]:
    """A page in it, in which nothing is open yet; the system's theme is light."""
    width, height = DESKTOP
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme="light", locale="en-GB")
    yield Dashboard(page)
    page.close()
