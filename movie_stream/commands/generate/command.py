"""`movie-stream generate`: makes up views for a file or for the topic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from movie_stream.commands.generate.file import format_of, write_file
from movie_stream.errors import UsageError
from movie_stream.events.contract import MAX_TIMESTAMP_MS
from movie_stream.events.timestamps import parse_time
from movie_stream.kafka.produce.pace import check_rate
from movie_stream.replay.synthetic.catalogue import catalogue
from movie_stream.replay.synthetic.synthetic_views import SyntheticViews
from movie_stream.settings import load_settings

NOW: Final = "now"
DAY: Final = timedelta(days=1)
MILLISECOND: Final = timedelta(milliseconds=1)
MOST_DAYS: Final = 36_500


def generate(
    views: SyntheticViews,
    *,
    output: Path | None,
    to_topic: bool = False,
    file_format: str | None = None,
    rate: float | None = None,
    late_anyway: bool = False,
) -> int:
    """Writes the views to a file, or sends them to the topic at `rate` events/s; 0 is as fast as possible.

    The format is csv, jsonl or parquet; by default that of the file's ending. Returns the exit code. Raises UsageError
    unless exactly one of file and topic is given, or if an option belongs to the other, and the errors of `write_file`
    and `send`.
    """
    if (output is None) != to_topic:
        got = "both" if to_topic else "none"
        raise UsageError(argument="--output", expected="exactly one of --output and --to-topic", got=got)
    if output is None:
        if file_format is not None:
            raise UsageError(argument="--format", expected="--output beside it, not --to-topic")
        check_rate(rate or 0)
        from movie_stream.commands.generate.to_topic import send

        return send(load_settings(), views, rate or 0, late_anyway=late_anyway)
    if late_anyway:
        raise UsageError(argument="--late-anyway", expected="--to-topic beside it, not --output")
    if rate is not None:
        raise UsageError(argument="--rate", expected="--to-topic beside it, not --output")
    write_file(views, output, format_of(output, file_format))
    return 0


def synthetic_views(
    *,
    count: int,
    seed: int,
    users: int | None,
    films: int,
    days: float,
    end: str | None,
    prices: bool,
    late_fraction: float,
    bad_fraction: float,
) -> SyntheticViews:
    """The views for these options. Raises UsageError for invalid ones."""
    if not (late_fraction >= 0 and bad_fraction >= 0 and late_fraction + bad_fraction <= 1):
        raise UsageError(
            argument="--late-fraction",
            expected="shares from 0 on, which with --bad-fraction make up 1 at most",
            got=f"{late_fraction:g} and {bad_fraction:g}",
        )
    if not 0 < days <= MOST_DAYS:
        raise UsageError(argument="--days", expected=f"a number above 0, of {MOST_DAYS:,} at most", got=f"{days:g}")
    views = SyntheticViews(
        count=count,
        seed=seed,
        films=catalogue(films),
        users=users,
        span=max(days * DAY, MILLISECOND),
        prices=prices,
        late=late_fraction,
        bad=bad_fraction,
        **({} if end is None else {"end": _end(end)}),
    )
    _check_times(views)
    return views


def _end(text: str) -> datetime:
    if text == NOW:
        return datetime.now(UTC)
    try:
        return parse_time(text)
    except ValueError as error:
        expected = "a time such as 2024-11-01T20:00 (UTC), or now"
        raise UsageError(argument="--end", expected=expected, got=text) from error


def _check_times(views: SyntheticViews) -> None:
    """Raises UsageError unless all views have valid timestamps."""
    end_ms = round(views.end.timestamp() * 1_000)
    before = views.span + (views.faults.longest_delay if views.late else timedelta())
    if not (before // MILLISECOND < end_ms <= MAX_TIMESTAMP_MS):
        raise UsageError(
            argument="--end",
            expected="views after 1970-01-01 and before 9999-12-31",
            got=f"{before / DAY:,.1f} days up to {views.end:%Y-%m-%dT%H:%M}",
            remedy="name another end, or fewer --days",
        )
