"""How a file is replayed: which views, in which order, shifted to which time, and how fast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from movie_stream.errors import UsageError
from movie_stream.events.time_range import EVER, NOW, TimeRange, parse_time_ms
from movie_stream.kafka.produce.pace import check_rate
from movie_stream.settings import A_DURATION, parse_duration

Anchor = Literal["first", "last"]
REAL_TIME: Final = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The user's options. Raises UsageError for options that exclude each other."""

    rate: float = 0
    """Events/s; 0 is as fast as possible."""
    speed: float | None = None
    """How many times faster than the views happened; None to send at `rate`."""
    max_gap: timedelta | None = None
    """With `speed`, the longest pause between two sends; the timestamps stay as they are."""
    strict: bool = False
    """Whether a single bad row refuses the file."""
    sort: bool = True
    """Whether views are sent in time order instead of the file's."""
    limit: int | None = None
    """The most views to send."""
    between: TimeRange = EVER
    """Bounds of the views to send, by the timestamps in the file."""
    shift_to_now: bool = False
    shift_to_ms: int | None = None
    """The views are shifted so that the one at the anchor gets this time, or the present."""
    anchor: Anchor | None = None
    loop: bool = False
    """Whether to start over at the end of the file, each round later by the file's duration."""
    late_anyway: bool = False
    """Whether to also send views that workers will refuse as late."""

    def __post_init__(self) -> None:
        check_rate(self.rate)
        if self.speed is not None and not 0 < self.speed < math.inf:
            raise UsageError(argument="--speed", expected="a number above 0", got=str(self.speed))
        if self.speed is not None and self.rate:
            raise UsageError(argument="--speed", expected="only one of --speed and --rate", got="both")
        if self.max_gap is not None and (self.speed is None or self.live):
            raise UsageError(
                argument="--max-gap",
                expected="--speed beside it, and views that need not be sent at their own times",
                got="no --speed" if self.speed is None else "views that come when their time has come",
            )
        if self.anchor and not self.shifts:
            raise UsageError(argument="--anchor", expected="--shift-to besides, the time for the view that it chooses")
        if self.loop and self.shifts and not self.live:
            raise UsageError(
                argument="--loop",
                expected="no --shift-to besides, or one with --anchor first and --speed 1",
                remedy="otherwise the second round would lie in the future, where workers refuse it",
            )

    @property
    def shifts(self) -> bool:
        """Whether timestamps are shifted."""
        return self.shift_to_now or self.shift_to_ms is not None

    @property
    def anchored(self) -> Anchor:
        """Which view gets the given time: the first if views are sent at their own pace or slower, else the last."""
        return self.anchor or ("first" if self.speed is not None and self.speed <= REAL_TIME else "last")

    @property
    def live(self) -> bool:
        """Whether each view is sent at its shifted time, not earlier."""
        slow = self.speed is not None and self.speed <= REAL_TIME
        return slow and self.shift_to_now and self.anchored == "first"

    def shift_ms(self, oldest_ms: int | None, newest_ms: int | None, now_ms: int) -> int:
        """How far the views are shifted, given the timestamps of the oldest and the newest that are sent."""
        at_ms = oldest_ms if self.anchored == "first" else newest_ms
        if not self.shifts or at_ms is None:
            return 0
        return (now_ms if self.shift_to_ms is None else self.shift_to_ms) - at_ms

    @property
    def what_is_sent(self) -> str:
        """What the records depend on besides the file, for the bookmark; empty by default."""
        asked = {
            "limit": self.limit,
            "between": None if self.between == EVER else (self.between.start_ms, self.between.end_ms),
            "shift": (self.shift_to_ms or "now", self.anchored) if self.shifts else None,
            "order": None if self.sort else "of the file",
        }
        return ", ".join(f"{name}: {value}" for name, value in asked.items() if value is not None)


AS_IT_IS: Final = Plan()


def plan_of(
    *,
    start: str | None = None,
    end: str | None = None,
    shift_to: str | None = None,
    rate: float = 0,
    speed: float | None = None,
    max_gap: str | None = None,
    strict: bool = False,
    sort: bool = True,
    limit: int | None = None,
    anchor: Anchor | None = None,
    loop: bool = False,
    late_anyway: bool = False,
) -> Plan:
    """The plan, from times as a user writes them. Raises UsageError."""
    between = TimeRange(
        None if start is None else parse_time_ms("--start", start), None if end is None else parse_time_ms("--end", end)
    )
    if between.start_ms is not None and between.end_ms is not None and between.start_ms >= between.end_ms:
        raise UsageError(argument="--end", expected=f"a time after --start {start}", got=end)
    return Plan(
        rate=rate,
        speed=speed,
        max_gap=None if max_gap is None else _gap(max_gap),
        strict=strict,
        sort=sort,
        limit=limit,
        between=between,
        shift_to_now=shift_to == NOW,
        shift_to_ms=None if shift_to in (None, NOW) else parse_time_ms("--shift-to", shift_to or ""),
        anchor=anchor,
        loop=loop,
        late_anyway=late_anyway,
    )


def _gap(text: str) -> timedelta:
    try:
        gap = parse_duration(text)
    except ValueError as error:
        raise UsageError(argument="--max-gap", expected=A_DURATION, got=text) from error
    if not gap:
        raise UsageError(argument="--max-gap", expected="a length of time above 0", got=text)
    return gap
