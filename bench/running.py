"""Shared by all parts of a run: the services, topics that are filled once, the results, and the progress display."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.installs import NotInstalled
from bench.meter import PeerFailed
from bench.results import RESULTS, Result, keep, now
from bench.services import Services
from bench.stream import Compression, Views, fill

WORDS: Final = 60
"""The most characters of a reason in a table."""


@dataclass
class Run:
    """One run of the benchmark: `events` in each topic, `rounds` of everything."""

    services: Services
    events: int
    rounds: int
    results: Path = RESULTS
    console: Console = field(default_factory=lambda: Console(highlight=False))
    name: str = field(default_factory=now)
    _topics: dict[object, str] = field(default_factory=dict)
    kept: list[Result] = field(default_factory=list)
    """The results so far."""

    took_s: dict[str, float] = field(default_factory=dict)
    """How long each part has taken, with topics filled and peers installed for it."""

    def __post_init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def topic(self, stream: Views, partitions: int = 3, compression: Compression = "none") -> str:
        """The name of a topic with these views, filled when it is first requested."""
        what = (stream, partitions, compression)
        if what not in self._topics:
            name = f"views-{len(self._topics)}"
            began_s = time.monotonic()
            with self.step(f"filling a topic with {stream.events:,} events", stream.events) as advance:
                servers = self.services.bootstrap_servers
                fill(servers, name, stream, partitions=partitions, compression=compression, wrote=advance)
            took_s = time.monotonic() - began_s
            self.say(f"filled {name}: {stream.events:,} events in {took_s:.1f} s, {stream.kind},")
            self.say(f"  {partitions} partitions, compression {compression}")
            self._topics[what] = name
        return self._topics[what]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Takes the time of a part, which is measured in the block."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self.took_s[name] = self.took_s.get(name, 0.0) + time.monotonic() - began_s

    @contextmanager
    def once(self) -> Iterator[None]:
        """Measures in one round during the block: what lasts a given time, and is steady."""
        rounds, self.rounds = self.rounds, 1
        try:
            yield
        finally:
            self.rounds = rounds

    @contextmanager
    def step(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Shows a step of the run and its progress."""
        task = self.progress.add_task(what, total=total)
        try:
            yield lambda more: self.progress.advance(task, more)
        finally:
            self.progress.remove_task(task)

    def measure(
        self,
        part: str,
        nth: int,
        subjects: str | tuple[str, ...],
        do: Callable[[], list[Mapping[str, float]]],
        note: str = "",
    ) -> None:
        """Stores the figures that `do` returns for each subject ("" is skipped) in this round; a failure is stored as
        skipped, with the reason.

        Raises InputError if the results cannot be stored.
        """
        names = (subjects,) if isinstance(subjects, str) else subjects
        reason, found = "", list[Mapping[str, float]]()
        events = self.events
        with self.step(f"round {nth + 1} of {self.rounds}: {names[0]}"):
            try:
                found = do()
            except (NotInstalled, PeerFailed) as error:
                reason = " ".join(str(error).split())
        for subject, figures in zip(names, found or [{}] * len(names), strict=True):
            if subject:
                counted = int(figures.get("events", events))
                result = Result(part, subject, self.name, nth, counted, self.services.broker, figures, note, reason)
                self.kept.append(result)
                self.say(f"{part}, round {nth + 1}: {subject}: {in_words(result)}")
                keep(result, self.results)

    def say(self, line: str) -> None:
        """Prints a line above the bars."""
        self.console.print(escape(line), soft_wrap=True)


def in_words(result: Result) -> str:
    """A result in one line.

    >>> in_words(Result("peers", "Flink", "", 0, 1_000, "", {"events_per_s": 250_000.4, "peak_rss_mb": 900.0}))
    '250,000 events/s, 900 MB'
    """
    if result.skipped:
        return f"skipped: {result.skipped}"
    return ", ".join(words.format(result.figures[name]) for name, words in _WORDS.items() if name in result.figures)


_WORDS: Final = {
    "events_per_s": "{:,.0f} events/s",
    "events_per_cpu_s": "{:,.0f} a CPU-second",
    "cpu_us_per_event": "{:.2f} µs CPU an event",
    "p50_ms": "p50 {:,.0f} ms",
    "p99_ms": "p99 {:,.0f} ms",
    "max_ms": "max {:,.0f} ms",
    "first_event_s": "{:.2f} s",
    "peak_rss_mb": "{:,.0f} MB",
    "documents": "{:,.0f} documents",
    "documents_per_s": "{:,.0f} documents/s",
    "cpu_us_per_document": "{:.1f} µs CPU a document",
    "standstill_s": "stood still for {:.2f} s at most",
    "takeover_s": "taken over after {:.2f} s",
    "page_kb": "{:,.0f} kB",
}


def table_of(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    """A table for the terminal; the first column is text, the others are figures."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table
