"""A whole replay into the real broker."""

import asyncio
import random
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.errors import InputError, SettingMissing, TopicMissing, UsageError
from movie_stream.replay.files.csv_header import HEADER_LINE
from movie_stream.replay.order import sorted_runs
from movie_stream.replay.order.plan import Plan
from movie_stream.replay.send import ReplayProgress, ReplayResult, replay
from movie_stream.replay.source import ViewsSource
from movie_stream.replay.synthetic.generate import generate_rows
from movie_stream.settings import Settings
from tests.support.input.generated_csv import csv_text
from tests.support.kafka.topics import PARTITIONS, read_topic

START_MS = 1730383200000
YEAR_MS = 367 * 86_400_000


def view(user: int, timestamp_ms: int, rating: str = "4") -> str:
    return f"tt1,Heat,Crime,user_{user},{timestamp_ms},{rating},170,"


def csv_file(folder: Path, *rows: str) -> Path:
    path = folder / "views.csv"
    path.write_text("\n".join([HEADER_LINE, *rows]))
    return path


async def sent_to(settings: Settings) -> list[list[tuple[str, int]]]:
    """Users and timestamps by partition; checks partitions and record times by the way."""
    found = await read_topic(settings.require_broker(), settings.kafka_topic)
    now_ms = time.time() * 1_000
    events: list[list[tuple[str, int]]] = []
    for partition, records in found.items():
        keys = [key for key, _, _ in records]
        assert set(partitions_of(keys, PARTITIONS).tolist()) <= {partition}
        assert all(now_ms - 120_000 < written_ms <= now_ms for _, _, written_ms in records)
        decoded = [msgspec.json.decode(value) for _, value, _ in records]
        assert [event["user_id"].encode() for event in decoded] == keys
        events.append([(event["user_id"], event["timestamp"]) for event in decoded])
    return events


async def test_a_file_in_order_is_sent_unchanged(topic: Settings, tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_text(csv_text(generate_rows(12_000, 1)))
    seen: list[ReplayProgress] = []
    result = await replay(topic, ViewsSource(path), progress=seen.append)
    events = await sent_to(topic)
    expected: list[list[tuple[str, int]]] = [[], [], []]
    for rows in generate_rows(12_000, 1):
        partitions = partitions_of([user.encode() for user in rows.user_id], PARTITIONS).tolist()
        for user, timestamp_ms, partition in zip(rows.user_id, rows.timestamp, partitions, strict=True):
            expected[partition].append((user, timestamp_ms))
    assert events == expected
    times = [timestamp_ms for part in events for _, timestamp_ms in part]
    assert (result.sent, result.refused) == (12_000, 0)
    assert (result.first_timestamp_ms, result.last_timestamp_ms) == (min(times), max(times))
    assert [progress.step for progress in seen][:: len(seen) - 1] == ["checking", "sending"]
    assert (seen[-1].sent, seen[-1].done, seen[-1].total) == (12_000, 12_000, 12_000)


@pytest.mark.parametrize("run_rows", [200_000, 3_000])
async def test_a_file_out_of_order_is_sorted(
    topic: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_rows: int
) -> None:
    monkeypatch.setattr(sorted_runs.SortedRuns.__init__, "__defaults__", (run_rows, 100, 2))
    times = [START_MS + number // 2 for number in range(12_000)]
    rows = [view(number % 50, timestamp_ms) for number, timestamp_ms in enumerate(times)]
    random.Random(3).shuffle(rows)
    rows[7:7] = [view(1, START_MS, rating="lots")]
    seen: list[ReplayProgress] = []
    result = await replay(topic, ViewsSource(csv_file(tmp_path, *rows)), progress=seen.append)
    events = await sent_to(topic)
    assert result.sent == sum(map(len, events)) == 12_000
    for part in events:
        assert [timestamp_ms for _, timestamp_ms in part] == sorted(timestamp_ms for _, timestamp_ms in part)
    assert (result.first_timestamp_ms, result.last_timestamp_ms) == (times[0], times[-1])
    assert [(row.line, row.reason) for progress in seen for row in progress.refused_rows] == [
        (9, 'rating: expected a number from 0 to 5, or null, got "lots"')
    ]
    assert {progress.step for progress in seen} == {"checking", "sorting", "sending"}
    assert seen[-1].done == seen[-1].total


async def test_a_bad_row_is_reported_and_left_out(topic: Settings, tmp_path: Path) -> None:
    path = csv_file(tmp_path, view(1, START_MS), view(1, START_MS, rating="abc"), view(2, START_MS + 1))
    seen: list[ReplayProgress] = []
    result = await replay(topic, ViewsSource(path), progress=seen.append)
    assert (result.sent, result.refused) == (2, 1)
    assert [row.line for progress in seen for row in progress.refused_rows] == [3]
    assert sum(map(len, await sent_to(topic))) == 2


async def test_strict_sends_nothing_if_a_row_is_bad(topic: Settings, tmp_path: Path) -> None:
    path = csv_file(tmp_path, view(1, START_MS), view(1, START_MS, rating="abc"))
    with pytest.raises(InputError, match=r'line 3: rating: .*got "abc"; correct it, or leave out --strict'):
        await replay(topic, ViewsSource(path), Plan(strict=True))
    assert await sent_to(topic) == [[], [], []]


async def test_strict_sends_a_good_file(topic: Settings, tmp_path: Path) -> None:
    assert (await replay(topic, ViewsSource(csv_file(tmp_path, view(1, START_MS))), Plan(strict=True))).sent == 1


async def test_a_row_far_off_is_named_and_sent_last(topic: Settings, tmp_path: Path) -> None:
    path = csv_file(tmp_path, view(1, START_MS + YEAR_MS), *(view(1, START_MS + number) for number in range(9)))
    seen: list[ReplayProgress] = []
    result = await replay(topic, ViewsSource(path), progress=seen.append)
    assert result.last_timestamp_ms == START_MS + YEAR_MS
    assert [progress.far_off.lines for progress in seen if progress.far_off] == [[2]]
    with pytest.raises(InputError, match="1 row lies more than a year after the rest"):
        await replay(topic, ViewsSource(path), Plan(strict=True))


async def test_nothing_usable(topic: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the 2 rows can be used; line 2: rating"):
        await replay(topic, ViewsSource(csv_file(tmp_path, *[view(1, START_MS, rating="9")] * 2)))
    with pytest.raises(InputError, match="expected at least one view below the header, got 'none'"):
        await replay(topic, ViewsSource(csv_file(tmp_path)))
    with pytest.raises(InputError, match="no such file"):
        await replay(topic, ViewsSource(tmp_path / "nope.csv"))


async def test_a_missing_requirement_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(TopicMissing):
        await replay(settings, ViewsSource(csv_file(tmp_path, view(1, START_MS))))
    with pytest.raises(SettingMissing):
        await replay(settings.model_copy(update={"kafka_bootstrap_servers": None}), ViewsSource(tmp_path / "views.csv"))


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none(rate: float) -> None:
    with pytest.raises(UsageError, match="--rate: expected a number of events/s"):
        Plan(rate=rate)


async def test_with_a_rate_it_sends_slice_by_slice(topic: Settings, tmp_path: Path) -> None:
    seen: list[ReplayProgress] = []
    path = csv_file(tmp_path, *(view(1, START_MS + number) for number in range(100)))
    await replay(topic, ViewsSource(path), Plan(rate=500), seen.append)
    assert [progress.sent for progress in seen if progress.sent] == [25, 50, 75, 100]


@pytest.mark.parametrize("plan", [Plan(rate=2_000), Plan(rate=2_000, limit=150), Plan(rate=2_000, limit=9_999)])
@pytest.mark.parametrize("sort", [True, False])
async def test_the_bar_follows_the_sent_views(topic: Settings, tmp_path: Path, plan: Plan, sort: bool) -> None:
    """Also for a file that is read in one piece, with bad rows in it, and of fewer views than the limit."""
    rows = [view(1, START_MS + number * (1 if sort else -1)) for number in range(200)]
    bad = [view(1, START_MS, rating="abc")] * 67
    seen: list[ReplayProgress] = []
    result = await replay(topic, ViewsSource(csv_file(tmp_path, *bad, *rows)), plan, seen.append)
    sending = [progress for progress in seen if progress.step == "sending"]
    assert {progress.total for progress in sending if progress.done < progress.total} <= {267, 217, 200, 150}
    shares = [progress.done / progress.total for progress in sending if progress.sent]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    for progress in sending[:-1]:
        if 0 < progress.sent < result.sent:
            assert 0 < progress.done / progress.total < 1


@pytest.mark.parametrize("calls", [1, 2, 3, 5])
async def test_cancelled_at_any_moment(topic: Settings, tmp_path: Path, calls: int) -> None:
    rows = [view(number % 9, START_MS - number) for number in range(12_000)]
    task: asyncio.Task[ReplayResult]
    seen: list[ReplayProgress] = []

    def cancel_at(progress: ReplayProgress) -> None:
        seen.append(progress)
        if len(seen) == calls:
            task.cancel()

    task = asyncio.create_task(
        replay(topic, ViewsSource(csv_file(tmp_path, *rows)), Plan(20_000), cancel_at, timedelta(seconds=9))
    )
    with pytest.raises(asyncio.CancelledError):
        await task
