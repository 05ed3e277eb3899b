"""`movie-stream alerts list`: prints the alerts in MongoDB."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from unicodedata import normalize

from rich.console import Console

from movie_stream.alerts.rules import SEVERITIES
from movie_stream.alerts.wording import lights_of
from movie_stream.commands.alerts.in_words import reached_in_words
from movie_stream.commands.show import table as show_table
from movie_stream.commands.show.answer import Answer, Column, Table
from movie_stream.commands.show.table import printed
from movie_stream.commands.show.text import as_csv, as_json
from movie_stream.errors import UsageError
from movie_stream.events.timestamps import TIME_OR_AGE, parse_time_or_age
from movie_stream.mongo.alerts import FIELDS, STATES, AlertQuery, alerts_page, progress
from movie_stream.mongo.client import opened
from movie_stream.settings import Settings

MOST: Final = 10_000
TIME: Final = show_table.time("%m-%d %H:%M")
COLUMNS: Final = (
    Column("state", "state", show_table.text, "left"),
    Column("severity", "severity", show_table.text, "left"),
    Column("start", "start", show_table.time("%Y-%m-%d %H:%M"), "left"),
    Column("end", "end", TIME, "left"),
    Column("rule", "rule", show_table.text, "left", 6),
    Column("subject", "shown", show_table.text, "left", 6),
    Column("value", "value", show_table.number),
    Column("limit", "threshold", show_table.number),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The options of the command line that choose alerts."""

    only_open: bool = False
    withdrawn: bool = False
    rule: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int = 20
    severity: str | None = None

    def query(self) -> AlertQuery:
        """The query for these options. Raises UsageError."""
        if not 1 <= self.limit <= MOST:
            raise UsageError(argument="--limit", expected=f"a whole number from 1 to {MOST:,}", got=str(self.limit))
        if self.only_open and self.withdrawn:
            raise UsageError(argument="--withdrawn", expected="only one of --open and --withdrawn", got="both")
        if self.severity not in (None, *SEVERITIES):
            raise UsageError(argument="--severity", expected=f"one of {', '.join(SEVERITIES)}", got=self.severity)
        states = ("open",) if self.only_open else STATES if self.withdrawn else STATES[:2]
        rule = None if self.rule is None else normalize("NFC", self.rule)
        since, until = time_of("--since", self.since), time_of("--until", self.until)
        if since and until and since >= until:
            raise UsageError(argument="--until", expected=f"a time after --since {self.since}", got=self.until)
        return AlertQuery(self.limit, states, rule, self.severity, since=since, until=until)


def list_alerts(settings: Settings, choice: Choice, *, json: bool = False, csv: bool = False) -> int:
    """Prints the alerts, open ones first. Raises UsageError, and the errors of MongoDB."""
    if json and csv:
        raise UsageError(argument="--csv", expected="only one of --csv and --json", got="both")
    query = choice.query()
    answer = asyncio.run(_answer(settings, query))
    if json or csv:
        sys.stdout.flush()
        sys.stdout.buffer.write(as_json(answer) if json else as_csv(answer))
        if answer.more:
            Console(stderr=True, highlight=False, soft_wrap=True).print(answer.more, markup=False)
    else:
        Console(highlight=False).print(printed(answer))
    return 0


def time_of(option: str, text: str | None) -> datetime | None:
    """Parses a time as a user writes it. Raises UsageError."""
    if text is None:
        return None
    try:
        return parse_time_or_age(text, datetime.now(UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(argument=option, expected=TIME_OR_AGE, got=text) from error


def row_of(alert: Mapping[str, Any]) -> dict[str, Any]:
    """An alert as a row of the table, with the names of its lights."""
    lights = lights_of(alert)
    value, threshold = lights if lights is not None else (alert["value"], alert["threshold"])
    return {**alert, "shown": alert["label"] or alert["subject"], "value": value, "threshold": threshold}


async def _answer(settings: Settings, query: AlertQuery) -> Answer:
    async with opened(settings) as db:
        page = await alerts_page(db, query)
        reached = await progress(db)
    how = "set ALERTS_FILE, and see" if settings.alerts_file is None else "see"
    nothing = f"No such alert in {settings.mongodb_database}.\nThey come from rules; {how}: movie-stream alerts check"
    rows = [row_of(alert) for alert in page.documents]
    return Answer(
        page.documents,
        list(FIELDS),
        page.documents,
        [Table(f"Alerts of {settings.mongodb_database} (UTC)", COLUMNS, rows)],
        notes=reached_in_words(reached),
        more=f"{query.limit:,} shown, there are more; see --limit" if page.next is not None else "",
        nothing="" if rows else "\n".join([nothing, *reached_in_words(reached)]),
    )
