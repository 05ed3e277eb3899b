"""Record batches that were fetched and wait to be unpacked, by partition.

A chunk costs some milliseconds, however short it is, and so does the flush that follows it. So the views of partitions
that have few of them are taken CHUNK_EVERY_S apart, those of all partitions together; the first ones after a while, and
many of one partition, at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from movie_stream.events.chunk import Records
from movie_stream.kafka.batches.inflate import BatchRefused
from movie_stream.kafka.batches.unpack import FetchedBatch, take_runs

CHUNK_EVERY_S: Final = 0.1
"""A view waits for half of it on average; a flush then follows at once."""
FEW_RECORDS: Final = 4_000
FEW_BYTES: Final = 1 << 18
"""Of a partition with more than these, the views are taken at once."""

Runs = tuple[int | None, int, list[Records]]
"""The position before records (None without any), the one after them, and the records."""


@dataclass(slots=True)
class _Waiting:
    batches: deque[FetchedBatch]
    end: int
    """The position after the batches."""
    records: int
    size: int
    """In bytes, as received."""


class WaitingBatches:
    """The batches of all partitions, of one thread; `due` may be called in any."""

    def __init__(self, is_of_views: Callable[[Any], bool]) -> None:
        """`is_of_views` says whether the records of a partition are views."""
        self._is_of_views = is_of_views
        self._waiting: dict[Any, _Waiting] = {}  # those that have waited longest come first
        self._taken_s: dict[Any, float] = {}
        self.refused: BatchRefused | None = None
        """Why a batch behind those that wait cannot be unpacked."""

    def __contains__(self, tp: Any) -> bool:
        return tp in self._waiting

    def add(self, tp: Any, batches: Iterable[FetchedBatch], end: int) -> None:
        """Adds batches behind those that wait already; `end` is the position after them."""
        more = list(batches)
        waiting = self._waiting.setdefault(tp, _Waiting(deque(), end, 0, 0))
        waiting.batches.extend(more)
        waiting.end = end
        waiting.records += sum(batch.records for batch in more)
        waiting.size += sum(len(batch.data) for batch in more)

    def due(self, partitions: Collection[Any]) -> list[Any]:
        """Those of these partitions whose batches are to be taken now: the one whose batches have waited longest; and
        if it has few records, all others with few that are due. Those of views come along up to half an interval early.
        If a batch was refused, all of them.
        """
        now_s = monotonic()
        waiting = [tp for tp in [*self._waiting] if tp in partitions]
        if self.refused:
            return waiting
        first = next((tp for tp in waiting if self._due_s(tp) <= now_s), None)
        if first is None:
            return []
        if not self._has_few(first):
            return [first]
        soon_s = now_s + (CHUNK_EVERY_S / 2 if self._is_of_views(first) else 0.0)
        return [tp for tp in waiting if tp == first or (self._has_few(tp) and self._due_s(tp) <= soon_s)]

    def next_due_s(self, partitions: Collection[Any]) -> float:
        """When the next batches of these partitions are to be taken, by the monotonic clock; infinite without any."""
        return min((self._due_s(tp) for tp in self._waiting if tp in partitions), default=float("inf"))

    def _due_s(self, tp: Any) -> float:
        if not self._is_of_views(tp) or not self._has_few(tp):
            return 0.0
        return self._taken_s.get(tp, 0.0) + CHUNK_EVERY_S

    def _has_few(self, tp: Any) -> bool:
        waiting = self._waiting.get(tp)
        return waiting is not None and waiting.records <= FEW_RECORDS and waiting.size <= FEW_BYTES

    def take_due(self, partitions: Collection[Any]) -> dict[Any, Runs]:
        """Unpacks the batches of these partitions that are due, of each as many as fit into a chunk; the others wait
        behind those of other partitions.

        Raises BatchRefused once all that waited before the batch, of any partition, was taken.
        """
        taken: dict[Any, Runs] = {}
        while not taken and (due := self.due(partitions)):
            for tp in due:
                try:
                    taken[tp] = self._take(tp)
                except BatchRefused as error:
                    self.refuse(error)
        if self.refused and not taken and not self._waiting:
            raise self.refused
        return taken

    def refuse(self, error: BatchRefused) -> None:
        """Notes that the batch behind those that wait cannot be unpacked. Nothing may be added any more."""
        self.refused = self.refused or error

    def _take(self, tp: Any) -> Runs:
        """Raises BatchRefused; nothing of the partition waits then."""
        waiting = self._waiting.pop(tp)
        begin, end = waiting.batches[0].begin, waiting.end
        self._taken_s[tp] = monotonic()
        found = take_runs(waiting.batches, of_views=self._is_of_views(tp))
        if waiting.batches:
            end = waiting.batches[0].begin
            self.add(tp, waiting.batches, waiting.end)
        return begin, end, found

    def clear(self) -> None:
        """Drops all batches; only while nothing is being fetched."""
        self._waiting.clear()
        self.refused = None
