"""Fetching ahead from a real broker: nothing is lost, doubled or reordered, whoever seeks, pauses and resumes when."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import OffsetResetStrategy
from faust.types import TP
from mode.utils.locks import Event

from movie_stream.aggregates.accumulator import Accumulator, OffsetGap, Rules
from movie_stream.app import create_app
from movie_stream.events.chunk import Chunk
from movie_stream.kafka.batches import headers, unpack
from movie_stream.kafka.batches.inflate import BatchDamaged
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.fetch.transport import FETCH_WITHIN_S, ChunkConsumer, ChunkThread
from movie_stream.kafka.fetch.waiting import WaitingBatches
from movie_stream.settings import Settings
from tests.support.input.odd_records import plain
from tests.support.waiting import comes_true

PARTITIONS = (0, 1, 2)
BATCHES, IN_BATCH = 6, 5
END = BATCHES * IN_BATCH
BOUNDS = {"RECORDS_AT_ONCE": IN_BATCH, "BYTES_AT_ONCE": len(plain()) * (IN_BATCH - 1)}
"""Of a chunk."""


class Thread(ChunkThread):
    """The thread that fetches, on the event loop of the test."""

    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer
        self._waiting = WaitingBatches(lambda tp: tp.topic in consumer.transport.topics_of_views)
        self._one_at_a_time = asyncio.Lock()


class Consumer(ChunkConsumer):
    """The consumer without Faust around it: it has all partitions, and its flow stops only for a seek."""

    should_stop = False
    flow_active = True

    def __init__(self, fetching: aiokafka.AIOKafkaConsumer) -> None:
        self.fetching = fetching
        self.app = SimpleNamespace(consumer_generation_id=1)
        self.transport = SimpleNamespace(topics_of_views=frozenset(), resume=self.resumed, restore=self.restored)
        self.positions = dict.fromkeys(self.assignment(), 0)
        self.lacking, self.may_restore = set[TP](), asyncio.Event()
        self.may_restore.set()
        self._next, self._ahead, self._offsets_committed, self._seeks = {}, deque(), {}, 0
        self._dropped = deque()
        self._restoring = None
        self.can_resume_flow, self.suspend_flow = Event(), Event()
        self._active_partitions, self._paused_partitions = self.assignment(), set[TP]()
        self._thread = Thread(self)

    async def resumed(self, assigned: set[TP]) -> Mapping[TP, int]:
        """The positions of the tables that are in memory."""
        assert assigned == self.assignment()
        return {tp: position for tp, position in self.positions.items() if tp not in self.lacking}

    async def restored(self, lacking: set[TP]) -> Mapping[TP, int]:
        """Where the others stand, once they are restored."""
        assert lacking == (self.lacking or self.assignment())
        await self.may_restore.wait()
        return {tp: self.positions[tp] for tp in lacking}

    def assignment(self) -> set[TP]:
        return {TP(*place) for place in self.fetching.assignment()}

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        for place, position in partitions.items():
            self.fetching.seek(TopicPartition(*place), position)

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        return dict.fromkeys(partitions, 0)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        return await self._thread._fetch_records(self.fetching, active_partitions or set(), timeout)

    async def wait(self, *coros: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109
        await self.can_resume_flow.wait()

    async def sought(self) -> None:
        """Seeks as Faust does when partitions are assigned."""
        await self.perform_seek()
        self.resume_flow()

    async def chunks(self) -> AsyncGenerator[Chunk]:
        """What the agents get."""
        while True:
            async for _, message in self.getmany(1.0):
                yield message.value


@asynccontextmanager
async def consumer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, bound: str = "RECORDS_AT_ONCE"
) -> AsyncIterator[Consumer]:
    """Of a topic with a few batches in each partition; one of them makes a whole chunk, or more than one."""
    monkeypatch.setattr(unpack, bound, BOUNDS[bound])
    await topics.ensure(settings)
    producer = await client.start_producer(settings)
    try:
        for partition in PARTITIONS:
            for number in range(BATCHES):
                batch = producer.create_batch()
                for at in range(number * IN_BATCH, (number + 1) * IN_BATCH):
                    batch.append(key=None, value=plain(number=at), timestamp=None)
                await (await producer.send_batch(batch, settings.kafka_topic, partition=partition))
    finally:
        await producer.stop()
    unpack.take_whole_batches()
    try:
        async with client.reader(settings) as fetching:
            fetching._fetcher._value_deserializer = unpack.WholeBatches()
            fetching._fetcher._default_reset_strategy = OffsetResetStrategy.EARLIEST  # as of a worker
            fetching.assign([TopicPartition(settings.kafka_topic, partition) for partition in PARTITIONS])
            opened = Consumer(fetching)
            await opened.sought()
            yield opened
            await opened._drop_ahead()
    finally:
        headers.accept_any_header_names()


def count(chunks: Iterable[Chunk]) -> dict[int, Accumulator]:
    """Applies the chunks; a hole would raise."""
    states = {partition: Accumulator(partition, len(PARTITIONS), Rules()) for partition in PARTITIONS}
    for chunk in chunks:
        assert states[chunk.partition].apply(chunk) == []
    return states


async def until_all(opened: Consumer, found: list[Chunk], ends: bool = True) -> None:
    """Takes chunks until all partitions are read to their ends, or if it never `ends`, until an error."""
    async with aclosing(opened.chunks()) as chunks:
        async for chunk in chunks:
            found.append(chunk)
            if ends and {c.partition for c in found if c.end == END} == {*PARTITIONS}:
                return


def assert_once(found: list[Chunk]) -> None:
    """Every record arrived once, in the order of the log."""
    for partition in PARTITIONS:
        of = [chunk for chunk in found if chunk.partition == partition]
        assert [offset for chunk in of for offset in chunk.offsets.tolist()] == list(range(END))
        assert [value for chunk in of for value in chunk.values] == [plain(number=at) for at in range(END)]
    assert [state.position for state in count(found).values()] == [END] * len(PARTITIONS)


@pytest.mark.parametrize("bound", BOUNDS)
async def test_all_records_come_once(settings: Settings, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    async with consumer(settings, monkeypatch, bound) as opened:
        found: list[Chunk] = []
        await until_all(opened, found)
    assert_once(found)
    most = IN_BATCH if bound == "RECORDS_AT_ONCE" else IN_BATCH - 1
    assert all(len(chunk) <= most for chunk in found)


@pytest.mark.parametrize("bound", BOUNDS)
async def test_records_fetched_ahead_are_dropped_at_a_seek_and_fetched_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    async with consumer(settings, monkeypatch, bound) as opened:
        states = {TP(settings.kafka_topic, p): Accumulator(p, len(PARTITIONS), Rules()) for p in PARTITIONS}
        for _ in range(20 * BATCHES):
            async with aclosing(opened.chunks()) as chunks:
                async for chunk in chunks:
                    if len(chunk):
                        break
            assert opened._ahead, "the next ones are being fetched"
            state = states[TP(settings.kafka_topic, chunk.partition)]
            state.apply(chunk)
            opened.positions = {place: state.position for place, state in states.items()}
            if sum(opened.positions.values()) == END * len(PARTITIONS):
                break
            await opened.sought()
            assert not opened._ahead
        assert set(opened.positions.values()) == {END}
        assert [len(state.users.names) for state in states.values()] == [END] * len(PARTITIONS), "one user a view"


@pytest.mark.parametrize("asked", ["during the seek", "after it"])
async def test_what_was_fetched_before_a_seek_is_not_handed_out_after_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Also if the flow continues, as after a rebalance that began before the seek of the last was over."""
    resumed, found = Consumer.resumed, list[Chunk]()
    async with consumer(settings, monkeypatch, "BYTES_AT_ONCE") as opened, aclosing(opened.chunks()) as chunks:
        first = await anext(chunks)  # of several that one fetch has brought
        taken: list[asyncio.Task[Chunk]] = []

        async def slowly(self: Consumer, assigned: set[TP]) -> Mapping[TP, int]:
            taken.append(asyncio.create_task(anext(chunks)))
            await asyncio.wait(taken, timeout=3 * FETCH_WITHIN_S)  # none comes, so there is nothing else to wait for
            return await resumed(self, assigned)

        if asked == "during the seek":
            monkeypatch.setattr(Consumer, "resumed", slowly)
            opened.transport.resume = opened.resumed
        await opened.sought()  # to the beginning
        found += await asyncio.gather(*taken)
        while {chunk.partition for chunk in found if chunk.end == END} != {*PARTITIONS}:
            found.append(await anext(chunks))
    assert first.start == 0
    assert_once(found)


@asynccontextmanager
async def held_up(opened: Consumer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Event]:
    """A fetch is under way in the block, as long as the event is not set."""
    fetcher, may_end = opened.fetching._fetcher, asyncio.Event()
    fetch = fetcher.fetched_records

    async def held(partitions: Any, **options: Any) -> Any:
        await may_end.wait()
        return await fetch(partitions, **options)

    monkeypatch.setattr(fetcher, "fetched_records", held)
    opened._fetch_ahead()
    await comes_true(opened._thread._one_at_a_time.locked)
    yield may_end


async def test_a_fetch_outlives_no_seek_though_the_seek_before_it_was_cut_off(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust cancels a seek when the next rebalance begins. Records that a fetch brings after a seek would be missing
    after it, since they move the position.
    """
    async with consumer(settings, monkeypatch) as opened:
        async with held_up(opened, monkeypatch) as may_end:
            cut_off = asyncio.create_task(opened.perform_seek())
            await comes_true(lambda: not opened._ahead)
            cut_off.cancel()
            await asyncio.wait([cut_off])
            seeking = asyncio.create_task(opened.sought())
            await asyncio.sleep(0)
            may_end.set()
            await seeking
        found: list[Chunk] = []
        await until_all(opened, found)
    assert_once(found)


async def test_what_a_fetch_brings_for_the_next_assignment_is_dropped(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be taken for records before the position of the assignment in which the fetch began."""
    async with consumer(settings, monkeypatch) as opened:
        async with held_up(opened, monkeypatch) as may_end:
            opened.fetching.unsubscribe()
            opened.fetching.assign([TopicPartition(settings.kafka_topic, partition) for partition in PARTITIONS])
            await opened.seek_wait(opened.positions)
            may_end.set()
            assert await opened._ahead[0] == {}
        assert not opened._thread.has_records_of(opened.assignment())
        await opened.sought()
        found: list[Chunk] = []
        await until_all(opened, found)
    assert_once(found)


async def test_a_seek_that_the_next_assignment_overtakes_hands_out_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would see its error: Faust has given it up by then, or is about to."""
    async with consumer(settings, monkeypatch) as opened, aclosing(opened.chunks()) as chunks:
        places = [TopicPartition(settings.kafka_topic, partition) for partition in PARTITIONS]
        opened.lacking = opened.assignment()

        async def overtaken(lacking: set[TP]) -> Mapping[TP, int]:
            opened.fetching.assign(places[:-1])
            return opened.positions

        opened.transport.restore = overtaken
        await opened.sought()
        first = asyncio.create_task(anext(chunks))
        await asyncio.wait([first], timeout=3 * FETCH_WITHIN_S)  # none comes, so there is nothing else to wait for
        assert not first.done()
        opened.fetching.assign(places)
        opened.lacking = set()
        await opened.sought()
        found = [await first]
        while {chunk.partition for chunk in found if chunk.end == END} != {*PARTITIONS}:
            found.append(await anext(chunks))
    assert_once(found)


async def test_a_partition_that_is_restored_holds_up_no_other_and_begins_at_its_position(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with consumer(settings, monkeypatch) as opened:
        opened.lacking, found = {TP(settings.kafka_topic, 1)}, list[Chunk]()
        opened.may_restore.clear()
        await opened.sought()
        async with aclosing(opened.chunks()) as chunks:
            while {chunk.partition for chunk in found if chunk.end == END} != {0, 2}:
                found.append(await anext(chunks))
            assert {chunk.partition for chunk in found} == {0, 2}
            opened.may_restore.set()
            while {chunk.partition for chunk in found if chunk.end == END} != {*PARTITIONS}:
                found.append(await anext(chunks))
    assert_once(found)


async def test_a_partition_that_is_restored_while_all_others_are_paused_is_counted_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For aiokafka, an empty set of partitions to fetch means all."""
    async with consumer(settings, monkeypatch) as opened:
        kept, fetcher, found = TP(settings.kafka_topic, 0), opened.fetching._fetcher, list[Chunk]()
        fetch, fetches = fetcher.fetched_records, 0

        async def paused_within(partitions: Any, **options: Any) -> Any:
            nonlocal fetches
            fetches += 1
            opened.pause_partitions([kept])
            await asyncio.sleep(options["timeout"])  # as for records of a partition that has none
            return await fetch(partitions, **options)

        opened.lacking = {TP(settings.kafka_topic, partition) for partition in (1, 2)}
        opened.may_restore.clear()
        await opened.sought()
        async with aclosing(opened.chunks()) as chunks:
            while {chunk.partition for chunk in found if chunk.end == END} != {0}:
                found.append(await anext(chunks))
            monkeypatch.setattr(fetcher, "fetched_records", paused_within)
            while fetches < 3:
                if opened._active_partitions is not None and kept not in opened._active_partitions:
                    opened.resume_partitions([kept])
                await opened._fetched()
            assert {tp.partition for tp in opened._thread._waiting._waiting} <= {0}
            monkeypatch.setattr(fetcher, "fetched_records", fetch)
            opened.may_restore.set()
            while {chunk.partition for chunk in found if chunk.end == END} != {*PARTITIONS}:
                found.append(await anext(chunks))
    assert_once(found)


async def test_what_was_fetched_before_a_damaged_batch_is_counted_before_it_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few views wait for a while: a batch of which not even the checksum is right may be found meanwhile."""
    damaged = BatchDamaged(what="its checksum is wrong", location="somewhere")
    async with consumer(settings, monkeypatch) as opened:
        opened.transport.topics_of_views = frozenset({settings.kafka_topic})
        fetcher, found, refusals = opened.fetching._fetcher, list[Chunk](), list[Any]()
        fetch, fetched = fetcher.fetched_records, set[int]()

        async def damaged_at_the_end(partitions: Any, **options: Any) -> Any:
            if fetched == {*PARTITIONS}:
                raise damaged
            records = await fetch(partitions, **options)
            fetched.update(tp.partition for tp in records if records[tp])
            return records

        async def refuse(error: BatchDamaged, given: Mapping[TP, int]) -> None:
            refusals.append((error, given))

        opened.transport.refuse = refuse
        monkeypatch.setattr(fetcher, "fetched_records", damaged_at_the_end)
        await opened.sought()
        with pytest.raises(BatchDamaged, match="its checksum is wrong"):
            await until_all(opened, found, ends=False)
    assert_once(found)
    assert refusals == [(damaged, {TP(settings.kafka_topic, partition): END for partition in PARTITIONS})]


async def test_a_rebalance_ends_the_restoring(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with consumer(settings, monkeypatch) as opened:
        opened.lacking = {TP(settings.kafka_topic, 1)}
        opened.may_restore.clear()
        await opened.sought()
        restoring = opened._restoring
        assert restoring is not None
        opened.lacking = set()
        await opened.sought()
        await asyncio.wait([restoring])
        assert restoring.cancelled()
        opened.resume_partitions(opened.assignment())  # as Faust does before the seek
        found: list[Chunk] = []
        await until_all(opened, found)
    assert_once(found)


async def test_a_chunk_that_was_passed_over_is_noticed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with consumer(settings, monkeypatch) as opened:
        found: list[Chunk] = []
        await until_all(opened, found)
    of = [chunk for chunk in found if chunk.partition == 0 and len(chunk)]
    with pytest.raises(OffsetGap, match=f"expected offset {of[0].end} of partition 0, got {of[2].start}"):
        count([of[0], of[2]])


async def test_a_paused_partition_brings_nothing_until_it_is_resumed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with consumer(settings, monkeypatch) as opened, aclosing(opened.chunks()) as chunks:
        found: list[Chunk] = []
        async for chunk in chunks:
            found.append(chunk)
            if chunk.partition == 0 and len(chunk):
                break
        opened.pause_partitions([TP(settings.kafka_topic, 0)])
        before = len(found)
        async for chunk in chunks:
            found.append(chunk)
            if {c.partition for c in found if c.end == END} >= {1, 2}:
                break
        late = [chunk for chunk in found[before:] if chunk.partition == 0 and len(chunk)]
        assert len(late) <= 1, "but for what was on its way already"
        opened.resume_partitions([TP(settings.kafka_topic, 0)])
        if {c.partition for c in found if c.end == END} != {*PARTITIONS}:
            async for chunk in chunks:
                found.append(chunk)
                if chunk.partition == 0 and chunk.end == END:
                    break
    assert_once(found)


async def test_a_partition_that_is_resumed_while_others_are_fetched_loses_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with consumer(settings, monkeypatch) as opened:
        places, fetcher = [TP(settings.kafka_topic, partition) for partition in (0, 2)], opened.fetching._fetcher
        fetch = fetcher.fetched_records

        async def resumed_within(partitions: Any, **options: Any) -> Any:
            fetched = await fetch(partitions, **options)
            opened.resume_partitions(places)
            return fetched

        found: list[Chunk] = []
        async with aclosing(opened.chunks()) as chunks:
            async for chunk in chunks:
                found.append(chunk)
                if {c.partition for c in found if len(c)} >= {0, 2} and fetcher.fetched_records != resumed_within:
                    opened.pause_partitions(places)
                    monkeypatch.setattr(fetcher, "fetched_records", resumed_within)
                if {c.partition for c in found if c.end == END} == {*PARTITIONS}:
                    break
    assert_once(found)


async def test_a_commit_that_failed_is_made_again(settings: Settings) -> None:
    """Faust notes what it was to commit as committed whether it was or not."""
    place, told = TP(settings.kafka_topic, 0), list[Mapping[TP, int]]()
    answers = iter([False, True])

    class OnceRefusing(ChunkConsumer):
        """Without a thread, and so without a broker."""

        def _new_consumer_thread(self) -> Any:
            return SimpleNamespace(commit=self.answered, beacon=None)

        async def answered(self, offsets: Mapping[TP, int]) -> bool:
            told.append(offsets)
            return next(answers)

        def assignment(self) -> set[TP]:
            return {place}

    async def never(*_: Any) -> None:
        raise AssertionError("nothing comes")

    transport = create_app(settings).transport
    transport.finished = lambda: {place: 7}
    faust_consumer = OnceRefusing(transport, never, never, never, loop=asyncio.get_running_loop())
    try:
        for _ in range(3):
            await faust_consumer.commit()
        assert told == [{place: 7}, {place: 7}]
    finally:
        headers.accept_any_header_names()
