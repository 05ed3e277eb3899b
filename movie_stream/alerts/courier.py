"""Brings messages to their receivers, each at its own pace: one that is slow or away holds up no other.

A message that does not arrive is tried again after pauses that grow up to an hour, and after days it is given up, with
a line in the log. A receiver may get a message twice, where a process ended between sending it and noting that.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from pymongo.errors import PyMongoError

from movie_stream.alerts.outbox import Message, Outbox
from movie_stream.alerts.receivers import Receiver
from movie_stream.alerts.sending import NotSent, Sender
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Values

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 3_600.0
_LEASE_BEYOND_S: Final = 30.0
"""How much longer than sending may take a message is nobody else's."""
_RETRY_AT_MOST_S: Final = 30.0


class Courier:
    """Delivers what the outbox has, while `may` says that it is this process' turn."""

    def __init__(self, outbox: Outbox, receivers: Mapping[str, Receiver], may: Callable[[], bool]) -> None:
        self._outbox, self._receivers, self._may = outbox, receivers, may
        self._failing: dict[str, str] = {}
        """Why receivers did not get their last message, where that was said."""
        self._ended = Counter[tuple[str, str]]()
        """By receiver, what became of its messages."""

    async def run(self) -> None:
        """Delivers for ever."""
        async with Sender() as sender:
            await asyncio.gather(*(self._serve(sender, receiver) for receiver in self._receivers.values()))

    async def _serve(self, sender: Sender, receiver: Receiver) -> None:
        pause_s = LOOK_EVERY_S
        while True:
            try:
                while self._may() and await self.deliver(sender, receiver):
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
        """Tries each message that was not tried yet, once."""
        async with Sender() as sender:
            await asyncio.gather(*(self._try_all(sender, receiver) for receiver in self._receivers.values()))

    async def _try_all(self, sender: Sender, receiver: Receiver) -> None:
        while await self.deliver(sender, receiver):
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
            if self._failing.pop(receiver.name, None) is not None:
                logger.info("%s takes messages again", receiver.name)
        return True

    async def _failed(self, receiver: Receiver, message: Message, failure: NotSent) -> None:
        reason = str(failure)
        if datetime.now(UTC) - message.created > timedelta(milliseconds=receiver.retry_for_ms):
            self._ended[receiver.name, "given up"] += 1
            await self._outbox.done(message, f"given up after {message.attempts} attempts: {reason}")
            logger.error(
                "%s: the message that %s has %s is given up after %d attempts: %s",
                *(receiver.name, message.alert, message.transition, message.attempts, reason),
            )
            return
        self._ended[receiver.name, "failed"] += 1
        await self._outbox.again(message, max(pause_s(message.attempts), failure.after_s), reason)
        if self._failing.get(receiver.name) != reason:
            self._failing[receiver.name] = reason
            logger.warning("%s: a message did not arrive, is tried again: %s", receiver.name, reason)


def pause_s(attempts: int) -> float:
    """After how many seconds a message is tried again that was tried so often: twice as many each time, up to an hour,
    and not all at once.
    """
    longest: float = min(FIRST_PAUSE_S * 2 ** min(attempts - 1, 20), LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)
