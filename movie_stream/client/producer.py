"""Produces views to the topic, one at a time or all of a source."""

from __future__ import annotations

import logging
import math
import time
from asyncio import sleep, timeout
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from movie_stream.client.view_event import ViewEvent
from movie_stream.client.write_behind import WriteBehind, writing_behind
from movie_stream.errors import EventRefused, MovieStreamError, UsageError
from movie_stream.events.event import ahead_of_time, is_ahead
from movie_stream.kafka.produce.pace import ConstantRate
from movie_stream.kafka.produce.topic_writer import ACK_TIMEOUT, open_topic
from movie_stream.runs.fingerprint import rules_of
from movie_stream.settings import Settings, settings_with

log = logging.getLogger(__name__)

Item: TypeAlias = ViewEvent | Mapping[str, Any]
"""A view, or a mapping with its fields."""
Source: TypeAlias = Iterable[Item] | AsyncIterable[Item]

LEAVE_WITHIN_S: Final = 5.0
"""After an exception, accepted views are still delivered within this time."""
_TURN: Final = 1_000
"""After this many items of a source, other tasks run."""


class ViewProducer:
    """Sends views to the topic for as long as the `async with` block runs.

        async with ViewProducer() as producer:
            await producer.send(view)

    Settings are those of this process, unless `settings` are given; `bootstrap_servers` and `topic` win over both.
    An acknowledgement that takes longer than `ack_timeout` counts as lost.

    Views of one user arrive in the order in which they were sent. Leaving the block waits until all accepted views are
    acknowledged, or raises. If an exception leaves the block, accepted views are still delivered within LEAVE_WITHIN_S,
    and the exception propagates.

    Entering raises SettingsError, BrokerUnreachable, BrokerClosed, BrokerForbids, TopicMissing. After a record that was
    not acknowledged, every method and the end of the block raise BrokerUnreachable, BrokerForbids, TopicMissing or
    WriteRefused.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        ack_timeout: timedelta = ACK_TIMEOUT,
    ) -> None:
        self._settings = settings_with(settings, kafka_bootstrap_servers=bootstrap_servers, kafka_topic=topic)
        self._tolerance_ms = rules_of(self._settings).future_tolerance_ms
        self._ack_timeout = ack_timeout
        self._behind: WriteBehind | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            opening = open_topic(self._settings, self._settings.kafka_topic, self._ack_timeout)
            writer = await stack.enter_async_context(opening)
            self._behind = await stack.enter_async_context(writing_behind(writer))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._stack:
            if error is None:
                await self.flush()
            else:
                await self._flush_in_time(error)

    async def send(self, event: ViewEvent) -> None:
        """Accepts a view, at once unless thousands wait to be written. If it raises or is cancelled, nothing is sent.

        Raises EventRefused for a view further ahead than FUTURE_TOLERANCE, and the errors of the class.
        """
        now_ms = time.time_ns() // 1_000_000
        if is_ahead(event.timestamp, now_ms, self._tolerance_ms):
            raise EventRefused(reason=ahead_of_time(event.timestamp, now_ms, self._tolerance_ms))
        await self._entered().put(event.user_id.encode(), event.value)

    async def send_all(
        self, source: Source, *, rate: float = 0, refused: Callable[[EventRefused], None] | None = None
    ) -> int:
        """Accepts all views of a source, at `rate` events/s (0: as fast as possible); returns their number.

        A view that cannot be sent is passed to `refused` and skipped; without that, the error is raised.

        Raises UsageError for an invalid rate, EventRefused, and the errors of the class.
        """
        if not 0 <= rate < math.inf:
            expected = "a number of events/s, or 0 for as fast as it goes"
            raise UsageError(argument="rate", expected=expected, got=str(rate))
        sent = number = 0
        async with aclosing(_paced(source, ConstantRate(rate, time.monotonic()))) as items:
            async for item in items:
                number += 1
                try:
                    await self.send(_view(item))
                    sent += 1
                except EventRefused as error:
                    located = EventRefused(reason=error.reason, where=f"item {number} of the source")
                    if refused is None:
                        raise located from error
                    refused(located)
        return sent

    async def flush(self) -> None:
        """Waits until all views accepted before are acknowledged. Raises the errors of the class."""
        await self._entered().flush()

    async def _flush_in_time(self, left_by: BaseException) -> None:
        try:
            async with timeout(LEAVE_WITHIN_S):
                await self.flush()
        except (TimeoutError, MovieStreamError) as error:
            if error is not left_by:
                log.warning("not all views that were accepted may have arrived: %s", str(error) or "it took too long")

    def _entered(self) -> WriteBehind:
        if self._behind is None:
            raise RuntimeError("a ViewProducer is used in an `async with` block")
        return self._behind


def _view(item: object) -> ViewEvent:
    if isinstance(item, ViewEvent):
        return item
    if isinstance(item, Mapping):
        return ViewEvent.of(item)
    raise EventRefused(reason=f"expected a ViewEvent or a mapping, got {type(item).__name__}")


async def _paced(source: Source, pace: ConstantRate) -> AsyncGenerator[Item]:
    """Yields the items on the schedule of `pace`."""
    due = 0
    async with aclosing(_each(source)) as items:
        async for item in items:
            if not due:
                due = pace.slice_events(_TURN)
                await sleep(pace.delay(due, time.monotonic()))
            due -= 1
            yield item


async def _each(source: Source) -> AsyncGenerator[Item]:
    if isinstance(source, AsyncIterable):
        async for item in source:
            yield item
    else:
        for item in source:
            yield item
