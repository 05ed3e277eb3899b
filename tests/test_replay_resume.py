"""A replay that is cut off at any moment and resumed: each view once, in order, in its partition."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import os
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from movie_stream.embedded.broker import broker
from movie_stream.embedded.launch import launch
from movie_stream.errors import BrokerUnreachable, FileRefused, MovieStreamError
from movie_stream.kafka import client, offsets
from movie_stream.kafka.identity import topic_identity
from movie_stream.partitioner import partitions_of
from movie_stream.replay import resume
from movie_stream.replay.bookmark import Bookmark, Mode, Place, bookmark_of
from movie_stream.replay.csv_header import HEADER_LINE
from movie_stream.replay.send import ReplayProgress, ReplayResult, replay
from movie_stream.settings import Settings
from tests.broken_wire import BrokenWire
from tests.kafka_server import KafkaServer
from tests.test_replay_topic_writer import PARTITIONS, create_topic, read_topic
from tests.whole_path import COMMAND, environment

START_MS = 1_730_383_200_000
KILLS = 10
PATIENCE_S = 90.0

Events = list[list[tuple[str, int, str]]]


@pytest.fixture(autouse=True)
def _own_bookmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(params=["tansu", "kafka"])
def either(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """A broker without idempotent producers, and one with; the topic exists."""
    if request.param == "kafka":
        server: KafkaServer = request.getfixturevalue("kafka")
        settings = settings.model_copy(update={"kafka_bootstrap_servers": server.bootstrap_servers})
    asyncio.run(create_topic(settings.require_broker(), settings.kafka_topic))
    return settings


@pytest.fixture
async def topic(settings: Settings) -> Settings:
    await create_topic(settings.require_broker(), settings.kafka_topic)
    return settings


def views_file(folder: Path, count: int, *, shuffled: int | None = None) -> Path:
    """Views in order of time, or not. Each fifth is the one before it once more, in the same bytes; a few are bad."""
    rows = []
    for number in range(count):
        twin = number - (number % 5 == 4)
        rating = "lots" if number % 997 == 500 else "4"
        rows.append(f"tt{twin % 7},Film {twin},Crime,user_{twin % 50},{START_MS + twin},{rating},170,")
    if shuffled is not None:
        random.Random(shuffled).shuffle(rows)
    path = folder / "views.csv"
    path.write_text("\n".join([HEADER_LINE, *rows, ""]))
    return path


def expected(path: Path) -> Events:
    """What the topic has to hold, as one would say it."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["rating"] != "lots"]
    rows.sort(key=lambda row: int(row["timestamp"]))
    partitions = partitions_of([row["user_id"].encode() for row in rows], PARTITIONS).tolist()
    events: Events = [[] for _ in range(PARTITIONS)]
    for row, partition in zip(rows, partitions, strict=True):
        events[partition].append((row["user_id"], int(row["timestamp"]), row["title"]))
    return events


async def standing(settings: Settings) -> Events:
    """What the topic holds."""
    found = await read_topic(settings.require_broker(), settings.kafka_topic)
    decoded = [[msgspec.json.decode(value) for _, value, _ in found[number]] for number in range(PARTITIONS)]
    return [[(event["user_id"], event["timestamp"], event["title"]) for event in events] for events in decoded]


async def send(settings: Settings, path: Path, mode: Mode = "resume", **options: Any) -> ReplayResult:
    with bookmark_of(path, mode) as bookmark:
        return await replay(settings, path, bookmark=bookmark, **options)


async def interrupted(settings: Settings, path: Path, events: int, mode: Mode = "start") -> Bookmark:
    """Sends the file and is told to stop when about so many events were handed over; the bookmark it leaves."""
    task: asyncio.Task[ReplayResult]

    def stop(progress: ReplayProgress) -> None:
        if progress.sent >= events:
            task.cancel()

    task = asyncio.create_task(send(settings, path, mode, rate=20_000, progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await task
    return left(path)


def left(path: Path) -> Bookmark:
    with bookmark_of(path, "resume") as opened:
        assert opened.earlier is not None
        return opened.earlier


def change(path: Path, **fields: Any) -> None:
    """Makes the bookmark another."""
    with bookmark_of(path, "resume") as opened:
        assert opened.earlier is not None
        opened.save(msgspec.structs.replace(opened.earlier, **fields))


# ---- kill -9 -------------------------------------------------------------------------------------------------------


def run_until_killed(settings: Settings, path: Path, chance: random.Random) -> int | None:
    """Runs the command and kills it somewhere in its start, checking, sorting or sending; its exit code if it ended."""
    with bookmark_of(path, "restart") as opened:
        saved = opened.path
    before = saved.read_bytes() if saved.exists() else b""
    rate = chance.choice(["0", "3000", "6000"])
    process = subprocess.Popen(
        [COMMAND, "produce", "--file", str(path), "--resume", "--rate", rate],
        env=environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        if chance.random() < 0.7:  # while it sends
            deadline = time.monotonic() + PATIENCE_S
            while process.poll() is None and (saved.read_bytes() if saved.exists() else b"") == before:
                assert time.monotonic() < deadline
                time.sleep(0.005)
        try:
            process.wait(chance.uniform(0, 0.7))
        except subprocess.TimeoutExpired:
            process.kill()
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode if process.returncode == 0 else None


@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(1_000_000)])
def test_killed_again_and_again(either: Settings, tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")  # noqa: T201 - to see the same again
    chance = random.Random(seed)
    path = views_file(tmp_path, 30_000, shuffled=seed if chance.random() < 0.5 else None)
    kills = 0
    while kills < KILLS and run_until_killed(either, path, chance) is None:
        kills += 1
    done = subprocess.run(
        [COMMAND, "produce", "--file", str(path), "--resume"],
        env=environment(either),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert asyncio.run(standing(either)) == expected(path)
