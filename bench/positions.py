"""The positions of a running worker in the topic of views, looked at many times a second in its metrics."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Final, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from bench.beside import beside
from movie_stream.metrics.catalogue import POSITION

LOOK_EVERY_S: Final = 0.02
ANSWER_WITHIN_S: Final = 5.0
_POSITION: Final = re.compile(rf'^{POSITION.name}{{partition="(\d+)",topic="([^"]+)"}} (\S+)$', re.MULTILINE)


class Look(NamedTuple):
    """What was seen at a time: the next offset to apply, by partition that the worker owned."""

    at_s: float
    """By the monotonic clock."""
    positions: Mapping[int, int]


class Positions:
    """The looks at one worker, the newest last; shared by the thread that looks and others."""

    def __init__(self, port: int, topic: str) -> None:
        self._url, self._topic = f"http://127.0.0.1:{port}/metrics", topic
        self.looks: list[Look] = []

    @property
    def now(self) -> Mapping[int, int]:
        """The newest positions; empty before the worker owns a partition."""
        return self.looks[-1].positions if self.looks else {}

    def advancing(self, partitions: Collection[int], since_s: float) -> bool:
        """Whether the worker owns these partitions, and has applied something of each since it took them, or since a
        time.
        """
        return set(partitions) <= set(self.now) and all(
            advanced(self.looks, one, since_s) is not None for one in partitions
        )

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Looks during the block, in a thread of its own; a worker that does not answer yet has no positions."""

        def look(over: threading.Event) -> None:
            while not over.wait(LOOK_EVERY_S):
                try:
                    with urlopen(self._url, timeout=ANSWER_WITHIN_S) as answer:
                        text = answer.read().decode()
                except (URLError, ConnectionError, TimeoutError):
                    continue  # it starts, or has ended
                self.looks.append(Look(time.monotonic(), positions_in(text, self._topic)))

        with beside("looks at positions", look):
            yield


def positions_in(metrics: str, topic: str) -> dict[int, int]:
    """The positions in a topic, by partition.

    >>> positions_in('movie_stream_position{partition="2",topic="views"} 300.0', "views")
    {2: 300}
    """
    return {int(partition): int(float(at)) for partition, of, at in _POSITION.findall(metrics) if of == topic}


def advances_s(looks: Sequence[Look], partition: int) -> list[float]:
    """The times at which the position of a partition was seen to be higher than before; being taken over is none.

    >>> looks = [Look(1.0, {0: 5}), Look(2.0, {0: 7}), Look(3.0, {}), Look(4.0, {0: 7}), Look(5.0, {0: 8})]
    >>> advances_s(looks, 0)
    [2.0, 5.0]
    """
    found, before = list[float](), None
    for look in looks:
        at = look.positions.get(partition)
        if at is not None:
            if before is not None and at > before:
                found.append(look.at_s)
            before = at if before is None else max(before, at)
    return found


def advanced(looks: Sequence[Look], partition: int, since_s: float) -> float | None:
    """The first time after `since_s` at which the position was seen to be higher than before; None if there is none."""
    return next((at_s for at_s in advances_s(looks, partition) if at_s > since_s), None)


def longest_standstill_s(looks: Sequence[Look], partition: int, since_s: float, until_s: float) -> float:
    """The longest time without an advance between two times, both ends included.

    >>> looks = [Look(float(t), {0: t if t < 4 else max(t, 7)}) for t in range(10)]
    >>> longest_standstill_s(looks, 0, 1.0, 9.0), longest_standstill_s(looks, 0, 7.5, 9.0)
    (4.0, 1.0)
    """
    within = [at_s for at_s in advances_s(looks, partition) if since_s < at_s <= until_s]
    times_s = [since_s, *within, until_s]
    return max(later - earlier for earlier, later in pairwise(times_s))
