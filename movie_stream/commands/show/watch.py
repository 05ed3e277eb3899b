"""`movie-stream show --watch`: repeats the query every second, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Protocol

from pymongo.errors import PyMongoError
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from movie_stream.commands.show.answer import Answer
from movie_stream.commands.show.table import printed
from movie_stream.commands.show.text import as_json
from movie_stream.commands.signals import cancelled_by
from movie_stream.errors import MongoUnreachable
from movie_stream.mongo.client import Database, explain, opened
from movie_stream.mongo.read import QueryTooSlow
from movie_stream.settings import Settings

_EVERY_S: Final = 1.0
Look = Callable[[Database], Awaitable[Answer]]


class Screen(Protocol):
    """Shows the answers."""

    def show(self, answer: Answer) -> None: ...
    def trouble(self, line: str) -> None:
        """Shows that MongoDB does not answer in time, and that the query is retried."""


async def watch(settings: Settings, look: Look, *, as_json: bool) -> None:
    """Shows the answer of `look` each time it has changed.

    MongoDB may be away for a time; all other errors are raised, and before the first answer all errors.
    """
    cancelled_by(signal.SIGINT, signal.SIGTERM)
    try:
        async with opened(settings) as db:
            answer = await _asked(db, look)
            with _screen(as_json) as screen:
                screen.show(answer)
                while True:
                    await asyncio.sleep(_EVERY_S)
                    try:
                        screen.show(await _asked(db, look))
                    except (MongoUnreachable, QueryTooSlow) as error:
                        screen.trouble(str(error))
    except asyncio.CancelledError:
        return


async def _asked(db: Database, look: Look) -> Answer:
    try:
        return await look(db)
    except PyMongoError as error:
        raise explain(error, db) from error


@contextmanager
def _screen(as_json: bool) -> Iterator[Screen]:
    """The whole terminal within the block; without one, each changed answer is printed."""
    console = Console(highlight=False)
    if as_json or not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(console, as_json)
        return
    terminal = _Terminal(console)
    try:
        with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False) as live:
            terminal.begin(live)
            yield terminal
    finally:
        terminal.leave()


class _Terminal:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._answer: Answer | None = None

    def begin(self, live: Live) -> None:
        """Starts drawing on the terminal."""
        self._live = live

    def show(self, answer: Answer) -> None:
        self._answer = answer
        self._draw(Text(f"At {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC; Ctrl-C ends", "dim"))

    def trouble(self, line: str) -> None:
        self._draw(Text(line, "bold yellow", no_wrap=True, overflow="ellipsis"))

    def leave(self) -> None:
        """Leaves the last answer in the terminal."""
        if self._answer is not None:
            self._console.print(printed(self._answer))

    def _draw(self, head: Text) -> None:
        assert self._live is not None
        assert self._answer is not None
        self._live.update(_OneScreen(head, printed(self._answer)), refresh=True)


class _OneScreen:
    """As many lines as the terminal has; the last one shows how many are hidden."""

    def __init__(self, head: Text, body: RenderableType) -> None:
        self._head, self._body = head, body

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        inner = options.update(height=None)
        lines = [line for part in (self._head, self._body) for line in console.render_lines(part, inner)]
        room = console.size.height
        if len(lines) > room:
            rest = Text(f"{len(lines) - room + 1:,} more lines do not fit here", "dim")
            lines = lines[: room - 1] + console.render_lines(rest, inner)[:1]
        for at, line in enumerate(lines):
            if at:
                yield Segment.line()
            yield from line


class _Lines:
    def __init__(self, console: Console, as_json: bool) -> None:
        self._console, self._as_json = console, as_json
        self._shown: Answer | None = None
        self._in_trouble = False

    def show(self, answer: Answer) -> None:
        self._in_trouble = False
        if self._shown is not None and answer.same_content(self._shown):
            return
        if self._as_json:
            sys.stdout.buffer.write(as_json(answer))
            sys.stdout.buffer.flush()
            if answer.more and (self._shown is None or self._shown.more != answer.more):
                self._say(answer.more)
        else:
            if self._shown is not None:
                self._console.print()
            self._console.print(printed(answer))
            sys.stdout.flush()
        self._shown = answer

    def trouble(self, line: str) -> None:
        if not self._in_trouble:
            self._in_trouble = True
            self._say(line)

    @staticmethod
    def _say(line: str) -> None:
        Console(stderr=True, highlight=False, soft_wrap=True).print(line, markup=False)
