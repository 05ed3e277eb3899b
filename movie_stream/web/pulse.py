"""How fast the workers are, and how far behind: looked at once a second, for as long as somebody asks."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Final

from movie_stream.errors import MovieStreamError
from movie_stream.web.asking import Asker
from movie_stream.web.fleet import Worker, workers
from movie_stream.web.problems import Problem

_EVERY_S: Final = 1.0
_WANTED_FOR_S: Final = 60.0
"""For how long it goes on after somebody has asked."""
_SAMPLES: Final = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """The workers at one moment; None for what no running one says."""

    workers: int
    events_per_s: float | None
    lag: int | None
    delay_ms: float | None


NOBODY: Final = Sample(0, None, None, None)


class Pulse:
    """Samples of the last minute, newest last."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._samples: deque[Sample] = deque(maxlen=_SAMPLES)
        self._rates = Rates()
        self._wanted_until = 0.0
        self._task: asyncio.Task[None] | None = None

    async def samples(self) -> Sequence[Sample]:
        """What is known now; looking goes on from here for a minute. Raises what Asker raises."""
        self._wanted_until = time.monotonic() + _WANTED_FOR_S
        if self._task is None or self._task.done():
            fleet = await workers(self._asker)
            if self._task is None or self._task.done():  # nobody else has begun meanwhile
                self._samples.clear()
                self._look(fleet)
                self._task = asyncio.create_task(self._go_on())
        return tuple(self._samples)

    async def end(self) -> None:
        """Looks no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _go_on(self) -> None:
        while time.monotonic() < self._wanted_until:
            await asyncio.sleep(_EVERY_S)
            try:
                self._look(await workers(self._asker))
            except (MovieStreamError, Problem):  # who asks is told by the query that is asked for it
                self._samples.append(NOBODY)

    def _look(self, fleet: Iterable[Worker]) -> None:
        self._samples.append(sample_of(fleet, self._rates))


class Rates:
    """Events a second of each worker, by its last two heartbeats that differ."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[datetime, int, float | None]] = {}

    def rate(self, worker: Worker) -> float | None:
        """Events a second; None where it does not say, or has said only once."""
        seen, events = worker.said.get("seen"), worker.said.get("events")
        if not isinstance(seen, datetime) or not isinstance(events, int):
            return None
        before, counted, rate = self._last.get(worker.id, (seen, events, None))
        passed_s = (seen - before).total_seconds()
        if passed_s > 0:
            rate = max(events - counted, 0) / passed_s
        self._last[worker.id] = seen, events, rate
        return rate

    def keep(self, ids: set[str]) -> None:
        """Forgets all workers but these."""
        self._last = {id_: last for id_, last in self._last.items() if id_ in ids}


def sample_of(fleet: Iterable[Worker], rates: Rates) -> Sample:
    """The workers that are not silent, taken together."""
    heard = [worker for worker in fleet if not worker.silent]
    rates.keep({worker.id for worker in heard})
    speeds = [speed for worker in heard if (speed := rates.rate(worker)) is not None]
    lags = [worker.lag for worker in heard if worker.lag is not None]
    delays = [delay for worker in heard if isinstance(delay := worker.said.get("delay_ms"), int | float)]
    return Sample(
        len(heard),
        sum(speeds) if speeds else None,
        sum(lags) if lags else None,
        fmean(delays) if delays else None,
    )
