"""Delivers messages to receivers, at least once; a slow or unavailable receiver delays no other.

A failed message is retried with exponential backoff, up to an hour, and given up after days, with a line in the log.
Its receiver is then assumed to be unavailable: its other messages are not attempted, until one is tried after a pause
of at most a minute. Once one is delivered, all pending messages are due, the oldest first. A receiver may get a message
twice, if a process ends between sending it and recording that.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

from pymongo.errors import PyMongoError

from movie_stream.alerts.outbox import Message, Outbox
from movie_stream.alerts.receivers import Receiver
from movie_stream.alerts.sending import NotSent, Origin, Sender
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Values

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 3_600.0
AWAY_AT_MOST_S: Final = 60.0
"""The longest pause before an unavailable receiver is tried with another message."""
_TRIES_AT_THE_END: Final = 3
"""The most failures in a row of one receiver before `deliver_due` stops trying it."""
_LEASE_BEYOND_S: Final = 30.0
"""The time by which the lease of a message exceeds the send timeout."""
_RETRY_AT_MOST_S: Final = 30.0


@dataclass(slots=True)
class ReceiverStatus:
    """The state of one receiver, in this process."""

    reason: str | None = None
    """The reason of its last failure, once logged."""
    failures: int = 0
    """Failures in a row."""
    away_until_s: float = float("-inf")
    pausing: bool = True
    """Whether messages may be in backoff; unknown, hence true, at the start."""
    hurried: int = 0
    hurry_after_s: float = float("-inf")

    def failed(self, pause_s: float, *, partly: bool) -> None:
        """Records a failure; after a partial one the receiver is not regarded as unavailable."""
        self.pausing = True
        if partly:
            return
        self.failures += 1
        own_s = FIRST_PAUSE_S * 2 ** min(self.failures - 1, 20)
        self.away_until_s = monotonic() + min(max(own_s, pause_s), AWAY_AT_MOST_S)

    def arrived(self) -> bool:
        """Records a delivery; returns whether to retry the messages in backoff now.

        Not each time: a message that the receiver always rejects would be retried with every delivery.
        """
        self.failures, self.away_until_s = 0, float("-inf")
        now_s = monotonic()
        if now_s < self.hurry_after_s:
            return False
        if not self.pausing:
            self.hurried = 0
            return False
        self.pausing = False
        self.hurry_after_s = now_s + min(FIRST_PAUSE_S * 2 ** min(self.hurried, 20), LONGEST_PAUSE_S)
        self.hurried += 1
        return True

    @property
    def away(self) -> bool:
        """Whether the receiver is regarded as unavailable."""
        return monotonic() < self.away_until_s


class Courier:
    """Delivers the messages of the outbox, while `may` returns that this process may do so."""

    def __init__(
        self, outbox: Outbox, receivers: Mapping[str, Receiver], may: Callable[[], bool], origin: Origin
    ) -> None:
        self._outbox, self._receivers, self._may, self._origin = outbox, receivers, may, origin
        self._statuses = {name: ReceiverStatus() for name in receivers}
        self._outcomes = Counter[tuple[str, str]]()
        """The number of messages by receiver and outcome."""

    async def run(self) -> None:
        """Delivers until it is cancelled."""
        async with Sender(self._origin) as sender:
            await asyncio.gather(*(self._serve(sender, receiver) for receiver in self._receivers.values()))

    async def _serve(self, sender: Sender, receiver: Receiver) -> None:
        pause_s, status = LOOK_EVERY_S, self._statuses[receiver.name]
        while True:
            try:
                while self._may() and not status.away and await self.deliver(sender, receiver):
                    pause_s = LOOK_EVERY_S
            except PyMongoError:  # the evaluation logs it already
                pause_s = min(2 * pause_s, _RETRY_AT_MOST_S)
            except Exception:
                logger.exception("this is a bug in movie-stream: messages to %s wait", receiver.name)
                pause_s = _RETRY_AT_MOST_S
            await asyncio.sleep(pause_s)

    def export(self, values: Values) -> None:
        """Exports the outcomes of messages; those not yet seen as 0, so that the first one shows as an increase."""
        for receiver in self._receivers:
            for outcome in ("arrived", "failed", "given up"):
                values.set(catalogue.ALERT_MESSAGES, self._outcomes[receiver, outcome], receiver, outcome)

    async def deliver_due(self) -> None:
        """Tries each due message once; stops for a receiver that fails several in a row."""
        async with Sender(self._origin) as sender:
            await asyncio.gather(*(self._try_all(sender, receiver) for receiver in self._receivers.values()))

    async def _try_all(self, sender: Sender, receiver: Receiver) -> None:
        status = self._statuses[receiver.name]
        while status.failures < _TRIES_AT_THE_END and await self.deliver(sender, receiver):
            pass

    async def deliver(self, sender: Sender, receiver: Receiver) -> bool:
        """Tries the next message of a receiver; returns False if none is due. Raises the driver's errors."""
        message = await self._outbox.take(receiver.name, receiver.within_s + _LEASE_BEYOND_S)
        if message is None:
            return False
        try:
            await sender.send(receiver, message)
        except NotSent as failure:
            await self._failed(receiver, message, failure)
        else:
            await self._outbox.done(message)
            self._outcomes[receiver.name, "arrived"] += 1
            await self._arrived(receiver)
        return True

    async def _arrived(self, receiver: Receiver) -> None:
        status = self._statuses[receiver.name]
        if status.reason is not None:
            status.reason = None
            logger.info("%s takes messages again", receiver.name)
        if status.arrived():
            await self._outbox.retry_now(receiver.name)

    async def _failed(self, receiver: Receiver, message: Message, failure: NotSent) -> None:
        reason, status = str(failure), self._statuses[receiver.name]
        status.failed(failure.after_s, partly=failure.partly)
        before = datetime.now(UTC) - timedelta(milliseconds=receiver.retry_for_ms)
        if message.created < before:
            await self._give_up(receiver, message, reason)
        else:
            self._outcomes[receiver.name, "failed"] += 1
            await self._outbox.reschedule(message, max(pause_s(message.attempts), failure.after_s), reason)
            if status.reason != reason:
                status.reason = reason
                logger.warning("%s: a message did not arrive, is tried again: %s", receiver.name, reason)
        # They are tried rarely while it is unavailable, and are only given up at an attempt.
        for late in await self._outbox.older(receiver.name, before):
            await self._give_up(receiver, late, reason)

    async def _give_up(self, receiver: Receiver, message: Message, reason: str) -> None:
        self._outcomes[receiver.name, "given up"] += 1
        await self._outbox.done(message, f"given up after {message.attempts} attempts: {reason}")
        logger.error(
            "%s: the message that %s has %s is given up after %d attempts: %s",
            *(receiver.name, message.alert, message.transition, message.attempts, reason),
        )


def pause_s(attempts: int) -> float:
    """The backoff in seconds after this number of attempts: exponential, up to an hour, with jitter."""
    longest: float = min(FIRST_PAUSE_S * 2 ** min(attempts - 1, 20), LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)
