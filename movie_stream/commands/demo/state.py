"""The state of the demo, which its screen shows."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from movie_stream.commands.demo.watch import Snapshot
from movie_stream.console.words import number_of

_RATE_OVER_S: Final = 5.0


@dataclass
class DemoState:
    """The state of the demo: its phase, its progress and the last snapshots."""

    services: str
    """The description of the broker and MongoDB."""
    phase: str = "starting"
    page: str = ""
    """The address of the page, once it can be opened."""
    planned: int | None = None
    """The number of events to send; None for a file, whose number is known only at its end."""
    sent: int = 0
    sent_share: float = 0.0
    """The share of the events that is sent, from 0 to 1."""
    refused: int = 0
    """Rows of a file that were refused."""
    remarks: list[str] = field(default_factory=list)
    """Remarks about a file and refused rows, printed at the end."""
    began_s: float = field(default_factory=time.monotonic)
    sending_s: float | None = None
    """When the first event was sent."""
    counted_s: float | None = None
    """When the last event was counted."""
    trouble: str = ""
    """Why there is no new snapshot; empty if there is one."""
    snapshots: deque[Snapshot] = field(default_factory=lambda: deque([Snapshot(time.monotonic())]))
    """The snapshots of the last seconds, the newest last; never empty."""

    @property
    def now(self) -> Snapshot:
        """The newest snapshot."""
        return self.snapshots[-1]

    @property
    def finished(self) -> bool:
        """Whether every event that was sent is counted."""
        return self.counted_s is not None

    @property
    def seconds(self) -> float:
        """From the first event sent to the last one counted, or to now."""
        if self.sending_s is None:
            return 0.0
        return max((self.counted_s or time.monotonic()) - self.sending_s, 0.001)

    @property
    def rate(self) -> float:
        """Events counted per second: over the last seconds, or in total at the end."""
        if self.finished:
            return self.now.views / self.seconds
        first = self.snapshots[0]
        return max(self.now.views - first.views, 0) / max(self.now.at_s - first.at_s, 0.001)

    def add(self, snapshot: Snapshot) -> None:
        """Adds a snapshot."""
        self.snapshots.append(snapshot)
        while len(self.snapshots) > 2 and self.snapshots[0].at_s < snapshot.at_s - _RATE_OVER_S:
            self.snapshots.popleft()

    def totals(self) -> str:
        """The numbers sent, refused and counted, in two lines."""
        return (
            f"Events: {self.sent:,} sent, {self.now.views:,} counted, "
            f"{number_of(self.now.dead_letters, 'dead letter')}; {number_of(self.refused, 'row')} refused.\n"
            f"From the first sent to the last counted: {self.seconds:,.1f} s, {self.rate:,.0f} events/s."
        )
