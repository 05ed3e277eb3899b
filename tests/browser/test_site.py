"""The search of the documentation's site, opened from its folder: what a reader looks for is on a page first."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import PATIENCE_MS

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("words", "is_a_name"), [("watermark", False), ("lateness", False), ("Result", True)])
def test_pages_stand_above_names_of_the_python_api(chromium: Browser, site: Path, words: str, is_a_name: bool) -> None:
    page = chromium.new_page()
    page.goto(f"{(site / 'search.html').as_uri()}?q={words}")
    page.wait_for_function("() => Search.status.innerText.includes('found')", timeout=PATIENCE_MS)
    page.wait_for_selector("#search-results li", timeout=PATIENCE_MS)
    kinds = page.locator("#search-results li").evaluate_all("hits => hits.map(hit => hit.className)")
    page.close()
    of_pages = [kind in ("kind-text", "kind-title") for kind in kinds]
    assert of_pages == sorted(of_pages, reverse=True), kinds
    assert of_pages[0]
    assert of_pages[-1] is not is_a_name
