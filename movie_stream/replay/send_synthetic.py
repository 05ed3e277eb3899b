"""Sends made-up views to the topic directly, without a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import numpy as np

from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import partition_counts
from movie_stream.kafka.produce.pace import ConstantRate, check_rate
from movie_stream.kafka.produce.topic_writer import open_topic
from movie_stream.replay.lateness import Late, Lateness
from movie_stream.replay.newest_views import newest_views
from movie_stream.replay.read_ahead import read_ahead
from movie_stream.replay.send import write_paced
from movie_stream.replay.synthetic.faults import Tally
from movie_stream.replay.synthetic.synthetic_views import SyntheticViews, records
from movie_stream.runs.fingerprint import rules_of
from movie_stream.settings import Settings

ROWS_AT_ONCE: Final = 1_000


async def late_of_synthetic(settings: Settings, views: SyntheticViews) -> Late | None:
    """The views that would be late by what the topic holds, except those meant to be late; None if none would.

    Raises BrokerUnreachable, BrokerForbids, TopicMissing.
    """
    topic = settings.kafka_topic
    async with client.admin(settings) as admin:
        with client.explained(settings, f"looking at the topic {topic}"):
            partitions = (await partition_counts(admin, (topic,))).get(topic)
    if not partitions:
        return None  # reported as soon as something is sent
    lateness = Lateness(topic, rules_of(settings), partitions, await newest_views(settings, partitions))
    if not lateness.possible(views.begins_ms):
        return None
    async with aclosing(read_ahead(views.chunks())) as coming:
        async for faulty in coming:
            kept = np.setdiff1d(np.arange(len(faulty)), faulty.late)
            times_ms = np.array(faulty.rows.timestamp, np.int64)[kept]
            lateness.add([faulty.rows.user_id[row].encode() for row in kept.tolist()], times_ms)
    return lateness.found


async def send_synthetic(
    settings: Settings, views: SyntheticViews, rate: float, arrived: Callable[[int], None]
) -> Tally:
    """Sends the views, keyed by user, at `rate` events/s (0: as fast as possible).

    `arrived` is called with the number of newly acknowledged views. When all are acknowledged, returns how many had
    faults. Raises BrokerUnreachable, BrokerForbids, TopicMissing, WriteRefused, and UsageError for an invalid rate.
    """
    check_rate(rate)
    tally = Tally()
    reported = 0

    def report() -> None:
        nonlocal reported
        acknowledged = sum(written.records for written in writer.written)
        arrived(acknowledged - reported)
        reported = acknowledged

    async def wrote(_: int) -> None:
        report()

    async with open_topic(settings, settings.kafka_topic) as writer:
        try:
            pace = ConstantRate(rate, time.monotonic())
            async with aclosing(read_ahead(views.chunks(ROWS_AT_ONCE))) as coming:
                async for faulty in coming:
                    keys = [user.encode() for user in faulty.rows.user_id]
                    await write_paced(writer, pace, keys, faulty.lines(records), wrote)
                    tally.add(faulty)
            await writer.finish()
        finally:
            report()
    return tally
