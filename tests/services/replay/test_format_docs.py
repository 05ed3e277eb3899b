"""docs/how-to/format.md: the format that it adds works as the page says, in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from movie_stream.events.contract import FIELDS
from tests.services.test_docs import ROOT
from tests.services.test_tutorial import NOT_COPIED, blocks_of, is_shown

PAGE: Final = ROOT / "docs" / "how-to" / "format.md"


def _list(file: Path, lines: str) -> None:
    """Changes the list of formats as the page says: its import, and its entry instead of the present one."""
    imported, listed = lines.strip().split("\n\n")
    text = file.read_text("utf-8")
    text, count = re.subn(r"^FORMATS: .*$", listed, text, flags=re.MULTILINE)
    assert count == 1
    at = text.index("from movie_stream.replay.formats.format ")
    file.write_text(f"{text[:at]}{imported}\n{text[at:]}", "utf-8")


def test_the_format_of_the_page_works_as_it_is_written(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    for folder in ("movie_stream", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    shutil.copy(ROOT / "pyproject.toml", copy)
    said = []
    for block in blocks_of(PAGE):
        kind, _, name = block.remark.partition(": ")
        if kind == "file":
            (copy / name).write_text(block.text, "utf-8")
        elif kind == "change":
            _list(copy / name, block.text)
        elif block.language == "sh":
            said = [_said(copy, line) for line in block.text.splitlines()]
        else:
            assert is_shown(block.text, said[-1]), f"it says:\n{said[-1]}"
    assert "1 passed" in said[0]
    assert "1 passed" in _said(copy, "pytest -q --doctest-modules movie_stream/replay/formats/boxes.py")


def _said(folder: Path, line: str) -> str:
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "COLUMNS": "80",
            "TMPDIR": str(folder.parent),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stdout}"
    return done.stdout


def test_the_page_names_the_columns_of_a_view_in_their_order() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    assert f"the columns of `VIEW`: {', '.join(f'`{name}`' for name in FIELDS)}." in text
