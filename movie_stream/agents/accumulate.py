"""The first agent: counts the views of each source partition and sends the changed rows to `movie-partials`."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from typing import ClassVar, Final

from movie_stream.agents.context import Context
from movie_stream.agents.owner import Owned, Owner
from movie_stream.agents.tally import Tally
from movie_stream.aggregates.accumulator import Accumulator, DeadLetter
from movie_stream.events.chunk import Chunk
from movie_stream.events.reasons import kind_of
from movie_stream.kafka.cluster import client
from movie_stream.kafka.produce.large_records import LARGE_BYTES
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Values
from movie_stream.tables.table import Table

logger = logging.getLogger(__name__)

LETTERS_AT_MOST: Final = 10_000
"""Dead letters of a partition that may wait for a flush."""
LETTER_BYTES_AT_MOST: Final = 32 << 20
"""Bytes of their keys and values above which the partition is paused."""
ROWS_AT_MOST: Final = 100_000
"""Rows that are new since a flush, above which the partition is paused until they are sent: where views are far apart,
each makes several, and most of them can be dropped as soon as they are sent.
"""


class Accumulate(Owner[Accumulator]):
    """Owns partitions of `movie-events`."""

    live_within: ClassVar[int] = 10_000  # some hundredths of a second's work

    def __init__(self, context: Context, topic: str) -> None:
        super().__init__(context, topic)
        self._partials_topic, topology = context.topics.partials, context.topology
        self._sources, self._targets = topology.partitions[topic], topology.partitions[self._partials_topic]
        self._topic_identity = topology.identities[topic]
        self._block_bytes = context.broker.block_bytes(self._partials_topic, self.changelog)
        self._letters: defaultdict[int, list[DeadLetter]] = defaultdict(list)
        self._letter_bytes: Counter[int] = Counter()
        self._rows: Counter[int] = Counter()  # by partition, after its last flush
        self._outbox: defaultdict[int, list[bytes]] = defaultdict(list)  # partials by target, of flushes that begin now
        self._sending: asyncio.Task[None] | None = None
        self._warned_of_misplaced = False
        self.refused: Counter[tuple[str, str]] = Counter()
        """Records refused since the start of the process, by kind ("bad", "late") and kind of the reason."""
        self.copies: Counter[str] = Counter()
        """Copies of refused records since the start of the process: those that count ("counted"), and those whose
        original is counted already, by another copy ("again").
        """

    def done(self) -> Tally:
        return Tally(events=self.applied, refused=self.refused.copy(), copies=self.copies.copy())

    def rows(self, state: Accumulator) -> int:
        return state.rows

    def export(self, values: Values) -> None:
        super().export(values)
        values.set(catalogue.EVENTS, self.applied)
        for (kind, reason), count in self.refused.items():
            values.set(catalogue.DEAD_LETTERS, count, kind, reason)
        for kind in ("bad", "late"):
            values.set(catalogue.REFUSED, sum(n for (k, _), n in self.refused.items() if k == kind), kind)
        for outcome in ("counted", "again"):
            values.set(catalogue.COPIES, self.copies[outcome], outcome)

    def forget(self, partition: int) -> None:
        super().forget(partition)
        self._letters.pop(partition, None)
        self._letter_bytes.pop(partition, None)
        self._rows.pop(partition, None)

    def take(self, partition: int, table: Table[Accumulator], oldest: int, end: int) -> int:
        self._rows[partition] = table.state.rows_of_figures
        return super().take(partition, table, oldest, end)

    def new_state(self, partition: int) -> Accumulator:
        return Accumulator(
            partition,
            self._sources,
            self._context.rules,
            self._context.run_number,
            self._context.results,
            topic=self._topic_identity,
            block_bytes=self._block_bytes,
        )

    def receive(self, owned: Owned[Accumulator], chunk: Chunk) -> None:
        state = owned.table.state
        letters = state.apply(chunk)
        self._letters[chunk.partition] += letters
        self._letter_bytes[chunk.partition] += sum(map(_size, letters))
        if chunk.partition not in self.paused and (
            self._letter_bytes[chunk.partition] > LETTER_BYTES_AT_MOST
            or state.rows_of_figures - self._rows[chunk.partition] > ROWS_AT_MOST
        ):
            self.pause(chunk.partition, True)
        self.refused.update((letter.kind, kind_of(letter.reason)) for letter in letters if letter.refused)
        self.copies.update(letter.kind for letter in letters if not letter.refused)
        if state.misplaced and not self._warned_of_misplaced:
            self._warned_of_misplaced = True
            logger.warning(
                "%s, partition %s: records are in another partition than Kafka's default partitioner (murmur2) gives "
                "their user_id; figures of users are exact only if all views of a user are in one partition: have "
                "the producer key its records by user_id and partition them by murmur2",
                *(self.topic, chunk.partition),
            )

    def missed(self, partition: int, position: int, oldest: int) -> None:
        if position:
            logger.error(
                "%s, partition %s: the records from %s to before %s were deleted before they were counted; their views "
                "are missing in all results",
                *(self.topic, partition, position, oldest),
            )
        else:
            logger.warning(
                "%s, partition %s: begins at offset %s; the older records are no longer in the topic, and do not count",
                *(self.topic, partition, oldest),
            )

    def urgent(self, partition: int) -> bool:
        return len(self._letters[partition]) > LETTERS_AT_MOST or partition in self.paused

    async def flush(self, partition: int, owned: Owned[Accumulator], checkpoint: bool) -> float:
        """Flushes a copy of the state as of one point in time, in this order:

        1. partials and dead letters, all acknowledged
        2. the checkpoint's entries
        3. its cursor, behind them in the log, acknowledged, and it counts
        4. the group's commit, see group.py
        """
        table, state = owned.table, owned.table.state
        partials = state.partials(self._targets, checkpoint)
        if checkpoint or partition in self.paused:
            state.drop_expired()  # should this flush fail, the whole state is forgotten
        self._rows[partition] = state.rows_of_figures
        letters = self._letters.pop(partition, [])
        self._letter_bytes.pop(partition, None)
        frozen = table.freeze() if checkpoint else None
        owned.flush_blocked_on = f"that the broker takes partials and dead letters ({self._partials_topic})"
        await asyncio.gather(self._send_partials(partials), self._send_letters(letters))  # 1
        partials.clear()  # the entries need the memory
        if partition in self.paused:
            self.pause(partition, False)
        if frozen is not None:
            await self._checkpoint(partition, owned, frozen)  # 2, 3, 4
        return 1.0  # at most: which rows were sent before is not known

    async def _send_partials(self, partials: list[tuple[int, bytes]]) -> None:
        """Sends them with those of the other flushes that begin at the same time: one batch for each target."""
        for target, message in partials:
            self._outbox[target].append(message)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_outbox())
            self._sending.add_done_callback(_retrieve)
        await asyncio.shield(self._sending)  # the others wait for it, too

    async def _send_outbox(self) -> None:
        outbox, self._outbox, self._sending = self._outbox, defaultdict(list), None
        await asyncio.gather(
            *(self._broker.send(self._partials_topic, target, messages) for target, messages in outbox.items())
        )

    async def _send_letters(self, letters: list[DeadLetter]) -> None:
        """Sends them in order: a large one is sent once all before it are acknowledged."""
        topic, sent = self._context.topics.dead_letters, list[asyncio.Future[object]]()
        with client.explained(self._broker.settings, f"writing to {topic}"):
            for letter in letters:
                key, value = letter.key, letter.value if letter.refused else None
                if len(key or b"") + len(value or b"") <= LARGE_BYTES:
                    sent.append(
                        await self._broker.send_record(topic, letter.partition, key, value, self._headers(letter))
                    )
                else:
                    await asyncio.gather(*sent)
                    sent.clear()
                    await self._broker.large.send_letter(letter.partition, key, value, self._headers(letter))
            await asyncio.gather(*sent)

    def _headers(self, letter: DeadLetter) -> list[tuple[str, bytes]]:
        """The headers that dead_letters/letters.py reads."""
        headers = [
            ("kind", letter.kind.encode()),
            ("reason", letter.reason.encode("utf-8", "replace")),
            ("source-topic", self.topic.encode()),
            ("source-topic-id", self._topic_identity.encode()),
            ("source-partition", str(letter.partition).encode()),
            ("source-offset", str(letter.offset).encode()),
            ("source-timestamp", str(letter.time_ms).encode()),
            ("run", str(self._context.run_number).encode()),
        ]
        if letter.original is not None:
            headers.append(("original-offset", str(letter.original).encode()))
        return headers


def _retrieve(ended: asyncio.Task[None]) -> None:
    """Marks its error as seen: whoever still waits for it gets it."""
    if not ended.cancelled():
        ended.exception()


def _size(letter: DeadLetter) -> int:
    """The size of its record's key and value, in bytes."""
    return len(letter.key or b"") + len(letter.value or b"")
