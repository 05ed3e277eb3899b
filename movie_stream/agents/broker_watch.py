"""Watches the broker, the topics, and the run in MongoDB: whether they are what they were when the worker started."""

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
"""The longest that a worker which ends waits for the broker before it does without a last flush."""
BROKER_AWAY_AT_MOST_S: Final = 45.0
"""A broker that restarts is back by then; a worker that ends is started again by whoever runs it."""


class BrokerWatch:
    """Knows whether the broker answers, and says so once each time that this changes."""

    def __init__(self, settings: Settings, connections: Connections) -> None:
        self._settings, self._connections = settings, connections
        self.lost = False
        """Whether no broker answers, as far as is known."""
        self._changed = False
        """Whether the topics were others than ours when they were looked at last."""
        self._heard_s = monotonic()

    @property
    def silence_s(self) -> float:
        """Seconds since the broker answered."""
        return monotonic() - self._heard_s

    async def until_due(self) -> None:
        """Returns when it is time to look again, and at once when the broker is found to have hung up."""
        for _ in range(round(WATCH_EVERY_S / LOOK_EVERY_S)):
            await asyncio.sleep(LOOK_EVERY_S)
            if not self.lost and not self._connections.admin.connected:
                return

    async def look(self) -> None:
        """Raises BrokerUnreachable or BrokerClosed when the broker has been away for too long, RunMismatch or
        TopicMissing when topics, or the run, are changed under the worker.
        """
        if await self._answers():
            self._heard_s = monotonic()
        elif monotonic() - self._heard_s > BROKER_AWAY_AT_MOST_S:
            raise await why_closed(self._settings)
        await self._say_whether_it_answers()
        await self._look_at_run()

    async def insist_on_topics(self) -> None:
        """Raises RunMismatch or TopicMissing where they are not what they were when this worker was started."""
        now = await topics.describe(self._settings, self._connections.admin)
        if changed := differences(self._settings, now, self._connections.run):
            raise RunMismatch(where="what this worker counts", what=changed)

    async def reachable(self) -> bool:
        """Whether it is worth while to try a last flush; says so where it is not."""
        if not self.lost:
            try:
                async with asyncio.timeout(REACHED_WITHIN_S):
                    await self.insist_on_topics()
            except (BrokerRefused, BrokerUnreachable, TimeoutError):
                pass
            except MovieStreamError:
                return True  # it answers
            else:
                return True
        logger.warning(
            "the broker at %s does not answer: ends without a last checkpoint; nothing is lost, the next "
            "start goes on at the one before",
            self._settings.require_broker(),
        )
        self.lost = True
        return False

    async def _answers(self) -> bool:
        """Whether it does, and the topics are what they were. Raises RunMismatch, TopicMissing, BrokerForbids."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self.insist_on_topics()
        except (RunMismatch, TopicMissing):
            if self._changed:  # twice: a broker that is just starting may not know all of its topics yet
                raise
            self._changed = True
            return True
        except (BrokerRefused, BrokerUnreachable, TimeoutError):
            return False
        self._changed = False
        return True

    async def _say_whether_it_answers(self) -> None:
        """Once when it is lost, and once when it is back."""
        answers = monotonic() - self._heard_s < LOOK_EVERY_S
        if answers and self.lost:
            logger.info("the broker at %s answers again", self._settings.require_broker())
            self.lost = False
        elif not answers and not self.lost and (why := await why_silent(self._settings)):
            logger.warning(
                "the broker at %s does not answer (%s): tries again for %.0f s, nothing is lost",
                *(self._settings.require_broker(), why, BROKER_AWAY_AT_MOST_S),
            )
            self.lost = True

    async def _look_at_run(self) -> None:
        """Raises RunMismatch where MongoDB, if it answers, no longer has the run that we count."""
        ours = self._connections.run
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                run = await runs.current(self._connections.db, self._settings.kafka_group)
        except (MongoAway, MongoFailed, TimeoutError):
            return  # whoever writes deals with that
        if run is None or run.number != ours.number:
            now = f"run {run.number}" if run else "none: was the database deleted?"
            raise RunMismatch(where="what this worker counts", what=f"it was run {ours.number}, is {now}")
