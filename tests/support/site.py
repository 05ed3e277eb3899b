"""Builds the site of docs/ as `make site` does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def build(source: Path, out: Path, root: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Builds a site as `make site` does, in the checkout `root`."""
    [options] = re.findall(r"^SPHINX := \$\(BIN\)/python -m sphinx (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options.split(), "-b", "html", "-d", out.with_name("read"), source, out],
        cwd=root, env={**environment, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
