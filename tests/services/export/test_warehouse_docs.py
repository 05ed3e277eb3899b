"""docs/how-to/export.md: its commands run, and then its Python on what they have written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from movie_stream.settings import Settings
from tests.services.test_docs import ROOT
from tests.support.whole_path import COMMAND, PATIENCE_S, environment

PAGE = (ROOT / "docs" / "how-to" / "export.md").read_text("utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
NEEDED = ("pandas", "polars")
"""What no extra of ours brings: where it is missing, its example is left out, and that is said."""


def test_commands_and_examples(filled: Settings, tmp_path: Path) -> None:
    path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
    [commands] = COMMANDS
    shell = subprocess.run(
        ["bash", "-ec", commands.replace("--since 30d", "--since 2024-10-01")],
        cwd=tmp_path,
        env=environment(filled, PATH=path),
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert shell.returncode == 0, shell.stderr.decode()
    assert (tmp_path / "csv" / "hourly_metrics" / "2024-10-31.csv.gz").is_file()
    ours = [block for block in BLOCKS if not any(f"import {name}" in block for name in NEEDED)]
    assert len(ours) == len(BLOCKS) - len(NEEDED) == 2
    there = [
        block for block in BLOCKS if block in ours or all(map(find_spec, re.findall(r"^import (\w+)", block, re.M)))
    ]
    script = "\n".join(there)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Sci-Fi" in done.stdout
    assert "2024-10-31" in done.stdout
    if len(there) < len(BLOCKS):
        pytest.skip("the examples of pandas and Polars were not run: they are not installed")
