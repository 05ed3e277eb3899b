"""Watches the broker, the topics, and the run in MongoDB: whether they are the ones that the worker started with."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Final

from movie_stream.agents.startup import Connections
from movie_stream.errors import BrokerRefused, BrokerUnreachable, MovieStreamError, RunMismatch, TopicMissing
from movie_stream.kafka.cluster import topics
from movie_stream.kafka.cluster.diagnosis import why_closed, why_silent
from movie_stream.mongo import runs
from movie_stream.mongo.failures import MongoAway, MongoFailed
from movie_stream.runs.fingerprint import differences
from movie_stream.settings import Settings

logger = logging.getLogger(__name__)

WATCH_EVERY_S: Final = 5.0
LOOK_EVERY_S: Final = 0.5
ANSWER_WITHIN_S: Final = 10.0
REACHED_WITHIN_S: Final = 0.5
"""The longest that a worker which ends waits for the broker before it skips its last flush."""
BROKER_AWAY_AT_MOST_S: Final = 45.0
"""A broker that restarts is back by then; a worker that ends is restarted by its supervisor."""


class BrokerWatch:
    """Tracks whether the broker answers, and logs each change once."""

    def __init__(self, settings: Settings, connections: Connections) -> None:
        self._settings, self._connections = settings, connections
        self.lost = False
        """Whether no broker answers, as far as is known."""
        self._changed = False
        """Whether the topics were not ours at the last check."""
        self._answered_at_s = monotonic()

    @property
    def silence_s(self) -> float:
        """Seconds since the broker answered."""
        return monotonic() - self._answered_at_s

    async def wait_until_due(self) -> None:
        """Waits until the next check is due; returns early if the broker has closed the connection."""
        for _ in range(round(WATCH_EVERY_S / LOOK_EVERY_S)):
            await asyncio.sleep(LOOK_EVERY_S)
            if not self.lost and not self._connections.admin.connected:
                return

    async def look(self) -> None:
        """Raises BrokerUnreachable or BrokerClosed when the broker has been away for too long, RunMismatch or
        TopicMissing when the topics, or the run, have changed under the worker.
        """
        if await self._answers():
            self._answered_at_s = monotonic()
        elif monotonic() - self._answered_at_s > BROKER_AWAY_AT_MOST_S:
            raise await why_closed(self._settings)
        await self._log_change()
        await self._check_run()

    async def require_topics(self) -> None:
        """Raises RunMismatch or TopicMissing if they are not the ones that this worker started with."""
        now = await topics.describe(self._settings, self._connections.admin)
        if changed := differences(self._settings, now, self._connections.run):
            raise RunMismatch(where="what this worker counts", what=changed)

    async def reachable(self) -> bool:
        """Whether a last flush is worth trying; logs if it is not."""
        if not self.lost:
            try:
                async with asyncio.timeout(REACHED_WITHIN_S):
                    await self.require_topics()
            except (BrokerRefused, BrokerUnreachable, TimeoutError):
                pass
            except MovieStreamError:
                return True  # it answers
            else:
                return True
        logger.warning(
            "the broker at %s does not answer: ends without a last checkpoint; nothing is lost, the next "
            "start resumes at the previous one",
            self._settings.require_broker(),
        )
        self.lost = True
        return False

    async def _answers(self) -> bool:
        """Whether the broker answers. Raises RunMismatch or TopicMissing if the topics have changed, BrokerForbids."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self.require_topics()
        except (RunMismatch, TopicMissing):
            if self._changed:  # twice in a row: a broker that is starting may not know all of its topics yet
                raise
            self._changed = True
            return True
        except (BrokerRefused, BrokerUnreachable, TimeoutError):
            return False
        self._changed = False
        return True

    async def _log_change(self) -> None:
        """Logs once when the broker is lost, and once when it is back."""
        answers = monotonic() - self._answered_at_s < LOOK_EVERY_S
        if answers and self.lost:
            logger.info("the broker at %s answers again", self._settings.require_broker())
            self.lost = False
        elif not answers and not self.lost and (why := await why_silent(self._settings)):
            logger.warning(
                "the broker at %s does not answer (%s): tries again for %.0f s, nothing is lost",
                *(self._settings.require_broker(), why, BROKER_AWAY_AT_MOST_S),
            )
            self.lost = True

    async def _check_run(self) -> None:
        """Raises RunMismatch if MongoDB answers and no longer has the run that we count."""
        ours = self._connections.run
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                run = await runs.current(self._connections.db, self._settings.kafka_group)
        except (MongoAway, MongoFailed, TimeoutError):
            return  # the flushes deal with that
        if run is None or run.number != ours.number:
            now = f"run {run.number}" if run else "none: was the database deleted?"
            raise RunMismatch(where="what this worker counts", what=f"it was run {ours.number}, is {now}")
