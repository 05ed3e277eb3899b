"""Whole partitions, from either end."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.record.util import calc_crc32c

from movie_stream.commands.doctor.findings import Findings
from movie_stream.commands.doctor.workers import check_claims
from movie_stream.kafka import offsets, scan
from movie_stream.kafka.batches.inflate import BatchDamaged, BatchRefused
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.scan import newest_first, oldest_first
from movie_stream.replay.newest_views import newest_views
from movie_stream.settings import Settings
from tests.services.kafka.test_headers import Record, batch
from tests.support.input.odd_records import plain
from tests.support.whole_path import command, succeed


async def test_both_ends_bring_the_same_records(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_BLOCK_BYTES", 20_000)
    await topics.ensure(settings)
    place = TopicPartition(settings.kafka_topic, 0)
    producer = await client.start_producer(settings, linger_ms=1)
    for n in range(1_000):
        await producer.send(place.topic, b"%d" % n + b"x" * (n % 90), key=b"k", partition=0)
    await producer.stop()
    async with client.reader(settings) as reader:
        for start, end in ((0, 1_000), (3, 997), (500, 501), (7, 7)):
            blocks = [block async for block in newest_first(reader, place, start, end, block=10)]
            backwards = [record.offset for block in blocks for record in block]
            assert backwards == list(range(start, end))[::-1]
            forwards = [r.offset async for some in oldest_first(reader, place, start, end) for r in some]
            assert forwards == list(range(start, end))
        sizes = [len(block) async for block in newest_first(reader, place, 0, 1_000, block=10)]
        assert sizes[0] == 10, "whoever wants only a few waits for no more"
        assert max(sizes) < 150, "and whoever wants all never holds more than fits"


async def send(settings: Settings, records: list[Record], spoilt: bool = False) -> None:
    """In one batch of the first partition; none of the records can be read if it is spoilt, though its checksum is
    right.
    """
    producer = await client.start_producer(settings)
    try:
        made: Any = producer.create_batch()
        for key, value, _ in records:
            made.append(key=key, value=value, timestamp=None)
        data = bytearray(batch(records, made_ms=1_730_383_200_000))
        if spoilt:
            data[61] ^= 0x22
            struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
        made._build = lambda: bytearray(data)
        await (await producer.send_batch(made, settings.kafka_topic, partition=0))
    finally:
        await producer.stop()


async def test_a_batch_that_cannot_be_read_ends_nothing_but_who_needs_it(settings: Settings) -> None:
    await topics.ensure(settings)
    views: list[Record] = [(b"u", plain(number=n), []) for n in range(3)]
    place = TopicPartition(settings.kafka_topic, 0)
    await send(settings, views)
    await send(settings, views, spoilt=True)
    found = list[BatchRefused]()
    async with client.reader(settings) as reader:
        assert (await offsets.ends(reader, [place]))[place] == 6
    await send(settings, views)
    async with client.reader(settings) as reader:
        forwards = [r.offset async for some in oldest_first(reader, place, 0, 9, found.append) for r in some]
        assert forwards == [0, 1, 2, 6, 7, 8]
        assert [error.end for error in found] == [6]
        blocks = newest_first(reader, place, 0, 9, 2, found.append)
        assert [r.offset async for some in blocks for r in some] == [8, 7, 6, 2, 1, 0]
        with pytest.raises(BatchDamaged, match=f"{place.topic}, partition 0, before offset 6: a record batch is dam"):
            _ = [some async for some in oldest_first(reader, place, 0, 9)]


async def test_commands_pass_over_views_that_cannot_be_read_and_workers_refuse_them(settings: Settings) -> None:
    views: list[Record] = [(b"u", plain(number=n), []) for n in range(3)]
    succeed(settings, "init")
    await send(settings, views)
    await send(settings, views, spoilt=True)
    newest = await newest_views(settings, settings.kafka_partitions)
    assert list(newest) == [0]
    findings = Findings("ownership")
    rows = await findings.of(check_claims(settings, findings))
    assert [(row.check, row.state) for row in rows] == [("ownership", "ok"), ("newest views", "warn")]
    assert "before offset 6: a record batch is damaged" in rows[-1].what
    done = command(settings, "worker", "--until-end")
    assert done.returncode == 0, done.stderr
    assert "3 counted, 3 bad" in done.stdout
