"""A replay that is cut off at any moment and resumed: each view once, in order, in its partition."""

from __future__ import annotations

import asyncio
import csv
import os
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.protocol.admin import CreateAclsRequest

from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.embedded.broker import broker
from movie_stream.embedded.launch import launch
from movie_stream.embedded.services import EmbeddedServices
from movie_stream.errors import BrokerRefused, BrokerUnreachable, FileRefused
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.produce import topic_writer
from movie_stream.replay.files.csv_header import HEADER_LINE
from movie_stream.replay.order.plan import Plan
from movie_stream.replay.resume.bookmark import Bookmark, Mode, PartitionProgress, bookmark_of
from movie_stream.replay.send import ReplayProgress, ReplayResult, replay
from movie_stream.replay.source import ViewsSource
from movie_stream.settings import Settings
from tests.services.kafka.test_headers import send as send_as_is
from tests.support.kafka.proxy import Fault, Proxy
from tests.support.kafka.topics import PARTITIONS, create_topic, read_topic
from tests.support.kafka_server import KafkaServer
from tests.support.whole_path import COMMAND, environment

START_MS = 1_730_383_200_000
KILLS = 6
PATIENCE_S = 90.0

Events = list[list[tuple[str, int, str]]]


@pytest.fixture(autouse=True)
def _own_bookmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    rules = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with KafkaServer(tmp_path_factory.mktemp("kafka"), properties=rules) as server:
        yield server


@pytest.fixture(scope="module", params=["tansu", "kafka"])
def servers(request: pytest.FixtureRequest, services: EmbeddedServices) -> str:
    """A broker without idempotent producers, and one with."""
    if request.param == "tansu":
        return services.bootstrap_servers
    server: KafkaServer = request.getfixturevalue("kafka")
    return server.bootstrap_servers


@pytest.fixture
def either(servers: str, settings: Settings) -> Settings:
    """Settings for both in turn; the topic exists."""
    asyncio.run(create_topic(servers, settings.kafka_topic))
    return settings.model_copy(update={"kafka_bootstrap_servers": servers})


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
    how = {name: options.pop(name) for name in ("rate", "strict") if name in options}
    with bookmark_of(path, mode) as bookmark:
        return await replay(settings, ViewsSource(path), Plan(**how), bookmark=bookmark, **options)


async def interrupted(
    settings: Settings, path: Path, events: int, mode: Mode = "start", rate: float = 20_000
) -> Bookmark:
    """Sends the file and is told to stop when about so many events were handed over; the bookmark it leaves."""
    task: asyncio.Task[ReplayResult]

    def stop(progress: ReplayProgress) -> None:
        if progress.sent >= events:
            task.cancel()

    task = asyncio.create_task(send(settings, path, mode, rate=rate, progress=stop))
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


def run_until_killed(settings: Settings, path: Path, chance: random.Random, rate: int) -> bool:
    """Runs the command and kills it somewhere in its start, checking, sorting or sending; False if it ended before."""
    with bookmark_of(path, "restart") as opened:
        saved = opened.path
    before = saved.read_bytes() if saved.exists() else b""
    process = subprocess.Popen(
        [COMMAND, "produce", "--file", str(path), "--resume", "--rate", str(rate)],
        env=environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        moment_s = chance.uniform(0.2, 1.5)
        if chance.random() < 0.7:  # while it sends, or not long before
            deadline = time.monotonic() + PATIENCE_S
            while process.poll() is None and (saved.read_bytes() if saved.exists() else b"") == before:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            moment_s = chance.uniform(0, 0.5)
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment_s)
    finally:
        process.kill()
        _, said = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode != 0


@pytest.mark.timeout(300)
def test_killed_again_and_again(either: Settings, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201 - to see the same again
    chance = random.Random(seed)
    path = views_file(tmp_path, 40_000, shuffled=chance.choice([None, seed]))
    for _ in range(KILLS):
        assert run_until_killed(either, path, chance, rate=chance.choice([500, 2_500]))
    while run_until_killed(either, path, chance, rate=0):  # with as much under way as there can be
        pass
    assert asyncio.run(standing(either)) == expected(path)
    assert left(path).finished


# ---- told to stop, cut off, refused --------------------------------------------------------------------------------


async def test_told_to_stop_it_leaves_nothing_to_look_up(topic: Settings, tmp_path: Path) -> None:
    path = views_file(tmp_path, 6_000, shuffled=1)
    stood = 0
    for mode in ("start", "resume"):
        bookmark = await interrupted(topic, path, 1_000, mode)
        assert bookmark.views == sum(map(len, await standing(topic))) > stood
        stood = bookmark.views
    seen: list[ReplayProgress] = []
    result = await send(topic, path, progress=seen.append)
    assert await standing(topic) == expected(path)
    assert (result.sent, result.sent_before) == (5_994 - bookmark.views, bookmark.views)
    assert result.refused == 6
    sending = [progress for progress in seen if progress.step == "sending"]
    assert sending[0].done >= sending[0].total * bookmark.views // 6_000
    assert not any(progress.sent for progress in seen if progress.step == "resuming")


async def test_with_a_rate_the_schedule_begins_anew(topic: Settings, tmp_path: Path) -> None:
    path = views_file(tmp_path, 300)
    assert 0 < (await interrupted(topic, path, 20, rate=200)).views < 300
    seen: list[ReplayProgress] = []
    result = await send(topic, path, rate=200, progress=seen.append)
    slices = [progress.sent for progress in seen if progress.sent]
    assert slices == [*range(10, result.sent, 10), result.sent]


async def test_resuming_what_is_finished_sends_nothing(topic: Settings, tmp_path: Path) -> None:
    path = views_file(tmp_path, 100)
    seen: list[ReplayProgress] = []
    first = await send(topic, path, progress=seen.append)
    assert any(progress.nothing_to_resume for progress in seen)
    again = await send(topic, path)
    assert (first.sent, first.sent_before, again.sent, again.sent_before) == (100, 0, 0, 100)
    assert (await send(topic, path, "restart")).sent == 100
    assert (await send(topic, path, "start")).sent == 100
    path.write_text(path.read_text() + "tt1,Heat,Crime,user_1,1730383200999,4,170,\n")
    assert (await send(topic, path)).sent == 101


async def test_all_had_arrived(topic: Settings, tmp_path: Path) -> None:
    path = views_file(tmp_path, 500)
    await send(topic, path)
    change(path, finished=False, places=[PartitionProgress(0, 0)] * PARTITIONS)
    result = await send(topic, path)
    assert (result.sent, result.sent_before) == (0, 500)
    assert await standing(topic) == expected(path)


async def test_a_file_of_which_nothing_can_be_used_is_not_in_the_way(topic: Settings, tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_text(f"{HEADER_LINE}\ntt1,Heat,Crime,user_1,1730383200999,lots,170,\n")
    for _ in range(2):
        with pytest.raises(FileRefused, match="its 1 row cannot be used"):
            await send(topic, path, "start")


async def test_what_lies_in_the_future_is_decided_once(topic: Settings, tmp_path: Path) -> None:
    path = views_file(tmp_path, 3_000)
    now_ms = time.time_ns() // 1_000_000
    tolerance_ms = topic.future_tolerance // timedelta(milliseconds=1)
    with path.open("a") as file:
        for number in range(9):
            file.write(f"tt1,Late {number},Crime,user_{number},{now_ms + tolerance_ms - 60_000 + number},4,170,\n")
    bookmark = await interrupted(topic, path, 1_000)
    change(path, now_ms=bookmark.now_ms - 120_000)
    later = topic.model_copy(update={"future_tolerance": timedelta(hours=2)})
    result = await send(later, path)
    assert (result.sent_before + result.sent, result.refused) == (2_997, 12)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"topic": "other"}, r"expected the topic other, got movie-events-.*; set KAFKA_TOPIC=other, or send"),
        ({"topic_identity": "c/t"}, r"of then \(c/t\), got another \(.*\); correct KAFKA_BOOTSTRAP_SERVERS, or send"),
        ({"places": [PartitionProgress(1, 1)]}, r"expected 1 partitions of movie-events-.*, got 3; correct"),
        ({"size_bytes": 2_000}, r"expected the file of then, 2,000 bytes, got .* bytes; restore it, or send"),
        ({"blake2b": "00"}, r"expected the file of then, got other content of the same size; restore it"),
        ({"movie_stream": "9.9"}, r"expected movie-stream 9.9, got .*; use that version"),
        (
            {"places": [PartitionProgress(0, 9_999)] * 3},
            r"partition 0 of .* from offset 9999 on, but it holds 0 to \d+; look what",
        ),
        ({"places": [PartitionProgress(10_000, 0)] * 3}, r"names more views than it has; send all of it"),
    ],
)
async def test_what_does_not_fit_is_said(topic: Settings, tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    path = views_file(tmp_path, 2_000)
    await interrupted(topic, path, 200)
    change(path, **fields)
    with pytest.raises(FileRefused, match=said):
        await send(topic, path)
    assert (await send(topic, path, "restart")).sent == 1_998


# ---- broken wires and dying brokers --------------------------------------------------------------------------------


@asynccontextmanager
async def behind_a_wire(settings: Settings) -> AsyncIterator[tuple[Settings, Settings, Proxy]]:
    """A broker of its own without idempotent producers: settings that lead there over the wire, others directly."""
    with Proxy() as wire, ExitStack() as stack:
        _, port = await launch(wire.before(broker()), stack)
        over, directly = (
            settings.model_copy(update={"kafka_bootstrap_servers": f"127.0.0.1:{number}"})
            for number in (wire.port, port)
        )
        await create_topic(over.require_broker(), over.kafka_topic)
        yield over, directly, wire


async def test_what_a_broken_wire_loses_is_made_up_for(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_writer, "BATCH_BYTES", 5_000)  # many on their way, one behind the other
    path = views_file(tmp_path, 12_000)
    async with behind_a_wire(settings) as (over, _, wire):
        faults: list[Fault] = ["lose the answer", "lose the request"]
        for fault in faults * 2:
            wire.break_at(20, fault)
            with pytest.raises(BrokerUnreachable, match="no connection"):
                await send(over, path)
            assert wire.happened.is_set()
            for stands, wanted in zip(await standing(over), expected(path), strict=True):
                assert stands == wanted[: len(stands)]
        assert (await send(over, path)).sent > 0
        assert await standing(over) == expected(path)


async def test_only_what_reaches_the_broker_after_it_was_looked_up_is_doubled(
    settings: Settings, tmp_path: Path
) -> None:
    path = views_file(tmp_path, 3_000)
    async with behind_a_wire(settings) as (over, directly, wire):
        wire.break_at(2, "hold the request back")
        with pytest.raises(BrokerUnreachable):
            await send(over, path, rate=20_000)
        await send(over, path)
        assert await standing(over) == expected(path)
        wire.let_go()
        doubled = [sorted(events) for events in await standing(directly)]
        once = [sorted(events) for events in expected(path)]
        assert doubled != once
        assert [sorted(set(events)) for events in doubled] == [sorted(set(events)) for events in once]


@pytest.mark.long
async def test_a_broker_that_is_killed_and_comes_back(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = views_file(tmp_path, 20_000)
    soon = {"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "250"}
    with KafkaServer(tmp_path / "kafka", properties=soon) as server:
        there = settings.model_copy(update={"kafka_bootstrap_servers": server.bootstrap_servers})
        await create_topic(server.bootstrap_servers, there.kafka_topic)

        def kill(progress: ReplayProgress) -> None:
            if progress.sent >= 3_000:
                os.kill(server.process.pid, signal.SIGKILL)

        with pytest.raises(BrokerUnreachable):
            await send(there, path, rate=20_000, progress=kill, ack_timeout=timedelta(seconds=2))
        server.process.stop()
        server.start()
        server.wait_until_ready()
        result = await send(there, path)
        assert result.sent_before >= 1_000
        assert await standing(there) == expected(path)
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


# ---- among records of others ---------------------------------------------------------------------------------------


async def test_an_open_transaction_hides_nothing(kafka: KafkaServer, settings: Settings, tmp_path: Path) -> None:
    there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
    await create_topic(kafka.bootstrap_servers, there.kafka_topic)
    path = views_file(tmp_path, 12_000)
    other = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=there.kafka_group)
    await other.start()
    try:
        for ends in (other.abort_transaction, other.commit_transaction):
            await other.begin_transaction()
            for partition in range(PARTITIONS):
                await other.send_and_wait(there.kafka_topic, key=b"other", value=b"{}", partition=partition)
            await interrupted(there, path, 1_000, "resume")
            change(path, places=[PartitionProgress(0, 0)] * PARTITIONS)
            await interrupted(there, path, 1_000, "resume")
            await ends()  # now each partition ends with a record of the transaction's own
        await send(there, path)
    finally:
        await other.stop()
    async with client.reader(there, committed=False) as reader:
        places = [TopicPartition(there.kafka_topic, number) for number in range(PARTITIONS)]
        found = {place.partition: [] for place in places}  # type: dict[int, list[str]]
        ended = await offsets.ends(reader, places, committed=False)
        reader.assign(places)
        for place in places:
            reader.seek(place, 0)
        while any([await reader.position(place) < ended[place] for place in places]):
            for place, records in (await reader.getmany(timeout_ms=100)).items():
                found[place.partition] += [
                    msgspec.json.decode(record.value)["title"] for record in records if record.key != b"other"
                ]
    assert list(found.values()) == [[title for _, _, title in events] for events in expected(path)]


async def test_headers_of_any_name_hide_nothing(topic: Settings, tmp_path: Path) -> None:
    path = views_file(tmp_path, 500)
    odd = [(b"user_1", b"{}", [(b"\xff\xfe", None)] * count) for count in (1, 101)]
    for _ in range(2):  # before its views and behind them
        for partition in range(PARTITIONS):
            await send_as_is(topic, topic.kafka_topic, odd, partition)
        result = await send(topic, path)
    assert (result.sent, result.sent_before) == (0, 500)
    change(path, finished=False, places=[PartitionProgress(0, 0)] * PARTITIONS)
    result = await send(topic, path)
    assert (result.sent, result.sent_before) == (0, 500)


async def may_only_write(settings: Settings) -> None:
    """Lets everybody write to the topic, and so nobody read it."""
    topic, literal, write, allow = 2, 3, 4, 3  # in the codes of Kafka's protocol
    async with client.admin(settings) as admin:
        rule = CreateAclsRequest(topic, settings.kafka_topic, literal, "User:*", "*", write, allow)
        response = await admin._send_request(rule)
    assert [code for code, _ in response.creation_responses] == [0]


async def test_who_may_only_write_can_send_and_is_told_what_resuming_needs(
    kafka: KafkaServer, settings: Settings, tmp_path: Path
) -> None:
    there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
    await create_topic(kafka.bootstrap_servers, there.kafka_topic)
    path = views_file(tmp_path, 4_000)
    assert (await send(there, path)).sent == 3_996
    await may_only_write(there)
    bookmark = await interrupted(there, path, 1_000, "restart")
    assert sum(place.next_offset for place in bookmark.partitions) == 3_996 + bookmark.views
    with pytest.raises(
        BrokerRefused, match=r"reading back .*; resuming takes the permission to read the topic \(READ\)"
    ):
        await send(there, path)
    assert (await send(there, path, "restart")).sent == 3_996


async def test_the_same_file_sent_before_is_not_taken_for_this_time(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_text("\n".join([HEADER_LINE, *["tt1,Heat,Crime,user_1,1730383200999,4,170,"] * 40]))
    async with behind_a_wire(settings) as (over, _, wire):
        await send(over, path)
        wire.break_at(1, "lose the request")
        with pytest.raises(BrokerUnreachable):
            await send(over, path, "start")
        assert (await send(over, path)).sent == 40
        assert [len(events) for events in await standing(over) if events] == [80]
