"""Hours by genre, which no result has: added up from minutes once, and kept for as long as that is still right.

Whether it is, `hourly_metrics` tells, of which there is one small document an hour. Within a run counts of views only
grow, in the minutes and in the hour: if both are of one run and agree, either has all that the other has, and so it was
added up from the last word. While another run takes over, the minutes and the hour can be of different ones.
"""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from movie_stream.events.timestamps import datetime_of, timestamp_ms_of
from movie_stream.web.asking import Asker
from movie_stream.web.figures import EXTREMES, HOUR_MS, Figures, of_sums, of_windows, span_of, sums
from movie_stream.web.problems import Problem
from movie_stream.web.stored import HOURS, MINUTES, RUN

Kind = Literal["minutes", "sums"]

MOST_HOURS: Final = 1_000
_MOST_ROWS: Final = 60_000
"""Rows that are kept of each kind, where an hour counts as one more: some 10 MB."""
_MOST_ASKED: Final = 300_000
"""Rows that one query may bring."""
_FIRST_PATIENCE_S: Final = 0.2
_LONGEST_PATIENCE_S: Final = 30.0
_FIELDS: Final = [MINUTES.start, MINUTES.views, MINUTES.average, *MINUTES.fields, RUN]
_GROUP: Final[dict[str, Any]] = {
    "_id": {"s": "$slug", "b": span_of(MINUTES.start, HOUR_MS)},
    **sums(average=MINUTES.average, views=MINUTES.views),
    **EXTREMES,
    "runs": {"$addToSet": {"$ifNull": [f"${RUN}", None]}},
}

_Said = tuple[int, int | None]
"""What hourly_metrics says of an hour: its views, and the run that counted them."""
_NOTHING: Final[_Said] = 0, None


@dataclass(slots=True)
class _Hour:
    """The rows of one hour, and the runs that counted them."""

    rows: list[Figures] = field(default_factory=list)
    runs: set[int | None] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def views(self) -> int:
        """The views of all its rows."""
        return sum(row.views for row in self.rows)

    def agrees(self, said: _Said) -> bool:
        """Whether it is all that hourly_metrics has counted, and counted by the same run."""
        views, run = said
        return self.views == views and self.runs <= {run}


@dataclass(frozen=True, slots=True)
class _Kept:
    rows: Sequence[Figures]
    said: _Said
    views: int
    agrees: bool
    asked: float
    patience_s: float
    changes: int

    def is_right(self, said: _Said, changes: int) -> bool:
        """Whether it can be given again, where hourly_metrics now says this.

        Where the two disagree, one of them is about to be written, and it is asked again; less and less often where
        nothing comes of that, as in a database that is not a worker's.
        """
        if self.said != said:
            return False
        return self.agrees or (self.changes == changes and time.monotonic() - self.asked < self.patience_s)


class Hours:
    """The rows of whole hours, minute by minute or added up, by the hour's start in Unix milliseconds."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._kept: dict[Kind, OrderedDict[int, _Kept]] = {"minutes": OrderedDict(), "sums": OrderedDict()}
        self._rows: dict[Kind, int] = {"minutes": 0, "sums": 0}

    async def rows(self, kind: Kind, start_ms: int, end_ms: int) -> list[Figures]:
        """The rows of all hours from one to before another, MOST_HOURS at most. Raises what Asker raises."""
        hours = range(start_ms, end_ms, HOUR_MS)
        assert len(hours) <= MOST_HOURS, "longer ranges are made of days"
        said = await self._asker.once(("hours", start_ms, end_ms), lambda: self._said(start_ms, end_ms))
        kept, changes = self._kept[kind], self._asker.changes
        found: dict[int, Sequence[Figures]] = {}
        missing = []
        for hour in hours:
            known = kept.get(hour)
            if known is not None and known.is_right(said.get(hour, _NOTHING), changes):
                kept.move_to_end(hour)
                found[hour] = known.rows
            else:
                missing.append(hour)
        for first, last in _runs(missing):
            asked = await self._asker.once((kind, first, last), partial(self._ask, kind, first, last))
            for hour in range(first, last + HOUR_MS, HOUR_MS):
                counted = asked.get(hour, _Hour())
                found[hour] = counted.rows
                self._keep(kind, hour, counted, said.get(hour, _NOTHING), changes)
        return [row for hour in hours for row in found[hour]]

    async def _said(self, start_ms: int, end_ms: int) -> dict[int, _Said]:
        wanted = {HOURS.start: {"$gte": datetime_of(start_ms), "$lt": datetime_of(end_ms)}}
        fields = [HOURS.start, HOURS.views, RUN]
        documents = await self._asker.find(HOURS.collection, wanted, fields, [(HOURS.start, 1)], MOST_HOURS)
        return {
            timestamp_ms_of(document[HOURS.start]): (int(document.get(HOURS.views) or 0), document.get(RUN))
            for document in documents
        }

    async def _ask(self, kind: Kind, first: int, last: int) -> dict[int, _Hour]:
        collection, start = MINUTES.collection, MINUTES.start
        wanted = {start: {"$gte": datetime_of(first), "$lt": datetime_of(last + HOUR_MS)}}
        if kind == "minutes":
            documents = await self._asker.find(collection, wanted, _FIELDS, [(start, 1)], _MOST_ASKED)
            rows: Iterable[Figures] = of_windows(documents, start, MINUTES.views, MINUTES.average)
        else:
            documents = await self._asker.aggregate(collection, [{"$match": wanted}, {"$group": _GROUP}], _MOST_ASKED)
            rows = of_sums(documents)
        if len(documents) == _MOST_ASKED:
            raise Problem(422, "there is too much in this range; ask for a shorter one")
        hours: dict[int, _Hour] = defaultdict(_Hour)
        for row in rows:
            hours[row.start_ms - row.start_ms % HOUR_MS].rows.append(row)
        for document in documents:
            if kind == "minutes":
                start_ms = timestamp_ms_of(document[start])
                hours[start_ms - start_ms % HOUR_MS].runs.add(document.get(RUN))
            else:
                hours[int(document["_id"]["b"])].runs.update(document["runs"])
        return dict(hours)

    def _keep(self, kind: Kind, hour: int, counted: _Hour, said: _Said, changes: int) -> None:
        kept, rows, views, agrees = self._kept[kind], counted.rows, counted.views, counted.agrees(said)
        before = kept.pop(hour, None)
        same = before is not None and (before.views, before.said, before.agrees) == (views, said, agrees)
        patience_s = min(before.patience_s * 2, _LONGEST_PATIENCE_S) if before and same else _FIRST_PATIENCE_S
        kept[hour] = _Kept(rows, said, views, agrees, time.monotonic(), patience_s, changes)
        self._rows[kind] += _weight(kept[hour]) - (_weight(before) if before else 0)
        while self._rows[kind] > _MOST_ROWS and len(kept) > 1:
            self._rows[kind] -= _weight(kept.popitem(last=False)[1])


def _weight(kept: _Kept) -> int:
    """What it counts of the rows that may be kept: an hour without any takes room too."""
    return len(kept.rows) + 1


def _runs(hours: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of those that follow each other; of many runs one, since each is a query.

    >>> _runs([0, 3_600_000, 10_800_000])
    [(0, 3600000), (10800000, 10800000)]
    """
    runs: list[tuple[int, int]] = []
    for hour in hours:
        if runs and runs[-1][1] + HOUR_MS == hour:
            runs[-1] = runs[-1][0], hour
        else:
            runs.append((hour, hour))
    return runs if len(runs) <= 4 else [(runs[0][0], runs[-1][1])]
