"""Workers as real processes: how they start, refuse, die, resume and end, on the real broker and mongod."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic

from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.mongo.client import opened
from movie_stream.runs.fingerprint import open_run
from movie_stream.runs.progress import wait_until_counted
from movie_stream.settings import Settings
from tests.support import reference
from tests.support.in_process import initialize
from tests.support.waiting import until
from tests.support.whole_path import (
    COMMAND,
    PATIENCE_S,
    database,
    documents,
    environment,
    log_of,
    records,
    started,
    succeed,
)

FAUST = [str(Path(COMMAND).with_name("faust")), "-A", "movie_stream.app", "worker", "-l", "info"]
NOWHERE = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
NO_MONGODB = {"MONGODB_URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"}
STRANGER = "mongodb://ana:hunter2@"
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING|ERROR) +\S")
GOES_ON = re.compile(r"(\S+), partition (\d+): goes on at offset (\d+)")


# --- what a user can cause is one line ---------------------------------------------------------------------------


def refused(program: list[str], variables: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """The exit code and the one line of a command that must fail."""
    done = subprocess.run(
        program,
        env={**os.environ, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    lines = done.stderr.splitlines()
    if program == FAUST:  # which logs to standard error
        lines = [line for line in lines if not LINE.match(line)]
    assert len(lines) == 1, f"{program}: {done.stderr}"
    assert lines[0].startswith("error: ")
    assert "Traceback" not in done.stdout
    return done.returncode, lines[0]


def programs(*names: str) -> list[list[str]]:
    """The commands of these names, with what they need."""
    arguments = {"produce": ["--file", "views.csv"], "show": ["genres"]}
    return [FAUST if name == "faust" else [COMMAND, name, *arguments.get(name, [])] for name in names]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty working directory but for a small CSV."""
    (tmp_path / "views.csv").write_text(
        "movie_id,title,genre,user_id,timestamp,rating,duration\nm1,Alien,Sci-Fi,u1,1730385000000,4.5,117\n"
    )
    return tmp_path


@pytest.mark.parametrize("program", programs("worker", "faust", "produce", "init", "show"), ids=lambda p: p[1])
def test_a_missing_variable_is_named(program: list[str], folder: Path) -> None:
    missing = "MONGODB_URI" if "show" in program else "KAFKA_BOOTSTRAP_SERVERS"
    code, line = refused(program, {}, folder)
    assert (code, missing in line, "is not set" in line) == (2, True, True), line
    if "produce" not in program:
        code, line = refused(program, NOWHERE, folder)
        assert (code, "MONGODB_URI is not set" in line) == (2, True), line


@pytest.mark.parametrize("program", programs("worker", "faust", "produce", "init"), ids=lambda p: p[1])
def test_a_broker_that_is_not_there_is_named_with_the_remedy(program: list[str], folder: Path) -> None:
    code, line = refused(program, {**NOWHERE, **NO_MONGODB}, folder)
    assert code == 1
    assert "no Kafka broker answers at 127.0.0.1:1" in line
    assert "movie-stream services" in line


@pytest.mark.parametrize("program", programs("worker", "faust", "produce"), ids=lambda p: p[1])
def test_an_absent_topic_is_named_with_the_remedy(settings: Settings, program: list[str], folder: Path) -> None:
    code, line = refused(program, settings.environment(), folder)
    assert code == 1
    assert f"the topic {settings.kafka_topic} does not exist" in line
    assert line.endswith("create it with: movie-stream init")


@pytest.mark.long
def test_a_mongod_that_is_not_there_or_lets_nobody_in_is_named_with_the_remedy(
    settings: Settings, folder: Path
) -> None:
    asyncio.run(topics.ensure(settings))
    password = {"MONGODB_URI": settings.require_mongodb().replace("mongodb://", STRANGER)}
    for program in programs("worker", "faust", "init", "show"):
        code, line = refused(program, {**settings.environment(), **NO_MONGODB}, folder)
        assert (code, "no MongoDB answers at mongodb://127.0.0.1:1" in line) == (1, True), line
        assert "movie-stream services" in line
        code, line = refused(program, {**settings.environment(), **password}, folder)
        assert (code, "correct user and password in MONGODB_URI" in line) == (1, True), line
        assert "hunter2" not in line


# --- counting ----------------------------------------------------------------------------------------------------


def produce(settings: Settings, folder: Path, count: int, seed: int) -> None:
    views = folder / f"views-{seed}.csv"
    succeed(settings, "generate", "--output", str(views), "--count", str(count), "--seed", str(seed))
    succeed(settings, "produce", "--file", str(views))


def assert_counted(settings: Settings) -> None:
    """Every document is as the reference has it."""
    with database(settings) as db:
        assert reference.same(documents(db), reference.expected(log_of(settings)).documents) == []


@contextmanager
def run(program: list[str], settings: Settings, folder: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs in a folder during the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(program, env=environment(settings), cwd=folder, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def starts(log: Path) -> dict[TopicPartition, int]:
    """Where a worker's log says that it went on."""
    return {TopicPartition(topic, int(p)): int(at) for topic, p, at in GOES_ON.findall(log.read_text())}


def places(settings: Settings) -> list[TopicPartition]:
    return [
        TopicPartition(topic, p) for topic in (settings.kafka_topic, settings.kafka_partials_topic) for p in range(3)
    ]


def ends(settings: Settings) -> dict[TopicPartition, int]:
    async def ask() -> dict[TopicPartition, int]:
        async with client.reader(settings) as reader:
            return await offsets.ends(reader, places(settings))

    return asyncio.run(ask())


def committed(settings: Settings) -> dict[TopicPartition, int]:
    """What the group has committed."""

    async def ask() -> dict[TopicPartition, int]:
        async with client.admin(settings) as admin:
            told = await admin.list_consumer_group_offsets(settings.kafka_group, partitions=places(settings))
            return {place: told[place].offset for place in places(settings) if place in told}

    return asyncio.run(ask())


async def send(settings: Settings, topic: str, value: bytes | None) -> int:
    """Appends a record without a key to partition 0; its offset."""
    producer = await client.start_producer(settings)
    try:
        batch = producer.create_batch()
        batch.append(key=None, value=value, timestamp=None)
        return int((await (await producer.send_batch(batch, topic, partition=0))).offset)
    finally:
        await producer.stop()


@pytest.mark.timeout(240)
def test_the_faust_script_runs_the_same_worker(settings: Settings, tmp_path: Path) -> None:
    empty, logs = tmp_path / "empty", [tmp_path / f"worker{n}.log" for n in range(2)]
    empty.mkdir()
    initialize(settings)
    produce(settings, tmp_path, 5_000, seed=21)
    nothing = asyncio.run(send(settings, settings.kafka_topic, None))
    with run(FAUST, settings, empty, logs[0]) as worker:
        asyncio.run(asyncio.wait_for(wait_until_counted(settings), PATIENCE_S))
        listening = [
            c.laddr.port for c in psutil.Process(worker.pid).net_connections() if c.status == psutil.CONN_LISTEN
        ]
        assert listening == [], "a second worker on this host could not start"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0, logs[0].read_text()[-2000:]
    assert list(empty.iterdir()) == []
    assert "Traceback" not in logs[0].read_text()
    assert_counted(settings)
    [letter] = [letter for partition in records(settings, settings.dead_letters_topic) for letter in partition]
    assert letter[1]["source-offset"] == b"%d" % nothing, "a record without key and value is a dead letter too"
    with started(settings, "worker", "--until-end", log=logs[1]) as again:
        assert again.wait(PATIENCE_S) == 0, logs[1].read_text()[-2000:]
    assert starts(logs[1]) == ends(settings), "nothing is counted twice"
    lines = logs[1].read_text().splitlines()
    assert [line for line in lines if not LINE.match(line)] == []
    texts = [line.split(maxsplit=2)[2] for line in lines]
    assert re.fullmatch(rf"run \d+ of {settings.kafka_topic}, 3 partitions", texts[0])
    assert texts[-1] == "stops; read 0 events: 0 counted, 0 bad, 0 late; wrote 0 documents"
    assert len(texts) <= 2 + len(starts(logs[1])), "a person reads this"


@pytest.mark.long  # a few in make test are those of tests/chaos/test_workers.py
@pytest.mark.timeout(240)
def test_kill_9_in_the_middle_of_a_stream_changes_no_figure(settings: Settings, tmp_path: Path) -> None:
    logs, views = [tmp_path / f"worker{n}.log" for n in range(3)], tmp_path / "views.csv"
    initialize(settings)
    succeed(settings, "generate", "--output", str(views), "--count", "60000", "--seed", "22")
    with started(settings, "produce", "--file", str(views), "--rate", "6000", log=tmp_path / "produce.log") as producer:
        with started(settings, "worker", log=logs[0]) as worker:
            until(lambda: max(committed(settings).values(), default=0) > 0, logs[0], worker)
            worker.kill()
            worker.wait()
        told = committed(settings)
        with started(settings, "worker", "--until-end", log=logs[1]) as again:
            assert producer.wait(PATIENCE_S) == 0
            assert again.wait(PATIENCE_S) == 0, logs[1].read_text()[-2000:]
    went_on = starts(logs[1])
    assert any(went_on.values())
    assert {place: at for place, at in told.items() if at > went_on[place]} == {}, "committed before it was finished"
    with started(settings, "worker", "--until-end", log=logs[2]) as rest:
        assert rest.wait(PATIENCE_S) == 0, logs[2].read_text()[-2000:]
    assert_counted(settings)


# --- refusing to go on --------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_foreign_record_ends_the_worker_before_it_has_an_effect(settings: Settings, tmp_path: Path) -> None:
    partials, changelog = settings.kafka_partials_topic, Topics.of(settings).accumulate_changelog
    initialize(settings)
    produce(settings, tmp_path, 2_000, seed=23)
    poison = asyncio.run(send(settings, partials, b"\xffgarbage"))
    code, line = refused([COMMAND, "worker"], settings.environment(), tmp_path)
    assert code == 1
    assert f"{partials}, partition 0: expected partials" in line
    assert committed(settings).get(TopicPartition(partials, 0), 0) <= poison
    asyncio.run(send(settings, changelog, b"\xffgarbage"))
    code, line = refused([COMMAND, "worker"], settings.environment(), tmp_path)
    assert code == 1
    assert f"{changelog}, partition 0: expected checkpoints" in line
    assert line.endswith("delete this topic, then run: movie-stream init, and: movie-stream rebuild")
    asyncio.run(delete(settings, [partials, changelog]))
    initialize(settings)
    succeed(settings, "rebuild", "--yes")
    succeed(settings, "worker", "--until-end")
    assert_counted(settings)


async def delete(settings: Settings, names: list[str]) -> None:
    async with client.admin(settings) as admin:
        await admin.delete_topics(names)


@pytest.mark.parametrize(
    "changed", [("ALLOWED_LATENESS", "48h"), ("TIMEZONE", "Europe/Berlin"), ("REVENUE_PER_VIEW", "2")]
)
def test_a_setting_that_changes_figures_ends_the_worker(
    settings: Settings, changed: tuple[str, str], tmp_path: Path
) -> None:
    async def begin() -> None:
        await topics.ensure(settings)
        async with opened(settings) as db:
            await open_run(settings, db, await topics.describe(settings))

    asyncio.run(begin())
    code, line = refused([COMMAND, "worker"], {**settings.environment(), changed[0]: changed[1]}, tmp_path)
    assert code == 1
    assert changed[0] in line
    assert line.endswith("count the whole topic afresh with: movie-stream rebuild")


def test_a_topic_with_more_partitions_ends_the_worker(settings: Settings, tmp_path: Path) -> None:
    async def begin() -> None:
        await topics.ensure(settings)
        async with opened(settings) as db:
            await open_run(settings, db, await topics.describe(settings))
        # The embedded broker adds no partitions: all topics are made anew, wider.
        await delete(settings, list(Topics.of(settings).all))
        await topics.ensure(settings.model_copy(update={"kafka_partitions": 4}))

    asyncio.run(begin())
    code, line = refused([COMMAND, "worker"], settings.environment(), tmp_path)
    assert code == 1
    assert "partitions was 3, is 4" in line
    assert "topic was " in line
    assert line.endswith("count the whole topic afresh with: movie-stream rebuild")


def test_each_partition_needs_its_place_in_the_changelog(settings: Settings, tmp_path: Path) -> None:
    names = Topics.of(settings)

    async def make() -> None:
        async with client.admin(settings) as admin:
            await admin.create_topics([NewTopic(names.accumulate_changelog, 2, 1)])
        await topics.ensure(settings)

    asyncio.run(make())
    code, line = refused([COMMAND, "worker"], settings.environment(), tmp_path)
    assert code == 1
    assert f"{names.accumulate_changelog} has 2 partitions, fewer than the 3 of {names.events}" in line
    assert "movie-stream init" in line
