"""The first pass over views, before any is sent: their order, their time range, and how far they are shifted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from movie_stream.errors import FileRefused, InputError, UsageError
from movie_stream.events.time_range import EVER
from movie_stream.replay.files.csv_cells import EPOCH
from movie_stream.replay.files.csv_rows import RefusedRow
from movie_stream.replay.order.plan import Plan
from movie_stream.replay.order.time_order import FarOff, TimeSurvey
from movie_stream.replay.records.replay_input import ReplayInput


class Survey:
    """Surveys the views of a plan: exhaust `look`, and the views will be shifted as planned.

    `look` raises UsageError if all of them would be shifted to times that no view may have.
    """

    def __init__(self, views: ReplayInput, plan: Plan, future_tolerance_ms: int) -> None:
        views.between = plan.between
        self._views, self._plan, self._tolerance_ms = views, plan, future_tolerance_ms
        self._times = TimeSurvey()
        self.lines = 0
        """The number of physical lines at the time of the survey."""

    def look(self) -> Iterator[None]:
        """Goes through all views, one chunk per step."""
        latest_ms = None if self._plan.shifts else self._views.now_ms + self._tolerance_ms
        for times_ms, lines in self._views.times():
            possible = times_ms > 0  # other rows will be refused
            if latest_ms is not None:
                possible &= times_ms <= latest_ms
            self._times.add(times_ms[possible], lines[possible])
            yield
        self.lines = self._views.line
        if self._plan.shifts:
            ends = Ends(self._plan.limit, sort=self.sorts)
            for chunk in self._views.chunks(None, self.lines):  # good rows only: a row that is not sent is no anchor
                ends.add(chunk.timestamp_ms)
                yield
            self._views.shift_ms = self._plan.shift_ms(ends.oldest_ms, ends.newest_ms, self._views.now_ms)
            self._check_shift(ends)

    def _check_shift(self, ends: Ends) -> None:
        """Raises UsageError if all views would be refused because they are shifted too far."""
        to_ms, shift_ms = self._plan.shift_to_ms, self._views.shift_ms
        if to_ms is None or ends.oldest_ms is None or ends.newest_ms is None:
            return
        latest_ms = self._views.now_ms + self._tolerance_ms
        if ends.newest_ms + shift_ms <= 0 or ends.oldest_ms + shift_ms > latest_ms:
            to = EPOCH + timedelta(milliseconds=to_ms)
            raise UsageError(
                argument="--shift-to",
                expected="a time after 1970-01-01, and ahead of now by no more than FUTURE_TOLERANCE",
                got=f"{to:%Y-%m-%d %H:%M:%S}",
                remedy="workers would refuse all of the views",
            )

    @property
    def sorts(self) -> bool:
        """Whether the views must be sorted."""
        return self._plan.sort and not self._times.in_order

    @property
    def oldest_ms(self) -> int | None:
        """The time of the oldest view, including the present shift; None if there is none."""
        oldest_ms = self._times.oldest_ms
        return None if oldest_ms is None else oldest_ms + self._views.shift_ms

    @property
    def newest_ms(self) -> int:
        """The time of the newest view."""
        return self._times.newest_ms + self._views.shift_ms

    @property
    def rows(self) -> int:
        """How many views there are if all rows are good."""
        return self._times.rows

    @property
    def round_ms(self) -> int:
        """How much later the next round of a loop begins, without a pause."""
        return self._times.round_ms

    def elapsed(self, timestamp_ms: int) -> tuple[int, int]:
        """The time (ms) from the first view to this timestamp, and from the first view to the last."""
        first_ms = self.oldest_ms or 0
        span_ms = max(self.newest_ms - first_ms, 1)
        return min(max(timestamp_ms - first_ms, 0), span_ms), span_ms

    def far_off(self) -> FarOff | None:
        """The rows that lie far off the rest."""
        return self._times.far_off()


class Ends:
    """The times of the oldest and the newest of the first `limit` views, by time or in the order of the file.

    >>> ends = Ends(limit=2, sort=True)
    >>> ends.add(np.array([5, 9])); ends.add(np.array([1]))
    >>> ends.oldest_ms, ends.newest_ms
    (1, 5)
    """

    def __init__(self, limit: int | None, *, sort: bool) -> None:
        self._limit, self._sort = limit, sort
        self._kept: NDArray[np.int64] = np.empty(0, np.int64)
        self._came = 0

    def add(self, times_ms: NDArray[np.int64]) -> None:
        """Adds the next views."""
        if self._limit is not None and not self._sort:
            times_ms = times_ms[: max(self._limit - self._came, 0)]
        self._came += len(times_ms)
        both = np.concatenate([self._kept, times_ms])
        if self._limit is None or not self._sort:
            self._kept = np.array([both.min(), both.max()]) if len(both) else both
        else:
            self._kept = np.sort(both)[: self._limit]

    @property
    def oldest_ms(self) -> int | None:
        """The time of the oldest view; None if there is none."""
        return int(self._kept.min()) if len(self._kept) else None

    @property
    def newest_ms(self) -> int | None:
        """The time of the newest view; None if there is none."""
        return int(self._kept.max()) if len(self._kept) else None


def nothing_usable(views: ReplayInput, refused: int, first: RefusedRow | None) -> InputError:
    """The error if nothing is left to send, given the number of refused rows and the first of them."""
    if first is None:
        where = "below the header" if views.between == EVER else "between --start and --end"
        return InputError(path=views.path, expected=f"at least one view {where}", got="none")
    which = "its 1 row cannot" if refused == 1 else f"none of the {refused:,} rows can"
    why = f"{which} be used; line {first.line}: {first.reason}"
    return FileRefused(path=views.path, why=why, remedy="correct the file")
