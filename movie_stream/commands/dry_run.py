"""`movie-stream produce --dry-run`: shows what would be sent, without sending it."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from movie_stream.aggregates.accumulator import Rules
from movie_stream.commands.produce import mended, utc
from movie_stream.commands.refused_rows import KINDS_SHOWN
from movie_stream.console import logs
from movie_stream.console.words import number_of
from movie_stream.errors import MovieStreamError
from movie_stream.events.event import View
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import partition_counts
from movie_stream.masking import printable
from movie_stream.replay.lateness import ELSEWHERE, MOVE, Lateness
from movie_stream.replay.newest_views import newest_views
from movie_stream.replay.order.plan import Plan
from movie_stream.replay.rehearse import Rehearsal, rehearse
from movie_stream.replay.source import ViewsSource
from movie_stream.runs.fingerprint import rules_of
from movie_stream.settings import Settings

EXAMPLES = 10


def dry_run(settings: Settings, source: ViewsSource, plan: Plan) -> int:
    """Prints the first views, the refused rows by reason, and how many views would be late in the topic.

    Needs no broker. If none is set, nothing is printed about the topic; if the broker does not answer, the reason is.

    Raises UsageError, and InputError if nothing would be sent.
    """
    stderr = Console(stderr=True, highlight=False, soft_wrap=True)
    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
        transient=True,
    )
    rules = rules_of(settings)
    with bar:
        task = bar.add_task("unpacking", total=None)

        def show(step: str, done: int, total: int) -> None:
            bar.update(task, description=step, completed=done, total=total or None)

        with source.open(lambda done, total: show("unpacking", done, total)) as views:
            lateness = _lateness(settings, rules, stderr)  # a wrong file is told without a broker
            rehearsal = rehearse(views, plan, rules.future_tolerance_ms, EXAMPLES, show, lateness)
    _show(Console(highlight=False), str(views.path), views.what, rehearsal)
    return 0


def _lateness(settings: Settings, rules: Rules, stderr: Console) -> Lateness | None:
    """Judges the views by what the topic holds; None without a broker or topic."""
    if settings.kafka_bootstrap_servers is None:
        return None
    logs.leave_to_us()

    async def look() -> Lateness | None:
        topic = settings.kafka_topic
        async with client.admin(settings) as admin:
            found = (await partition_counts(admin, (topic,))).get(topic)
        return Lateness(topic, rules, found, await newest_views(settings, found)) if found else None

    try:
        return asyncio.run(look())
    except MovieStreamError as error:
        stderr.print(Text(printable(f"The topic was not looked at: {error}"), "yellow"))
        return None


def _show(console: Console, path: str, what: str, rehearsal: Rehearsal) -> None:
    def say(line: str, style: str = "") -> None:
        console.print(Text(printable(line), style), soft_wrap=not console.is_terminal)

    say(f"{path}: {what}", "bold")
    console.print(_table(rehearsal.first))
    order = "; they are sorted by time first" if rehearsal.sorted else ""
    say(
        f"Nothing was sent. It would be {number_of(rehearsal.views, 'view')}, of {utc(rehearsal.oldest_ms)} to "
        f"{utc(rehearsal.newest_ms)} UTC{order}."
    )
    if rehearsal.mended:
        say(f"Repaired: {mended(rehearsal.mended)}.")
    if rehearsal.far_off:
        say(str(rehearsal.far_off), "yellow")
    if rehearsal.late:
        say(f"Late: {rehearsal.late}; {MOVE}, {ELSEWHERE}.", "yellow")
    say(
        f"{number_of(rehearsal.refused, 'row')} refused{':' if rehearsal.refused else '.'}",
        "yellow" if rehearsal.refused else "",
    )
    for kind, rows in rehearsal.reasons.most_common(KINDS_SHOWN):
        say(f"{rows:>9,}  {kind}")
    if len(rehearsal.reasons) > KINDS_SHOWN:
        say(f"           and {len(rehearsal.reasons) - KINDS_SHOWN:,} other reasons")
    if rehearsal.first_refused:
        say(f"The first is in line {rehearsal.first_refused.line}: {rehearsal.first_refused.reason}")


def _table(first: list[View]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, expand=False)
    table.add_column("time (UTC)", no_wrap=True, min_width=19)
    for name, width in (("user", 11), ("film", 21), ("genre", 11)):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=width)
    for name, width in (("stars", 5), ("min", 4)):
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    for view in first:
        texts = (view.user_id, view.title, view.genre)
        numbers = ("" if number is None else f"{number:g}" for number in (view.rating, view.duration))
        table.add_row(utc(view.timestamp), *(Text(printable(text)) for text in texts), *numbers)
    return table
