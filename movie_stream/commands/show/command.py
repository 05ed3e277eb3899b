"""`movie-stream show`: prints a result, or the running workers, as a table within 80 columns, as JSON or as CSV."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from rich.console import Console

from movie_stream.commands.show import results as show_results
from movie_stream.commands.show import workers as show_workers
from movie_stream.commands.show.answer import Answer
from movie_stream.commands.show.results import MOST
from movie_stream.commands.show.table import printed
from movie_stream.commands.show.text import as_csv, as_json
from movie_stream.commands.show.watch import Look, watch
from movie_stream.commands.window_range import checked, time_of
from movie_stream.errors import UsageError
from movie_stream.mongo import query
from movie_stream.mongo.client import opened
from movie_stream.mongo.query import Query, result_named
from movie_stream.settings import Settings

WORKERS: Final = "workers"
Form = Literal["table", "json", "csv"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The options of the command line that choose documents."""

    since: str | None = None
    until: str | None = None
    genre: str | None = None
    limit: int | None = None
    """None: the default of the result."""


ALL: Final = Choice()


def show(
    settings: Settings,
    *,
    what: str,
    choice: Choice = ALL,
    json: bool = False,
    csv: bool = False,
    watching: bool = False,
) -> int:
    """Prints the answer once, or repeatedly until Ctrl-C; returns exit code 0.

    Raises UsageError for invalid options, and the errors of MongoDB.
    """
    form = _form(json=json, csv=csv, watching=watching)
    look = _look(settings, what, choice)
    if watching:
        asyncio.run(watch(settings, look, as_json=form == "json"))
    else:
        _print(asyncio.run(_once(settings, look)), form)
    return 0


def names() -> list[str]:
    """The names of everything that can be shown."""
    return [*query.names(), WORKERS]


def _form(*, json: bool, csv: bool, watching: bool) -> Form:
    if json and csv:
        raise UsageError(argument="--csv", expected="only one of --csv and --json", got="both")
    if csv and watching:
        raise UsageError(
            argument="--watch", expected="no --csv besides", remedy="with --json it prints a line for each change"
        )
    return "json" if json else "csv" if csv else "table"


def _look(settings: Settings, what: str, choice: Choice) -> Look:
    """The query of MongoDB for this answer. Raises UsageError, before any query, for invalid options."""
    if choice.limit is not None and not 1 <= choice.limit <= MOST:
        raise UsageError(argument="--limit", expected=f"a whole number from 1 to {MOST:,}", got=str(choice.limit))
    if what == WORKERS:
        _no_choice(choice)
        return lambda db: show_workers.answer(db, settings.kafka_group, choice.limit or MOST)
    _query(what, choice)
    return lambda db: show_results.answer(db, settings.timezone, _query(what, choice))


def _no_choice(choice: Choice) -> None:
    for name in ("since", "until", "genre"):
        if getattr(choice, name) is not None:
            raise UsageError(argument=f"--{name}", expected="a result", got=WORKERS)


def _query(what: str, choice: Choice) -> Query:
    """The query; times such as 2h are relative to now."""
    result, now = result_named(what, "RESULT", WORKERS), datetime.now(UTC)
    since, until = time_of("--since", choice.since, now), time_of("--until", choice.until, now)
    asked = Query(result, choice.limit or show_results.limit_of(result), choice.genre, since, until)
    return checked(asked, choice.since, choice.until)


async def _once(settings: Settings, look: Look) -> Answer:
    async with opened(settings) as db:
        return await look(db)


def _print(answer: Answer, form: Form) -> None:
    if form == "table":
        Console(highlight=False).print(printed(answer))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(as_json(answer) if form == "json" else as_csv(answer))
    if answer.more:
        Console(stderr=True, highlight=False, soft_wrap=True).print(answer.more, markup=False)
