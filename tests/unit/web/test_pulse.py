"""What the workers say of themselves, of whatever version they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from movie_stream.web.fleet import Worker, refused_by_all
from movie_stream.web.pulse import NOBODY, Rates, sample_of

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def worker(name: str, **said: Any) -> Worker:
    return Worker(name, {"age_ms": 1_000, "seen": NOW, **said})


def test_nobody_runs() -> None:
    silent = worker("b", age_ms=20_000, events=5, delay_ms=3.0)
    assert sample_of([], Rates()) == sample_of([silent], Rates()) == NOBODY


def test_an_older_worker_says_less() -> None:
    said = sample_of([worker("a"), worker("b", partitions=[{"topic": "t", "partition": 0}])], Rates())
    assert (said.workers, said.events_per_s, said.lag, said.delay_ms) == (2, None, None, None)


def test_events_a_second_are_those_between_two_heartbeats() -> None:
    rates = Rates()
    assert sample_of([worker("a", events=100), worker("b", events=0)], rates).events_per_s is None
    later = [worker("a", events=600, seen=NOW + timedelta(seconds=5)), worker("b", events=0)]
    assert sample_of(later, rates).events_per_s == 100.0
    assert sample_of(later, rates).events_per_s == 100.0, "until it is heard of again"
    assert sample_of([worker("b", events=20, seen=NOW + timedelta(seconds=10))], rates).events_per_s == 2.0
    assert sample_of(later, rates).events_per_s == 2.0, "a worker that had gone begins anew"


def test_lag_and_delay_are_those_of_all() -> None:
    said = sample_of(
        [
            worker("a", delay_ms=100, partitions=[{"topic": "t", "partition": 0, "lag": 5}, {"lag": None}, "odd"]),
            worker("b", delay_ms=300.0, partitions=[{"topic": "t", "partition": 1, "lag": 7}]),
        ],
        Rates(),
    )
    assert (said.lag, said.delay_ms) == (12, 200.0)


def test_refused_records_are_added_up_by_reason() -> None:
    fleet = [worker("a", refused={"late": 2, "rating": 1}), worker("b", refused={"late": 3}), worker("c", refused=None)]
    assert refused_by_all(fleet) == {"late": 5, "rating": 1}


def test_a_row_has_every_field() -> None:
    row = worker("a", partitions=[{"topic": "t", "partition": 0}]).row()
    assert row["partitions"] == [{"topic": "t", "partition": 0, "position": None, "lag": None, "watermark": None}]
    assert (row["id"], row["host"], row["events"], row["silent"]) == ("a", None, None, False)
