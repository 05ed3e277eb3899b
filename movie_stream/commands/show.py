"""`movie-stream show`: results from MongoDB as tables within 80 columns, or as JSON."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import orjson
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from movie_stream.errors import UsageError
from movie_stream.masking import printable
from movie_stream.mongo import read
from movie_stream.mongo.client import Database, opened
from movie_stream.output import write_json
from movie_stream.settings import Settings

Row = Mapping[str, Any]

_GAP: Final = 2
"""Characters between columns."""
_NARROWEST: Final = 8
"""Characters that are left of a text, at least."""


def show(settings: Settings, *, what: str, limit: int | None = None, as_json: bool = False) -> None:
    """Prints what there is of the named results: the newest or largest `limit`, or as many as suit them.

    Raises UsageError for a `what` that is none of SHOWN, and what stands in the way of asking MongoDB.
    """
    if what not in SHOWN:
        raise UsageError(argument="WHAT", expected=f"one of {', '.join(SHOWN)}", got=what)
    if limit is not None and limit < 1:
        raise UsageError(argument="--limit", expected="a whole number from 1", got=str(limit))
    shown = SHOWN[what]
    rows = asyncio.run(_ask(settings, shown, limit or shown.limit))
    if as_json:
        write_json(_json(rows))
        return
    console = Console(highlight=False)
    if not rows:
        console.print(
            Text(
                f"No {shown.noun} in {settings.mongodb_database} yet. Send views with: movie-stream produce, "
                "and count them with: movie-stream worker"
            ),
            soft_wrap=True,
        )
    for title, entries in shown.tables(rows):
        console.print(Text(title, style="bold"))
        console.print(_table(shown.columns, entries, console.width))
    if rows and shown.note:
        console.print(Text(shown.note.format(timezone=settings.timezone), style="dim"))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the field that it shows, and how."""

    header: str
    field: str
    shown: Callable[[Any], str]
    justify: Literal["left", "right"] = "right"


@dataclass(frozen=True, slots=True)
class Shown:
    """How one kind of result is asked for and laid out."""

    noun: str
    query: Callable[[Database, int], Awaitable[Sequence[Any]]]
    limit: int
    title: str
    columns: tuple[Column, ...]
    list_field: str = ""
    """Where documents hold lists, each becomes a table of its own, named after the document's `timestamp`."""
    note: str = ""

    def tables(self, rows: Sequence[Row]) -> list[tuple[str, Sequence[Row]]]:
        """(title, rows) of each table."""
        if not self.list_field:
            return [(self.title, rows)] if rows else []
        return [
            (
                row["timestamp"].strftime(self.title),
                [{"rank": rank, **entry} for rank, entry in enumerate(row[self.list_field], 1)],
            )
            for row in rows
        ]


def _json(rows: Sequence[Row]) -> str:
    r"""JSON without the control characters above ASCII, which terminals obey too and orjson leaves as they are.

    >>> _json([{"title": "Alien\x1b[2J\x9b2J"}])
    '[{"title":"Alien\\u001b[2J\\u009b2J"}]'
    """
    text = orjson.dumps(rows, option=orjson.OPT_UTC_Z).decode()
    return re.sub("[\x7f-\x9f]", lambda control: f"\\u{ord(control[0]):04x}", text)


async def _ask(settings: Settings, shown: Shown, limit: int) -> list[Row]:
    async with opened(settings) as db:
        return list(await shown.query(db, limit))


def _table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold cyan")
    cells = [[column.shown(row[column.field]) for row in rows] for column in columns]
    for column, fitting in zip(columns, _widths(columns, cells, width), strict=True):
        table.add_column(column.header, justify=column.justify, width=fitting, no_wrap=True, overflow="ellipsis")
    for row in zip(*cells, strict=True):
        table.add_row(*map(Text, row))
    return table


def _widths(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """How wide each column is: text gives way, the widest first, and figures never do."""
    widths = [max(map(cell_len, (column.header, *texts))) for column, texts in zip(columns, cells, strict=True)]
    text = [n for n, column in enumerate(columns) if column.shown is printable]
    excess = sum(widths) + _GAP * (len(widths) - 1) - width
    for _ in range(excess):
        widest = max(text, key=widths.__getitem__, default=None)
        if widest is None or widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    return widths


def _count(number: int) -> str:
    return f"{number:,}"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:,.2f}"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _label(header: str, field: str, shown: Callable[[Any], str] = printable) -> Column:
    return Column(header, field, shown, "left")


_RANK: Final = Column("#", "rank", str)
_USERS: Final = Column("users", "unique_users", _count)
_RATING: Final = Column("rating", "avg_rating", _number)

SHOWN: Final[Mapping[str, Shown]] = {
    "windows": Shown(
        "minute windows",
        read.windows,
        10,
        "Minute windows, newest first (UTC)",
        (
            _label("minute", "window_start", _minute),
            _label("genre", "genre"),
            Column("views", "total_views", _count),
            _USERS,
            _RATING,
            Column("best", "max_rating", _number),
            Column("worst", "min_rating", _number),
            Column("minutes", "total_duration", _count),
        ),
    ),
    "genres": Shown(
        "genres",
        read.genres,
        10,
        "Genres of all time, most views first",
        (
            _label("genre", "genre"),
            Column("views", "total_views", _count),
            Column("films", "unique_movies", _count),
            _USERS,
            _RATING,
            Column("revenue", "total_revenue", _number),
            Column("peak hour", "peak_hour", str),
        ),
        note="Peak hour in {timezone}",
    ),
    "top-movies": Shown(
        "hours with films",
        read.top_movies,
        1,
        "Films with most views in the hour from %Y-%m-%d %H:%M UTC",
        (
            _RANK,
            _label("title", "title"),
            _label("film", "movie_id"),
            Column("views", "views", _count),
            _RATING,
        ),
        "top_movies",
    ),
    "active-users": Shown(
        "days with users",
        read.active_users,
        7,
        "Users by day, newest first (UTC)",
        (
            _label("day", "timestamp", _day),
            Column("users", "total_users", _count),
            Column("new", "new_users", _count),
            Column("returning", "returning_users", _count),
            Column("minutes a session", "avg_session_duration", _number),
        ),
    ),
    "top-users": Shown(
        "days with users",
        read.top_users,
        1,
        "Users with most views on %Y-%m-%d (UTC)",
        (
            _RANK,
            _label("user", "user_id"),
            Column("views", "watch_count", _count),
            Column("minutes", "watch_time", _count),
        ),
        "top_users",
    ),
    "hours": Shown(
        "hours",
        read.hours,
        24,
        "Hours, newest first (UTC)",
        (
            _label("hour", "timestamp", _minute),
            Column("views", "total_views", _count),
            _USERS,
            _RATING,
            Column("minutes", "total_duration", _count),
        ),
    ),
    "days": Shown(
        "days",
        read.days,
        10,
        "Days by genre, newest first (UTC)",
        (
            _label("day", "timestamp", _day),
            _label("genre", "genre"),
            Column("views", "daily_views", _count),
            _USERS,
            Column("rating", "avg_daily_rating", _number),
            Column("minutes", "total_watch_time", _count),
        ),
    ),
}
"""By what stands on the command line."""
