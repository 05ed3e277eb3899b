"""`movie-stream alerts test`: prints the alerts that a rule gives for the data in MongoDB; nothing is written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from movie_stream.alerts import rule_file
from movie_stream.alerts.evaluation import Evaluation, Streak
from movie_stream.alerts.figures import Reader
from movie_stream.alerts.outbox import Message
from movie_stream.alerts.quality import light_by
from movie_stream.alerts.rule_file import RuleFile
from movie_stream.alerts.rules import Rule
from movie_stream.alerts.sending import NotSent, Origin, Sender, require_libraries
from movie_stream.alerts.wording import body_of
from movie_stream.commands.alerts.in_words import rule_in_words
from movie_stream.commands.alerts.list import TIME, row_of, time_of
from movie_stream.commands.show import table as show_table
from movie_stream.commands.show.answer import Answer, Column, Table
from movie_stream.commands.show.table import printed
from movie_stream.errors import UsageError
from movie_stream.events.timestamps import datetime_of, timestamp_ms_of
from movie_stream.mongo import runs
from movie_stream.mongo.client import opened
from movie_stream.settings import Settings

_MOST_SHOWN: Final = 100
_WINDOWS_AT_ONCE: Final = 500
_NOT_SENT: Final = 1
_COLUMNS: Final = (
    Column("start", "start", show_table.time("%Y-%m-%d %H:%M"), "left"),
    Column("end", "end", TIME, "left"),
    Column("subject", "shown", show_table.text, "left", 8),
    Column("windows", "windows", show_table.count),
    Column("value", "value", show_table.number),
    Column("at", "value_at", TIME, "left"),
    Column("threshold", "threshold", show_table.number),
    Column("usual", "usual", show_table.number),
)


@dataclass(frozen=True, slots=True)
class _Tried:
    """The alerts of a rule over a range of time."""

    since: datetime | None
    until: datetime | None
    alerts: Sequence[dict[str, Any]]


def try_rule(
    settings: Settings,
    name: str,
    *,
    file: Path | None = None,
    since: str | None = None,
    until: str | None = None,
    deliver: bool = False,
) -> int:
    """Prints the alerts of the rule, or with `deliver` sends a message to its receivers; exit code 1 if one fails.

    Raises SettingMissing, RulesRefused, UsageError, and the errors of MongoDB.
    """
    rules = rule_file.load(settings, file)
    rule = rules.rule(name)
    if rule is None:
        names = ", ".join(rule.name for rule in rules.rules)
        raise UsageError(argument="RULE", expected=f"one of {names}" if names else "a file with rules", got=name)
    if deliver:
        return asyncio.run(_deliver(rules, rule, Origin.of(settings)))
    begin, end = time_of("--since", since), time_of("--until", until)
    if begin and end and begin >= end:
        raise UsageError(argument="--until", expected=f"a time after --since {since}", got=until)
    tried = asyncio.run(_try(settings, rules, rule, begin, end))
    Console(highlight=False).print(printed(_answer(rule, tried)))
    return 0


async def _try(
    settings: Settings, rules: RuleFile, rule: Rule, since: datetime | None, until: datetime | None
) -> _Tried:
    async with opened(settings) as db:
        run = await runs.current(db, settings.kafka_group)
        reader = Reader(db, run.number if run else 0, light_by(rules.quality))
        first, last = await reader.first(rule), await reader.last(rule)
        if first is None or last is None:
            return _Tried(None, None, ())
        begin = max(first, timestamp_ms_of(since) if since else first)
        begin -= begin % rule.window_ms
        last = min(last, timestamp_ms_of(datetime.now(UTC)))  # views may be dated ahead
        end = min(last, timestamp_ms_of(until) if until else last)
        end = max(end - end % rule.window_ms, begin)
        evaluation, streaks = Evaluation(rule, begin), list[Streak]()
        while evaluation.until_ms < end:
            then = min(end, evaluation.until_ms + _WINDOWS_AT_ONCE * rule.window_ms)
            figures = await reader.figures(rule, evaluation.until_ms, then)
            streaks += evaluation.advance(figures.by_subject, then, first, figures.others)
    return _Tried(
        datetime_of(begin), datetime_of(end), [body_of(rule, of) for of in (*streaks, *evaluation.open_streaks())]
    )


def _answer(rule: Rule, tried: _Tried) -> Answer:
    rows = [row_of(alert) for alert in tried.alerts]
    if tried.since is None or tried.until is None:
        nothing = "There are no figures yet that this rule looks at."
    else:
        nothing = "" if rows else f"No alert: {rule_in_words(rule)}, {_between(tried.since, tried.until)}."
    title = f"{rule.name}: {rule_in_words(rule)}"
    between = "" if nothing or not tried.since or not tried.until else _between(tried.since, tried.until)
    more = f"{_MOST_SHOWN} of {len(rows):,}; --since and --until for others" if len(rows) > _MOST_SHOWN else ""
    shown = rows[:_MOST_SHOWN]
    return Answer(
        shown,
        (),
        shown,
        [Table(title, _COLUMNS, shown)],
        (f"{len(rows):,} alert{'s' * (len(rows) != 1)}, {between}",),
        more,
        nothing,
    )


def _between(since: datetime, until: datetime) -> str:
    return f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"


async def _deliver(rules: RuleFile, rule: Rule, origin: Origin) -> int:
    """Sends one message, marked as a test, to each receiver of the rule."""
    require_libraries(rules.receivers)
    now = datetime.now(UTC)
    at = timestamp_ms_of(now) // rule.window_ms * rule.window_ms
    body = body_of(rule, Streak("test", at, rule.in_a_row, 0.0, at, 0.0, 0.0))
    body["text"] = "this is a test by movie-stream alerts test --deliver; nothing has happened"
    console, failed = Console(width=80, highlight=False, soft_wrap=True), False
    async with Sender(origin) as sender:
        for name in rule.to:
            message = Message(f"test|{at}", f"test|{at}", name, 1, "started", body, now, 1)
            try:
                await sender.send(rules.receivers[name], message)
            except NotSent as failure:
                failed = True
                console.print(f"{name}: {failure}", style="red", markup=False)
            else:
                console.print(f"{name}: sent", style="green", markup=False)
    return _NOT_SENT if failed else 0
