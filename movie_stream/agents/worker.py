"""One worker: takes over assigned partitions, releases revoked ones, and knows the offsets up to which all is done.

How it takes over is in takeover.py; its other duties are in startup.py, broker_watch.py, group_watch.py,
partition_watch.py and reporter.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from math import inf
from time import monotonic
from typing import Any, Final, NoReturn

from faust.types import TP

from movie_stream.agents.alerting import Alerting
from movie_stream.agents.broker_watch import BrokerWatch
from movie_stream.agents.faust_group import FaustGroup
from movie_stream.agents.flush_schedule import LIVE, UNTIL_END
from movie_stream.agents.group_watch import GroupWatch
from movie_stream.agents.owner import Owners, total_tally
from movie_stream.agents.partition_watch import PartitionWatch
from movie_stream.agents.reporter import Reporter
from movie_stream.agents.startup import Connections, connect, owners_of
from movie_stream.agents.takeover import Takeover
from movie_stream.alerts.blockage import WITHOUT_RULES
from movie_stream.errors import MovieStreamError
from movie_stream.kafka import offsets
from movie_stream.metrics.values import Values
from movie_stream.mongo import workers
from movie_stream.mongo.changed import Subscriber
from movie_stream.runs.fingerprint import uncounted_results
from movie_stream.runs.progress import ASK_EVERY_S
from movie_stream.settings import Settings

logger = logging.getLogger(__name__)

APPLIED_WITHIN_S: Final = 10.0
"""The longest wait for the records that were fetched before an unreadable one to be applied."""
BROKER_SILENT_AFTER_S: Final = 30.0
"""Longer than the watch needs: it asks the broker every few seconds, and waits for its answer and for MongoDB's."""


class Worker:
    """The callbacks of Faust's app: for its start, for assigned and revoked partitions, and for its stop."""

    _group: FaustGroup
    _connections: Connections
    _broker_watch: BrokerWatch
    _group_watch: GroupWatch
    _partition_watch: PartitionWatch
    _reporter: Reporter
    _takeover: Takeover
    _alerting: Alerting | None = None

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self.owners: Owners = {}
        """The owners by topic; empty before the start."""
        self.cadence = LIVE
        """The intervals of all agents; to be set before the start."""
        self.patience_s = inf
        """How long it waits for its share of the partitions before it ends; to be set before the start."""
        self.subscribers: list[Subscriber] = []
        """Notified of each document that changes; to be set before the start."""
        self._assigned: set[TP] = set()
        self._restored = False
        """Whether the assigned share of the partitions, even an empty one, is restored."""
        self.commit_awaited = asyncio.Event()
        """Set after a bounded wait for the first commit of the assigned partitions."""

    async def start(self, consumer: Any) -> None:
        """Connects and finds the run. Raises an error of movie_stream/errors.py if that is not possible."""
        settings, group = self._settings, FaustGroup(consumer)
        self._group = group
        self._connections = connected = await connect(settings, self._stack, group, self.cadence, self.subscribers)
        context = connected.context
        owners = owners_of(context)
        self._broker_watch = BrokerWatch(settings, connected)
        self._group_watch = GroupWatch(settings, connected.admin, group, owners, self.patience_s)
        self._partition_watch = PartitionWatch(owners, group)
        self._alerting = None if connected.rules is None else Alerting(settings, connected, connected.rules)
        rules = WITHOUT_RULES if connected.rules is None else connected.rules.fingerprint
        self._reporter = Reporter(connected.db, settings.kafka_group, context.run_number, owners, rules)
        self._takeover = Takeover(settings, connected, owners)
        self.owners = owners
        events = context.topics.events
        if lacking := uncounted_results(connected.run):
            logger.warning(
                "run %s was begun before there was %s, and does not count it; all else is right; to have it too, count "
                "the whole topic afresh with: movie-stream rebuild",
                *(context.run_number, lacking),
            )
        logger.info("run %s of %s, %s partitions", context.run_number, events, context.topology.partitions[events])

    def background_tasks(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """The worker's background tasks, each of which runs for ever; an error in one of them must end the worker."""
        return (
            self.flush(),
            self.watch(),
            self._group_watch.look_for_strangers(ends=self.cadence is UNTIL_END),
            self._reporter.beat(),
            self._reporter.report(),
            *(() if self._alerting is None else (self._alerting.run(), self._alerting.deliver())),
        )

    async def finish(self, held: Sequence[offsets.OpenTransaction]) -> None:
        """Evaluates alerts a last time before this worker ends. Everything is counted except the records in `held`."""
        if self._alerting is not None:
            await self._alerting.finish(held)

    async def flush(self) -> None:
        """Runs the flushes of all agents, for ever."""
        await asyncio.gather(*(owner.run_flushes() for owner in self.owners.values()))

    async def watch(self) -> None:
        """Checks every few seconds whether the worker can continue, for ever. Raises the reason if it cannot."""
        while True:
            await self._broker_watch.wait_until_due()
            await self._broker_watch.look()
            await self._group_watch.look()
            self._partition_watch.look()

    @property
    def broker_lost(self) -> bool:
        """Whether no broker answers, as far as is known."""
        return bool(self.owners) and self._broker_watch.lost

    async def values(self) -> Values:
        """The metrics exported to Prometheus."""
        values = self._reporter.values()
        if self._alerting is not None:
            await self._alerting.export(values)
        return values

    async def is_live(self) -> None:
        """Returns, which shows that the event loop is running."""

    async def readiness(self) -> dict[str, str | None]:
        """Problems by dependency, or None where there is none: the restored share of the group's partitions, and a
        broker and a MongoDB that have answered recently.
        """
        waiting_s, reporter, watch = self._group.waiting_s, self._reporter, self._broker_watch
        group = f"a rebalance goes on for {waiting_s:.0f} s" if waiting_s else None
        if reporter.stopping:
            group = "the worker ends"
        elif group is None and not self._restored:
            group = "its partitions are being restored"
        away = watch.lost or watch.silence_s > BROKER_SILENT_AFTER_S
        silence_s = reporter.mongodb_silence_s
        return {
            "group": group,
            "broker": f"it has not answered for {watch.silence_s:.0f} s" if away else None,
            "mongodb": None
            if silence_s <= workers.SILENT_AFTER.total_seconds()
            else "it has not answered yet"
            if silence_s == inf
            else f"it has not answered for {silence_s:.0f} s",
        }

    def finished(self) -> dict[TP, int]:
        """The offsets below which everything is in a checkpoint that counts."""
        return {TP(topic, p): offset for topic, owner in self.owners.items() for p, offset in owner.finished.items()}

    async def next_commit(self) -> None:
        """Waits for a commit since the last call, for a bounded time: others may commit too."""
        await self._group.next_commit(ASK_EVERY_S)

    async def resume(self, assigned: set[TP]) -> dict[TP, int]:
        """Takes over those of the assigned partitions whose states are still in memory; returns the offsets to resume
        at. The others have to be restored. Raises RunMismatch or TopicMissing if the topics have changed.
        """
        self._assigned = assigned
        await self._broker_watch.require_topics()
        return self._taken(await self._takeover.resume(assigned))

    async def restore(self, lacking: set[TP]) -> dict[TP, int]:
        """Takes over partitions whose states have to be restored; returns the offsets to resume at."""
        return self._taken(await self._takeover.restore(lacking))

    def _taken(self, positions: dict[TP, int]) -> dict[TP, int]:
        """Notes partitions that were taken over."""
        if positions:
            self._group.commit_soon()  # the offsets committed last may be of another run
            self._awaiting_commit = asyncio.create_task(self._await_commit())
        if all(tp.partition in self.owners[tp.topic].owned for tp in self._assigned):
            self._restored = True
            self._reporter.rebalances += 1
            self._reporter.set_state("running" if self._assigned else "waiting for partitions")
        return positions

    async def _await_commit(self) -> None:
        await self._group.settle()
        self.commit_awaited.set()

    async def refuse(self, error: MovieStreamError, given: Mapping[TP, int]) -> NoReturn:
        """Raises an error that stops the reading, once the records that were `given` before it are in a checkpoint:
        the remedy may be to delete them. Both waits are bounded.
        """
        deadline_s = monotonic() + APPLIED_WITHIN_S
        while not self._applied(given):
            if monotonic() > deadline_s:
                break
            await asyncio.sleep(0.01)
        await self.release_all()
        raise error

    def _applied(self, given: Mapping[TP, int]) -> bool:
        """Whether the owned tables have reached these positions."""
        held = ((self.owners[tp.topic].owned.get(tp.partition), position) for tp, position in given.items())
        return all(owned is None or owned.table.state.position >= position for owned, position in held)

    async def release(self, revoked: set[TP]) -> None:
        """Drops revoked partitions within a bounded time; their states are kept until it is known who has them."""
        self._restored = False
        if not self.owners:
            return
        await asyncio.gather(
            *(
                owner.leave([tp.partition for tp in revoked if tp.topic == topic])
                for topic, owner in self.owners.items()
            )
        )
        self._reporter.set_state("waiting for partitions")

    def on_empty_assignment(self) -> None:
        """Handles an empty assignment: the group has no partition for us at present."""
        for owner in self.owners.values():
            owner.forget_others(())
        if self.owners:
            self._reporter.set_state("waiting for partitions")
            self._restored = True
        self.commit_awaited.set()

    async def release_all(self) -> None:
        """Flushes all owned partitions, for a bounded time, and drops them."""
        if not self.owners:
            return
        self._reporter.set_state("stopping")
        if not await self._broker_watch.reachable():
            for owner in self.owners.values():
                owner.drop_all()
            return
        await asyncio.gather(*(owner.leave(list(owner.owned), ends=True) for owner in self.owners.values()))
        await self._group.settle()

    async def stop(self) -> None:
        """Disconnects."""
        logger.info("stops; %s", total_tally(self.owners))
        if self.owners:
            await self._reporter.end()
            if self._alerting is not None:
                await self._alerting.end()
        await self._stack.aclose()
