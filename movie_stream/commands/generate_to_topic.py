"""Made-up views straight to the topic."""

from __future__ import annotations

import asyncio
import signal
import time

from movie_stream import logs
from movie_stream.commands.generate_progress import Bar, say
from movie_stream.commands.signals import cancelled_by
from movie_stream.replay.faults import Tally
from movie_stream.replay.made_up import MadeUp
from movie_stream.replay.send_made_up import send_made_up
from movie_stream.settings import Settings


def send(settings: Settings, views: MadeUp, rate: float) -> int:
    """Sends the views at `rate` events/s; the exit code: 130 after Ctrl-C, 143 after SIGTERM.

    Raises what `send_made_up` raises.
    """
    logs.leave_to_us()
    with Bar(views.count) as bar:
        sending = _Sending(bar)
        stopped, tally = asyncio.run(sending.run(settings, views, rate))
    if tally is None:
        say(f"Stopped: {sending.arrived:,} views are known to stand in the topic {settings.kafka_topic}.", error=True)
        return 128 + stopped
    took = f"{sending.seconds:,.1f} s ({views.count / max(sending.seconds, 0.001):,.0f}/s)"
    faults = tally if views.has_faults else ""
    say(f"Sent {views.count:,} views to the topic {settings.kafka_topic} in {took}{faults}.", error=False)
    return 0


class _Sending:
    """How far it is."""

    def __init__(self, bar: Bar) -> None:
        self.arrived = 0
        self.seconds = 0.0
        self._bar = bar

    async def run(self, settings: Settings, views: MadeUp, rate: float) -> tuple[int, Tally | None]:
        """What was sent, or the signal that stopped it, and none."""
        came = cancelled_by(signal.SIGINT, signal.SIGTERM)
        started = time.monotonic()
        try:
            tally = await send_made_up(settings, views, rate, self._advance)
        except asyncio.CancelledError:
            if not came:
                raise
            return came[0], None
        self.seconds = time.monotonic() - started
        return 0, tally

    def _advance(self, events: int) -> None:
        self.arrived += events
        self._bar.advance(events)
