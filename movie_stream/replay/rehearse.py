"""A dry run of a replay: what it would send, found without a broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from movie_stream.events.event import View
from movie_stream.events.reasons import kind_of
from movie_stream.replay.files.csv_rows import RefusedRow
from movie_stream.replay.lateness import Late, Lateness, judged
from movie_stream.replay.order.plan import Plan
from movie_stream.replay.order.sorted_runs import in_time_order, in_turn
from movie_stream.replay.order.survey import Ends, Survey, nothing_usable
from movie_stream.replay.order.time_order import FarOff
from movie_stream.replay.records.csv_records import ViewChunk
from movie_stream.replay.records.replay_input import ReplayInput


@dataclass(slots=True)
class Rehearsal:
    """What would be sent."""

    views: int = 0
    first: list[View] = field(default_factory=list)
    oldest_ms: int = 0
    newest_ms: int = 0
    refused: int = 0
    """Rows."""
    first_refused: RefusedRow | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    """The number of refused rows by kind of reason."""
    mended: dict[str, int] = field(default_factory=dict)
    """The repairs that would be made, and how often."""
    far_off: FarOff | None = None
    sorted: bool = False
    """Whether the file must be sorted."""
    late: Late | None = None
    """The views that workers would refuse as late, relative to what the topic holds."""

    def refuse(self, rows: Sequence[RefusedRow]) -> None:
        """Counts refused rows."""
        self.refused += len(rows)
        if rows:
            self.first_refused = self.first_refused or rows[0]
        self.reasons.update(kind_of(row.reason) for row in rows)


def rehearse(
    views: ReplayInput,
    plan: Plan,
    future_tolerance_ms: int,
    examples: int,
    on_progress: Callable[[str, int, int], None],
    lateness: Lateness | None = None,
) -> Rehearsal:
    """Goes through all views; `on_progress` is called with the step, the amount done, and the total.

    `lateness`, if given, compares them with what the topic holds.

    Raises InputError if nothing would be sent.
    """
    survey = Survey(views, plan, future_tolerance_ms)
    for _ in survey.look():
        on_progress("checking", views.position, views.size)
    done = Rehearsal(far_off=survey.far_off(), sorted=survey.sorts)
    ends = Ends(plan.limit, sort=survey.sorts)
    done.refuse(views.refused)
    first = ViewChunk.nothing()
    ahead_ms = None if plan.live else future_tolerance_ms
    for chunk in views.chunks(ahead_ms):
        done.refuse(chunk.refused)
        if len(chunk):
            ends.add(chunk.timestamp_ms)
            done.views += len(chunk)
            if done.sorted or len(first) < examples:
                both = in_time_order([first, chunk]) if done.sorted else in_turn([first, chunk])
                first = both.where(slice(0, examples))
        on_progress("rehearsing", views.position, views.size)
    if plan.limit is not None:
        done.views = min(done.views, plan.limit)
    if not done.views:
        raise nothing_usable(views, done.refused, done.first_refused)
    done.oldest_ms, done.newest_ms = ends.oldest_ms or 0, ends.newest_ms or 0
    decode = msgspec.json.Decoder(View).decode
    done.first, done.mended = [decode(value or b"") for value in first.values[: done.views]], dict(views.mended)
    if lateness and lateness.possible(done.oldest_ms):
        for _ in judged(views, plan, survey, ahead_ms, lateness):
            on_progress("comparing", views.position, views.size)
        done.late = lateness.found
    return done
