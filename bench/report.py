"""Reports."""

from pathlib import Path

from rich.console import Console

from bench.results import ROOT

PAGE = ROOT / "docs" / "performance.md"


def write(results: Path, page: Path, console: Console) -> None:
    """Stub."""
