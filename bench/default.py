"""The part `default`: what `movie-stream generate` makes without options, which is two days, against the dense views of
the other parts, which are hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bench.ours import fresh, work
from bench.running import Run
from bench.stream import ROWS, Records, Stream
from movie_stream.replay.synthetic.generate import SPAN
from movie_stream.replay.synthetic.synthetic_views import SyntheticViews, records

PART: Final = "default"
DENSE: Final = "dense views"
DEFAULT: Final = "views of generate"
SUBJECTS: Final = (DENSE, DEFAULT)
VIEWS: Final = 1_000_000
"""The most views, whatever the events of a run: more of `generate` would be denser, for they are of the same two days.
"""


@dataclass(frozen=True)
class Generated:
    """`events` views as `movie-stream generate` makes them without options."""

    events: int

    @property
    def kind(self) -> str:
        return f"of generate, {SPAN.days} days"

    def chunks(self) -> Iterator[Records]:
        """All records in time order, ROWS at a time."""
        for made in SyntheticViews(count=self.events).chunks(ROWS):
            yield [user.encode() for user in made.rows.user_id], made.lines(records)


def measure(run: Run) -> None:
    """Measures both in turn, round by round."""
    views = min(run.events, VIEWS)
    topics = {DENSE: run.topic(Stream(views)), DEFAULT: run.topic(Generated(views))}
    for nth in range(run.rounds):
        for subject, topic in topics.items():
            run.measure(PART, nth, subject, lambda t=topic: [counted(run, t, views)])  # type: ignore[misc]


def counted(run: Run, topic: str, views: int) -> Mapping[str, float]:
    """The figures of one worker that counts the topic. Raises PeerFailed."""
    with fresh(run.services, topic) as settings:
        return {**work(settings, views).figures(), "events": views}
