"""Late views are reported before anything is sent, by the views in the topic."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.errors import MovieStreamError
from movie_stream.kafka.cluster import client
from movie_stream.replay.lateness import Lateness, LateViews
from movie_stream.replay.newest_views import extents, newest_views
from movie_stream.replay.order.plan import Plan, plan_of
from movie_stream.replay.resume.bookmark import bookmark_of
from movie_stream.replay.send import ReplayProgress, ReplayResult, replay
from movie_stream.replay.source import ViewsSource
from movie_stream.runs.fingerprint import rules_of
from movie_stream.settings import Settings
from tests.services.replay.test_send import START_MS, csv_file, view
from tests.support.in_process import initialize
from tests.support.whole_path import command, database, log_of, succeed

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOW_IN_TOPIC = "has views up to 2024-10-31 14:00:00 UTC, and ALLOWED_LATENESS is 24h"


async def sent(settings: Settings, path: Path, plan: Plan | None = None) -> tuple[ReplayResult, list[str]]:
    """The result, and what was said of late views."""
    seen: list[ReplayProgress] = []
    result = await replay(settings, ViewsSource(path), plan or Plan(), seen.append)
    return result, [progress.late for progress in seen if progress.late]


def count(settings: Settings) -> int:
    return sum(map(len, log_of(settings)))


# ---- what is late ----------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), max_size=30),
    st.dictionaries(st.integers(0, 2), st.integers(0, 20)),
    st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
def test_late_is_what_a_worker_refuses(views: list[tuple[int, int]], newest: dict[int, int], sent: list[int]) -> None:
    settings = Settings(allowed_lateness="3ms")
    views = sorted(views, key=lambda view: view[1])
    keys = [b"user_%d" % user for user, _ in views]
    places = partitions_of(keys, 3).tolist() if keys else []
    to_skip, late, judged = list(sent), 0, 0
    for place, (_, time_ms) in zip(places, views, strict=True):
        if to_skip[place]:
            to_skip[place] -= 1
            continue
        judged += 1
        late += place in newest and time_ms < newest[place] - 3
    lateness = Lateness("views", rules_of(settings), 3, newest, sent=sent)
    for start in (0, 15):
        times_ms = np.array([time_ms for _, time_ms in views[start : start + 15]], np.int64)
        lateness.add(keys[start : start + 15], times_ms)
    found = lateness.found
    assert (found.views, found.of) == (late, judged) if found else late == 0


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 100), st.integers(2, 9))
def test_the_sample_is_bounded_and_has_both_ends(start: int, more: int, most: int, places: int) -> None:
    found = list(extents(start, start + more, most, places))
    assert sum(end - begin for begin, end in found) <= max(most, places)
    assert (found[0][0], found[-1][1]) == (start, start + more)
    assert all(start <= begin <= end <= start + more for begin, end in found)


# ---- what the topic has ----------------------------------------------------------------------------------------------


async def test_an_empty_topic_has_no_newest_view(topic: Settings) -> None:
    assert await newest_views(topic, 3) == {}


async def test_the_newest_view_of_each_partition_is_found_whatever_follows_it(topic: Settings, tmp_path: Path) -> None:
    csv_file(tmp_path, *(view(user, START_MS + user) for user in range(300)))
    await replay(topic, ViewsSource(tmp_path / "views.csv"))
    future = view(1, START_MS)
    producer = await client.start_producer(topic)
    try:
        for value in (b"not JSON", future.encode(), None):
            for partition in range(3):
                await producer.send_and_wait(topic.kafka_topic, value, key=b"k", partition=partition)
        ahead = {"movie_id": "m", "title": "t", "genre": "g", "user_id": "u", "timestamp": 9_000_000_000_000}
        await producer.send_and_wait(topic.kafka_topic, msgspec.json.encode(ahead), key=b"u", partition=0)
    finally:
        await producer.stop()
    users = [b"user_%d" % user for user in range(300)]
    newest = {place: START_MS + user for user, place in enumerate(partitions_of(users, 3).tolist())}
    assert await newest_views(topic, 3) == newest
    few = await newest_views(topic, 3, read_at_most=60, samples=4)
    assert few.keys() == newest.keys()
    assert all(START_MS <= few[place] <= newest[place] for place in few), "a sample finds no more than there is"


@pytest.mark.long
def test_workers_know_what_a_sample_does_not_see(settings: Settings, tmp_path: Path) -> None:
    initialize(settings)
    csv_file(tmp_path, *(view(1, START_MS + (DAY_MS if number == 700 else number)) for number in range(2_000)))
    succeed(settings, "produce", "--file", str(tmp_path / "views.csv"), "--no-sort")
    [place] = partitions_of([b"user_1"], 3).tolist()
    assert asyncio.run(newest_views(settings, 3, read_at_most=90, samples=3))[place] == START_MS + 1_999
    succeed(settings, "worker", "--until-end")
    assert asyncio.run(newest_views(settings, 3, read_at_most=90, samples=3))[place] == START_MS + DAY_MS


# ---- what is said and refused ----------------------------------------------------------------------------------------


async def test_what_would_be_thrown_away_is_sent_only_when_that_is_said(topic: Settings, tmp_path: Path) -> None:
    await sent(topic, csv_file(tmp_path, view(1, START_MS)))
    path = csv_file(tmp_path, *(view(1, START_MS - 2 * DAY_MS + number) for number in range(50)), view(1, START_MS))
    with pytest.raises(
        LateViews, match=r"views\.csv: 50 of the 51 views would be late, and not count: partition \d "
    ) as e:
        await sent(topic, path)
    for words in (NOW_IN_TOPIC, "--shift-to now", "KAFKA_TOPIC", "ALLOWED_LATENESS", "--late-anyway"):
        assert words in str(e.value)
    result, said = await sent(topic, path, Plan(late_anyway=True))
    assert (result.sent, len(said)) == (51, 1)
    assert said[0].startswith("50 of the 51 views would be late, and not count: ")


@pytest.mark.parametrize("plan", [plan_of(shift_to="now"), plan_of(shift_to="2024-10-31T14:00"), Plan(limit=1)])
async def test_views_moved_or_left_out_are_not_late(topic: Settings, tmp_path: Path, plan: Plan) -> None:
    await sent(topic, csv_file(tmp_path, view(1, START_MS)))
    path = csv_file(tmp_path, view(1, START_MS - HOUR_MS), view(1, START_MS))
    assert (await sent(topic, path, plan))[1] == []
    path = csv_file(tmp_path, view(2, START_MS), view(1, START_MS - 2 * DAY_MS))
    unsorted = Plan(limit=1, sort=False)
    assert (await sent(topic, path, unsorted))[1] == []


async def test_of_a_limited_file_the_oldest_are_judged(topic: Settings, tmp_path: Path) -> None:
    await sent(topic, csv_file(tmp_path, view(1, START_MS)))
    late = [view(1, START_MS - 2 * DAY_MS + number) for number in range(5)]
    path = csv_file(tmp_path, *[view(1, START_MS + number) for number in range(95)], *late)
    with pytest.raises(LateViews, match="5 of the 10 views"):
        await sent(topic, path, Plan(limit=10))
    with pytest.raises(LateViews, match="all 3 views"):
        await sent(topic, path, Plan(limit=3))


async def test_a_few_are_said_and_sent_but_not_where_all_must_be_good(topic: Settings, tmp_path: Path) -> None:
    await sent(topic, csv_file(tmp_path, view(1, START_MS)))
    path = csv_file(tmp_path, view(1, START_MS - 2 * DAY_MS), *(view(1, START_MS + number) for number in range(200)))
    with pytest.raises(LateViews):
        await sent(topic, path, Plan(strict=True))
    result, said = await sent(topic, path)
    assert (result.sent, said[0][:37]) == (201, "1 of the 201 views would be late, and")


async def test_views_of_other_partitions_are_not_held_against_a_user(topic: Settings, tmp_path: Path) -> None:
    await sent(topic, csv_file(tmp_path, view(1, START_MS)))
    others = [user for user in range(9) if len(set(partitions_of([b"user_1", b"user_%d" % user], 3).tolist())) == 2]
    path = csv_file(tmp_path, *(view(user, START_MS - 9 * DAY_MS) for user in others))
    assert (await sent(topic, path))[1] == []


async def test_a_file_sent_twice_is_late_the_second_time(topic: Settings, tmp_path: Path) -> None:
    path = csv_file(tmp_path, *(view(1, START_MS + number * DAY_MS) for number in range(5)))
    await sent(topic, path)
    with pytest.raises(LateViews, match="3 of the 5 views"):
        await sent(topic, path)


@pytest.mark.parametrize("sort", [True, False])
async def test_a_resumed_file_is_not_late_by_its_own_views(topic: Settings, tmp_path: Path, sort: bool) -> None:
    days = range(600) if sort else [5, 3, 9, 599, *range(596)]
    path = csv_file(tmp_path, *(view(user % 9, START_MS - day * DAY_MS) for user, day in enumerate(days)))
    task: asyncio.Task[Any]

    def cancel(progress: ReplayProgress) -> None:
        if progress.sent >= 100:
            task.cancel()

    plan = Plan(rate=2_000, sort=sort)
    with bookmark_of(path, "start") as bookmark:
        task = asyncio.create_task(replay(topic, ViewsSource(path), plan, cancel, bookmark=bookmark))
        with pytest.raises(asyncio.CancelledError):
            await task
    said: list[str] = []
    with bookmark_of(path, "resume") as bookmark:
        result = await replay(
            topic, ViewsSource(path), Plan(sort=sort), lambda seen: said.append(seen.late), bookmark=bookmark
        )
    assert result.sent + result.sent_before == 600
    assert not any(said)


async def test_a_resumed_file_is_late_by_the_views_of_others(topic: Settings, tmp_path: Path) -> None:
    path = csv_file(tmp_path, *(view(user % 9, START_MS - user) for user in range(600)))
    task: asyncio.Task[Any]

    def cancel(progress: ReplayProgress) -> None:
        if progress.sent >= 100:
            task.cancel()

    with bookmark_of(path, "start") as bookmark:
        task = asyncio.create_task(replay(topic, ViewsSource(path), Plan(rate=2_000), cancel, bookmark=bookmark))
        with pytest.raises(asyncio.CancelledError):
            await task
    (tmp_path / "others").mkdir()
    await sent(topic, csv_file(tmp_path / "others", *(view(user, START_MS + 3 * DAY_MS) for user in range(9))))
    refused = pytest.raises(LateViews, match=r"views\.csv: all \d+ views would be late")
    with bookmark_of(path, "resume") as bookmark, refused:
        await replay(topic, ViewsSource(path), bookmark=bookmark)
    with bookmark_of(path, "resume") as bookmark:
        result = await replay(topic, ViewsSource(path), Plan(late_anyway=True), bookmark=bookmark)
    assert result.sent + result.sent_before == 600


@pytest.mark.long
def test_the_readmes_order_ends_before_anything_is_thrown_away(settings: Settings, tmp_path: Path) -> None:
    """data/movies.csv, a worker, and then years of ratings that are older."""
    initialize(settings)
    succeed(settings, "produce", "--file", "data/movies.csv")
    succeed(settings, "worker", "--until-end")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n31,Dangerous Minds (1995),Drama\n")
    rows = (f"{user},31,2.5,{1_260_759_144 + user}" for user in range(300))
    (tmp_path / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows, ""]))
    file = str(tmp_path / "ratings.csv")
    refused = command(settings, "produce", "--file", file)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "error: " + file + ": all 300 views would be late, and not count: partition " in refused.stderr
    assert count(settings) == 10, "nothing was sent"
    rehearsed = command(settings, "produce", "--file", file, "--dry-run")
    assert rehearsed.returncode == 0
    assert "Late: all 300 views would be late, and not count: partition " in rehearsed.stdout
    succeed(settings, "produce", "--file", file, "--shift-to", "now")
    said = command(settings, "produce", "--file", file, "--late-anyway", "--restart")
    assert said.returncode == 0
    worker = command(settings, "worker", "--until-end")
    assert "read 600 events: 300 counted, 0 bad, 300 late; wrote " in worker.stdout + worker.stderr
    with database(settings) as db:
        assert sum(genre["total_views"] for genre in db["category_stats"].find()) == 310


@pytest.mark.long
def test_made_up_views_are_compared_too(settings: Settings) -> None:
    initialize(settings)
    succeed(settings, "generate", "--to-topic", "--count", "500", "--end", "2024-12-01")
    options = "generate", "--to-topic", "--count", "1000"
    refused = command(settings, *options)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert refused.stderr.startswith("error: these views: all 1,000 views would be late, and not count: partition ")
    assert "name another --end, such as now" in refused.stderr
    assert count(settings) == 500
    sent = command(settings, *options, "--late-anyway")
    assert sent.returncode == 0
    assert sent.stderr.startswith("Careful: all 1,000 views would be late")
    later = command(settings, *options, "--end", "2024-12-03", "--late-fraction", "0.1")
    assert (later.returncode, later.stderr) == (0, ""), "what is meant to be late is not warned of"


def test_the_words_are_for_the_topic_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [".venv/bin/movie-stream", "generate", "-o", str(tmp_path / "a.csv"), "--late-anyway"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "error: --late-anyway: expected --to-topic beside it, not --output\n"


def test_it_is_an_error_of_ours() -> None:
    assert issubclass(LateViews, MovieStreamError)
