"""Seeded schedules of the whole protocol: the rules hold in all of them, and each broken rule is noticed in some."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest

from movie_stream.aggregates.merger import Merger
from tests.support import schedules, set_backs
from tests.support.mutants import MUTANTS, NOTICED_BY, SET_BACK
from tests.support.schedules import World, wrong_in

SCHEDULES = 20
"""How many are tried; more in test_chaos_schedules.py, and with: python -m tests.support.schedules 1000 500."""
NOTICED_WITHIN = 60
SET_BACKS = 3
"""Seeds of backups that are put back."""
NOTICED_LATE = frozenset(
    {
        "evictions missing from deltas",
        "evicted although changed",
        "what lies in the store not fetched",
        "only one part of a list fetched",
        "a new user leaves the day of the former first view",
        "a joined session leaves the days in between",
    }
)
"""Rules whose breach shows in few of the schedules, so that many have to be tried."""


@pytest.fixture(autouse=True)
def small_and_quiet() -> Iterator[None]:
    """As all schedules are run."""
    with schedules.small_and_quiet():
        yield


@cache
def checked(seed: int) -> World:
    """The world of a schedule in which all went well. Raises Wrong."""
    world = World(seed)
    world.check()
    return world


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_every_document_is_right(seed: int) -> None:
    assert checked(seed).mongo.documents


@pytest.mark.parametrize(
    "rule", [pytest.param(rule, marks=pytest.mark.long if rule in NOTICED_LATE else ()) for rule in MUTANTS]
)
def test_a_broken_rule_is_noticed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once by a seed that is known to; when the protocol has changed, by any of many."""
    MUTANTS[rule](monkeypatch)
    wrong = set_backs.wrong_in if rule in SET_BACK else wrong_in
    assert any(wrong(seed) is not None for seed in (NOTICED_BY.get(rule, 0), *range(NOTICED_WITHIN)))


@pytest.mark.parametrize("seeds", [range(SET_BACKS), pytest.param(range(SET_BACKS, 40), marks=pytest.mark.long)])
@pytest.mark.parametrize("what", ["mongo", "kafka"])
def test_a_part_restored_alone_is_refused_or_right(what: set_backs.What, seeds: range) -> None:
    """The schedules of the other tests, in which nothing is put back, are never refused."""
    assert "refused" in {set_backs.SetBack(seed).check_set_back(what) for seed in seeds}


def test_a_mutant_that_does_not_run_is_not_taken_for_a_broken_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Merger, "apply", lambda self: None)
    with pytest.raises(TypeError):
        wrong_in(0)


def test_a_seed_is_a_trace() -> None:
    first, second = checked(3), World(3)
    second.check()
    assert first.trace == second.trace
    assert len(first.trace) > 20
    assert first.mongo.documents == second.mongo.documents


def test_the_storm_is_one() -> None:
    """What the schedules are there for happens in them."""
    traces, stored = list[str](), 0
    for world in map(checked, range(SCHEDULES)):
        traces += world.trace
        stored += sum(collection == "_partials" for collection, _ in world.mongo.documents)
    for happens in (
        "killed",
        "does not count",
        "deleted by another",
        "send lost",
        "write lost",
        "out of range",
        "revoked",
        "is paused",
        "goes on",
    ):
        assert any(happens in line for line in traces), happens
    back = [re.search(r": goes on at (\d+), saved up to (\d+)", line) for line in traces]
    assert {found[1] == found[2] for found in back if found} == {True, False}, "as it was saved, and ahead of that"
    assert stored > 0, "nothing was evicted"
    assert any("restored at 0" not in line and "restored at" in line for line in traces)
