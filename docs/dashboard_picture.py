"""Draws dashboard-light.png and dashboard-dark.png in docs/images: the dashboard while views come in; `make picture`.

It needs Chromium, and shows made-up views of a week, as `movie-stream generate` makes them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from movie_stream.embedded.services import EmbeddedServices
from movie_stream.settings import Settings, load_settings

FOLDER: Final = Path(__file__).parent / "images"
THEMES: Final = ("light", "dark")
SIZE: Final = (1440, 1122)
_COMMAND: Final = str(Path(sys.executable).with_name("movie-stream"))
_VIEWS: Final = (
    "generate",
    "--to-topic",
    "--days",
    "7",
    "--count",
    "150000",
    "--bad-fraction",
    "0.002",
    "--late-anyway",
)
_MORE: Final = ("generate", "--to-topic", "--days", "1", "--count", "150000", "--rate", "500", "--seed", "2")
_COUNTED_WITHIN_MS: Final = 240_000


@contextmanager
def _running(settings: Settings, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, **settings.environment()}
    process = subprocess.Popen([_COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def _run(settings: Settings, *arguments: str) -> None:
    subprocess.run([_COMMAND, *arguments], env={**os.environ, **settings.environment()}, check=True)


def paint() -> None:
    """Runs all of it and writes both pictures."""
    with EmbeddedServices() as services:
        settings = services.applied_to(load_settings())
        _run(settings, "init")
        with _running(settings, "worker"), _running(settings, "serve", "--port", "0") as server:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            _run(settings, *_VIEWS)
            with _running(settings, *_MORE):
                _shoot(address)


def _shoot(address: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=sandbox)
        for theme in THEMES:
            page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, locale="en-GB")
            page.set_default_timeout(_COUNTED_WITHIN_MS)
            page.goto(f"{address}/?theme={theme}&lang=en")
            page.wait_for_function(  # until it has caught up, so that the figures are those of any other day
                "() => /^(\\d+ ms|[1-4](\\.\\d)? s)\\s*$/.test(document.querySelector('#tile-delay_ms')?.innerText)"
            )
            page.wait_for_selector("#ratings[data-state=shown]")
            page.wait_for_timeout(15_000)
            page.screenshot(path=FOLDER / f"dashboard-{theme}.png")
        browser.close()


if __name__ == "__main__":
    paint()
