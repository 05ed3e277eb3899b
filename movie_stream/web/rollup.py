"""Figures by genre of any range, put together of the largest windows that fit: days, hours, minutes at its edges."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Literal

from movie_stream.events.contract import MAX_TIMESTAMP_MS
from movie_stream.events.timestamps import datetime_of, timestamp_ms_of
from movie_stream.web.asking import Asker
from movie_stream.web.figures import DAY_MS, HOUR_MS, MINUTE_MS, Figures, of_sums, of_windows, span_of, sums
from movie_stream.web.hours import Hours
from movie_stream.web.problems import Problem
from movie_stream.web.ranges import TimeRange
from movie_stream.web.stored import DAYS, MINUTES

Part = tuple[Literal["minutes", "hours", "days"], int, int]
"""Which windows, from when to before when, in Unix milliseconds."""
_MOST: Final = 300_000


@dataclass(frozen=True, slots=True)
class Extent:
    """From the start of the oldest minute window to the end of the newest one."""

    start: datetime
    end: datetime


class Rollup:
    """Adds up what stands in MongoDB."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self.hours = Hours(asker)

    async def extent(self) -> Extent | None:
        """From when to when there is something; None where there is nothing yet. Raises what Asker raises."""
        return await self._asker.once("extent", self._extent)

    async def stream_time(self) -> datetime | None:
        """The end of the newest minute window: what time it is in the stream."""
        extent = await self.extent()
        return None if extent is None else extent.end

    async def bounds(self, within: TimeRange) -> tuple[int, int] | None:
        """The range in Unix milliseconds; where nothing bounds it, by what there is. None where there is nothing."""
        if within.since is None or within.until is None:
            extent = await self.extent()
            if extent is None:
                return None
            since, until = within.since or extent.start, within.until or extent.end
        else:
            since, until = within.since, within.until
        # No view is older or newer than this.
        start_ms, end_ms = max(timestamp_ms_of(since), 0), min(timestamp_ms_of(until), MAX_TIMESTAMP_MS + 1)
        return (start_ms, end_ms) if start_ms < end_ms else None

    async def rows(self, start_ms: int, end_ms: int, step_ms: int | None, slug: str | None = None) -> list[Figures]:
        """Figures of all genres, or of one; none lies across the end of a step, which is counted from 1970 on.

        Windows belong to the range if they start in it. Raises what Asker raises, and a Problem for too much.
        """
        found: list[Figures] = []
        for kind, first, last in parts(start_ms, end_ms, step_ms):
            match kind:
                case "minutes":
                    hours = await self.hours.rows("minutes", first - first % HOUR_MS, -(-last // HOUR_MS) * HOUR_MS)
                    found += [row for row in hours if first <= row.start_ms < last]
                case "hours":
                    found += await self.hours.rows("sums", first, last)
                case "days":
                    ask = partial(self._days, first, last, step_ms)
                    found += await self._asker.once(("days", first, last, step_ms), ask)
        return found if slug is None else [row for row in found if row.slug == slug]

    async def _days(self, start_ms: int, end_ms: int, step_ms: int | None) -> list[Figures]:
        wanted = {DAYS.start: {"$gte": datetime_of(start_ms), "$lt": datetime_of(end_ms)}}
        fields = [DAYS.start, DAYS.views, DAYS.average, *DAYS.fields]
        if step_ms == DAY_MS:
            documents = await self._asker.find(DAYS.collection, wanted, fields, [(DAYS.start, 1)], _MOST)
            rows = list(of_windows(documents, DAYS.start, DAYS.views, DAYS.average))
        else:
            span = {} if step_ms is None else {"b": span_of(DAYS.start, step_ms)}
            group: dict[str, Any] = {
                "_id": {"s": "$slug", **span},
                **sums(average=DAYS.average, views=DAYS.views),
            }
            pipeline = [{"$match": wanted}, {"$group": group}]
            documents = await self._asker.aggregate(DAYS.collection, pipeline, _MOST)
            rows = list(of_sums(documents))
        if len(documents) == _MOST:
            raise Problem(422, "there is too much in this range; ask for a shorter one")
        return rows

    async def _extent(self) -> Extent | None:
        start, dated = MINUTES.start, {MINUTES.start: {"$type": "date"}}
        starts = await asyncio.gather(
            *(self._asker.find(MINUTES.collection, dated, [start], [(start, direction)], 1) for direction in (1, -1))
        )
        if not all(starts):
            return None
        (oldest,), (newest,) = starts
        return Extent(oldest[start], newest[start] + timedelta(milliseconds=MINUTE_MS))


def parts(start_ms: int, end_ms: int, step_ms: int | None) -> Iterator[Part]:
    """What a range is put together of, the largest windows that lie within it and within a step; None: one step.

    >>> list(parts(30 * MINUTE_MS, 2 * HOUR_MS, HOUR_MS))
    [('minutes', 1800000, 3600000), ('hours', 3600000, 7200000)]
    """
    days = step_ms is None or step_ms % DAY_MS == 0
    for kind, length_ms, fits in (("days", DAY_MS, days), ("hours", HOUR_MS, days or (step_ms or 0) % HOUR_MS == 0)):
        first, last = -(-start_ms // length_ms) * length_ms, end_ms // length_ms * length_ms
        if fits and first < last:
            yield from parts(start_ms, first, MINUTE_MS if kind == "hours" else HOUR_MS)
            yield kind, first, last  # type: ignore[misc]
            yield from parts(last, end_ms, MINUTE_MS if kind == "hours" else HOUR_MS)
            return
    if start_ms < end_ms:
        yield "minutes", start_ms, end_ms
