"""Sends made-up views straight to the topic, as many as wanted, without a file between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final

from movie_stream.replay.csv_records import ENCODER, Record
from movie_stream.replay.generate import GeneratedRows, generate_rows
from movie_stream.replay.pace import Pace
from movie_stream.replay.send import in_turns, write_paced
from movie_stream.replay.topic_writer import open_topic
from movie_stream.settings import Settings

ROWS_AT_ONCE: Final = 1_000


async def send_made_up(
    settings: Settings,
    count: int,
    rate: float,
    wrote: Callable[[int], None],
    *,
    seed: int,
    end: datetime,
    span: timedelta,
) -> None:
    """Sends `count` generated views in time order, at `rate` events/s (0: as fast as it goes).

    `wrote` is told how many, each time some were handed over. Returns once all are acknowledged. Raises
    BrokerUnreachable, TopicMissing, WriteRefused.
    """

    async def told(events: int) -> None:
        wrote(events)

    async with open_topic(settings, settings.kafka_topic) as writer:
        pace = Pace(rate, time.monotonic())
        rows = generate_rows(count, seed, end=end, span=span, chunk_rows=ROWS_AT_ONCE)
        async with aclosing(in_turns(_records(rows))) as coming:
            async for keys, values in coming:
                await write_paced(writer, pace, keys, values, told)
        await writer.finish()


def _records(chunks: Iterator[GeneratedRows]) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The keys and values of each chunk's records."""
    for rows in chunks:
        columns = (
            *(rows.movie_id, rows.title, rows.genre, rows.user_id),
            *(rows.timestamp, rows.rating, rows.duration, rows.price),
        )
        values = [ENCODER.encode(Record(*row)) for row in zip(*columns, strict=True)]
        yield [user.encode() for user in rows.user_id], values
