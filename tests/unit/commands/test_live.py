"""The demo's screen: it fits into every terminal, and leaves out what does not."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from movie_stream.commands.demo.live import frame, results, screen
from movie_stream.commands.demo.state import DemoState
from movie_stream.commands.demo.watch import Snapshot
from movie_stream.mongo.documents import CategoryStats, HourlyMetrics, MoviesAggregates, TopMoviesEntry

AT = datetime(2024, 11, 1, 14, 30, tzinfo=UTC)


def snapshot(at_s: float = 1.0, views: int = 5_000) -> Snapshot:
    windows = [
        MoviesAggregates(
            _id=f"w{number}",
            genre="Action\x1b[2J" if number == 0 else "Documentary",
            slug="action",
            window_start=AT - timedelta(minutes=number),
            window_end=AT,
            total_views=17,
            unique_users=16,
            rated_views=15,
            avg_rating=3.456,
            max_rating=5.0,
            min_rating=0.5,
            total_duration=1_234,
        )
        for number in range(50)
    ]
    genres = [
        CategoryStats(
            _id=f"g{number}",
            genre=f"Genre {number}",
            slug="",
            timestamp=AT,
            total_views=1_234_567,
            unique_movies=9,
            unique_users=9,
            rated_views=0,
            avg_rating=None,
            total_revenue=0.0,
            peak_hour="20:00",
        )
        for number in range(20)
    ]
    title = "The Very Long Title of a Film That Nobody Has Seen"
    film = TopMoviesEntry(movie_id="m", title=title, genre="Drama", views=99, rated_views=9, avg_rating=4.0)
    hours = [
        HourlyMetrics(
            _id=f"h{number}",
            timestamp=AT - timedelta(hours=number),
            total_views=number + 1,
            unique_users=1,
            rated_views=0,
            avg_rating=None,
            total_duration=0,
            total_revenue=0.0,
        )
        for number in range(200)
    ]
    films = {"_id": "t", "timestamp": AT, "top_movies": [film] * 10}
    return Snapshot(at_s, views, 2, 123, windows, genres, films, hours)  # type: ignore[arg-type]


def run_of(found: Snapshot | None) -> DemoState:
    run = DemoState(
        "embedded broker and MongoDB", planned=100_000, sent=6_000, sent_share=0.06, sending_s=0.0, began_s=0.0
    )
    run.phase = "replaying"
    if found is not None:
        run.add(found)
    return run


def drawn(run: DemoState, width: int, height: int, *, encoding: str = "utf-8") -> list[str]:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")  # as the demo has it
    console = Console(file=out, width=width, height=height, color_system=None, force_terminal=False)
    console.print(frame(run, width, height, plain=console.options.ascii_only), height=height, end="")
    out.seek(0)
    return out.read().rstrip("\n").split("\n")


@given(st.integers(20, 250), st.integers(4, 90), st.booleans())
def test_it_fits_into_every_terminal(width: int, height: int, counted: bool) -> None:
    lines = drawn(run_of(snapshot() if counted else None), width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert lines[-1].startswith("replaying; Ctrl-C")


def test_80_columns_and_24_lines_hold_all_of_it() -> None:
    text = "\n".join(drawn(run_of(snapshot()), 80, 24))
    for words in (
        "6,000",
        "of 100,000 events",
        "5,000",
        "123 waiting, 2 refused",
        "views by hour",
        "to 2024-11-01 14:30 UTC",
        "Minute windows, newest first (UTC)",
        "11-01 14:30 Action\ufffd[2J",
        "Genres, all time",
        "1,234,567",
        "Films of 11-01 14:30 (UTC), 1 h",
        "The Very Long",
    ):
        assert words in text
    assert text.count("11-01 14:") >= 15


def test_a_narrow_terminal_has_no_windows_and_a_flat_one_only_the_figures() -> None:
    narrow = "\n".join(drawn(run_of(snapshot()), 60, 20))
    assert "Genres, all time" in narrow
    assert "Minute windows" not in narrow
    assert "Genres" not in "\n".join(drawn(run_of(snapshot()), 60, 9))


def test_a_terminal_without_unicode_gets_ascii() -> None:
    lines = drawn(run_of(snapshot()), 100, 30, encoding="ascii")
    assert "\n".join(lines).isascii()


def test_the_rate_is_that_of_the_last_seconds_then_of_all() -> None:
    run = run_of(None)
    run.snapshots.clear()
    for second in range(11):
        run.add(snapshot(float(second), views=1_000 * second if second < 5 else 4_000 + 2_000 * (second - 4)))
    assert run.rate == pytest.approx(2_000)
    run.counted_s = 32.0
    assert run.rate == 16_000 / 32
    assert run.totals() == (
        "Events: 6,000 sent, 16,000 counted, 2 dead letters; 0 rows refused.\n"
        "From the first sent to the last counted: 32.0 s, 500 events/s."
    )


def test_no_terminal_gets_lines() -> None:
    out = io.StringIO()
    run = run_of(snapshot())
    with screen(Console(file=out, width=200)) as shown:
        shown.show(run)
        shown.show(run)
        run.phase, run.trouble = "all events counted", "no MongoDB answers"
        shown.show(run)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert "s  replaying: 6,000 sent, 5,000 counted (" in lines[0]
    assert lines[1].endswith("123 waiting (no MongoDB answers)")


def test_the_results_are_five_of_each() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(results(run_of(snapshot())))
    assert out.getvalue().count("Genre ") == 5
    assert max(map(len, out.getvalue().splitlines())) <= 80
