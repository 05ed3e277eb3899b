"""Resumes an interrupted replay so that no view is missing and none is sent twice.

1. A replay saves its bookmark as it runs: for each partition the number of acknowledged views, and the offset after
   them. When the process is killed, the saved bookmark may be out of date.
2. So the resumed replay reads each partition from that offset to its end, and compares it with the file's next rows,
   which have the same order and the same bytes as before. Rows found there have arrived, acknowledged or not.
3. The rest is sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final, Self

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError, TopicAuthorizationFailedError

from movie_stream import __version__
from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.errors import BrokerRefused, FileRefused, MovieStreamError
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.identity import identities
from movie_stream.kafka.produce.topic_writer import TopicWriter
from movie_stream.replay.records.csv_records import ViewChunk
from movie_stream.replay.records.replay_input import ReplayInput
from movie_stream.replay.resume.arrivals import Arrivals
from movie_stream.replay.resume.bookmark import RESTART, Bookmark, BookmarkFile, PartitionProgress, utc_now
from movie_stream.runs.fingerprint import rules_of
from movie_stream.settings import Settings

log = logging.getLogger(__name__)

SAVE_EVERY_S: Final = 0.5
SETTLE_WITHIN_S: Final = 1.0
READ_WITHIN_MS: Final = 500


class Resumption:
    """Resumes one replay: `begin` it, use it in an `async with`, `start` it, and ask for what is `missing`.

    Raises FileRefused if it cannot be resumed, BrokerUnreachable and BrokerRefused.
    """

    def __init__(
        self,
        settings: Settings,
        file: BookmarkFile,
        views: ReplayInput,
        blake2b: str,
        plan: str,
        writer: TopicWriter,
        identity: str,
    ) -> None:
        self.views_before = 0
        """How many of the rows so far had arrived before this run."""
        self._settings = settings
        self._topic = settings.kafka_topic
        self._file = file
        self._views = views
        self._blake2b = blake2b
        self._plan = plan
        self._writer = writer
        self._identity = identity
        self._stack = AsyncExitStack()
        self._reader: AIOKafkaConsumer
        self._partitions = [TopicPartition(self._topic, number) for number in range(writer.partition_count)]
        self._ends: offsets.Offsets = {}
        self._to_skip: list[int] = []
        self._arrivals: dict[int, Arrivals] = {}
        self._before: list[PartitionProgress] = []
        self._unfinished = False
        self._saved_s = 0.0

    @classmethod
    async def begin(
        cls, settings: Settings, file: BookmarkFile, views: ReplayInput, blake2b: str, plan: str, writer: TopicWriter
    ) -> Self:
        """Identifies the topic and checks the bookmark, if there is one; `blake2b` is the hash of the file.

        `plan` says which views are sent, and how they are changed.

        A finished bookmark that does not match is ignored: that file was sent completely, and this is another.
        """
        async with client.admin(settings) as admin:
            with client.explained(settings, f"looking at the topic {settings.kafka_topic}"):
                [identity] = (await identities(admin, [settings.kafka_topic])).values()
        made = cls(settings, file, views, blake2b, plan, writer, identity)
        if file.earlier and (mismatch := made._mismatch(file.earlier)):
            if not file.earlier.finished:
                raise made._unfit(*mismatch)
            file.earlier = None
        if file.earlier:
            views.now_ms = file.earlier.now_ms
        return made

    @property
    def earlier(self) -> Bookmark | None:
        """The bookmark to resume from; None to start at the beginning."""
        return self._file.earlier

    @property
    def future_tolerance_ms(self) -> int:
        """The future tolerance of the first run."""
        if self.earlier:
            return self.earlier.future_tolerance_ms
        return rules_of(self._settings).future_tolerance_ms

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Saves as recent a bookmark as possible, whatever ended the replay."""
        await self._stack.aclose()
        if self._unfinished:
            if kind is asyncio.CancelledError:
                await self._settle()
            await self.save()

    async def start(self) -> None:
        """Looks up the ends of the partitions, after the survey of the file and before the first view is sent."""
        if self.earlier:
            self._before = list(self.earlier.partitions)
            self._to_skip = [partition.views for partition in self._before]
            await self._open_topic()
            self._unfinished = True
        else:
            self._before = [PartitionProgress(0, end) for end in await self._present_ends()]
            self._unfinished = True
            await self.save()

    async def missing(self, chunk: ViewChunk) -> ViewChunk:
        """The views of the file's next chunk that have not arrived yet."""
        if not self._arrivals and not any(self._to_skip):
            return chunk
        partitions = partitions_of(chunk.keys, self._writer.partition_count)
        left: list[np.ndarray] = [np.empty(0, np.int64)]
        for number in np.unique(partitions).tolist():
            rows = np.flatnonzero(partitions == number)
            skipped = min(self._to_skip[number], len(rows))
            self._to_skip[number] -= skipped
            arrived = skipped + await self._arrived(number, chunk.where(rows[skipped:]))
            self.views_before += arrived
            left.append(rows[arrived:])
        return chunk.where(np.sort(np.concatenate(left)))

    async def save_now_and_then(self) -> None:
        """Saves the bookmark, at most every SAVE_EVERY_S."""
        if time.monotonic() >= self._saved_s + SAVE_EVERY_S:
            await self.save()

    async def finish(self) -> None:
        """Marks the bookmark as finished, so that resuming from it sends nothing."""
        if any(self._to_skip):
            raise self._refused("its bookmark names more views than it has", RESTART)
        self._unfinished = False
        await self.save()

    async def save(self) -> None:
        """Saves the bookmark."""
        bookmark = Bookmark(
            movie_stream=__version__,
            file=self._file.full_name,
            size_bytes=self._views.file_bytes,
            blake2b=self._blake2b,
            plan=self._plan,
            topic=self._topic,
            topic_identity=self._identity,
            now_ms=self._views.now_ms,
            future_tolerance_ms=self.future_tolerance_ms,
            partitions=self._progress(),
            finished=not self._unfinished,
            saved_at=utc_now(),
        )
        await asyncio.to_thread(self._file.save, bookmark)
        self._saved_s = time.monotonic()

    async def _settle(self) -> None:
        """Waits briefly for pending acknowledgements, so that the next run has little to read back."""
        try:
            async with asyncio.timeout(SETTLE_WITHIN_S):
                await self._writer.finish()
        except (TimeoutError, MovieStreamError):
            log.debug("not everything is acknowledged; the next run will find out what has arrived")

    async def _present_ends(self) -> list[int]:
        """The end offset of each partition."""
        async with client.reader(self._settings, committed=False) as reader:
            with client.explained(self._settings, f"looking up the end offsets of {self._topic}"):
                try:
                    ends = await offsets.ends(reader, self._partitions, committed=False)
                except TopicAuthorizationFailedError:  # a producer that may only write; such brokers report the ends
                    ends = await reader.end_offsets(self._partitions)
        return [ends[tp] for tp in self._partitions]

    async def _open_topic(self) -> None:
        """Prepares to read each partition from the bookmark's offset to its present end."""
        with self._reading():
            self._reader = await self._stack.enter_async_context(client.reader(self._settings, committed=False))
            oldest = await offsets.beginnings(self._reader, self._partitions)
            self._ends = await offsets.ends(self._reader, self._partitions, committed=False)
            self._reader.assign(self._partitions)
        for tp, before in zip(self._partitions, self._before, strict=True):
            if not oldest[tp] <= before.next_offset <= self._ends[tp]:
                raise self._lost(tp, before.next_offset, f"it holds {oldest[tp]} to {self._ends[tp]}")
            self._reader.seek(tp, before.next_offset)
            self._arrivals[tp.partition] = Arrivals(before.next_offset)

    def _progress(self) -> list[PartitionProgress]:
        """By partition, the views sent by earlier runs plus those of this run that are acknowledged."""
        progress = []
        for before, written in zip(self._before, self._writer.written, strict=True):
            if written.next_offset is None:
                progress.append(before)
            else:
                progress.append(PartitionProgress(before.views + written.records, written.next_offset))
        return progress

    async def _arrived(self, number: int, rows: ViewChunk) -> int:
        """How many of a partition's next rows have arrived; fewer than all only at the partition's end."""
        arrivals = self._arrivals.get(number)
        found = 0
        while arrivals and found < len(rows):
            found += arrivals.match(rows.keys[found:], rows.values[found:])
            if found < len(rows) and not await self._read(self._partitions[number], arrivals):
                del self._arrivals[number]
                break
        if arrivals and found:
            self._before[number] = PartitionProgress(self._before[number].views + found, arrivals.next_offset)
        if not self._arrivals:
            await self._stack.aclose()
        return found

    async def _read(self, tp: TopicPartition, arrivals: Arrivals) -> bool:
        """Reads more of a partition; returns False at its end."""
        with self._reading():
            if await self._reader.position(tp) >= self._ends[tp]:
                return False
            try:
                records = (await self._reader.getmany(tp, timeout_ms=READ_WITHIN_MS)).get(tp, ())
            except OffsetOutOfRangeError as error:
                raise self._lost(tp, arrivals.next_offset, "it was truncated meanwhile") from error
        arrivals.add((record.offset, record.key, record.value) for record in records if not record.headers)
        return True

    @contextmanager
    def _reading(self) -> Iterator[None]:
        doing = f"reading back what has arrived in {self._topic}"
        with client.explained(self._settings, doing):
            try:
                yield
            except TopicAuthorizationFailedError as error:
                remedy = "resuming takes the permission to read the topic (READ), which sending does not"
                raise BrokerRefused(doing=doing, cause=error, remedy=remedy) from error

    def _mismatch(self, earlier: Bookmark) -> tuple[str, str, str] | None:
        """The expected and the received value, and the remedy; None if the bookmark is of this file and topic."""
        count = self._writer.partition_count
        broker = "correct KAFKA_BOOTSTRAP_SERVERS"
        if earlier.movie_stream != __version__ and not earlier.finished:
            return f"movie-stream {earlier.movie_stream}", __version__, "use that version"
        if earlier.topic != self._topic:
            return f"the topic {earlier.topic}", self._topic, f"set KAFKA_TOPIC={earlier.topic}"
        if earlier.topic_identity != self._identity:
            return f"the topic {self._topic} of then ({earlier.topic_identity})", f"another ({self._identity})", broker
        if len(earlier.partitions) != count:
            return f"{len(earlier.partitions)} partitions of {self._topic}", str(count), broker
        size_bytes = self._views.file_bytes
        if earlier.size_bytes != size_bytes:
            return f"the file of then, {earlier.size_bytes:,} bytes", f"{size_bytes:,} bytes", "restore it"
        if earlier.blake2b != self._blake2b:
            return "the file of then", "other content of the same size", "restore it"
        if earlier.plan != self._plan:
            return f"the options of then ({earlier.plan or 'none'})", self._plan or "none", "give the same ones"
        return None

    def _unfit(self, expected: str, got: str, remedy: str) -> FileRefused:
        why = f"an earlier run was interrupted, and cannot be resumed: expected {expected}, got {got}"
        return self._refused(why, f"{remedy}, or {RESTART}")

    def _lost(self, tp: TopicPartition, wanted: int, there: str) -> FileRefused:
        expected = f"partition {tp.partition} of {self._topic} from offset {wanted} on"
        why = f"cannot determine how much of it has arrived: expected {expected}, but {there}"
        return self._refused(why, f"look what the topic holds of the file; if nothing, {RESTART}")

    def _refused(self, why: str, remedy: str) -> FileRefused:
        return FileRefused(path=self._file.file, why=why, remedy=remedy)
