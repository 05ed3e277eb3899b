"""When a worker says that it is ready."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from movie_stream.agents.worker import Worker
from movie_stream.settings import load_settings


def worker(*, waiting_s: float = 0, restored: bool = True, **parts: Any) -> Any:
    """One of which the parts that it asks say this."""
    known = {"stopping": False, "mongodb_silence_s": 1.0, "lost": False, "silence_s": 2.0, **parts}
    made: Any = Worker(load_settings())
    made._group = SimpleNamespace(waiting_s=waiting_s)
    made._reporter = made._broker_watch = SimpleNamespace(**known)
    made._restored = restored
    return made


@pytest.mark.parametrize(
    ("state", "failing"),
    [
        ({}, {}),
        ({"waiting_s": 3.2, "restored": False}, {"group": "a rebalance goes on for 3 s"}),
        ({"restored": False}, {"group": "its partitions are being restored"}),
        ({"stopping": True}, {"group": "the worker ends"}),
        ({"lost": True, "silence_s": 12.0}, {"broker": "it has not answered for 12 s"}),
        ({"silence_s": 31.0}, {"broker": "it has not answered for 31 s"}),
        ({"mongodb_silence_s": inf}, {"mongodb": "it has not answered yet"}),
        ({"mongodb_silence_s": 16.0}, {"mongodb": "it has not answered for 16 s"}),
    ],
)
async def test_ready_is_a_restored_member_that_hears_of_both(state: dict[str, Any], failing: dict[str, str]) -> None:
    found = await worker(**state).readiness()
    assert found.keys() == {"group", "broker", "mongodb"}
    assert {name: wrong for name, wrong in found.items() if wrong is not None} == failing


async def test_partitions_that_go_leave_it_unready_and_a_share_of_nothing_is_one() -> None:
    ready = worker()
    await ready.release(set())
    assert (await ready.readiness())["group"] is not None
    ready.owners = {"movie-events": SimpleNamespace(forget_others=lambda partitions: None)}
    ready._reporter.set_state = lambda _: None
    ready.on_empty_assignment()
    assert (await ready.readiness())["group"] is None
