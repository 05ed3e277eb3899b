"""Record batches that were fetched and wait to be unpacked, by partition.

A chunk costs some milliseconds, however short it is. So the views of a partition that has few of them are taken
CHUNK_EVERY_S apart; the first ones after a while, and many together, at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from movie_stream.events.chunk import Records
from movie_stream.kafka.batches.unpack import FetchedBatch, take_runs

CHUNK_EVERY_S: Final = 0.05
"""A view waits for it once; a flush, for which it waits afterwards, happens less often."""
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

    def due(self, partitions: Collection[Any]) -> Any | None:
        """The one of these partitions whose batches have waited longest and are to be taken now, if there is one."""
        now_s = monotonic()
        return next((tp for tp in [*self._waiting] if tp in partitions and self._due_s(tp) <= now_s), None)

    def next_due_s(self, partitions: Collection[Any]) -> float:
        """When the next batches of these partitions are to be taken, by the monotonic clock; infinite without any."""
        return min((self._due_s(tp) for tp in self._waiting if tp in partitions), default=float("inf"))

    def _due_s(self, tp: Any) -> float:
        waiting = self._waiting.get(tp)
        if waiting is None or waiting.records > FEW_RECORDS or waiting.size > FEW_BYTES or not self._is_of_views(tp):
            return 0.0
        return self._taken_s.get(tp, 0.0) + CHUNK_EVERY_S

    def take(self, tp: Any) -> Runs:
        """Unpacks batches of a partition, as many as fit into a chunk; the others wait behind those of other
        partitions. Raises BatchRefused.
        """
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
