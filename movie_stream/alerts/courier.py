"""Brings messages to their receivers, each at its own pace: one that is slow or away holds up no other.

A message that does not arrive is tried again after pauses that grow up to an hour, and after days it is given up, with
a line in the log. Its receiver is taken to be away: what else waits for it costs no attempt and no time, and after a
pause of at most a minute one message is tried. Once one arrives, all that wait are due, the oldest first. A receiver
may get a message twice, where a process ended between sending it and noting that.
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
"""After so long a receiver that took no message is tried with another one."""
_TRIES_AT_THE_END: Final = 3
"""Of messages in a row that do not arrive, where nobody waits for the receiver."""
_LEASE_BEYOND_S: Final = 30.0
"""How much longer than sending may take a message is nobody else's."""
_RETRY_AT_MOST_S: Final = 30.0


@dataclass(slots=True)
class Standing:
    """How it goes with one receiver, in this process."""

    reason: str | None = None
    """Why its last message did not arrive, where that was said."""
    failures: int = 0
    """Messages in a row that did not arrive."""
    away_until_s: float = float("-inf")
    pausing: bool = True
    """Whether messages may wait for their next attempt; nobody knows at the start."""
    hurried: int = 0
    hurry_after_s: float = float("-inf")

    def failed(self, pause_s: float, *, partly: bool) -> None:
        """A message did not arrive, or not everywhere: then the receiver is not away."""
        self.pausing = True
        if partly:
            return
        self.failures += 1
        own_s = FIRST_PAUSE_S * 2 ** min(self.failures - 1, 20)
        self.away_until_s = monotonic() + min(max(own_s, pause_s), AWAY_AT_MOST_S)

    def arrived(self) -> bool:
        """A message has arrived; whether those that wait for their next attempt are to be tried now.

        Not each time: one that the receiver never takes would be tried whenever another one arrives.
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
        """Whether it took no message lately."""
        return monotonic() < self.away_until_s


class Courier:
    """Delivers what the outbox has, while `may` says that it is this process' turn."""

    def __init__(
        self, outbox: Outbox, receivers: Mapping[str, Receiver], may: Callable[[], bool], origin: Origin
    ) -> None:
        self._outbox, self._receivers, self._may, self._origin = outbox, receivers, may, origin
        self._standings = {name: Standing() for name in receivers}
        self._ended = Counter[tuple[str, str]]()
        """By receiver, what became of its messages."""

    async def run(self) -> None:
        """Delivers for ever."""
        async with Sender(self._origin) as sender:
            await asyncio.gather(*(self._serve(sender, receiver) for receiver in self._receivers.values()))

    async def _serve(self, sender: Sender, receiver: Receiver) -> None:
        pause_s, standing = LOOK_EVERY_S, self._standings[receiver.name]
        while True:
            try:
                while self._may() and not standing.away and await self.deliver(sender, receiver):
                    pause_s = LOOK_EVERY_S
            except PyMongoError:  # the evaluation says so already
                pause_s = min(2 * pause_s, _RETRY_AT_MOST_S)
            except Exception:
                logger.exception("this is a bug in movie-stream: messages to %s wait", receiver.name)
                pause_s = _RETRY_AT_MOST_S
            await asyncio.sleep(pause_s)

    def tell(self, values: Values) -> None:
        """Adds what became of messages; what has not happened yet as 0, so that the first time shows as a rise."""
        for receiver in self._receivers:
            for outcome in ("arrived", "failed", "given up"):
                values.set(catalogue.ALERT_MESSAGES, self._ended[receiver, outcome], receiver, outcome)

    async def deliver_what_is_new(self) -> None:
        """Tries each message that is due, once; no more of a receiver that does not take several in a row."""
        async with Sender(self._origin) as sender:
            await asyncio.gather(*(self._try_all(sender, receiver) for receiver in self._receivers.values()))

    async def _try_all(self, sender: Sender, receiver: Receiver) -> None:
        standing = self._standings[receiver.name]
        while standing.failures < _TRIES_AT_THE_END and await self.deliver(sender, receiver):
            pass

    async def deliver(self, sender: Sender, receiver: Receiver) -> bool:
        """Tries the next message of a receiver; False where none is due. Raises the driver's errors."""
        message = await self._outbox.take(receiver.name, receiver.within_s + _LEASE_BEYOND_S)
        if message is None:
            return False
        try:
            await sender.send(receiver, message)
        except NotSent as failure:
            await self._failed(receiver, message, failure)
        else:
            await self._outbox.done(message)
            self._ended[receiver.name, "arrived"] += 1
            await self._arrived(receiver)
        return True

    async def _arrived(self, receiver: Receiver) -> None:
        standing = self._standings[receiver.name]
        if standing.reason is not None:
            standing.reason = None
            logger.info("%s takes messages again", receiver.name)
        if standing.arrived():
            await self._outbox.hurry(receiver.name)

    async def _failed(self, receiver: Receiver, message: Message, failure: NotSent) -> None:
        reason, standing = str(failure), self._standings[receiver.name]
        standing.failed(failure.after_s, partly=failure.partly)
        before = datetime.now(UTC) - timedelta(milliseconds=receiver.retry_for_ms)
        if message.created < before:
            await self._give_up(receiver, message, reason)
        else:
            self._ended[receiver.name, "failed"] += 1
            await self._outbox.again(message, max(pause_s(message.attempts), failure.after_s), reason)
            if standing.reason != reason:
                standing.reason = reason
                logger.warning("%s: a message did not arrive, is tried again: %s", receiver.name, reason)
        # They are tried rarely while it is away, and would wait for an attempt to be given up.
        for late in await self._outbox.older(receiver.name, before):
            await self._give_up(receiver, late, reason)

    async def _give_up(self, receiver: Receiver, message: Message, reason: str) -> None:
        self._ended[receiver.name, "given up"] += 1
        await self._outbox.done(message, f"given up after {message.attempts} attempts: {reason}")
        logger.error(
            "%s: the message that %s has %s is given up after %d attempts: %s",
            *(receiver.name, message.alert, message.transition, message.attempts, reason),
        )


def pause_s(attempts: int) -> float:
    """After how many seconds a message is tried again that was tried so often: twice as many each time, up to an hour,
    and not all at once.
    """
    longest: float = min(FIRST_PAUSE_S * 2 ** min(attempts - 1, 20), LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)
