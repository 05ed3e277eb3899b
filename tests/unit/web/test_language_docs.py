"""docs/how-to/language.md: the tests of the page take a language that was added so, and no half of one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "how-to" / "language.md"
TESTS: Final = Path("tests", "unit", "web", "test_page.py")
STATIC: Final = Path("movie_stream", "web", "static")
COPIED: Final = (STATIC, Path("tests", "data", "axe"))


def _add_words(static: Path) -> None:
    shutil.copy(static / "i18n" / "en.json", static / "i18n" / "it.json")


def _add_to_the_list(static: Path) -> None:
    script = static / "js" / "i18n.js"
    text, count = re.subn(r"(LANGUAGES = \[.*)\];", r'\1, "it"];', script.read_text("utf-8"))
    assert count == 1
    script.write_text(text, "utf-8")


def _add_to_the_menu(static: Path) -> None:
    [option] = re.findall(r"`(<option .*</option>)`", PAGE.read_text("utf-8"))
    page = static / "index.html"
    text = page.read_text("utf-8")
    before = '<option value="fr"'
    assert text.count(before) == 1
    page.write_text(text.replace(before, f"{option}{before}"), "utf-8")


STEPS: Final = (_add_words, _add_to_the_list, _add_to_the_menu)


@pytest.mark.parametrize("forgotten", [None, *STEPS], ids=lambda step: step.__name__ if step else "nothing")
def test_a_language_is_taken_once_nothing_of_it_is_forgotten(tmp_path: Path, forgotten: object) -> None:
    for folder in COPIED:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / TESTS).parent.mkdir(parents=True)
    shutil.copy(ROOT / TESTS, tmp_path / TESTS)
    for step in STEPS:
        if step is not forgotten:
            step(tmp_path / STATIC)
    words = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path / TESTS)]
    fast = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(words, cwd=tmp_path, env=fast, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is (forgotten is None), done.stdout
    assert " passed" in done.stdout
