"""Draws tutorial.png in docs/images: what a reader of tutorial.md sees at the end of the page; `make picture`.

It needs Chromium, and sends the file and adds the result that stand in tutorial.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from playwright.sync_api import sync_playwright

from movie_stream.embedded.services import EmbeddedServices
from movie_stream.settings import load_settings
from tests.support.own_result import package_with

TUTORIAL: Final = Path(__file__).with_name("tutorial.md")
PICTURE: Final = Path(__file__).parent / "images" / "tutorial.png"
SIZE: Final = (1200, 520)
"""So that below the header stands the last panel, and nothing else."""
_COUNTED_WITHIN_MS: Final = 120_000
_COMMAND: Final = str(Path(sys.executable).with_name("movie-stream"))


def _shown(pattern: str) -> str:
    [found] = re.findall(pattern, TUTORIAL.read_text("utf-8"), re.DOTALL)
    return str(found)


def paint() -> None:
    """Counts the views of the tutorial with its result, and writes the picture of the page's end."""
    with TemporaryDirectory() as folder, EmbeddedServices() as services:
        views = Path(folder, "evening.csv")
        views.write_text(_shown(r"<!-- file: evening.csv -->\n```csv\n(.*?)```"), "utf-8")
        columns = re.search(r"--map (\S+)", TUTORIAL.read_text("utf-8"))
        assert columns is not None
        environment = {
            **os.environ,
            **services.applied_to(load_settings()).environment(),
            "PYTHONPATH": package_with(Path(folder), _shown(r"<!-- entry -->\n```python\n(.*?)```")),
            "XDG_STATE_HOME": folder,
        }
        for words in (["init"], ["produce", "--file", str(views), "--map", columns[1]]):
            subprocess.run([_COMMAND, *words], env=environment, check=True)
        with (
            _running("worker", environment=environment),
            _running("serve", "--port", "0", environment=environment, stdout=subprocess.PIPE) as server,
        ):
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            _photograph(address[0], re.findall(r"^\| \d.* (\d+) \|$", TUTORIAL.read_text("utf-8"), re.MULTILINE))


@contextmanager
def _running(*words: str, environment: Mapping[str, str], stdout: int | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([_COMMAND, *words], env=environment, stdout=stdout, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _photograph(address: str, minutes: Sequence[str]) -> None:
    """Takes the picture once the last column of the panel says so."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=sandbox)
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, locale="en-GB")
        page.set_default_timeout(_COUNTED_WITHIN_MS)
        page.goto(f"{address}/?theme=light&lang=en")
        page.wait_for_selector("#own-film_days", state="attached")
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        shown = "[...document.querySelectorAll('#own-film_days tbody tr')].map(row => row.lastChild.textContent)"
        page.wait_for_function(f"() => {shown}.join() === '{','.join(minutes)}'")
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    paint()
