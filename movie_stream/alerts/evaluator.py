"""Who holds the lease evaluates all rules, up to where the results are complete, and what has changed before.

1. it says up to when it is going to evaluate (completeness.py tells why)
2. it reads the figures of each rule, window after window, and finds the alerts that follow
3. what differs from what is stored is written: alerts that are new, that last longer, that have ended; and alerts that
   follow no more, by views that came later or another rule, are withdrawn
4. it notes how far each rule is, and removes the markers of what it has evaluated again

Cut off anywhere, the next one does it again from the last note, and finds the same.
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

from movie_stream.alerts.evaluation import Evaluation, Streak, before, due_until, restarted
from movie_stream.alerts.figures import Reader
from movie_stream.alerts.frontier import Stillness, Topics, complete_until
from movie_stream.alerts.holdup import Holdup, holding_up, in_words, quiet_sources, utc
from movie_stream.alerts.metered import Meter
from movie_stream.alerts.pace import Portions, Turns
from movie_stream.alerts.rules import EACH, Rule, Source
from movie_stream.alerts.store import RENEWED_EVERY, LeaseLost, Marker, Published, RuleState, Store
from movie_stream.alerts.wording import body_of
from movie_stream.events.moment import timestamp_ms_of
from movie_stream.mongo.workers import WorkerSeen

logger = logging.getLogger(__name__)

_WINDOWS_AT_ONCE: Final[Mapping[Source, int]] = {"views": 2_000, "films": 24, "quality": 500}
"""Windows whose figures are read at a time at most."""
LEISURE: Final = 3.0
"""So much longer than it has taken to evaluate these it pauses, where there are more: counting comes first."""


@dataclass(slots=True)
class Pass:
    """What one pass has found."""

    until_ms: int
    written: int = 0
    failed: dict[str, Exception] = field(default_factory=dict)
    """Rules that could not be evaluated, and why; the others were."""


@dataclass(slots=True)
class Evaluator:
    """The evaluation of one run's results in one process."""

    store: Store
    reader: Reader
    rules: Sequence[Rule]
    topics: Topics
    idle: timedelta
    _stillness: Stillness = field(default_factory=Stillness)
    _holdup: Holdup = field(init=False)
    _evaluations: dict[str, Evaluation] = field(default_factory=dict)
    _states: dict[str, RuleState] | None = None
    """As noted in MongoDB; None where that was not read by who holds the lease."""
    _claimed_s: float = float("-inf")
    _got_on_s: float = field(default_factory=lambda: monotonic())
    """When all was evaluated that could be, or at least a part of it."""
    _leisure: float = 0.0
    _turns: Turns = field(default_factory=Turns)
    _portions: Portions = field(default_factory=Portions)
    _passed_ms: int | None = None
    """Up to when all was evaluated last."""

    def __post_init__(self) -> None:
        self._holdup = Holdup(self.idle)

    async def step(
        self, workers: Collection[WorkerSeen], *, at_the_end: bool = False, held: Collection[int] = ()
    ) -> Pass | None:
        """Evaluates what is due, `at_the_end` of all that comes without waiting for more, but for the sources that are
        `held`; None where that is nothing, or somebody else does it. Raises LeaseLost, and the driver's errors.
        """
        try:
            if not await self._hold():
                return None
            return await self._look(workers, at_the_end, held)
        except BaseException:
            self.drop()
            raise

    async def keep(self) -> None:
        """Renews the lease between two steps, where that is due. Raises LeaseLost, and the driver's errors."""
        try:
            await self._keep()
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Forgets what is known of a lease that ended, or may have."""
        self._states, self._claimed_s, self._passed_ms = None, float("-inf"), None
        self._evaluations.clear()

    @property
    def holds(self) -> bool:
        """Whether this process evaluates, as far as it knows."""
        return self.store.lease.held

    @property
    def still_s(self) -> float:
        """For how long it has not got on, although newer results are there."""
        now_s = monotonic()
        return max(now_s - self._got_on_s, self._holdup.still_s(now_s) if self._holdup.said else 0.0)

    async def _hold(self) -> bool:
        """Whether the lease is ours, renewed where that is due."""
        now_s = monotonic()
        if self._states is None or now_s - self._claimed_s > RENEWED_EVERY.total_seconds():
            lease = await self.store.claim()
            if not lease.held or lease.anew:
                self.drop()
            self._claimed_s = now_s
            if not lease.held:
                self._got_on_s, self._holdup = monotonic(), Holdup(self.idle)
                return False
        if self._states is None:
            await self.store.clear()
            if not self._holdup.said:  # what another one has said
                await self.store.waits(None)
            self._states = await self.store.rules()
            await self._withdraw_what_no_rule_says()
        return True

    async def _look(self, workers: Collection[WorkerSeen], at_the_end: bool, held: Collection[int]) -> Pass | None:
        published, now_s = await self.store.published(), monotonic()
        self._stillness.look(published.watermarks, self.topics.sources, now_s)
        if at_the_end:
            quiet = set(range(self.topics.sources)) - set(held)
        else:
            quiet = quiet_sources(published.watermarks, self._stillness, self.topics, workers, self.idle, now_s)
        idle_ms = int(self.idle / timedelta(milliseconds=1))
        clock_ms = self.store.now_ms
        until_ms = complete_until(
            published.watermarks,
            self.topics.sources,
            self.topics.targets,
            quiet,
            None if at_the_end else clock_ms - idle_ms,
            published.moved_ms,
            clock_ms,  # also at the end: a window that is not over by then is for the next worker
        )
        if not at_the_end:
            await self._say_what_holds_it_up(published, workers, quiet, until_ms)
        if until_ms is None or (until_ms == self._passed_ms and not published.markers):
            if until_ms is not None or not published.watermarks:
                self._got_on_s = now_s
            return None
        self._leisure = 0.0 if at_the_end else LEISURE
        await self.store.begin(max(until_ms - min((rule.wait_ms for rule in self.rules), default=0), 0))  # 1
        done = Pass(until_ms)
        for rule in self.rules:
            try:
                done.written += await self._evaluate(rule, until_ms, published.markers)  # 2, 3, 4
            except (LeaseLost, ConnectionFailure):
                raise  # it concerns all of them
            except Exception as error:
                self._evaluations.pop(rule.name, None)
                done.failed[rule.name] = error
        if not done.failed:
            await self.store.remove(published.markers)
            if until_ms != self._passed_ms:
                await self.store.passed(until_ms)
            self._passed_ms, self._got_on_s = until_ms, monotonic()
        return done

    async def _say_what_holds_it_up(
        self, published: Published, workers: Collection[WorkerSeen], quiet: Collection[int], until_ms: int | None
    ) -> None:
        """Once it has lasted, then at intervals that grow, and when it goes on."""
        now_s = monotonic()
        still = self._stillness.longer_than(self.idle.total_seconds(), now_s)
        causes = holding_up(published.watermarks, self.topics, quiet, still, until_ms, workers)
        if not self._holdup.look(until_ms, causes, now_s):
            return
        if self._holdup.said:
            since = self.store.lease.now - timedelta(seconds=self._holdup.still_s(now_s))
            words = in_words(causes)
            logger.warning(
                "alerts wait since %s UTC, evaluated until %s: %s", f"{since:%H:%M:%S}", utc(until_ms), words
            )
            await self.store.waits(words, since)
        else:
            logger.info("alerts go on, nothing holds them up any more")
            await self.store.waits(None)

    async def _withdraw_what_no_rule_says(self) -> None:
        """Of rules that are in the file no more."""
        assert self._states is not None
        names = {rule.name for rule in self.rules}
        for name in sorted((self._states.keys() | await self.store.rules_with_alerts()) - names):
            stored = await self.store.alerts(name, None)
            if stored:
                await self.store.begin(0)
                await self.store.write([_withdrawn(of) for of in stored.values()])
            await self.store.forget(name)
            self._states.pop(name, None)

    async def _evaluate(self, rule: Rule, until_ms: int, markers: Sequence[Marker]) -> int:
        """Evaluates a rule as far as it can be; how many alerts have changed."""
        assert self._states is not None
        state, until = self._states.get(rule.name), due_until(rule, until_ms)
        if state is not None and state.definition == rule.definition:
            until = max(until, state.until_ms)
        first_ms = await self.reader.first(rule)
        if first_ms is None:
            return 0
        evaluation, stored = await self._begun(rule, first_ms, until, markers)
        if evaluation is None:
            return 0
        ended = await self._advance(evaluation, until, first_ms)
        written = await self._write(rule, (*ended, *evaluation.lasting()), stored)
        state = RuleState(rule.definition, evaluation.until_ms, dict(evaluation.firsts))
        if self._states.get(rule.name) != state:
            await self.store.note(rule.name, state)
        self._states[rule.name], self._evaluations[rule.name] = state, evaluation
        return written

    async def _write(self, rule: Rule, streaks: Iterable[Streak], stored: Mapping[str, dict[str, Any]]) -> int:
        """Writes what differs from what is stored; how many alerts that are."""
        found, changed = set[str](), list[dict[str, Any]]()
        for streak in streaks:
            body = body_of(rule, streak)
            found.add(body["_id"])
            if stored.get(body["_id"]) != body:
                changed.append(body)
            await self._give_way()
        gone = [_withdrawn(of) for name, of in stored.items() if name not in found]
        await self.store.write([*gone, *changed])
        return len(changed) + len(gone)

    async def _begun(
        self, rule: Rule, first_ms: int, until_ms: int, markers: Iterable[Marker]
    ) -> tuple[Evaluation | None, Mapping[str, dict[str, Any]]]:
        """Where the evaluation goes on, and the stored alerts that it may change; None where nothing is to be done."""
        assert self._states is not None
        state, running = self._states.get(rule.name), self._evaluations.get(rule.name)
        if state is None or state.definition != rule.definition:  # it is new, or another one: from the beginning
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
        for of in stored.values():
            start = timestamp_ms_of(of["start"])
            lasting[of["subject"]] = min(start, lasting.get(of["subject"], start))
        evaluation = restarted(rule, from_ms, lasting, state.firsts if rule.subject == EACH else {})
        return evaluation, stored

    async def _advance(self, evaluation: Evaluation, until_ms: int, first_ms: int) -> list[Streak]:
        """Reads and evaluates window after window; the lease is renewed meanwhile."""
        rule, ended = evaluation.rule, list[Streak]()
        evaluation.until_ms = max(evaluation.until_ms, first_ms)
        while evaluation.until_ms < until_ms:
            meter = Meter()
            windows = self._portions.windows(rule, _WINDOWS_AT_ONCE[rule.source])
            end = min(until_ms, evaluation.until_ms + windows * rule.window_ms)
            ended += await meter.run(self._piece(evaluation, end, first_ms))
            self._got_on_s = monotonic()
            leisure_s = min(meter.s * self._leisure, RENEWED_EVERY.total_seconds())
            await asyncio.sleep(leisure_s if evaluation.until_ms < until_ms else 0)
            await self._keep()
        return ended

    async def _piece(self, evaluation: Evaluation, end_ms: int, first_ms: int) -> list[Streak]:
        rule, begin_ms, ended = evaluation.rule, evaluation.until_ms, list[Streak]()
        figures = await self.reader.figures(rule, begin_ms, end_ms)
        self._portions.read(rule, (end_ms - begin_ms) // rule.window_ms, figures.rows)
        for some in evaluation.advancing(figures.by_subject, end_ms, first_ms, figures.others):
            ended += some
            await self._give_way()
        return ended

    async def _give_way(self) -> None:
        """Lets counting go on where it has waited for a while."""
        if await self._turns.give():
            await self._keep()

    async def _keep(self) -> None:
        """Renews the lease where that is due. Raises LeaseLost."""
        if monotonic() - self._claimed_s > RENEWED_EVERY.total_seconds():
            await self.store.keep()
            self._claimed_s = monotonic()


def _withdrawn(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {**stored, "state": "withdrawn", "open": False}
