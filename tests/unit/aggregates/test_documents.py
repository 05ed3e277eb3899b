"""The pure core against the naive reference: whatever the chunks, the partitions, the replays and the restarts."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movie_stream.aggregates.accumulator import Rules
from tests.support import reference
from tests.support.examples import examples
from tests.support.simulation import merged, partitions_of_events, run

HOUR_MS = 3_600_000
START_MS = 1_730_332_800_000  # 2024-10-31T00:00:00Z

times = st.one_of(
    st.integers(0, 3 * 24 * 60).map(lambda minute: START_MS + minute * 60_000),
    st.integers(0, 6 * HOUR_MS).map(lambda ms: START_MS + 23 * HOUR_MS + ms),
    st.integers(1, 5 * 366 * 24).map(lambda hour: START_MS + hour * HOUR_MS),
)
events = st.fixed_dictionaries(
    {
        "movie_id": st.sampled_from(["m1", "m2", "m3", "f\u00e9"]) | st.integers(0, 30).map(str),
        "title": st.sampled_from(["Alien", "Zulu", "\u00c9t\u00e9", "alien"]),
        "genre": st.sampled_from(["Sci-Fi", "sci-fi ", "SCI-FI", "Film  Noir", "Film\u2003Noir", "Drama", " "]),
        "user_id": st.integers(0, 12).map(lambda n: f"u{n}"),
        "timestamp": times,
    },
    optional={
        "rating": st.none() | st.floats(-0.1, 5.1) | st.integers(0, 5),
        "duration": st.none() | st.integers(-1, 1441),
        "price": st.none() | st.floats(0, 1e9) | st.just(1e9),
    },
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(events, max_size=80),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
    st.booleans(),
    st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]),
)
def test_documents_are_those_of_the_reference(
    views: list[dict[str, Any]], count: int, rng: random.Random, in_order: bool, timezone: str
) -> None:
    if in_order:
        views.sort(key=lambda view: view["timestamp"])
    partitions = partitions_of_events(views, count)
    wanted = reference.expected(partitions, reference.Rules(timezone=timezone, revenue_per_view=0.1))
    pipeline = run(partitions, rng, Rules(timezone=timezone, revenue_per_view_micro=100_000))
    assert {(p, offset, letter.kind) for (p, offset), letter in pipeline.letters.items()} == wanted.dead_letters
    documents = merged(pipeline.log, count, rng, in_order=True)
    assert reference.same(documents, wanted.documents) == []
    twice = pipeline.log + rng.sample(pipeline.log, len(pipeline.log) // 2)
    rng.shuffle(twice)
    assert reference.same(merged(twice, count, rng), wanted.documents) == []


FIXES: list[dict[str, Any]] = [{}, {"rating": 4}, {"genre": "Drama", "timestamp": START_MS + 90_000_000}]


@settings(max_examples=examples(12))
@given(st.data(), st.lists(events, min_size=1, max_size=40), st.integers(1, 2), st.randoms(use_true_random=False))
def test_of_a_refused_record_and_its_copies_one_counts(
    data: st.DataObject, views: list[dict[str, Any]], count: int, rng: random.Random
) -> None:
    """Copies of anything: of refused and of good records, of copies, several of one, changed and unchanged."""
    partitions = partitions_of_events(views, count)
    copies: dict[tuple[int, int], int] = {}
    for partition, records in enumerate(partitions):
        for _ in range(data.draw(st.integers(0, 12), "copies") if records else 0):
            original = data.draw(st.integers(0, len(records) - 1), "original")
            fix = data.draw(st.sampled_from(FIXES), "fix")
            at = data.draw(st.integers(original + 1, len(records)), "place")
            if any(offset >= at for of, offset in copies if of == partition):
                at = len(records)
            event: dict[str, Any] = json.loads(records[original][2] or b"{}")
            value = json.dumps(event | fix).encode()
            records.insert(at, (at, None, value))
            records[at + 1 :] = [(offset + 1, time, rest) for offset, time, rest in records[at + 1 :]]
            copies[partition, at] = original
    for lateness_ms in (24 * HOUR_MS, 96 * HOUR_MS):  # the second as a rebuild would
        wanted = reference.expected(partitions, reference.Rules(allowed_lateness_ms=lateness_ms), copies)
        pipeline = run(partitions, rng, Rules(allowed_lateness_ms=lateness_ms), copies)
        letters = {(p, offset, letter.kind) for (p, offset), letter in pipeline.letters.items()}
        assert letters == wanted.dead_letters
        assert reference.same(merged(pipeline.log, count, rng), wanted.documents) == []
        for (partition, offset), letter in pipeline.letters.items():
            assert letter.original == copies.get((partition, offset))
        closed = [(p, letter.original) for (p, _), letter in pipeline.letters.items() if letter.kind == "counted"]
        assert len(closed) == len(set(closed))
