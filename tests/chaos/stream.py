"""A seeded stream of views, good and bad, in time and late, produced while things break."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from movie_stream.errors import MovieStreamError
from movie_stream.kafka.produce.topic_writer import TopicWriter, open_topic
from movie_stream.settings import Settings

ROWS: Final = 1_000
"""Views that are made, and sent, at once."""
BEGIN_MS: Final = 1_730_419_200_000
"""2024-11-01T00:00:00Z."""
GENRES: Final = ("Drama", "drama ", "Sci-Fi", "sci-fi", "Comedy", "Film  Noir", "Action", "Horror", "Romance", "Crime")
BAD: Final = (
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b'{"movie_id": "m1"}',
    b'{"movie_id":"m1","title":"t","genre":" ","user_id":"u","timestamp":1730419200000}',
    b'{"movie_id":"m1","title":"t","genre":"g","user_id":"u","timestamp":1730419200000,"rating":9}',
    b'{"movie_id":"m1","title":"t","genre":"g","user_id":"u","timestamp":"now"}',
)
GIVE_UP_S: Final = 240.0

Records = tuple[list[bytes], list[bytes]]
"""Keys and values."""


@dataclass(frozen=True)
class Stream:
    """`count` views by `users` users over `span`; the same arguments make the same views.

    Nine in ten are within ten minutes of event time; the rest up to `latest` behind. `bad` is the share of records
    that are no views.
    """

    seed: int
    count: int = 300_000
    users: int = 20_000
    films: int = 500
    span: timedelta = timedelta(hours=12)
    latest: timedelta = timedelta(hours=3)
    bad: float = 0.01
    begin_ms: int = BEGIN_MS

    def chunks(self, first: int = 0) -> Iterator[Records]:
        """The records from number `first` on, ROWS at a time."""
        for start in range(first, self.count, ROWS):
            yield self._records(np.arange(start, min(start + ROWS, self.count)))

    def _records(self, number: np.ndarray) -> Records:
        chance = np.random.default_rng([self.seed, int(number[0])])
        rows = len(number)
        user = (self.users * chance.random(rows) ** 1.3).astype(int).tolist()
        film = (self.films * chance.random(rows) ** 2).astype(int).tolist()
        genre = chance.integers(0, len(GENRES), rows).tolist()
        behind_s = np.where(
            chance.random(rows) < 0.9, 600 * chance.random(rows), self.latest.total_seconds() * chance.random(rows)
        )
        time_ms = self.begin_ms + (1000 * (number * (self.span.total_seconds() / self.count) - behind_s)).astype(
            np.int64
        )
        rating = chance.integers(0, 60, rows).tolist()  # in tenths; above 50 there is none
        minutes, cents = chance.integers(0, 180, rows).tolist(), chance.integers(0, 2_000, rows).tolist()
        values = [
            b'{"movie_id":"m%d","title":"Film %d","genre":"%s","user_id":"user_%d","timestamp":%d,"rating":%s,'
            b'"duration":%d,"price":%d.%02d}'
            % (f, f, GENRES[g].encode(), u, t, b"%d.%d" % divmod(r, 10) if r <= 50 else b"null", m, c // 100, c % 100)
            for f, g, u, t, r, m, c in zip(film, genre, user, time_ms.tolist(), rating, minutes, cents, strict=True)
        ]
        if self.bad:
            for row in np.flatnonzero(chance.random(rows) < self.bad).tolist():
                values[row] = BAD[row % len(BAD)]
        return [b"user_%d" % u for u in user], values

    def write_csv(self, file: object) -> None:
        """The good views as a CSV, into a text file that is open for writing."""
        columns = ("movie_id", "title", "genre", "user_id", "timestamp", "rating", "duration", "price")
        file.write(",".join(columns) + "\n")  # type: ignore[attr-defined]
        for _, values in self.chunks():
            for value in values:
                view = json.loads(value)
                row = ("" if view[name] is None else str(view[name]) for name in columns)
                file.write(",".join(row) + "\n")  # type: ignore[attr-defined]


class Producer:
    """Sends a stream at `rate` events/s (0: as fast as it goes) in a thread of its own, whatever happens to the broker.

    Records without an acknowledgement are sent again when the broker is gone, so the topic may hold them twice:
    the reference reads the topic.
    """

    def __init__(self, settings: Settings, stream: Stream, rate: float) -> None:
        self._settings, self._stream, self._rate = settings, stream, rate
        self._stopped, self._failure = threading.Event(), list[BaseException]()
        self._thread = threading.Thread(target=self._run, name="producer")
        self.sent = 0
        """Records that were handed over so far."""

    def rush(self) -> None:
        """Sends the rest as fast as it goes."""
        self._rate = 0

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def wait(self, share: float = 1.0) -> None:
        """Waits until so much of the stream is sent; until all is acknowledged with 1. Raises what it failed of."""
        deadline = time.monotonic() + GIVE_UP_S
        while not self.done and (share == 1 or self.sent < share * self._stream.count):
            assert time.monotonic() < deadline, f"the producer is only at {self.sent}"
            time.sleep(0.02)
        if self._failure:
            raise self._failure[0]

    @contextmanager
    def running(self) -> Iterator[Producer]:
        """Sends during the block; at its end the unsent rest is given up."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._send())
        except BaseException as error:  # raised again by `wait`, in the test's own thread
            self._failure.append(error)

    async def _send(self) -> None:
        began = time.monotonic()
        while not self._stopped.is_set():
            try:
                async with open_topic(self._settings, self._settings.kafka_topic, timedelta(seconds=60)) as writer:
                    await self._send_from(writer, self.sent // ROWS * ROWS, began)
                    return
            except MovieStreamError:
                if time.monotonic() - began > GIVE_UP_S:
                    raise
                await asyncio.sleep(0.5)

    async def _send_from(self, writer: TopicWriter, first: int, began: float) -> None:
        for keys, values in self._stream.chunks(first):
            if self._stopped.is_set():
                return
            await writer.write(keys, values)
            self.sent = min(first + ROWS, self._stream.count)
            first = self.sent
            await self._until_due(began)
        await writer.finish()

    async def _until_due(self, began: float) -> None:
        """Waits for the next views' time; in steps short enough to notice a request."""
        while self._rate and not self._stopped.is_set():
            rest_s = began + self.sent / self._rate - time.monotonic()
            if rest_s <= 0:
                return
            await asyncio.sleep(min(rest_s, 0.5))
