"""Which views are sent, in which order, at which times and how fast."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.errors import InputError, UsageError
from movie_stream.events.time_range import parse_time_ms
from movie_stream.kafka.produce.pace import SLICE_SECONDS, ReplayClock
from movie_stream.replay.order.plan import Plan, plan_of
from movie_stream.replay.order.survey import Ends, Survey
from movie_stream.replay.records.csv_views import ViewsFile
from movie_stream.replay.resume.bookmark import bookmark_of
from movie_stream.replay.send import ReplayProgress, ReplayResult, replay
from movie_stream.replay.source import ViewsSource, source_of
from movie_stream.settings import Settings
from tests.services.replay.test_send import START_MS, csv_file, view
from tests.support.kafka.topics import read_topic

MINUTE_MS = 60_000


async def sent(settings: Settings, path: Path, plan: Plan) -> tuple[ReplayResult, list[int]]:
    """What the replay says, and the times of the views that stand in the topic, in one user's order."""
    result = await replay(settings, ViewsSource(path), plan)
    found = await read_topic(settings.require_broker(), settings.kafka_topic)
    return result, [msgspec.json.decode(value)["timestamp"] for records in found.values() for _, value, _ in records]


def one_user(folder: Path, *times_ms: int) -> Path:
    return csv_file(folder, *(view(1, time_ms) for time_ms in times_ms))


async def test_only_views_of_the_range_are_sent_and_the_first_of_these(topic: Settings, tmp_path: Path) -> None:
    times = [START_MS + 1000 * number for number in (5, 1, 4, 2, 3, 0)]
    plan = plan_of(start="2024-10-31T14:00:01", end="2024-10-31T14:00:05", limit=3)
    result, stand = await sent(topic, one_user(tmp_path, *times), plan)
    assert stand == [START_MS + 1000, START_MS + 2000, START_MS + 3000]
    assert (result.sent, result.first_timestamp_ms, result.last_timestamp_ms) == (3, stand[0], stand[-1])


async def test_nothing_in_the_range_is_said(topic: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected at least one view between --start and --end, got 'none'"):
        await replay(topic, ViewsSource(one_user(tmp_path, START_MS)), plan_of(start="2024-11-01"))


@pytest.mark.parametrize("to", ["9999-01-01", "1900-01-01"])
def test_a_time_to_which_no_view_can_be_moved_is_named(tmp_path: Path, to: str) -> None:
    views = ViewsFile(one_user(tmp_path, START_MS, START_MS + 5))
    expected = rf"--shift-to: expected a time after 1970-01-01, .* by no more than FUTURE_TOLERANCE, got '{to} 00"
    with views, pytest.raises(UsageError, match=expected):
        for _ in Survey(views, plan_of(shift_to=to), 3_600_000).look():
            pass


async def test_the_order_of_the_file_can_be_kept(topic: Settings, tmp_path: Path) -> None:
    times = [START_MS + number for number in (5, 1, 4)]
    _, stand = await sent(topic, one_user(tmp_path, *times), Plan(sort=False))
    assert stand == times


@pytest.mark.parametrize(("anchor", "moved_ms"), [(None, [0, 5, 60]), ("last", [0, 5, 60]), ("first", [60, 65, 120])])
async def test_views_are_moved_to_another_time(
    topic: Settings, tmp_path: Path, anchor: str | None, moved_ms: list[int]
) -> None:
    path = one_user(tmp_path, START_MS, START_MS + 60, START_MS + 5)
    plan = plan_of(shift_to="2020-02-02T00:00:00.060", anchor=anchor)  # type: ignore[arg-type]
    _, stand = await sent(topic, path, plan)
    assert stand == [parse_time_ms("", "2020-02-02") + offset_ms for offset_ms in moved_ms]


async def test_the_last_view_can_be_now_also_of_a_file_from_the_future(topic: Settings, tmp_path: Path) -> None:
    later_ms = START_MS + 50 * 365 * 86_400_000
    before_ms = time.time_ns() // 1_000_000
    _, stand = await sent(topic, one_user(tmp_path, later_ms - 7, later_ms), plan_of(shift_to="now"))
    assert stand[1] - stand[0] == 7
    assert before_ms <= stand[1] <= time.time_ns() // 1_000_000


async def test_live_each_view_is_sent_when_its_new_time_has_come(topic: Settings, tmp_path: Path) -> None:
    path = one_user(tmp_path, *(START_MS + 100 * number for number in range(6)))
    await replay(topic, ViewsSource(path), plan_of(shift_to="now", speed=1))
    found = await read_topic(topic.require_broker(), topic.kafka_topic)
    [records] = [records for records in found.values() if records]
    ahead_ms = [msgspec.json.decode(value)["timestamp"] - at_ms for _, value, at_ms in records]
    assert max(ahead_ms) <= 1000 * SLICE_SECONDS


async def test_a_bad_row_is_no_anchor(topic: Settings, tmp_path: Path) -> None:
    bad = [view(1, START_MS - 7_200_000, rating="11"), view(1, START_MS + 7_200_000, rating="11")]
    path = csv_file(tmp_path, *bad, view(1, START_MS), view(1, START_MS + 50))
    before_ms = time.time_ns() // 1_000_000
    await replay(topic, ViewsSource(path), plan_of(shift_to="now"))
    await replay(topic, ViewsSource(path), plan_of(shift_to="now", speed=1))
    after_ms = time.time_ns() // 1_000_000
    found = await read_topic(topic.require_broker(), topic.kafka_topic)
    times = [msgspec.json.decode(value)["timestamp"] for records in found.values() for _, value, _ in records]
    assert len(times) == 4
    assert before_ms - 50 <= min(times)
    assert max(times) <= after_ms + 1000 * SLICE_SECONDS


async def test_of_a_limited_replay_the_last_view_that_is_sent_is_the_anchor(topic: Settings, tmp_path: Path) -> None:
    path = one_user(tmp_path, *(START_MS + number for number in (9, 1, 4, 0)))
    _, stand = await sent(topic, path, plan_of(shift_to="2020-02-02", limit=2))
    assert stand == [parse_time_ms("", "2020-02-02") - 1, parse_time_ms("", "2020-02-02")]


async def test_a_long_pause_is_cut_and_the_times_stay(topic: Settings, tmp_path: Path) -> None:
    times = [START_MS, START_MS + 50, START_MS + 365 * 86_400_000, START_MS + 365 * 86_400_000 + 20]
    result, stand = await asyncio.wait_for(
        sent(topic, one_user(tmp_path, *times), plan_of(speed=1, max_gap="200ms")), 60
    )
    assert stand == times
    found = await read_topic(topic.require_broker(), topic.kafka_topic)
    [written] = [[at_ms for _, _, at_ms in records] for records in found.values() if records]
    assert written[2] - written[0] >= 245, "a shorter one is kept"
    assert result.sent == 4


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=20), st.integers(1, 50_000), st.integers(1, 19))
def test_no_pause_is_longer_than_the_gap(times: list[int], gap_ms: int, at: int) -> None:
    times_ms = np.array(sorted(times))
    clock, dues = ReplayClock(2, start=5.0, first_ms=int(times_ms[0]), max_gap_s=gap_ms / 1000), [5.0]
    for part in (times_ms[:at], times_ms[at:]):
        schedule = clock.schedule_of(part) if len(part) else None
        dues += [schedule.delay(1, now=0.0) for _ in part] if schedule else []
    for place, (before, after) in enumerate(pairwise(times_ms.tolist())):
        wanted = min((after - before) / 2000, gap_ms / 1000)
        assert dues[place + 2] - dues[place + 1] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_gap": "1min"}, "--max-gap: expected --speed beside it, .*, got 'no --speed'"),
        ({"max_gap": "1min", "speed": 1, "shift_to": "now"}, "got 'views that come when their time has come'"),
        ({"max_gap": "1 minute", "speed": 60}, "--max-gap: expected a whole number and a unit"),
        ({"max_gap": "0s", "speed": 60}, "--max-gap: expected a length of time above 0, got '0s'"),
    ],
)
def test_a_gap_that_cannot_be_meant(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan_of(**options)


@pytest.mark.parametrize("sort", [True, False])
@given(st.lists(st.lists(st.integers(1, 99), max_size=5), max_size=5), st.none() | st.integers(1, 9))
def test_the_ends_are_those_of_what_is_sent(sort: bool, chunks: list[list[int]], limit: int | None) -> None:
    ends = Ends(limit, sort=sort)
    for chunk in chunks:
        ends.add(np.array(chunk, np.int64))
    times = [time_ms for chunk in chunks for time_ms in chunk]
    sent_ones = (sorted(times) if sort else times)[:limit]
    assert (ends.oldest_ms, ends.newest_ms) == ((min(sent_ones), max(sent_ones)) if sent_ones else (None, None))


async def test_in_a_loop_each_round_follows_the_last(topic: Settings, tmp_path: Path) -> None:
    path = one_user(tmp_path, START_MS + 20, START_MS, START_MS + 10)
    result, stand = await sent(topic, path, Plan(loop=True, limit=8))
    assert stand == [START_MS + 10 * number for number in range(8)]
    assert result.sent == 8


async def test_a_loop_ends_where_the_future_begins(topic: Settings, tmp_path: Path) -> None:
    day_ms = 86_400_000
    now_ms = time.time_ns() // 1_000_000
    path = one_user(tmp_path, now_ms - 3 * day_ms, now_ms - 2 * day_ms)
    result, stand = await sent(topic, path, Plan(loop=True))
    assert (result.sent, len(stand), result.rounds) == (4, 4, 3)
    assert max(stand) <= now_ms + day_ms


@given(
    st.lists(st.integers(0, 5 * MINUTE_MS), min_size=1, max_size=60),
    st.sampled_from([0.5, 1, 60, 3_600]),
    st.floats(0, 3),
)
def test_the_clock_sends_each_view_at_its_time(offsets_ms: list[int], speed: float, slow_s: float) -> None:
    """At most a slice before its time, never after it but where the sender is slow; nothing is left out."""
    times_ms = START_MS + np.array(offsets_ms, np.int64)
    clock, now, done = ReplayClock(speed, 100.0, START_MS), 100.0, 0
    schedule = clock.schedule_of(times_ms)
    while done < len(times_ms):
        events = schedule.slice_events(len(times_ms) - done)
        assert 1 <= events <= len(times_ms) - done
        wait = schedule.delay(events, now)
        assert wait >= 0
        due = 100.0 + (times_ms[done : done + events] - START_MS) / (1000 * speed)
        assert now + wait >= due[0] - 1e-6
        assert (due <= now + wait + SLICE_SECONDS + 1e-6).all()
        now, done = now + wait + slow_s, done + events


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": -1}, "--rate: expected a number of events/s"),
        ({"speed": 0}, "--speed: expected a number above 0"),
        ({"speed": float("nan")}, "--speed: expected a number above 0"),
        ({"speed": 2, "rate": 5}, "--speed: expected only one of --speed and --rate"),
        ({"anchor": "first"}, "--anchor: expected --shift-to besides"),
        ({"loop": True, "shift_to": "now"}, "--loop: expected no --shift-to besides"),
        ({"start": "yesterday"}, r"--start: expected a time \(UTC\) such as 2024-10-31 or .* got 'yesterday'"),
        ({"start": "2024-10-31", "end": "2024-10-31"}, "--end: expected a time after --start 2024-10-31"),
        ({"shift_to": "soon"}, "--shift-to: expected a time"),
    ],
)
def test_what_cannot_be_meant(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan_of(**options)  # type: ignore[arg-type]


async def test_a_catalogue_has_no_end_to_go_on_from(topic: Settings, tmp_path: Path) -> None:
    (tmp_path / "films").write_text("show_id,type,title,rating,duration,listed_in\ns1,Movie,Heat,R,170 min,Crime\n")
    with pytest.raises(UsageError, match="--loop: expected a file of views, got 'a catalogue"):
        await replay(topic, ViewsSource(tmp_path / "films"), Plan(loop=True))


def test_a_loop_may_go_on_live() -> None:
    assert plan_of(loop=True, shift_to="now", speed=1).live


def test_what_is_sent_tells_options_that_change_it() -> None:
    assert Plan(rate=5, strict=True).what_is_sent == ""
    assert plan_of(limit=3, shift_to="now").what_is_sent == "limit: 3, shift: ('now', 'last')"


def test_a_dry_run_fits_a_terminal(tmp_path: Path) -> None:
    csv_file(tmp_path, view(1, START_MS // 1000), view(1, START_MS, rating="NULL"), view(1, START_MS), "too,short")
    arguments = [sys.executable, "-c", "from movie_stream.cli import main; main()", "produce", "-f", "views.csv", "-n"]
    terminal = {"COLUMNS": "80", "FORCE_COLOR": "1"}
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True, env=terminal)
    lines = re.sub(r"\x1b\[[\d;]*m", "", done.stdout).splitlines()
    assert max(map(len, lines)) <= 80
    assert "Repaired: 1 timestamp in seconds; 1 number with NULL" in " ".join(lines)


def test_a_dry_run_shows_what_would_be_sent_and_needs_no_broker(tmp_path: Path) -> None:
    rows = [view(number, START_MS - 1000 * number) for number in range(12)]
    csv_file(tmp_path, *rows, view(1, START_MS, rating="9"), view(1, START_MS, rating="8"), "too,short")
    code = "from movie_stream.cli import main; main()"
    arguments = [sys.executable, "-c", code, "produce", "--file", "views.csv", "--dry-run", "--start", "2024-10-31T13"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True, env={"COLUMNS": "80"})
    lines = done.stdout.splitlines()
    assert lines[0] == "views.csv: views (format native)"
    assert lines[2].startswith("2024-10-31 13:59:49")
    assert lines[12].startswith("Nothing was sent. It would be 12 views, of 2024-10-31 13:59:49 to 2024-10-31 14:00:00")
    assert lines[13:] == [
        "3 rows refused:",
        "        2  rating: expected a number from 0 to 5, or null",
        "        1  expected 8 cells, as many as the header has",
        "The first is in line 14: rating: expected a number from 0 to 5, or null, got 9.0",
    ]
    assert max(map(len, lines[:12])) <= 80
    assert done.stderr == ""
    limited = subprocess.run(
        [*arguments, "--limit", "3"], cwd=tmp_path, capture_output=True, text=True, check=True, env={"COLUMNS": "80"}
    )
    assert "It would be 3 views, of 2024-10-31 13:59:49 to 2024-10-31 13:59:51 UTC" in limited.stdout


def test_a_dry_run_of_nothing_but_bad_rows_fails(tmp_path: Path) -> None:
    csv_file(tmp_path, view(1, START_MS, rating="9"))
    code = "from movie_stream.cli import main; main()"
    arguments = [sys.executable, "-c", code, "produce", "--file", "views.csv", "--dry-run"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: views.csv: its 1 row cannot be used; line 2: rating: expected")


async def test_a_catalogue_is_resumed_where_it_stopped(
    topic: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its views come again just so, though they lie just before the present, which has moved on."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "films"
    path.write_text("show_id,type,title,rating,duration,listed_in\ns1,Movie,Heat,R,170 min,Crime\n")
    source = source_of(path, views=20_000, users=500)
    task: asyncio.Task[ReplayResult]

    def cancel(progress: ReplayProgress) -> None:
        if progress.sent > 5_000:
            task.cancel()

    with bookmark_of(path, "start") as bookmark:
        task = asyncio.create_task(replay(topic, source, Plan(rate=10_000), cancel, bookmark=bookmark))
        with pytest.raises(asyncio.CancelledError):
            await task
    other = r"expected the options of then \(views: 20000, .*, seed: 0\), got views: .*, limit: 9; give the same ones"
    with bookmark_of(path, "resume") as bookmark, pytest.raises(InputError, match=other):
        await replay(topic, source, Plan(limit=9), bookmark=bookmark)
    other = r"expected the options of then .*, got views: 20000, users: 500, days: 2, seed: 1; give the same ones"
    with bookmark_of(path, "resume") as bookmark, pytest.raises(InputError, match=other):
        await replay(topic, source_of(path, views=20_000, users=500, seed=1), bookmark=bookmark)
    with bookmark_of(path, "resume") as bookmark:
        result = await replay(topic, source, bookmark=bookmark)
    found = await read_topic(topic.require_broker(), topic.kafka_topic)
    values = [value for records in found.values() for _, value, _ in records]
    assert (result.sent + result.sent_before, len(values)) == (20_000, 20_000)
    assert result.sent_before > 0
    assert len({(v["user_id"], v["timestamp"]) for v in map(msgspec.json.decode, values)}) > 19_000
