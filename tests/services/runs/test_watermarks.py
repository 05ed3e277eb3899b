"""The watermarks of a run, as the workers' last checkpoints have them."""

from __future__ import annotations

import pytest

from movie_stream.errors import ChangelogError
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.runs.watermarks import watermarks
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import CheckpointId, Cursor, EntryRecord, encode


def cursor(run: str, watermark_ms: int | None) -> bytes:
    return encode(Cursor(CheckpointId("w", 1), None, True, 7, watermark_ms, 0, run))


async def test_the_last_cursor_of_the_run_says_it(settings: Settings) -> None:
    await topics.ensure(settings)
    changelog = Topics.of(settings).accumulate_changelog
    entry = encode(EntryRecord(CheckpointId("w", 2), 0, b"x" * 5_000))
    producer = await client.start_producer(settings)
    try:
        for partition, records in enumerate(
            (
                [cursor("7:a", 100), cursor("7:a", 200), *[entry] * 30],  # of a checkpoint that is being written
                [cursor("7:a", 300), cursor("8:a", 400), cursor("70:a", 500)],  # a zombie of another run came last
                [cursor("8:a", 600)],
            )
        ):
            for record in records:
                await producer.send_and_wait(changelog, record, partition=partition)
        async with client.reader(settings) as reader:
            assert await watermarks(settings, reader, 3, run=7) == {0: 200, 1: 300}
            assert await watermarks(settings, reader, 3, run=9) == {}
        await producer.send_and_wait(changelog, b"of a stranger", partition=2)
        async with client.reader(settings) as reader:
            with pytest.raises(ChangelogError, match="partition 2: expected checkpoints, got"):
                await watermarks(settings, reader, 3, run=7)
    finally:
        await producer.stop()
