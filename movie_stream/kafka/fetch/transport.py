"""Faust's transport with whole chunks instead of single records, and positions of our own instead of acknowledgements.

Faust 0.15 behaves as follows, which is overridden here:

* It yields one event per record. Here an event is a Chunk: thousands of records of one partition from one fetch.
* It seeks to the group's committed offsets. Here consumers resume at the positions of the tables: in partitions whose
  tables are in memory at once, in the others once these are restored.
* It acknowledges a chunk even if the agent raised, and expands a gap in the offsets into a list. Here only the tables'
  finished positions are ever committed.
* It stops fetching for a second when every stream's buffer is full. Here a full buffer just makes the fetcher wait.
* It does not report records that were deleted under the consumer. Here a gap at a chunk's beginning is checked, and so
  is a position that moved without a record.
* It ends the process when a commit is too late in a rebalance, and never retries a failed one. Here commits are for
  monitoring: only the last one matters, but that one does.
* It waits for the end of a rebalance before it leaves the group. Here it leaves immediately.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from time import monotonic
from typing import Any, Final

import aiokafka
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from movie_stream.errors import MovieStreamError, WorkerFailed
from movie_stream.events.chunk import Chunk
from movie_stream.kafka.batches.inflate import BatchRefused
from movie_stream.kafka.batches.unpack import WholeBatches, chunks
from movie_stream.kafka.cluster.client import CLIENT_ID
from movie_stream.kafka.fetch.waiting import Runs, WaitingBatches
from movie_stream.kafka.group.assignor import StickyAssignor
from movie_stream.kafka.group.leaving import leave_group, stop_consumer
from movie_stream.kafka.group.membership import Membership

logger = logging.getLogger(__name__)

WORKER: Final = f"{CLIENT_ID}-worker"
"""The client id of a worker in the group."""
SESSION_TIMEOUT_MS = 6_000
"""Brokers refuse less by default; Tansu delays each join by half of it."""
HEARTBEAT_MS = 300
"""How soon a member notices a rebalance: those that noticed before it stand still meanwhile."""
FETCH_BYTES = 5 << 20
"""The most bytes of a fetch, of one or several partitions: enough for a whole chunk of uncompressed records."""
FETCH_WAIT_MS = 25
"""The longest that a broker waits for records. While it waits for those of an idle partition, aiokafka sends it no
other fetch.
"""
QUEUE_ENDS_WITHIN_S = 0.5
FETCH_WITHIN_S = 0.2
"""The longest that a fetch waits for records, and so a rebalance for a fetch."""

AHEAD: Final = 2
"""Fetches under way while another one's records are processed. Faust's thread runs two calls at a time: if the second
fetch began before there are records for it to unpack, a commit would have to wait for both.
"""


class ChunkThread(driver.AIOKafkaConsumerThread):
    """The thread that fetches."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.membership: Membership | None = None
        """None before the start."""
        self._waiting = WaitingBatches(lambda tp: tp.topic in self.consumer.transport.topics_of_views)
        self._one_at_a_time = asyncio.Lock()  # fetches, in the order in which they were requested

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        return aiokafka.AIOKafkaConsumer(
            **transport.client_options | {"client_id": WORKER},
            value_deserializer=WholeBatches(),
            group_id=self.app.conf.id,
            partition_assignment_strategy=[StickyAssignor()],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            rebalance_timeout_ms=60_000,
            max_poll_interval_ms=600_000,
        )

    async def _keepalive2(self) -> None:
        """Does nothing: Faust would report a thread that was only busy, or paused along with the process."""

    async def on_start(self) -> None:
        await super().on_start()
        self.membership = Membership(self._consumer)

    async def on_thread_stop(self) -> None:
        if self.membership is not None:
            await leave_group(self.membership, reachable=self.consumer.transport.reachable())
        queue = asyncio.ensure_future(super(driver.AIOKafkaConsumerThread, self).on_thread_stop())
        await asyncio.wait([queue], timeout=QUEUE_ENDS_WITHIN_S)  # a commit waits for a broker that is gone
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109  (Faust's signature)
        max_records: int | None = None,
    ) -> dict[Any, Any]:
        """Records by partition: the position before them (None without any), the one after them, and runs.

        A fetch may return many more than fit into memory once unpacked; the others wait as received. Raises
        BatchRefused.
        """
        async with self._one_at_a_time:
            return await self._next_records(consumer, active_partitions, timeout)

    async def _next_records(
        self, consumer: aiokafka.AIOKafkaConsumer, active_partitions: set[TP], within_s: float | None
    ) -> dict[Any, Any]:
        until_s = monotonic() + (within_s or 0.0)
        while self.consumer.flow_active:
            if consumer._closed or consumer._fetcher._closed:
                raise ConsumerStoppedError()
            assignment = consumer._subscription.subscription.assignment
            if assignment is None:
                break
            if taken := self._waiting.take_due(active_partitions):
                found = {TP(tp.topic, tp.partition): runs for tp, runs in taken.items()}
                return self._moved(assignment, active_partitions) | found
            if self._waiting.refused:  # what comes before it is of partitions that are paused
                await asyncio.sleep(max(until_s - monotonic(), 0.0))
                break
            rest_s = max(min(until_s, self._waiting.next_due_s(active_partitions)) - monotonic(), 0.0)
            if not await self._receive(consumer, assignment, active_partitions, rest_s):
                break
            if not self._waiting.due(active_partitions) and monotonic() >= until_s:
                return self._moved(assignment, active_partitions)
        return {}

    async def _receive(
        self, consumer: aiokafka.AIOKafkaConsumer, assignment: Any, active_partitions: set[TP], within_s: float
    ) -> bool:
        """Adds the records that arrive to those that wait; False if the assignment has ended meanwhile."""
        fetched, refused = dict[Any, Any](), None
        with consumer._fetcher._subscriptions.fetch_context():
            try:
                fetched = await consumer._fetcher.fetched_records(active_partitions, timeout=within_s, max_records=None)
            except BatchRefused as error:
                refused = error
        if not assignment.active:
            return False  # these may be of the next one, whose seek waits for this fetch and so brings them again
        if refused is not None:
            self._waiting.refuse(refused)
        for tp in fetched:
            if fetched[tp]:
                # After the batches that wait, if it was paused and was resumed.
                self._waiting.add(tp, fetched[tp], assignment.state_value(tp).position)
        return True

    def _moved(self, assignment: Any, active_partitions: set[TP]) -> dict[TP, Runs]:
        """The positions of the partitions of which nothing waits: they move past records that nobody gets."""
        found: dict[TP, Runs] = {}
        if self._waiting.refused:
            return found  # of one of them something is refused
        for tp in assignment.tps & active_partitions:
            state = assignment.state_value(tp)
            if state.has_valid_position and tp not in self._waiting:
                found[TP(tp.topic, tp.partition)] = (None, state.position, [])
        return found

    def end(self, tp: TP) -> int | None:
        """See agents.group.Group; may be called in any thread. Faust knows only the high watermark."""
        consumer, topic_partition = self._ensure_consumer(), driver.ensure_aiokafka_TP(tp)
        stable: int | None = consumer.last_stable_offset(topic_partition)
        written: int | None = consumer.highwater(topic_partition)
        return written if stable is None or stable < 0 else stable

    def written(self, tp: TP) -> int | None:
        """The high watermark, as of the last fetch; may be called in any thread."""
        written: int | None = self._ensure_consumer().highwater(driver.ensure_aiokafka_TP(tp))
        return written

    def has_records_of(self, partitions: set[TP]) -> bool:
        """Whether fetched records of these are to be unpacked now; may be called in any thread."""
        return bool(self._waiting.due(partitions))

    def drop_waiting(self) -> None:
        """Drops the batches that wait; only while nothing is being fetched."""
        self._waiting.clear()

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            await self._ensure_consumer().commit(
                {driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
            )
        except (CommitFailedError, IllegalStateError) as error:
            self.log.info("not committed, a rebalance is under way: %s", error.__cause__ or error)
            return False
        except KafkaError as error:
            self.log.warning("not committed, will be with the next checkpoint: %r", error)
            return False
        return True


class ChunkConsumer(driver.Consumer):
    """The consumer that Faust's app talks to; an event's value is a Chunk."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._next: dict[TP, int] = {}  # the offset where the next chunk of a partition starts
        self._ahead: deque[asyncio.Task[Any]] = deque()  # the fetches under way, in this order
        self._dropped: deque[asyncio.Task[Any]] = deque()  # those of them that are to bring nothing
        self._offsets_committed: dict[TP, int] = {}  # accepted by the group; see agents/group.py
        self._seeks = 0
        self._restoring: asyncio.Task[None] | None = None

    def _new_consumer_thread(self) -> ChunkThread:
        return ChunkThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Seeks to the positions of the assigned partitions' tables. Those that have to be restored follow later,
        unless all have to be.

        Nothing may be fetched meanwhile; Faust resumes the flow afterwards. It also does so if the next rebalance has
        begun during the seek, hence the flow is stopped here, and not only by that rebalance.
        """
        self.stop_flow()
        self._seeks += 1
        await self._drop_ahead()
        self._offsets_committed.clear()  # others may have committed something else meanwhile
        assigned = self.assignment()
        self._next = {}
        positions = await self.transport.resume(assigned)
        lacking = assigned - positions.keys()
        if lacking and not positions:
            positions, lacking = await self.transport.restore(lacking), set()
        if await self._seek_to(positions) and lacking:
            self.pause_partitions(lacking)
            self._restoring = asyncio.create_task(self._restore(lacking))

    async def _seek_to(self, positions: Mapping[TP, int]) -> bool:
        """Seeks; False if a partition is no longer assigned. The seek of the next assignment follows then."""
        try:
            await self.seek_wait(positions)
        except IllegalStateError as error:
            logger.info("not sought, a rebalance is under way: %s", error)
            return False
        self._next.update(positions)
        return True

    async def _restore(self, lacking: set[TP]) -> None:
        """Restores the tables of paused partitions, while the others go on, and resumes these partitions."""
        positions = await self.transport.restore(lacking)
        if await self._seek_to(positions):
            self.resume_partitions(lacking)

    def stop_flow(self) -> None:
        """Stops fetching and restoring, which the next assignment begins anew."""
        if self._restoring is not None:
            self._restoring.cancel()
        super().stop_flow()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109
        """Yields chunks. Records that are dropped while the flow is stopped are fetched again: a seek precedes its
        resumption.
        """
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        try:
            fetched = await self._fetched()
        except BatchRefused as error:  # all records before it were yielded
            await self.transport.refuse(error, dict(self._next))
            raise
        generation, seeks = self._now
        if fetched:
            self._fetch_ahead()  # while these are processed
        for tp, (begin, end, found) in fetched.items():
            start = self._next.get(tp)
            if start is None or end <= start:
                continue
            if not found or found[0].offsets[0] > start:
                oldest = (await self.earliest_offsets(tp))[tp]
                if oldest > start:  # aiokafka has silently continued at the oldest record
                    what = f"the records of {tp.topic}, partition {tp.partition}, from {start} to before {oldest}"
                    remedy = "start it again: it says what is lost"
                    deleted = WorkerFailed(what=f"{what} were deleted before they were read", remedy=remedy)
                    await self.transport.refuse(deleted, dict(self._next))
            # A chunk has the position where its fetch began, so that a table notices if that is not its own.
            for chunk in chunks(tp.partition, start if begin is None else begin, end, found):
                if self.should_stop or not self.flow_active or (generation, seeks) != self._now:
                    return
                self._next[tp] = chunk.end
                yield tp, self._message(tp, chunk, generation)

    @property
    def _now(self) -> tuple[int, int]:
        """The group's generation and the number of seeks: records fetched before either changed are stale."""
        return self.app.consumer_generation_id, self._seeks

    def _fetch_ahead(self) -> None:
        """Keeps one fetch under way, and AHEAD if they only have to unpack records, so that a flush does not hold up
        the next chunk.
        """
        while not self._ahead or (
            len(self._ahead) < AHEAD and self._thread.has_records_of(self._get_active_partitions())
        ):
            self._ahead.append(asyncio.create_task(self._fetch()))

    async def _fetched(self) -> dict[TP, Runs]:
        """The result of the first fetch under way; empty if it was dropped meanwhile."""
        self._fetch_ahead()
        ahead = self._ahead[0]
        await asyncio.wait([ahead])  # shields the fetch from our cancellation, which would lose its records
        if not self._ahead or self._ahead[0] is not ahead:
            return {}
        return self._ahead.popleft().result()

    async def _fetch(self) -> dict[TP, Any]:
        """The next records, if some arrive within FETCH_WITHIN_S.

        Those of partitions that are active now: Faust changes its own set when one is paused, and for aiokafka an empty
        one means all.
        """
        partitions = set(self._get_active_partitions())
        if not partitions or not self.flow_active:
            await self.sleep(FETCH_WITHIN_S)
            return {}
        return await self._getmany(partitions, FETCH_WITHIN_S) or {}

    async def _drop_ahead(self) -> None:
        """Drops the fetches under way, after they have ended: they move the positions until then.

        Faust cancels a seek in which the next rebalance begins: then the next one waits for them.
        """
        while self._ahead or self._dropped:
            self._dropped += self._ahead
            self._ahead.clear()
            dropped = self._dropped[0]
            await asyncio.wait([dropped])
            if dropped in self._dropped:  # not if a seek and the stop wait for it
                self._dropped.remove(dropped)
                if not dropped.cancelled() and (error := dropped.exception()):
                    logger.info("a fetch ahead failed: %r", error)
        self._thread.drop_waiting()

    async def on_stop(self) -> None:
        self.stop_flow()
        await self._drop_ahead()
        await super().on_stop()

    async def commit_and_end_transactions(self) -> None:
        """Nothing is left to commit. Faust would wait for a commit under way, without a limit, and aiokafka retries it
        as long as the broker is away.
        """

    def _message(self, tp: TP, chunk: Chunk, generation: int) -> ConsumerMessage:
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=chunk.end - 1,
            timestamp=0.0,
            timestamp_type=0,
            headers=(),
            key=None,
            value=chunk,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=generation,
        )

    def end(self, tp: TP) -> int | None:
        """The last stable offset of a partition; see agents.group.Group."""
        return self._thread.end(tp)

    def written(self, tp: TP) -> int | None:
        """The high watermark of a partition."""
        return self._thread.written(tp)

    def refusal(self) -> BaseException | None:
        """Why the group refuses us; None if it does not. aiokafka raises it in a poll, which Faust does not do as long
        as it has no partitions.
        """
        consumer = self._thread._consumer
        coordinator = consumer._coordinator if consumer is not None else None
        if coordinator is None:
            return None
        task = coordinator._coordination_task
        return coordinator._pending_exception or (task.exception() if task.done() and not task.cancelled() else None)

    @property
    def waiting_s(self) -> float:
        """How long a rebalance has been under way, in seconds; may be called in any thread."""
        membership = self._thread.membership
        return 0.0 if membership is None else membership.waiting_s

    def ack(self, message: Any) -> bool:
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets may have holes; nothing has to be acknowledged for them."""

    def on_buffer_full(self, tp: TP) -> None:
        """Does nothing: the fetcher waits for room in the stream's buffer, and needs no other back-pressure."""

    def on_buffer_drop(self, tp: TP) -> None:
        """See on_buffer_full."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterable[TP]:
        return list(self.transport.finished())

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The positions that the tables have finished, each once: step 4 of a commit's path, see agents/group.py."""
        finished = self.transport.finished()
        return {tp: finished[tp] for tp in tps if tp in finished and finished[tp] != self._offsets_committed.get(tp)}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        committed = await super()._commit(offsets)
        if committed:
            self._offsets_committed.update(offsets)
        return committed

    async def verify_all_partitions_active(self) -> None:
        """Does nothing: the owners watch their own progress."""


class ChunkTransport(driver.Transport):
    """The factory of Faust's consumer; the app sets these attributes before it starts."""

    Consumer = ChunkConsumer

    client_options: dict[str, Any]
    topics_of_views: frozenset[str]
    """The topics whose records are views, which are decoded as they are fetched, beside the thread that counts."""
    resume: Callable[[set[TP]], Awaitable[dict[TP, int]]]
    """Takes over assigned partitions whose tables are still in memory; returns the offset to resume at in each."""
    restore: Callable[[set[TP]], Awaitable[dict[TP, int]]]
    """Takes over the others, with restored tables; returns the offset to resume at in each."""
    reachable: Callable[[], bool]
    """Whether the broker answers, as far as is known."""
    finished: Callable[[], Mapping[TP, int]]
    """The positions that may be committed."""
    refuse: Callable[[MovieStreamError, Mapping[TP, int]], Awaitable[None]]
    """Called when records cannot be unpacked or were deleted, with the positions up to which records were yielded; does
    not return.
    """
