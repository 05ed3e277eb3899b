"""The demo's screen: the results in MongoDB, fitted to the terminal; without one, plain lines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, Protocol

from rich import box
from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from movie_stream.commands.demo.state import DemoState
from movie_stream.commands.demo.watch import Snapshot
from movie_stream.masking import printable

_LINE_EVERY_S: Final = 2.0
_HEADER_LINES: Final = 5
_FOOTER_LINES: Final = 1
_BOX_LINES: Final = 3
"""Lines of a panel besides the rows of its table: the frame and the head."""
_TWO_COLUMNS_FROM: Final = 76
_FILMS_WIDTH: Final = 36
_FEWEST_ROWS: Final = 2
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_BAR_WIDTH: Final = 24
_HEADER_TEXT: Final = 54
"""Columns of a line in the header besides its bar."""


class Screen(Protocol):
    """Shows the state of the demo, on a terminal or in plain lines."""

    def show(self, run: DemoState) -> None:
        """Shows the present state, if enough has changed since the last call."""


@contextmanager
def screen(console: Console) -> Iterator[Screen]:
    """The whole terminal within the block; plain lines if there is none."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(console)
        return
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False) as live:
        yield _Terminal(console, live)


class _Terminal:
    def __init__(self, console: Console, live: Live) -> None:
        self._console, self._live = console, live

    def show(self, run: DemoState) -> None:
        size = self._console.size
        self._live.update(frame(run, size.width, size.height, plain=self._console.options.ascii_only), refresh=True)


class _Lines:
    """A line when a phase begins, and every few seconds during it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._page = ""
        self._due_s = 0.0

    def show(self, run: DemoState) -> None:
        now = time.monotonic()
        if run.page != self._page:
            self._page = run.page
            self._line(run, f"the page is at {run.page}", now)
        if run.phase == self._phase and (run.finished or now < self._due_s):
            return
        self._phase, self._due_s = run.phase, now + _LINE_EVERY_S
        figures = ""
        if run.sent:
            figures = f": {run.sent:,} sent, {run.now.views:,} counted ({run.rate:,.0f}/s), {run.now.waiting:,} waiting"
        trouble = f" ({run.trouble})" if run.trouble else ""
        self._line(run, f"{run.phase}{figures}{trouble}", now)

    def _line(self, run: DemoState, text: str, now_s: float) -> None:
        self._console.print(f"{now_s - run.began_s:5.1f} s  {text}", markup=False, soft_wrap=True)


def frame(run: DemoState, width: int, height: int, *, plain: bool = False) -> RenderableType:
    """The state within `width` columns and `height` lines, leaving out what does not fit. `plain`: ASCII only."""
    layout = Layout()
    rows = height - _HEADER_LINES - _FOOTER_LINES
    header = Layout(_header(run, width, plain=plain), size=min(_HEADER_LINES, height - _FOOTER_LINES))
    body = [Layout(_body(run.now, width, rows))] if rows > 0 else []
    layout.split_column(header, *body, Layout(_footer(run), size=_FOOTER_LINES))
    return layout


def results(run: DemoState) -> RenderableType:
    """The final tables, below each other."""
    now = run.now
    tables: list[RenderableType] = []
    for title, table in (
        ("Newest minute windows (UTC)", _windows(now, 5)),
        ("Genres with most views", _genres(now, 5)),
        (_films_title(now), _films(now, 5)),
    ):
        table.width = None
        table.expand = False
        tables += [Text(title, style="bold"), table, Text()]
    return Group(*tables)


def _header(run: DemoState, width: int, *, plain: bool) -> RenderableType:
    now, since_s = run.now, time.monotonic() - run.began_s
    title = Table.grid(expand=True)
    title.add_column(no_wrap=True, overflow="ellipsis")
    title.add_column(no_wrap=True, justify="right")
    title.add_row(Text.assemble(("movie-stream demo", "bold"), f"  {run.services}"), f"{since_s:,.0f} s")
    counted_share = run.sent_share * min((now.views + now.dead_letters) / (run.sent or 1), 1.0)
    bar_width = min(max(width - _HEADER_TEXT, 0), _BAR_WIDTH)
    grid = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "right", "left", "left"):
        grid.add_column(justify=justify, no_wrap=True)
    planned = f"of {run.planned:,} events" if run.planned is not None else "events"
    refused = f"{run.refused + now.dead_letters:,} refused"
    grid.add_row("sent", f"{run.sent:,}", _bar(run.sent_share, bar_width, "cyan"), planned)
    grid.add_row(
        "counted",
        Text(f"{now.views:,}", "bold"),
        _bar(counted_share, bar_width, "green"),
        f"{run.rate:,.0f}/s, {now.waiting:,} waiting, {refused}",
    )
    page = Text("page  ").append(run.page, f"cyan link {run.page}") if run.page else Text()
    return Group(title, page, grid, _rhythm(now, width, plain=plain))


def _bar(share: float, width: int, style: str) -> RenderableType:
    if not width:
        return Text()
    return ProgressBar(total=1.0, completed=share, width=width, complete_style=style, finished_style=style)


def _rhythm(now: Snapshot, width: int, *, plain: bool) -> Text:
    """The views per hour as a bar chart of blocks, the newest hour last."""
    if not now.hours or plain:
        return Text()
    head = "views by hour  "
    end = f"  to {now.hours[0]['timestamp']:%Y-%m-%d %H:%M} UTC"
    hours = now.hours[: max(width - len(head) - len(end), 0)][::-1]
    most = max((hour["total_views"] for hour in hours), default=1)
    blocks = "".join(_BLOCKS[(len(_BLOCKS) - 1) * hour["total_views"] // most] for hour in hours)
    return Text.assemble(head, (blocks, "magenta"), end, no_wrap=True, overflow="crop")


def _footer(run: DemoState) -> Text:
    end = "Ctrl-C ends" if run.finished else "Ctrl-C ends everything"
    text = Text(f"{run.phase}; {end}", style="bold green" if run.finished else "bold")
    if run.trouble:
        text = Text(run.trouble, style="bold yellow")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _body(now: Snapshot, width: int, lines: int) -> RenderableType:
    """Two columns if they fit: the windows, and genres above films; else as many panels as fit in one."""
    if not now.windows:
        return Text("\nNothing is counted yet; the first figures take about ten seconds.", style="dim")
    if width < _TWO_COLUMNS_FROM:
        return _stack(now, lines, with_windows=True)
    grid = Layout()
    left = _panel("Minute windows, newest first (UTC)", _windows(now, lines - _BOX_LINES), lines)
    grid.split_row(Layout(left, ratio=1), Layout(_stack(now, lines), size=max(_FILMS_WIDTH, width * 45 // 100)))
    return grid


def _stack(now: Snapshot, lines: int, *, with_windows: bool = False) -> RenderableType:
    """Panels below each other, as many as have room for at least a few rows."""
    kinds: list[tuple[str, Literal["genres", "films", "windows"]]] = [("Genres, all time", "genres")]
    kinds.append((_films_title(now), "films"))
    if with_windows:
        kinds.append(("Minute windows (UTC)", "windows"))
    shown = min(len(kinds), lines // (_BOX_LINES + _FEWEST_ROWS))
    tables = {"genres": _genres, "films": _films, "windows": _windows}
    wanted = {"genres": len(now.genres), "films": len(now.films["top_movies"]) if now.films else 0}
    panels: list[RenderableType] = []
    left = lines
    for at, (title, kind) in enumerate(kinds[:shown]):
        share = left // (shown - at)
        if at < shown - 1:  # the next panel gets what one does not need
            share = min(share, max(wanted[kind], _FEWEST_ROWS) + _BOX_LINES)
        panels.append(_panel(title, tables[kind](now, share - _BOX_LINES), share))
        left -= share
    return Group(*panels)


def _panel(title: str, table: Table, lines: int) -> Panel:
    return Panel(
        table,
        title=Text(title, style="bold"),
        title_align="left",
        height=max(lines, _BOX_LINES),
        padding=0,
        border_style="dim",
        box=box.ROUNDED,
    )


_Row = Sequence[tuple[str, Literal["left", "right"]]]


def _table(columns: _Row, rows: Sequence[Sequence[Any]]) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="cyan", show_edge=False)
    for at, (head, justify) in enumerate(columns):
        first_text = justify == "left" and not any(side == "left" for _, side in columns[at + 1 :])
        table.add_column(head, justify=justify, no_wrap=True, overflow="ellipsis", ratio=1 if first_text else None)
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    return table


def _windows(now: Snapshot, most: int) -> Table:
    columns: _Row = [
        ("minute", "left"),
        ("genre", "left"),
        ("views", "right"),
        ("users", "right"),
        ("rating", "right"),
    ]
    return _table(
        columns,
        [
            (
                f"{window['window_start']:%m-%d %H:%M}",
                *(window["genre"], window["total_views"], window["unique_users"], window["avg_rating"]),
            )
            for window in now.windows[: max(most, 0)]
        ],
    )


def _genres(now: Snapshot, most: int) -> Table:
    columns: _Row = [("genre", "left"), ("views", "right"), ("rating", "right"), ("peak", "right")]
    return _table(
        columns,
        [
            (genre["genre"], genre["total_views"], genre["avg_rating"], genre["peak_hour"])
            for genre in now.genres[: max(most, 0)]
        ],
    )


def _films(now: Snapshot, most: int) -> Table:
    films = now.films["top_movies"][: max(most, 0)] if now.films else []
    return _table(
        [("film", "left"), ("views", "right"), ("rating", "right")],
        [(film["title"], film["views"], film["avg_rating"]) for film in films],
    )


def _films_title(now: Snapshot) -> str:
    return f"Films of {now.films['timestamp']:%m-%d %H:%M} (UTC), 1 h" if now.films else "Films"


def _shown(value: object) -> str:
    r"""A figure, or a text without control characters.

    >>> _shown(12345), _shown(3.456), _shown(None), _shown("Alien\x1b[2J")
    ('12,345', '3.46', '-', 'Alien\ufffd[2J')
    """
    match value:
        case None:
            return "-"
        case float():
            return f"{value:,.2f}"
        case int():
            return f"{value:,}"
        case _:
            return printable(str(value))
