"""The evaluation of alerts in a worker: it tries to acquire the lease, and evaluates while it holds it.

Any failure in here is logged and retried: counting continues without it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Collection, Mapping, Sequence
from time import monotonic
from typing import Final

from pymongo.errors import PyMongoError

from movie_stream.agents.startup import Connections
from movie_stream.alerts.blockage import without_rules
from movie_stream.alerts.courier import Courier
from movie_stream.alerts.evaluator import Evaluator, Pass
from movie_stream.alerts.figures import Reader
from movie_stream.alerts.frontier import Topics
from movie_stream.alerts.outbox import Outbox
from movie_stream.alerts.quality import light_by
from movie_stream.alerts.rule_file import RuleFile
from movie_stream.alerts.sending import Origin, require_libraries
from movie_stream.alerts.store import LEASE, MARGIN, RENEWED_EVERY, LeaseLost, Store
from movie_stream.errors import MovieStreamError
from movie_stream.kafka.offsets import OpenTransaction
from movie_stream.metrics import catalogue
from movie_stream.metrics.metered import Meter
from movie_stream.metrics.values import Values
from movie_stream.mongo import workers
from movie_stream.mongo.client import explain
from movie_stream.mongo.workers import WorkerReport
from movie_stream.settings import Settings

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
ASK_WORKERS_EVERY_S: Final = 5.0
SHARE: Final = 0.1
"""The share of the event loop's time that evaluating may take under load: counting has priority."""
RETRY_AT_MOST_S: Final = 30.0
END_WITHIN_S: Final = 120.0
"""The longest that a worker which ends at the end of its topics evaluates."""
DELIVERED_WITHIN_S: Final = 15.0
"""The longest that it delivers after that."""
_COUNTED_WITHIN_S: Final = 2.0


class RuleFailed(Exception):
    """A rule could not be evaluated; the results of the others are stored and queued for the receivers."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(f"rule {name}: {error}")
        self.name, self.error = name, error


class Alerting:
    """Evaluates the rules in this worker, or waits for its turn."""

    def __init__(self, settings: Settings, connected: Connections, rules: RuleFile) -> None:
        context, self._db, self._group = connected.context, connected.db, settings.kafka_group
        events, partials, counts = context.topics.events, context.topics.partials, context.topology.partitions
        holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._store = Store(self._db, context.run_number, holder)
        self._evaluator = Evaluator(
            self._store,
            Reader(self._db, context.run_number, light_by(rules.quality)),
            rules.rules,
            Topics(events, counts[events], partials, counts[partials]),
            settings.alerts_idle,
        )
        require_libraries(rules.receivers)
        if not rules.rules:
            logger.info("ALERTS_FILE has no rules: nothing is evaluated for alerts")
        self._outbox = Outbox(
            self._db, context.run_number, rules.rules, rules.deliver_within_ms, lambda: self._store.held_until
        )
        self._fingerprint = rules.fingerprint
        self._failures = 0
        self._others: Mapping[str, str] = {}
        """Workers whose rules differ from ours, and what is wrong with each."""
        self._courier = Courier(self._outbox, rules.receivers, lambda: self._evaluator.holds, Origin.of(settings))
        self._receivers = rules.receivers
        self._not_queued: Pass | None = None
        """The last evaluation, if its messages are not in the outbox yet."""
        self._workers: Sequence[WorkerReport] = ()
        self._asked_s = float("-inf")
        self._turn = asyncio.Lock()
        self._logged = ""
        """The last error that was logged; empty once an evaluation succeeds."""

    async def run(self) -> None:
        """Evaluates the rules that are due, for ever."""
        pause_s = LOOK_EVERY_S
        while True:
            meter = Meter()
            try:
                async with self._turn:
                    await meter.run(self._step())
                self._logged, pause_s = "", LOOK_EVERY_S
                await self._rest(min(meter.s * (1 - SHARE) / SHARE, RETRY_AT_MOST_S))
            except LeaseLost as lost:
                self._failures += 1
                logger.warning("what was being evaluated for alerts is done again: %s", lost)
            except Exception as error:
                self._failures += 1
                self._log(error)
                pause_s = min(2 * pause_s, RETRY_AT_MOST_S)
            await asyncio.sleep(pause_s)

    async def _rest(self, pause_s: float) -> None:
        """Leaves the loop to others, and renews the lease meanwhile: it is shorter than the longest pause."""
        until_s = monotonic() + pause_s
        while (left_s := until_s - monotonic()) > 0:
            await asyncio.sleep(min(left_s, RENEWED_EVERY.total_seconds()))
            if self._evaluator.holds:
                async with self._turn:
                    await self._evaluator.keep()

    async def deliver(self) -> None:
        """Delivers messages to their receivers, for ever."""
        await self._courier.run()

    async def finish(self, held: Sequence[OpenTransaction] = ()) -> None:
        """Evaluates everything counted before this worker ends, unless another worker does, and tries to deliver the
        new messages. Everything is counted except the records in `held`.

        A worker that was killed while it evaluated still holds the lease for a while.
        """
        sources = self._held_sources(held)
        if sources:
            logger.warning("alerts are evaluated up to where all is counted; a later worker continues with them")
        deadline_s = monotonic() + END_WITHIN_S
        patient_until_s = monotonic() + (LEASE + MARGIN).total_seconds() + LOOK_EVERY_S
        while monotonic() < deadline_s:
            done = None
            try:
                async with self._turn:
                    done = await self._step(at_the_end=True, held=sources)
                    if done is None and self._evaluator.holds:
                        await self._deliver_new()
                        return
                    others = await workers.seen(self._db, self._group) if not self._evaluator.holds else ()
            except (LeaseLost, PyMongoError, MovieStreamError, RuleFailed) as error:
                self._log(error)
                others = ()
            if len([seen for seen in others if not seen.silent]) > 1 and monotonic() > patient_until_s:
                return
            if done is None:
                await asyncio.sleep(LOOK_EVERY_S / 5)
        logger.warning("ends before all alerts are evaluated; the next worker continues with them")
        if self._evaluator.holds:
            try:
                await self._deliver_new()
            except PyMongoError as error:
                self._log(error)

    async def end(self) -> None:
        """Releases the lease, so that the next worker need not wait for its end."""
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._store.release()
        except (TimeoutError, PyMongoError):
            logger.info("the next worker evaluates the rules for alerts once the lease has ended")

    def _held_sources(self, held: Sequence[OpenTransaction]) -> set[int]:
        """The source partitions that are incomplete: a partition of the partials holds up the results of them all."""
        topics, topic_partitions = self._evaluator.topics, [each.topic_partition for each in held]
        if any(tp.topic == topics.partials for tp in topic_partitions):
            return set(range(topics.sources))
        return {tp.partition for tp in topic_partitions if tp.topic == topics.events}

    async def _step(self, *, at_the_end: bool = False, held: Collection[int] = ()) -> Pass | None:
        if not at_the_end and monotonic() - self._asked_s > ASK_WORKERS_EVERY_S:
            self._workers = await workers.seen(self._db, self._group)
            self._asked_s = monotonic()
            self._compare_rules()
        done = await self._evaluator.step(self._workers, at_the_end=at_the_end, held=held)
        if done is not None:
            self._not_queued = done
        if self._not_queued is not None and self._evaluator.holds:
            if gone := await self._outbox.abandon(self._receivers):
                logger.warning("messages given up, since ALERTS_FILE has their receivers no more: %d", gone)
            await self._outbox.fill(self._not_queued.until_ms, self._store.lease.now)
            self._not_queued = None
        for name, error in () if done is None else done.failed.items():
            raise RuleFailed(name, error) from error
        return done

    def _compare_rules(self) -> None:
        """Warns once about each worker that has no rules, or other ones, while we evaluate."""
        without = {seen.id: f"{seen} has no ALERTS_FILE" for seen in without_rules(self._workers)}
        alive = (seen for seen in self._workers if not seen.silent and seen.status.rules)
        other = {seen.id: f"{seen} has other rules" for seen in alive if seen.status.rules != self._fingerprint}
        if not self._evaluator.holds:
            self._others = {}
            return
        others = without | other
        for worker, problem in others.items():
            if worker not in self._others:
                logger.warning(
                    "%s: alerts may wait for what it publishes, or lack it; all workers of the group need the same "
                    "ALERTS_FILE",
                    problem,
                )
        self._others = others

    async def export(self, values: Values) -> None:
        """Adds the state of the evaluation to what is exported; values that MongoDB does not return in time are left
        out.
        """
        evaluates = self._store.evaluates
        values.set(catalogue.ALERTS_EVALUATING, evaluates)
        values.set(catalogue.ALERTS_FAILURES, self._failures)
        self._courier.export(values)
        if not evaluates:
            return
        values.set(catalogue.ALERTS_STILL, self._evaluator.stalled_s)
        values.set(catalogue.ALERTS_WITHOUT_RULES, len(self._others))
        if self._store.evaluated_until is not None:
            values.set(catalogue.ALERTS_UNTIL, self._store.evaluated_until.timestamp())
        try:
            async with asyncio.timeout(_COUNTED_WITHIN_S):
                waiting = await self._outbox.waiting_by_receiver()
        except (TimeoutError, PyMongoError):
            return  # mongodb_errors and failures report that
        for receiver in self._receivers:
            count, age_s = waiting.get(receiver, (0, 0.0))
            values.set(catalogue.ALERT_MESSAGES_WAITING, count, receiver)
            values.set(catalogue.ALERT_MESSAGE_AGE, age_s, receiver)

    async def _deliver_new(self) -> None:
        try:
            async with asyncio.timeout(DELIVERED_WITHIN_S):
                await self._courier.deliver_due()
        except TimeoutError:
            logger.info("messages about alerts are left for the next worker")

    def _log(self, error: Exception) -> None:
        """Logs an error, once until an evaluation succeeds."""
        rule = ""
        if isinstance(error, RuleFailed):
            rule, error = f"rule {error.name}: ", error.error
        message = rule + str(explain(error, self._db) if isinstance(error, PyMongoError) else error)
        if message != self._logged:
            self._logged = message
            known = isinstance(error, PyMongoError | MovieStreamError | LeaseLost)
            logger.warning(
                "alerts are not evaluated, retries; counting continues: %s", message, exc_info=None if known else error
            )
