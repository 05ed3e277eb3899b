"""First views, sessions and the most active users, against the reference: whatever the chunks and restores."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.aggregates.merger import Merger
from movie_stream.events.chunk import chunk_of
from movie_stream.mongo.guard import body_of
from tests.support import reference
from tests.support.examples import examples
from tests.support.reference import Documents, Record, views

DAY_MS = 86_400_000
MINUTE_MS = 60_000
START_MS = 1_730_332_800_000  # 2024-10-31T00:00:00Z
GAP = 30
LATENESS_MS = 3 * DAY_MS


def documents(
    records: Sequence[Record], sizes: Sequence[int], restored_at: Sequence[int] = (), lateness_ms: int = LATENESS_MS
) -> Documents:
    """The documents of users after chunks of these sizes; snapshots and deltas are loaded at some of them."""
    rules = Rules(allowed_lateness_ms=lateness_ms, session_gap_ms=GAP * MINUTE_MS)
    state, merger, log = Accumulator(0, 1, rules), Merger(1), list[bytes]()
    position = at = 0
    for number, size in enumerate((*sizes, len(records))):
        part = records[at : at + size]
        state.apply(chunk_of(0, at, [value for _, _, value in part]))
        at += len(part)
        messages = [message for _, message in state.partials(1)]
        merger.apply(chunk_of(0, position, messages))
        position += len(messages)
        log += state.freeze(snapshot=not log)
        state.drop_expired()
        if number in restored_at:
            old, state = state, Accumulator(0, 1, rules)
            for entry in log:
                state.load(entry)
            state.loaded(old.position, old.watermark_ms)
    found: Documents = {}
    for document in merger.documents(10**9):
        if document.key.collection in ("active_users", "top_users"):
            found.setdefault(document.key.collection, {})[document.id] = {
                "_id": document.id,
                **body_of(document.encoded),
            }
    return found


def wanted(records: Sequence[Record], lateness_ms: int = LATENESS_MS) -> Documents:
    rules = reference.Rules(allowed_lateness_ms=lateness_ms, session_gap_ms=GAP * MINUTE_MS)
    all_of_them = reference.expected([records], rules).documents
    return {name: all_of_them[name] for name in ("active_users", "top_users")}


def at(minute: float, user: int = 1, duration: int | None = None) -> Mapping[str, object]:
    return {"timestamp": START_MS + int(minute * MINUTE_MS), "user_id": f"u{user}", "duration": duration}


MIDNIGHT = 24 * 60
CASES: dict[str, list[Mapping[str, object]]] = {
    "the gap is inclusive": [at(0), at(GAP), at(2 * GAP), at(3 * GAP + 0.001)],
    "the gap begins at the furthest end": [at(0, duration=100), at(10, duration=5), at(100 + GAP)],
    "a late view bridges two sessions": [at(0), at(2 * GAP), at(GAP)],
    "a late view bridges three": [at(0), at(100), at(200), at(-100), at(1, duration=200)],
    "a bridge over midnight": [at(MIDNIGHT - 20), at(MIDNIGHT + 40), at(MIDNIGHT + 10)],
    "a session taken from its day": [at(MIDNIGHT + 5), at(MIDNIGHT - 5)],
    "a bridge over several days": [
        *(at(day * MIDNIGHT, duration=1400) for day in (4, 2, 3)),
        *(at(day * MIDNIGHT, duration=1440) for day in (1, 0)),
    ],
    "within an older one": [at(0, duration=1440), at(MIDNIGHT, duration=1), at(60)],
    "several users at once": [at(i % 3 * 20, user=i % 4, duration=i) for i in range(12)],
    "an earlier first view": [at(3 * MIDNIGHT), at(2 * MIDNIGHT), at(1.5 * MIDNIGHT), at(2.5 * MIDNIGHT), at(0)],
    "many views at one time": [at(0, duration=d) for d in (5, 0, 1440, 5)],
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_cases(name: str, size: int) -> None:
    records = views(*CASES[name])
    sizes = [size] * ceil(len(records) / size)
    for restored_at in (range(0), range(len(sizes))):
        assert reference.same(documents(records, sizes, restored_at), wanted(records)) == []


one_view = st.builds(
    at,
    st.integers(0, 6 * MIDNIGHT) | st.integers(MIDNIGHT - 200, MIDNIGHT + 200),
    st.integers(0, 14),
    st.none() | st.integers(0, 1440) | st.just(0),
)


@settings(max_examples=examples(40))
@given(
    st.lists(one_view, max_size=40),
    st.lists(st.integers(1, 9), max_size=12),
    st.sets(st.integers(0, 12)),
    st.booleans(),
)
def test_figures_of_users_are_those_of_the_reference(
    some: list[dict[str, Any]], sizes: list[int], restored_at: set[int], in_order: bool
) -> None:
    if in_order:
        some.sort(key=lambda view: int(view["timestamp"]))
    records = views(*some)
    assert reference.same(documents(records, sizes, sorted(restored_at)), wanted(records)) == []


def test_users_with_very_many_open_days() -> None:
    days = random.Random(5).sample(range(300), 300)
    records = views(*(at(day * MIDNIGHT + user, user=user) for day in (*days, *days[::-1]) for user in (1, 2)))
    year_ms = 365 * DAY_MS
    found = documents(records, [500], restored_at=[0], lateness_ms=year_ms)
    assert reference.same(found, wanted(records, year_ms)) == []
    assert len(found["top_users"]) == 300


def test_the_list_of_users_changes_its_members() -> None:
    order = [*range(14)] * 2 + [13, 12, 11, 10] * 3 + [3, 3, 3, 3] + [0] * 9
    records = views(*(at(minute, user) for minute, user in enumerate(order)))
    for size in (1, 5, 100):
        found = documents(records, [size] * len(records), [3, 9])
        assert reference.same(found, wanted(records)) == []


def test_users_are_counted() -> None:
    state = Accumulator(0, 1, Rules())
    state.apply(chunk_of(0, 0, [value for _, _, value in views(at(0, 1), at(0, 2), at(5, 1))]))
    assert len(state.users.names) == 2
