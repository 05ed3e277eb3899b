"""Views sent from Python arrive, all of them and in order, or there is an error that says why."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from movie_stream import ViewEvent, ViewProducer
from movie_stream.client import producer as producing
from movie_stream.client import write_behind
from movie_stream.client.write_behind import WriteBehind
from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.embedded.launch import free_port
from movie_stream.embedded.process import GuardedProcess
from movie_stream.errors import BrokerUnreachable, EventRefused, SettingMissing, SettingsError, TopicMissing, UsageError
from movie_stream.kafka.produce.topic_writer import open_topic
from movie_stream.settings import Settings
from tests.support.kafka.topics import PARTITIONS, read_topic
from tests.support.server_process import pause

SOON = timedelta(seconds=2)
START_MS = 1_730_383_200_000


def fields(number: int, user: str = "u1") -> dict[str, Any]:
    return {"movie_id": "m1", "title": "Alien", "genre": "Sci-Fi", "user_id": user, "timestamp": START_MS + number}


def view(number: int, user: str = "u1") -> ViewEvent:
    return ViewEvent(**fields(number, user))


async def arrived(settings: Settings) -> dict[str, list[int]]:
    """The numbers of each user's views in the order of the log; checks keys and partitions by the way."""
    numbers: dict[str, list[int]] = {}
    found = await read_topic(settings.require_broker(), settings.kafka_topic)
    for partition, records in found.items():
        keys = [key for key, _, _ in records]
        assert set(partitions_of(keys, PARTITIONS).tolist()) <= {partition}
        for key, value, _ in records:
            event = msgspec.json.decode(value)
            assert event["user_id"].encode() == key
            numbers.setdefault(event["user_id"], []).append(event["timestamp"] - START_MS)
    return numbers


async def test_all_arrive_and_those_of_a_user_in_order(topic: Settings) -> None:
    users = 37
    async with ViewProducer(topic) as producer:
        for number in range(20_000):
            await producer.send(view(number, f"u{number % users}"))
    assert await arrived(topic) == {f"u{user}": list(range(user, 20_000, users)) for user in range(users)}


async def test_many_concurrent_senders_lose_nothing(topic: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "MOST_WAITING", 10)
    longest = 0

    async def send(producer: ViewProducer, user: str) -> None:
        nonlocal longest
        for number in range(200):
            await producer.send(view(number, user))
            longest = max(longest, len(producer._entered()._keys))

    async with ViewProducer(topic) as producer, asyncio.TaskGroup() as senders:
        for user in range(20):
            senders.create_task(send(producer, f"u{user}"))
    assert await arrived(topic) == {f"u{user}": list(range(200)) for user in range(20)}
    assert longest == 10


async def test_flushed_is_there_before_the_end(topic: Settings) -> None:
    async with ViewProducer(bootstrap_servers=topic.require_broker(), topic=topic.kafka_topic) as producer:
        await producer.flush()
        await producer.send(view(1))
        await producer.flush()
        assert await arrived(topic) == {"u1": [1]}
        await asyncio.gather(producer.send(view(2)), producer.flush(), producer.flush())
        assert await arrived(topic) == {"u1": [1, 2]}


async def test_it_can_be_entered_again(topic: Settings) -> None:
    producer = ViewProducer(topic)
    for number in range(2):
        with pytest.raises(RuntimeError, match="async with"):
            await producer.send(view(number))
        async with producer:
            await producer.send(view(number))
    assert await arrived(topic) == {"u1": [0, 1]}


# ---- what cannot be sent -------------------------------------------------------------------------------------------


async def test_a_bad_view_loses_no_other(topic: Settings) -> None:
    far_ms = time.time_ns() // 1_000_000 + 2 * 3_600_000
    async with ViewProducer(topic) as producer:
        await producer.send(view(1))
        with pytest.raises(
            EventRefused, match=r"this view cannot be sent: timestamp: lies 7,200 s after .* of FUTURE_TO"
        ):
            await producer.send(view(far_ms - START_MS))
        await producer.send(ViewEvent(**fields(2) | {"timestamp": datetime(2024, 10, 31, 14, 0, 0, 2_000, tzinfo=UTC)}))
    assert await arrived(topic) == {"u1": [1, 2]}


async def test_what_was_accepted_before_an_exception_arrives(topic: Settings) -> None:
    async def send() -> None:
        async with ViewProducer(topic) as producer:
            for number in range(7_000):
                await producer.send(view(number))
            view(-START_MS)

    with pytest.raises(EventRefused):
        await send()
    assert await arrived(topic) == {"u1": list(range(7_000))}


SOURCE: list[Any] = [fields(0), fields(1) | {"rating": 7}, view(2), 3, fields(4)]


async def _each(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


@pytest.mark.parametrize("source", [list, iter, _each])
async def test_a_source_with_bad_items(topic: Settings, source: Any) -> None:
    told: list[str] = []
    async with ViewProducer(topic) as producer:
        assert await producer.send_all(source(SOURCE), refused=lambda error: told.append(str(error))) == 3
    assert await arrived(topic) == {"u1": [0, 2, 4]}
    assert [text.partition(" cannot")[0] for text in told] == ["item 2 of the source", "item 4 of the source"]
    assert "expected a number from 0 to 5, or null, got 7" in told[0]
    assert "expected a ViewEvent or a mapping, got int" in told[1]


async def test_by_default_the_first_bad_item_is_raised(topic: Settings) -> None:
    with pytest.raises(EventRefused, match="item 2 of the source cannot be sent: rating"):
        async with ViewProducer(topic) as producer:
            await producer.send_all(SOURCE)
    assert await arrived(topic) == {"u1": [0]}


# ---- sources -------------------------------------------------------------------------------------------------------


async def test_a_source_is_sent_at_its_rate(topic: Settings) -> None:
    async with ViewProducer(topic) as producer:
        started = time.monotonic()
        assert await producer.send_all(map(fields, range(300)), rate=1_000) == 300
        seconds = time.monotonic() - started
    assert 0.2 < seconds < 2
    assert await arrived(topic) == {"u1": list(range(300))}


async def test_a_source_that_fails_midway(topic: Settings) -> None:
    def failing() -> Iterator[Mapping[str, Any]]:
        yield fields(0)
        raise OSError("the page is gone")

    with pytest.raises(OSError, match="the page is gone"):
        async with ViewProducer(topic) as producer:
            await producer.send_all(failing())
    assert await arrived(topic) == {"u1": [0]}


async def test_a_fast_source_leaves_others_their_turn(topic: Settings) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    async with ViewProducer(topic) as producer:
        await producer.send_all(map(fields, range(4_500)))
    other.cancel()
    await asyncio.wait([other])
    assert turns > 4


@pytest.mark.parametrize("rate", [-1, float("nan"), float("inf")])
async def test_a_rate_that_is_none(topic: Settings, rate: float) -> None:
    async with ViewProducer(topic) as producer:
        with pytest.raises(UsageError, match="rate: expected a number of events/s"):
            await producer.send_all([view(0)], rate=rate)
    assert await arrived(topic) == {}


# ---- where nothing can be sent -------------------------------------------------------------------------------------


async def test_settings_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no .env
    with pytest.raises(SettingsError, match="KAFKA_TOPIC: expected"):
        ViewProducer(topic="no topic")
    with pytest.raises(SettingMissing, match="KAFKA_BOOTSTRAP_SERVERS is not set"):
        async with ViewProducer(Settings()):
            pass


async def test_no_topic_and_no_broker(settings: Settings) -> None:
    with pytest.raises(TopicMissing, match="create it with: movie-stream init"):
        async with ViewProducer(settings):
            pass
    with pytest.raises(BrokerUnreachable, match="no connection"):
        async with ViewProducer(settings, bootstrap_servers=f"127.0.0.1:{free_port()}"):
            pass


async def test_a_broker_that_is_killed(own_broker: tuple[GuardedProcess, str]) -> None:
    process, servers = own_broker
    producer = ViewProducer(bootstrap_servers=servers, topic="views", ack_timeout=SOON)

    async def send_without_end() -> None:
        await producer.send(view(0))
        await producer.flush()
        os.kill(process.pid, signal.SIGKILL)
        while True:
            await producer.send(view(1))

    async def send() -> None:
        async with producer:
            with pytest.raises(BrokerUnreachable, match="no connection; 1 events were acknowledged"):
                await send_without_end()
            with pytest.raises(BrokerUnreachable):
                await producer.flush()

    with pytest.raises(BrokerUnreachable, match="no connection; 1 events were acknowledged"):
        await send()


async def test_leaving_raises_where_something_did_not_arrive(own_broker: tuple[GuardedProcess, str]) -> None:
    process, servers = own_broker

    async def send() -> None:
        async with ViewProducer(bootstrap_servers=servers, topic="views", ack_timeout=SOON) as producer:
            os.kill(process.pid, signal.SIGKILL)
            await producer.send(view(0))

    with pytest.raises(BrokerUnreachable):
        await send()


async def test_a_loss_is_noticed_though_nothing_more_is_sent(own_broker: tuple[GuardedProcess, str]) -> None:
    process, servers = own_broker
    async with open_topic(Settings(kafka_bootstrap_servers=servers), "views", SOON) as writer:
        behind = WriteBehind(writer)
        os.kill(process.pid, signal.SIGKILL)
        await behind.put(b"u1", view(0).value)
        await behind.run()
        with pytest.raises(BrokerUnreachable):
            await behind.put(b"u1", view(1).value)


async def test_an_exception_waits_for_no_broker_that_hangs(
    own_broker: tuple[GuardedProcess, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(producing, "LEAVE_WITHIN_S", 0.2)
    process, servers = own_broker

    async def send() -> None:
        async with ViewProducer(bootstrap_servers=servers, topic="views") as producer:
            pause(process.pid)
            await producer.send(view(0))
            raise KeyError

    try:
        with pytest.raises(KeyError):
            await send()
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert "not all views that were accepted may have arrived: it took too long" in caplog.text


@pytest.mark.parametrize("doing", ["sending", "leaving"])
async def test_cancelled_while_a_broker_hangs(
    own_broker: tuple[GuardedProcess, str], monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    monkeypatch.setattr(producing, "LEAVE_WITHIN_S", 0.2)
    monkeypatch.setattr(write_behind, "MOST_WAITING", 10)
    process, servers = own_broker
    hangs = asyncio.Event()

    async def send() -> None:
        async with ViewProducer(bootstrap_servers=servers, topic="views", ack_timeout=timedelta(minutes=1)) as producer:
            pause(process.pid)
            hangs.set()
            await producer.send_all(map(fields, range(5 if doing == "leaving" else 1_000)))

    sending = asyncio.create_task(send())
    await hangs.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    sending.cancel()
    try:
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await sending
    finally:
        os.kill(process.pid, signal.SIGCONT)
