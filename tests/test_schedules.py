"""Seeded schedules of the whole protocol: the rules hold in all of them, and each broken rule is noticed in some."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests import schedules
from tests.mutants import MUTANTS
from tests.schedules import World, wrong_in

BATCHES, SIZE = 10, 10
"""How many schedules are tried; more with: python -m tests.schedules 1000 500."""
NOTICED_WITHIN = 60


@pytest.fixture(autouse=True)
def small_and_quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything bounded has a small bound; what the agents say of the many faults is not kept."""
    schedules.small(monkeypatch)
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, BATCHES * SIZE, SIZE))
def test_every_document_is_right(first: int) -> None:
    wrong = {seed: wrong_in(seed) for seed in range(first, first + SIZE)}
    assert {seed: what for seed, what in wrong.items() if what is not None} == {}


@pytest.mark.parametrize("rule", MUTANTS)
def test_a_broken_rule_is_noticed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[rule](monkeypatch)
    assert any(wrong_in(seed) is not None for seed in range(NOTICED_WITHIN))


def test_a_seed_is_a_trace() -> None:
    first, second = World(3), World(3)
    first.check()
    second.check()
    assert first.trace == second.trace
    assert len(first.trace) > 20
    assert first.mongo.documents.keys() == second.mongo.documents.keys()


def test_the_storm_is_one() -> None:
    """What the schedules are there for happens in them."""
    traces, stored = list[str](), 0
    for seed in range(24):
        world = World(seed)
        world.check()
        traces += world.trace
        stored += sum(collection == "_partials" for collection, _ in world.mongo.documents)
    for happens in ("killed", "does not count", "deleted by another", "send lost", "write lost", "out of range"):
        assert any(happens in line for line in traces), happens
    assert stored > 0, "nothing was evicted"
    assert any("restored at 0" not in line and "restored at" in line for line in traces)
