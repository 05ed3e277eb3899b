"""The evaluator: the holder of the lease evaluates all rules up to the time at which results are complete, and windows
that changed before.

1. it announces the time up to which it evaluates (completeness.py explains why)
2. it reads the figures of each rule, window by window, and derives the alerts
3. it writes the differences to the stored alerts: new, longer and ended ones; alerts that no longer hold, because of
   later views or a changed rule, are withdrawn
4. it stores the progress of each rule, and removes the markers of the windows evaluated again

After a crash at any step, the next evaluator resumes from the stored progress, with the same outcome.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any, Final

from pymongo.errors import ConnectionFailure

from movie_stream.alerts.blockage import Blockage, blocking_causes, in_words, quiet_sources, utc
from movie_stream.alerts.evaluation import Evaluation, Streak, before, due_until, restarted
from movie_stream.alerts.figures import Reader
from movie_stream.alerts.frontier import Inactivity, Topics, complete_until
from movie_stream.alerts.pace import Portions, Yielder
from movie_stream.alerts.rules import EACH, Rule, Source
from movie_stream.alerts.store import RENEWED_EVERY, LeaseLost, Marker, Published, RuleState, Store
from movie_stream.alerts.wording import body_of
from movie_stream.events.timestamps import timestamp_ms_of
from movie_stream.metrics.metered import Meter
from movie_stream.mongo.workers import WorkerReport

logger = logging.getLogger(__name__)

_WINDOWS_AT_ONCE: Final[Mapping[Source, int]] = {"views": 2_000, "films": 24, "quality": 500}
"""The most windows whose figures are read at a time."""
PAUSE_FACTOR: Final = 3.0
"""The pause between portions, as a multiple of the time that the last one took: counting has priority."""


@dataclass(slots=True)
class Pass:
    """The outcome of one pass."""

    until_ms: int
    written: int = 0
    failed: dict[str, Exception] = field(default_factory=dict)
    """The rules that could not be evaluated, with the errors."""


@dataclass(slots=True)
class Evaluator:
    """The evaluation of one run's results in one process."""

    store: Store
    reader: Reader
    rules: Sequence[Rule]
    topics: Topics
    idle: timedelta
    _inactivity: Inactivity = field(default_factory=Inactivity)
    _blockage: Blockage = field(init=False)
    _evaluations: dict[str, Evaluation] = field(default_factory=dict)
    _states: dict[str, RuleState] | None = None
    """The progress stored in MongoDB; None if it was not read since the lease was acquired."""
    _claimed_s: float = float("-inf")
    _progressed_s: float = field(default_factory=lambda: monotonic())
    """The time of the last progress of the evaluation."""
    _pause_factor: float = 0.0
    _yielder: Yielder = field(default_factory=Yielder)
    _portions: Portions = field(default_factory=Portions)
    _completed_ms: int | None = None
    """The event time up to which the last complete pass evaluated."""

    def __post_init__(self) -> None:
        self._blockage = Blockage(self.idle)

    async def step(
        self, workers: Collection[WorkerReport], *, at_the_end: bool = False, held: Collection[int] = ()
    ) -> Pass | None:
        """Evaluates the due windows; `at_the_end` without waiting for sources, except those in `held`. Returns None if
        nothing is due, or another process holds the lease. Raises LeaseLost, and the driver's errors.
        """
        try:
            if not await self._acquire():
                return None
            return await self._pass(workers, at_the_end, held)
        except BaseException:
            self.drop()
            raise

    async def keep(self) -> None:
        """Renews the lease between two steps, if that is due. Raises LeaseLost, and the driver's errors."""
        try:
            await self._renew()
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Drops the state that is only valid while the lease is held."""
        self._states, self._claimed_s, self._completed_ms = None, float("-inf"), None
        self._evaluations.clear()

    @property
    def holds(self) -> bool:
        """Whether this process holds the lease, as far as it knows."""
        return self.store.lease.held

    @property
    def stalled_s(self) -> float:
        """Seconds without progress although there are newer results."""
        now_s = monotonic()
        return max(now_s - self._progressed_s, self._blockage.stalled_s(now_s) if self._blockage.reported else 0.0)

    async def _acquire(self) -> bool:
        """Acquires or renews the lease, if that is due; returns whether it is held."""
        now_s = monotonic()
        if self._states is None or now_s - self._claimed_s > RENEWED_EVERY.total_seconds():
            lease = await self.store.claim()
            if not lease.held or lease.anew:
                self.drop()
            self._claimed_s = now_s
            if not lease.held:
                self._progressed_s, self._blockage = monotonic(), Blockage(self.idle)
                return False
        if self._states is None:
            await self.store.clear()
            if not self._blockage.reported:  # clears the report of a previous holder
                await self.store.set_blocked(None)
            self._states = await self.store.rules()
            await self._withdraw_removed_rules()
        return True

    async def _pass(self, workers: Collection[WorkerReport], at_the_end: bool, held: Collection[int]) -> Pass | None:
        published, now_s = await self.store.published(), monotonic()
        self._inactivity.look(published.watermarks, self.topics.sources, now_s)
        if at_the_end:
            quiet = set(range(self.topics.sources)) - set(held)
        else:
            quiet = quiet_sources(published.watermarks, self._inactivity, self.topics, workers, self.idle, now_s)
        idle_ms = int(self.idle / timedelta(milliseconds=1))
        clock_ms = self.store.now_ms
        until_ms = complete_until(
            published.watermarks,
            self.topics.sources,
            self.topics.targets,
            quiet,
            None if at_the_end else clock_ms - idle_ms,
            published.moved_ms,
            clock_ms,  # also at the end: a window that is not over is left to the next worker
        )
        if not at_the_end:
            await self._report_blockage(published, workers, quiet, until_ms)
        if until_ms is None or (until_ms == self._completed_ms and not published.markers):
            if until_ms is not None or not published.watermarks:
                self._progressed_s = now_s
            return None
        self._pause_factor = 0.0 if at_the_end else PAUSE_FACTOR
        await self.store.begin(max(until_ms - min((rule.wait_ms for rule in self.rules), default=0), 0))  # 1
        done = Pass(until_ms)
        for rule in self.rules:
            try:
                done.written += await self._evaluate(rule, until_ms, published.markers)  # 2, 3, 4
            except (LeaseLost, ConnectionFailure):
                raise  # it concerns all rules
            except Exception as error:
                self._evaluations.pop(rule.name, None)
                done.failed[rule.name] = error
        if not done.failed:
            await self.store.remove(published.markers)
            if until_ms != self._completed_ms:
                await self.store.save_evaluated_until(until_ms)
            self._completed_ms, self._progressed_s = until_ms, monotonic()
        return done

    async def _report_blockage(
        self, published: Published, workers: Collection[WorkerReport], quiet: Collection[int], until_ms: int | None
    ) -> None:
        """Reports a blockage once it has lasted, then at growing intervals, and when it ends."""
        now_s = monotonic()
        still = self._inactivity.longer_than(self.idle.total_seconds(), now_s)
        causes = blocking_causes(published.watermarks, self.topics, quiet, still, until_ms, workers)
        if not self._blockage.look(until_ms, causes, now_s):
            return
        if self._blockage.reported:
            since = self.store.lease.now - timedelta(seconds=self._blockage.stalled_s(now_s))
            words = in_words(causes)
            logger.warning(
                "alerts wait since %s UTC, evaluated until %s: %s", f"{since:%H:%M:%S}", utc(until_ms), words
            )
            await self.store.set_blocked(words, since)
        else:
            logger.info("alerts go on, nothing holds them up any more")
            await self.store.set_blocked(None)

    async def _withdraw_removed_rules(self) -> None:
        """Withdraws the alerts of rules that were removed from the file."""
        assert self._states is not None
        names = {rule.name for rule in self.rules}
        for name in sorted((self._states.keys() | await self.store.rules_with_alerts()) - names):
            stored = await self.store.alerts(name, None)
            if stored:
                await self.store.begin(0)
                await self.store.write([_withdrawn(alert) for alert in stored.values()])
            await self.store.delete_progress(name)
            self._states.pop(name, None)

    async def _evaluate(self, rule: Rule, until_ms: int, markers: Sequence[Marker]) -> int:
        """Evaluates a rule as far as possible; returns the number of alerts changed."""
        assert self._states is not None
        state, until = self._states.get(rule.name), due_until(rule, until_ms)
        if state is not None and state.definition == rule.definition:
            until = max(until, state.until_ms)
        first_ms = await self.reader.first(rule)
        if first_ms is None:
            return 0
        evaluation, stored = await self._resume(rule, first_ms, until, markers)
        if evaluation is None:
            return 0
        ended = await self._advance(evaluation, until, first_ms)
        written = await self._write(rule, (*ended, *evaluation.open_streaks()), stored)
        state = RuleState(rule.definition, evaluation.until_ms, dict(evaluation.firsts))
        if self._states.get(rule.name) != state:
            await self.store.save_rule_state(rule.name, state)
        self._states[rule.name], self._evaluations[rule.name] = state, evaluation
        return written

    async def _write(self, rule: Rule, streaks: Iterable[Streak], stored: Mapping[str, dict[str, Any]]) -> int:
        """Writes the alerts that differ from the stored ones; returns their number."""
        found, changed = set[str](), list[dict[str, Any]]()
        for streak in streaks:
            body = body_of(rule, streak)
            found.add(body["_id"])
            if stored.get(body["_id"]) != body:
                changed.append(body)
            await self._yield()
        gone = [_withdrawn(alert) for name, alert in stored.items() if name not in found]
        await self.store.write([*gone, *changed])
        return len(changed) + len(gone)

    async def _resume(
        self, rule: Rule, first_ms: int, until_ms: int, markers: Iterable[Marker]
    ) -> tuple[Evaluation | None, Mapping[str, dict[str, Any]]]:
        """The evaluation to resume, and the stored alerts that it may change; None if nothing is due."""
        assert self._states is not None
        state, running = self._states.get(rule.name), self._evaluations.get(rule.name)
        if state is None or state.definition != rule.definition:  # a new or changed rule: from the beginning
            if until_ms <= first_ms:
                return None, {}
            return Evaluation(rule, first_ms), await self.store.alerts(rule.name, None)
        changed_ms = min((marker.hour_ms for marker in markers if marker.hour_ms < state.until_ms), default=None)
        if changed_ms is None and running is not None:
            if until_ms <= running.until_ms:
                return None, {}
            return running, await self.store.alerts(rule.name, running.until_ms + 1)
        from_ms = state.until_ms if changed_ms is None else max(changed_ms, first_ms)
        stored = await self.store.alerts(rule.name, before(rule, from_ms))
        lasting: dict[str, int] = {}
        for alert in stored.values():
            start = timestamp_ms_of(alert["start"])
            lasting[alert["subject"]] = min(start, lasting.get(alert["subject"], start))
        evaluation = restarted(rule, from_ms, lasting, state.firsts if rule.subject == EACH else {})
        return evaluation, stored

    async def _advance(self, evaluation: Evaluation, until_ms: int, first_ms: int) -> list[Streak]:
        """Reads and evaluates window by window, and renews the lease meanwhile."""
        rule, ended = evaluation.rule, list[Streak]()
        evaluation.until_ms = max(evaluation.until_ms, first_ms)
        while evaluation.until_ms < until_ms:
            meter = Meter()
            windows = self._portions.windows(rule, _WINDOWS_AT_ONCE[rule.source])
            end = min(until_ms, evaluation.until_ms + windows * rule.window_ms)
            ended += await meter.run(self._piece(evaluation, end, first_ms))
            self._progressed_s = monotonic()
            pause_s = min(meter.s * self._pause_factor, RENEWED_EVERY.total_seconds())
            await asyncio.sleep(pause_s if evaluation.until_ms < until_ms else 0)
            await self._renew()
        return ended

    async def _piece(self, evaluation: Evaluation, end_ms: int, first_ms: int) -> list[Streak]:
        rule, begin_ms, ended = evaluation.rule, evaluation.until_ms, list[Streak]()
        figures = await self.reader.figures(rule, begin_ms, end_ms)
        self._portions.read(rule, (end_ms - begin_ms) // rule.window_ms, figures.rows)
        for streaks in evaluation.advancing(figures.by_subject, end_ms, first_ms, figures.others):
            ended += streaks
            await self._yield()
        return ended

    async def _yield(self) -> None:
        """Yields to counting, if some time has passed."""
        if await self._yielder.maybe_yield():
            await self._renew()

    async def _renew(self) -> None:
        """Renews the lease if that is due. Raises LeaseLost."""
        if monotonic() - self._claimed_s > RENEWED_EVERY.total_seconds():
            await self.store.renew()
            self._claimed_s = monotonic()


def _withdrawn(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {**stored, "state": "withdrawn", "open": False}
