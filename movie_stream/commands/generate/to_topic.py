"""Sends made-up views to the topic."""

from __future__ import annotations

import asyncio
import signal
import time

from movie_stream.commands.generate.progress import Bar, say
from movie_stream.commands.produce import known
from movie_stream.commands.signals import cancelled_by
from movie_stream.console import logs
from movie_stream.console.words import number_of
from movie_stream.errors import BrokerForbids
from movie_stream.replay.lateness import ELSEWHERE, LateViews
from movie_stream.replay.send import NOT_COMPARED
from movie_stream.replay.send_synthetic import late_of_synthetic, send_synthetic
from movie_stream.replay.synthetic.faults import Tally
from movie_stream.replay.synthetic.synthetic_views import SyntheticViews
from movie_stream.settings import Settings


def send(settings: Settings, views: SyntheticViews, rate: float, *, late_anyway: bool = False) -> int:
    """Sends the views at `rate` events/s; returns the exit code: 130 after Ctrl-C, 143 after SIGTERM.

    Raises the errors of `send_synthetic`, and unless `late_anyway` LateViews if many would be late relative to what the
    topic holds.
    """
    logs.leave_to_us()
    with Bar(views.count) as bar:
        sending = _Sending(bar)
        stopped, tally = asyncio.run(sending.run(settings, views, rate, late_anyway))
    if tally is None:
        say(f"Stopped: {known(sending.arrived)} to stand in the topic {settings.kafka_topic}.", error=True)
        return 128 + stopped
    took = f"{sending.seconds:,.1f} s ({views.count / max(sending.seconds, 0.001):,.0f}/s)"
    faults = tally if views.has_faults else ""
    say(f"Sent {number_of(views.count, 'view')} to the topic {settings.kafka_topic} in {took}{faults}.", error=False)
    return 0


class _Sending:
    """The progress of sending."""

    def __init__(self, bar: Bar) -> None:
        self.arrived = 0
        self.seconds = 0.0
        self._bar = bar

    async def run(
        self, settings: Settings, views: SyntheticViews, rate: float, late_anyway: bool
    ) -> tuple[int, Tally | None]:
        """Sends the views; returns 0 and their tally, or the signal that stopped it and None."""
        received = cancelled_by(signal.SIGINT, signal.SIGTERM)
        try:
            await _compare(settings, views, late_anyway)
            started = time.monotonic()
            tally = await send_synthetic(settings, views, rate, self._advance)
        except asyncio.CancelledError:
            if not received:
                raise
            return received[0], None
        self.seconds = time.monotonic() - started
        return 0, tally

    def _advance(self, events: int) -> None:
        self.arrived += events
        self._bar.advance(events)


async def _compare(settings: Settings, views: SyntheticViews, late_anyway: bool) -> None:
    """Compares the views with the newest ones of the topic; reports or refuses the unintentionally late ones."""
    try:
        late = await late_of_synthetic(settings, views)
    except BrokerForbids as error:  # a producer need not be allowed to read
        say(f"{NOT_COMPARED} ({error})", error=True)
        return
    if late and late.is_much and not late_anyway:
        raise LateViews(what="these views", late=late, remedy=f"name another --end, such as now, {ELSEWHERE}")
    if late:
        say(f"Careful: {late}.", error=True)
