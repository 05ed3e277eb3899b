"""Draws docs/images/demo.svg: the screen of a real run of `movie-stream demo`, as it is half-way; `make picture`."""

from __future__ import annotations

import io
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from rich.console import Console
from rich.terminal_theme import MONOKAI

from movie_stream.commands.demo import command as demo
from movie_stream.commands.demo.live import Screen, frame
from movie_stream.commands.demo.state import DemoState
from movie_stream.settings import load_settings

PICTURE = Path(__file__).parent / "images" / "demo.svg"
WIDTH, HEIGHT = 100, 27
_COUNT = 400_000


class _Painter:
    """A screen that paints the run once, when half of it is counted and the page is there, and ends it then."""

    svg = ""

    def show(self, run: DemoState) -> None:
        if not self.svg and run.page and run.now.views > _COUNT / 2:
            console = Console(width=WIDTH, height=HEIGHT, record=True, file=io.StringIO(), force_terminal=True)
            console.print(frame(run, WIDTH, HEIGHT))
            svg = console.export_svg(title="make demo", theme=MONOKAI, unique_id="demo")
            svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # they are fetched from elsewhere
            self.svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace")
            os.kill(os.getpid(), signal.SIGINT)


def paint() -> str:
    """Runs the demo and returns the picture."""
    painter = _Painter()

    @contextmanager
    def screen(console: Console) -> Iterator[Screen]:
        yield painter

    with patch.object(demo, "screen", screen):
        demo.demo(load_settings(), count=_COUNT)
    return painter.svg


if __name__ == "__main__":
    PICTURE.write_text("\n".join(line.rstrip() for line in paint().splitlines() if line.strip()) + "\n", "utf-8")
