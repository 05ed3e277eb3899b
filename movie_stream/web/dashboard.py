"""What the resources of the dashboard share: queries, the range that is meant, and what the workers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from movie_stream.alerts.expectations import Expectations
from movie_stream.settings import Settings
from movie_stream.web.asking import Asker
from movie_stream.web.pulse import Pulse
from movie_stream.web.ranges import TimeRange, resolved
from movie_stream.web.rollup import Rollup


@dataclass(frozen=True)
class Dashboard:
    """Everything that its resources ask."""

    settings: Settings
    asker: Asker
    rollup: Rollup
    pulse: Pulse
    expectations: Expectations = field(default_factory=Expectations)
    """What the data's quality is judged by."""

    async def range_of(self, given: Mapping[str, Any]) -> TimeRange:
        """The range that the parameters mean, as of now. Raises what `resolved` raises."""
        return await resolved(given, datetime.now(UTC), self.rollup.stream_time)
