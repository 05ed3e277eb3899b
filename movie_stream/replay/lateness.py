"""Finds, before any view is sent, those that would be late relative to what the topic already holds.

The workers' own rule decides (`Rules.oldest_in_time`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.aggregates.accumulator import Rules
from movie_stream.columnar.murmur2 import partitions_of_spans
from movie_stream.columnar.spans import Spans
from movie_stream.console.words import number_of
from movie_stream.errors import MovieStreamError
from movie_stream.replay.order.plan import Plan
from movie_stream.replay.order.survey import Ends, Survey
from movie_stream.replay.records.replay_input import ReplayInput
from movie_stream.settings import format_duration

MOVE: Final = "move them with --shift-to now"
ELSEWHERE: Final = "send them to another topic (KAFKA_TOPIC), or raise ALLOWED_LATENESS and run: movie-stream rebuild"
"""Remedies."""
REFUSED_FROM: Final = 0.01
"""At this share of late views or more, nothing is sent unless the user insists."""
INSIST: Final = "--late-anyway"
_ALWAYS_IN_TIME: Final = np.iinfo(np.int64).min


class LateViews(MovieStreamError):
    """Workers would refuse views as late; `what` is their source, `remedy` how to have them counted.

    What to do: move the views to a later time, send them first, or insist.

    >>> print(LateViews(
    ...     what="a.csv",
    ...     late=Late(7, 9, 0, 1_730_385_000_000, "views", 86_400_000),
    ...     remedy="move them with --shift-to"
    ... ))
    a.csv: 7 of the 9 views would be late, and not count: partition 0 of the topic views has views up to 2024-10-31 \
14:30:00 UTC, and ALLOWED_LATENESS is 24h; move them with --shift-to; --late-anyway sends them all the same
    """

    def __init__(self, *, what: object, late: Late, remedy: str) -> None:
        super().__init__(f"{what}: {late}; {remedy}; {INSIST} sends them all the same")


@dataclass(frozen=True, slots=True)
class Late:
    """How many views would be late, and why."""

    views: int
    of: int
    partition: int
    """The partition with the newest view of the topic."""
    newest_ms: int
    topic: str
    allowed_ms: int

    @property
    def is_much(self) -> bool:
        """Whether there are too many to send without `late_anyway`."""
        return self.views >= REFUSED_FROM * self.of

    def __str__(self) -> str:
        all_views = number_of(self.of, "view")
        which = f"{self.views:,} of the {all_views}"
        if self.views == self.of:
            which = f"the {all_views}" if self.of == 1 else f"all {all_views}"
        newest = datetime.fromtimestamp(self.newest_ms / 1_000, UTC)
        allowed = format_duration(timedelta(milliseconds=self.allowed_ms))
        return (
            f"{which} would be late, and not count: partition {self.partition} of the topic {self.topic} has "
            f"views up to {newest:%Y-%m-%d %H:%M:%S} UTC, and ALLOWED_LATENESS is {allowed}"
        )


class Lateness:
    """Counts how many of the views passed to `add` would be late.

    `newest_ms` maps a partition to its newest view, if it has one. `sent` is the number of views that an earlier run
    sent to each partition. Those are not judged a second time. The topic's newest view, if it may be one of them (up to
    `own_newest_ms`), makes no other view late.

    >>> late = Lateness("views", Rules(allowed_lateness_ms=60_000), 1, {0: 100_000})
    >>> late.add([b"ana"] * 3, np.array([30_000, 39_999, 40_000]))
    >>> late.found.views, late.found.of
    (2, 3)
    """

    def __init__(
        self,
        topic: str,
        rules: Rules,
        partitions: int,
        newest_ms: Mapping[int, int],
        *,
        sent: Sequence[int] = (),
        own_newest_ms: int = -1,
    ) -> None:
        self._topic, self._rules, self._partitions = topic, rules, partitions
        self._newest_ms = {partition: at for partition, at in newest_ms.items() if not sent or at > own_newest_ms}
        self._sent = np.array(sent or [0] * partitions, np.int64)
        self._oldest_ms = np.full(partitions, _ALWAYS_IN_TIME)
        """The oldest timestamp that is not late, by partition."""
        for partition, at in self._newest_ms.items():
            self._oldest_ms[partition] = rules.oldest_in_time(at)
        self._views, self._late = np.zeros(partitions, np.int64), np.zeros(partitions, np.int64)

    @property
    def until_ms(self) -> int:
        """From this timestamp on, no view is late in any partition."""
        return int(self._oldest_ms.max())

    def possible(self, oldest_ms: int | None) -> bool:
        """Whether any view can be late, given the timestamp of the oldest."""
        return oldest_ms is not None and oldest_ms < self.until_ms

    def add(self, keys: Sequence[bytes] | Spans, times_ms: NDArray[np.int64]) -> None:
        """Judges more views."""
        if not len(keys):
            return
        partitions = partitions_of_spans(keys if isinstance(keys, Spans) else Spans.of(keys), self._partitions)
        late = times_ms < self._oldest_ms[partitions]
        self._views += np.bincount(partitions, minlength=self._partitions)
        self._late += np.bincount(partitions[late], minlength=self._partitions)

    @property
    def found(self) -> Late | None:
        """The late views so far; None if there are none."""
        late = int(np.maximum(self._late - self._sent, 0).sum())  # the oldest were sent first
        if not late:
            return None
        partition = max(self._newest_ms, key=lambda number: (self._newest_ms[number], -number))
        left = int(np.maximum(self._views - self._sent, 0).sum())
        return Late(late, left, partition, self._newest_ms[partition], self._topic, self._rules.allowed_lateness_ms)


def judged(
    views: ReplayInput, plan: Plan, survey: Survey, tolerance_ms: int | None, lateness: Lateness
) -> Iterator[None]:
    """Judges the views that a plan selects, one chunk per step."""
    until_ms: int | None = None
    if plan.limit is not None and survey.sorts:
        ends = Ends(plan.limit, sort=True)
        for chunk in views.chunks(tolerance_ms, survey.lines):
            ends.add(chunk.timestamp_ms)
            yield
        until_ms = ends.newest_ms
    left = plan.limit
    for chunk in views.chunks(tolerance_ms, survey.lines):
        if until_ms is not None:
            chunk = chunk.where(np.flatnonzero(chunk.timestamp_ms <= until_ms))
        elif left is not None:
            chunk = chunk.where(slice(0, left))
            left -= len(chunk)
        lateness.add(chunk.keys, chunk.timestamp_ms)
        yield
