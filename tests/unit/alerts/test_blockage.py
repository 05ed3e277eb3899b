"""What holds the evaluation up: who is named, and when that is said."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from movie_stream.alerts.blockage import Blockage, blocking_causes, in_words, quiet_sources, without_rules
from movie_stream.alerts.frontier import Inactivity, Topics, complete_until
from movie_stream.mongo.workers import OwnedPartition, WorkerReport, WorkerStatus

MINUTE_MS = 60_000
AT_MS = 1_730_383_500_000
"""2024-10-31 14:05 UTC."""
TOPICS = Topics("views", 2, "partials", 2)
IDLE = timedelta(minutes=1)


def worker(name: str, *held: tuple[str, int, int | None], rules: str | None = "r") -> WorkerReport:
    now = datetime.now(UTC)
    holds = tuple(OwnedPartition(topic, partition, 9, lag) for topic, partition, lag in held)
    standing = WorkerStatus("group", "running", 1, None, holds, rules=rules)
    return WorkerReport(name, name, 7, "0", now, now, timedelta(), standing)


def looked(watermarks: dict[int, dict[int, int]], *workers: WorkerReport, still_s: float = 300.0) -> list[str]:
    """What holds it up, where nothing has moved for so long."""
    inactivity = Inactivity()
    inactivity.look(watermarks, TOPICS.sources, 0.0)
    quiet = quiet_sources(watermarks, inactivity, TOPICS, workers, IDLE, still_s)
    until = complete_until(watermarks, TOPICS.sources, TOPICS.targets, quiet)
    still = inactivity.longer_than(IDLE.total_seconds(), still_s)
    return blocking_causes(watermarks, TOPICS, quiet, still, until, workers)


def test_a_partition_that_nobody_tells_of_is_named_with_who_has_it() -> None:
    only = {0: {0: AT_MS, 1: AT_MS}}
    one = worker("one", ("views", 0, 0), ("views", 1, 0), ("partials", 0, 0))
    [what] = looked(only, one, worker("two", ("partials", 1, 0), rules=""))
    assert what == (
        "nobody has said yet how far partials, partition 1 is published: two, process 7 has it, without ALERTS_FILE, "
        "which all workers of the group need"
    )
    [what] = looked(only, one)
    assert what.endswith("partials, partition 1 is published: no worker has it at the moment")
    [what] = looked({9: {0: AT_MS}}, worker("two", ("partials", 0, 0), ("partials", 1, 0), rules=""))
    assert "how far partials, partition 0, 1 is published: two" in what, "in one go"
    assert looked({}, one) == [], "nothing is known at all, as of a new deployment"


def test_a_partition_that_was_told_of_once_is_named_while_others_go_on() -> None:
    farther = AT_MS + 5 * MINUTE_MS
    told = {0: {0: farther, 1: farther}, 1: {0: AT_MS, 1: AT_MS}}
    one = worker("one", ("views", 0, 0), ("views", 1, 0), ("partials", 0, 3))
    [what] = looked(told, one, worker("two", ("partials", 1, 5), rules=""))
    assert "nobody has said lately how far partials, partition 1 is published: two" in what
    assert "without ALERTS_FILE" in what


@pytest.mark.parametrize("newest_ms", [AT_MS, AT_MS + 5 * MINUTE_MS])
def test_a_source_that_stands_still_while_its_records_wait_is_named(newest_ms: int) -> None:
    """Also where no other one is farther, so that nothing newer is known."""
    told = {target: {0: AT_MS, 1: newest_ms} for target in range(2)}
    has = [("views", 1, 0), ("partials", 0, 0), ("partials", 1, 0)]
    [what] = looked(told, worker("one", ("views", 0, 1_200), *has))
    assert what == (
        "views, partition 0 stands still, published until 2024-10-31 14:05 UTC: one, process 7 has it, 1,200 records "
        "wait"
    )
    [what] = looked(told, worker("one", *has))
    assert what.endswith("14:05 UTC: no worker has it at the moment")
    assert looked(told, worker("one", ("views", 0, 0), *has)) == [], "it is quiet"
    assert looked(told, worker("one", ("views", 0, 1_200), *has), still_s=30.0) == [], "it gets on, within a minute"


def test_it_is_said_once_then_at_intervals_that_grow_and_when_it_goes_on() -> None:
    blockage = Blockage(IDLE)
    said = [second for second in range(0, 3 * 3_600, 10) if blockage.look(AT_MS, ["a"], float(second))]
    assert said[:4] == [120, 240, 480, 960]
    assert max(b - a for a, b in itertools.pairwise(said)) == 3_600
    assert (blockage.reported, blockage.stalled_s(10_800.0)) == (True, 10_800.0)
    assert blockage.look(AT_MS + MINUTE_MS, ["a"], 10_800.0)
    assert not blockage.reported
    assert not blockage.look(AT_MS + MINUTE_MS, ["a"], 10_810.0)
    assert not blockage.look(AT_MS + MINUTE_MS, [], 20_000.0), "it was not said"


def test_a_slow_one_that_gets_on_is_not_said() -> None:
    blockage = Blockage(IDLE)
    assert not any(blockage.look(AT_MS + second // 100 * MINUTE_MS, ["a"], float(second)) for second in range(10_000))


def test_who_does_not_tell_is_not_said_to_have_none() -> None:
    assert [of.id for of in without_rules([worker("a", rules=""), worker("b", rules=None), worker("c")])] == ["a"]
    assert in_words([str(n) for n in range(12)]).endswith("8; 9; and 2 more")
