"""Records that are large, and topics that take only small ones, on an Apache Kafka, which has limits and keeps to them.

A record compressed in the source has a dead letter, whole or truncated; no size stops a worker.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import MessageSizeTooLargeError

from movie_stream.commands.dead_letters.list import list_letters
from movie_stream.commands.dead_letters.replay import replay_letters
from movie_stream.commands.doctor.command import doctor
from movie_stream.commands.init import init
from movie_stream.dead_letters.letters import LetterFilter
from movie_stream.errors import BrokerRefused, RecordTooLarge
from movie_stream.events.chunk import REPLAY_OF
from movie_stream.kafka.cluster import client, configs, topics
from movie_stream.kafka.cluster.configs import LIMIT
from movie_stream.kafka.cluster.topics import MIN_RECORD_LIMIT_BYTES, Topics
from movie_stream.kafka.log import Broker
from movie_stream.kafka.produce.large_records import TRUNCATED, TRUNCATED_KEY, LargeRecords
from movie_stream.settings import Settings
from tests.support.kafka_server import KafkaServer
from tests.support.reference import expected, same
from tests.support.whole_path import PATIENCE_S, database, documents, log_of, records, succeed

GOOD = {"movie_id": "m1", "title": "Alien", "genre": "Drama", "user_id": "u1"}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def large(kafka: KafkaServer, settings: Settings) -> Settings:
    """Settings for it, with one partition."""
    return settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers, "kafka_partitions": 1})


def view(n: int = 0, **more: object) -> bytes:
    return json.dumps({**GOOD, "timestamp": 1_730_383_200_000 + n, **more}).encode()


def send(settings: Settings, *values: bytes, key: bytes = b"u1", packed_by: str | None = None) -> None:
    async def run() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.require_broker(), max_request_size=64 << 20, compression_type=packed_by
        )
        await producer.start()
        try:
            for value in values:
                await producer.send_and_wait(settings.kafka_topic, value, key=key, partition=0)
        finally:
            await producer.stop()

    asyncio.run(run())


def limit(settings: Settings, topic: str, size: int) -> None:
    """Sets max.message.bytes."""

    async def run() -> None:
        async with client.admin(settings) as admin:
            assert await configs.change(admin, LIMIT, {topic: str(size)}) == {}

    asyncio.run(run())


def limits(settings: Settings) -> Mapping[str, int | None]:
    async def run() -> Mapping[str, int | None]:
        async with client.admin(settings) as admin:
            return await configs.limits(admin, Topics.of(settings).all)

    return asyncio.run(run())


def random_text(size: int, seed: int = 1) -> str:
    """Text that nothing makes much smaller."""
    return Random(seed).randbytes(3 * size // 4).hex()[:size]


def letters(settings: Settings) -> list[tuple[bytes | None, Mapping[str, bytes]]]:
    [partition] = records(settings, settings.dead_letters_topic)
    return [(value, headers) for (_, _, value), headers in partition]


def counted(settings: Settings) -> int:
    with database(settings) as db:
        return sum(document["total_views"] for document in db["hourly_metrics"].find())


@pytest.mark.long
def test_a_record_that_was_small_when_sent_has_a_whole_letter(large: Settings) -> None:
    init(large)
    refused = view(text="x" * 3_000_000, rating=11)
    late = view(-200_000_000, text="views, and views, " * 70_000)
    send(large, *map(view, range(5)), refused, *map(view, range(5, 10)), packed_by="zstd")
    send(large, late, packed_by="lz4")
    succeed(large, "worker", "--until-end")
    assert [value for value, _ in letters(large)] == [refused, late]
    assert [headers.get(TRUNCATED) for _, headers in letters(large)] == [None, None]
    assert counted(large) == 10
    replay(large, LetterFilter(kind="bad"), through="sed s/11/4/")
    succeed(large, "worker", "--until-end")
    assert counted(large) == 11, "the copy is packed as the letter was"


@pytest.mark.long
def test_init_brings_the_letters_topic_along_and_nothing_else(
    large: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    init(large)
    names = Topics.of(large)
    limit(large, names.events, 12_000_000)
    limit(large, names.partials, 5_000)
    capsys.readouterr()
    assert doctor(large) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert f"{LIMIT} of {names.partials} is 5,000, too little for a worker -> movie-stream init" in told
    assert f"of {names.events} 12,000,000: large dead letters may be cut off" in told
    with pytest.raises(BrokerRefused, match=rf"{LIMIT} of {names.partials} is 5,000\); set it to 65,536 or more"):
        topics.require_limits(names, limits(large))
    init(large)
    out = capsys.readouterr().out
    assert f"changed  topic       {names.dead_letters}\n" in out
    assert out.count("changed") == 2
    assert limits(large) == {
        **dict.fromkeys(names.all, 1_048_588),
        names.events: 12_000_000,
        names.dead_letters: 13_500_000,
        names.partials: MIN_RECORD_LIMIT_BYTES,
    }
    init(large)
    assert "changed" not in capsys.readouterr().out
    bad = view(text=random_text(10_000_000), rating=11)
    send(large, view(), bad)
    succeed(large, "worker", "--until-end")
    assert {value for value, _ in letters(large)} == {bad}


def test_what_can_not_be_kept_whole_is_cut_off_and_replayed_from_the_source(
    large: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    init(large)
    names = Topics.of(large)
    limit(large, names.dead_letters, 70_000)
    text = random_text(400_000)
    sent = [view(text=text, rating=11), view(1, rating=11), view(2, text=text * 2, rating=11)]
    send(large, view(), *sent)
    send(large, view(3, rating=11), key=text.encode())
    succeed(large, "worker", "--until-end")
    kept = letters(large)
    assert [headers.get(TRUNCATED) for _, headers in kept] == [b"%d" % len(sent[0]), None, b"%d" % len(sent[2]), None]
    assert [headers.get(TRUNCATED_KEY) for _, headers in kept] == [None, None, None, b"%d" % len(text)]
    for (value, headers), whole in zip(kept[:3], sent, strict=True):
        assert value is not None
        assert whole.startswith(value)
        assert len(value) > 50_000 or value == whole
        assert headers["source-offset"] == b"%d" % (1 + sent.index(whole))
    listed = [orjson.loads(line) for line in listing(large, capsys, as_json=True).splitlines()]
    assert {letter.get("truncated") for letter in listed} == {len(sent[0]), len(sent[2]), None}
    assert "bytes of its value; the record stands whole in the source at 0:1" in listing(large, capsys)
    replay(large, LetterFilter(), through=r"sed 's/\"rating\": 11/\"rating\": 4/'")
    assert [value for (_, _, value), headers in records(large, names.events)[0] if REPLAY_OF in headers] == [
        whole.replace(b'"rating": 11', b'"rating": 4') for whole in (*sent, view(3, rating=11))
    ]
    succeed(large, "worker", "--until-end")
    assert counted(large) == 5


def replay(settings: Settings, wanted: LetterFilter, through: str) -> None:
    replay_letters(settings, wanted, through=through, dry_run=False, misplaced=False, all_runs=False)


def listing(settings: Settings, capsys: pytest.CaptureFixture[str], as_json: bool = False) -> str:
    """What `dead-letters list` prints; without the line breaks where people read it."""
    capsys.readouterr()
    list_letters(settings, LetterFilter(), limit=0, by_reason=False, as_json=as_json, all_runs=False)
    out = capsys.readouterr().out
    return out if as_json else " ".join(out.split())


@pytest.mark.long
def test_blocks_are_cut_to_what_their_topics_take(large: Settings) -> None:
    """Thousands of long names in each, and a limit that is lowered again before the next worker."""
    init(large)
    names = Topics.of(large)
    for topic, size in ((names.partials, 262_144), (names.accumulate_changelog, 70_000)):
        limit(large, topic, size)
    limit(large, names.publish_changelog, 100_000)
    rng = Random(3)
    views = [
        view(n, movie_id=f"m{n % 3_000}", user_id=f"{rng.random():.9f}" * 11, title="\u5f71" * 400 + str(n))
        for n in range(4_000)
    ]
    send_at_once(large, views)
    succeed(large, "worker", "--until-end")
    limit(large, names.partials, 66_000)
    send_at_once(large, [view(4_000 + n, movie_id=f"m{n}", user_id="u1") for n in range(3_000)])
    succeed(large, "worker", "--until-end")
    with database(large) as db:
        assert same(documents(db), expected(log_of(large)).documents) == []


def send_at_once(settings: Settings, values: list[bytes]) -> None:
    async def run() -> None:
        producer = await client.start_producer(settings, linger_ms=20, compression_type="zstd")
        try:
            await asyncio.gather(*[await producer.send(settings.kafka_topic, one, partition=0) for one in values])
        finally:
            await producer.stop()

    asyncio.run(run())


@pytest.mark.long
def test_views_of_18_mb_and_batches_of_many_times_a_piece_count(large: Settings) -> None:
    """A batch as the Java client makes it of good views that are much alike."""
    init(large)
    limit(large, Topics.of(large).events, 20_000_000)
    send(large, view(), view(1, text="y" * 18_000_000), view(2), packed_by="zstd")

    async def run() -> None:
        size = 40 << 20
        producer = await client.start_producer(
            large, linger_ms=60_000, compression_type="zstd", max_batch_size=size, max_request_size=size
        )
        try:
            for n in range(20_000):
                await producer.send(large.kafka_topic, view(n, text="a synopsis" * 150), key=b"u1", partition=0)
        finally:
            await producer.stop()

    asyncio.run(run())
    succeed(large, "worker", "--until-end")
    assert counted(large) == 20_003
    assert letters(large) == []


async def test_a_refusal_by_the_broker_is_no_end(large: Settings) -> None:
    """The limit is lowered while the worker runs, and another's limit stays unknown to it."""
    await topics.ensure(large)
    async with client.admin(large) as admin:
        assert await configs.change(admin, LIMIT, {large.dead_letters_topic: "30000"}) == {}
    text = random_text(300_000).encode()
    for known in (None, 1_179_661):
        writer = LargeRecords(large, large.dead_letters_topic, known)
        try:
            while await writer.send_whole(0, b"k", text, ()):
                pass  # until it has come round to the broker
            await writer.send_letter(0, b"k", text, ())
        finally:
            await writer.stop()
    [found] = await asyncio.to_thread(records, large, large.dead_letters_topic)
    assert [20_000 < len(value or b"") < 70_000 for (_, _, value), _ in found[-2:]] == [True, True]
    producer: Any = await client.start_producer(large)
    try:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(large.dead_letters_topic, text, partition=0)
    finally:
        await producer.stop()


async def test_a_batch_that_is_refused_is_reported_with_its_size(large: Settings) -> None:
    """Its largest record alone would fit: a limit raised to that would be refused again."""
    await topics.ensure(large)
    topic = Topics.of(large).partials
    values = [random_text(5_000, seed).encode() for seed in range(12)]
    async with client.admin(large) as admin:

        async def refusal_under(limit: int, is_in_effect: Callable[[RecordTooLarge | None], bool]) -> Any:
            assert await configs.change(admin, LIMIT, {topic: str(limit)}) == {}
            async with asyncio.timeout(PATIENCE_S):
                while not is_in_effect(refusal := await _refusal(large, admin, topic, values)):
                    pass
            return refusal

        refused = await refusal_under(30_000, lambda refusal: refusal is not None)
        [size] = re.findall(r"to ([\d,]+) or more", str(refused))
        await refusal_under(int(size.replace(",", "")), lambda refusal: refusal is None)


async def _refusal(
    settings: Settings, admin: AIOKafkaAdminClient, topic: str, values: list[bytes]
) -> RecordTooLarge | None:
    """Why a worker that does not know the topic's limit cannot write these; None if it can."""
    producer = await client.start_producer(settings)
    try:
        await Broker(settings, producer, admin).send(topic, 0, values)
    except RecordTooLarge as error:
        return error
    finally:
        await producer.stop()
    return None
