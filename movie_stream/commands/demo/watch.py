"""Looks up what the demo shows in MongoDB and the broker; nothing is derived from what the demo sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaConsumer
from pymongo.errors import PyMongoError

from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import Topics, describe
from movie_stream.mongo import read, runs
from movie_stream.mongo.client import Database, explain, opened
from movie_stream.mongo.documents import CategoryStats, HourlyMetrics, MoviesAggregates, TopMovies
from movie_stream.runs.progress import TableProgress, span
from movie_stream.settings import Settings

_WINDOWS: Final = 50
_GENRES: Final = 20
_HOURS: Final = 200


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The results at one time; `views` and `dead_letters` since the watch began."""

    at_s: float
    """The time of the snapshot, by the monotonic clock."""
    views: int = 0
    """Views that are counted in MongoDB."""
    dead_letters: int = 0
    waiting: int = 0
    """Events of the topic after the checkpoints, which are not counted yet."""
    windows: list[MoviesAggregates] = field(default_factory=list)
    """Newest first."""
    genres: list[CategoryStats] = field(default_factory=list)
    """Most views first."""
    films: TopMovies | None = None
    """The films of the newest hour."""
    hours: list[HourlyMetrics] = field(default_factory=list)
    """Newest first."""


class Watch:
    """Takes snapshots; made by `watching`."""

    def __init__(self, settings: Settings, db: Database, reader: AIOKafkaConsumer) -> None:
        self._settings, self._db, self._reader = settings, db, reader
        self._topics = Topics.of(settings)
        self._views = self._letters = 0
        self._looking = asyncio.Lock()  # each snapshot changes the assignment of the reader

    async def begin(self) -> None:
        """Counts from now on. Raises the errors of `look`, and TopicMissing."""
        self._partitions = (await describe(self._settings)).partitions
        events = self._topics.events
        self._tables = TableProgress(self._settings, self._reader, events, self._partitions[events])
        self._views, self._letters = await read.total_views(self._db), await self._dead_letters()

    async def look(self) -> Snapshot:
        """The results now. Raises BrokerUnreachable, BrokerRefused, MongoAway, MongoRefused, MongoFailed."""
        async with self._looking:
            progress = await self._tables.progress(await runs.current(self._db, self._settings.kafka_group))
            try:
                return await self._look(progress.lag)
            except PyMongoError as error:
                raise explain(error, self._db) from error

    async def _look(self, waiting: int) -> Snapshot:
        films = await read.newest(self._db, "top_movies", 1)
        return Snapshot(
            at_s=time.monotonic(),
            views=await read.total_views(self._db) - self._views,
            dead_letters=await self._dead_letters() - self._letters,
            waiting=waiting,
            windows=await read.newest(self._db, "movies_aggregates", _WINDOWS),
            genres=await read.newest(self._db, "category_stats", _GENRES),
            films=films[0] if films else None,
            hours=await read.newest(self._db, "hourly_metrics", _HOURS),
        )

    async def _dead_letters(self) -> int:
        topic = self._topics.dead_letters
        return (await span(self._settings, self._reader, topic, self._partitions[topic]))[1]


@asynccontextmanager
async def watching(settings: Settings) -> AsyncIterator[Watch]:
    """A watch on the results within the block; it counts from the block's beginning."""
    async with opened(settings) as db, client.reader(settings) as reader:
        watch = Watch(settings, db, reader)
        await watch.begin()
        yield watch
