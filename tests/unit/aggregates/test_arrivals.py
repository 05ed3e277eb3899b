"""Times that represent views: however they are thinned out and merged, every view is in one of them."""

from __future__ import annotations

import json

import msgspec
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from movie_stream.aggregates import partial
from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.aggregates.arrivals import KEPT_AT_MOST, SAMPLED_AT_MOST, Arrivals, Times
from movie_stream.aggregates.merger import Merger
from movie_stream.events.chunk import chunk_of

TIMES = st.lists(st.tuples(st.integers(-1, 2**42), st.integers(1, 10_000)), max_size=60)


@given(TIMES, st.integers(0, 60))
@example([(0, 1), (0, 1), (0, 1), (22_369_692, 1), (55_924_204, 1)], 0)
def test_weight_and_mean_stay_and_no_time_moves_far(times: list[tuple[int, int]], cut: int) -> None:
    kept = Times()
    kept.extend(times[:cut])
    kept.extend(times[cut:])
    told, known = kept.take(), [(time, weight) for time, weight in times if time >= 0]
    assert sum(weight for _, weight in told) == sum(weight for _, weight in known)
    assert len(told) <= 44
    if known:
        newest = max(time for time, _ in known)
        mean, mean_told = (sum(time * weight for time, weight in some) for some in (known, told))
        assert abs(mean - mean_told) <= sum(weight for _, weight in known), "each is rounded to a millisecond"
        for time, _ in known:
            assert any(2 * abs(time - at) <= max(newest - time, newest - at) + 2 for at, _ in told), (
                "from the newest it is told at most twice as far, or half as far, as it is; each is rounded"
            )


@given(st.integers(1, 3 * SAMPLED_AT_MOST + 5))
def test_of_a_large_chunk_some_stand_for_all(views: int) -> None:
    arrivals, rows = Arrivals(), np.arange(0, 2 * views, 2)
    arrivals.add(np.full(2 * views, 7, np.int64), rows, np.arange(views))
    assert arrivals.kafka_times.take() == [(7, views)]
    happened = arrivals.event_times.take()
    assert sum(weight for _, weight in happened) == views
    assert abs(sum(time * weight for time, weight in happened) / views - (views - 1) / 2) <= 1 + views / 500


def test_what_waits_for_mongodb_is_bounded() -> None:
    times = Times()
    for second in range(200):
        times.add(np.full(1_000, second * 1_000), np.ones(1_000, np.int64))
        assert times._kept <= KEPT_AT_MOST
    assert sum(weight for _, weight in times.take()) == 200_000


def view(**more: object) -> bytes:
    fields = {"movie_id": "m", "title": "T", "genre": "G", "user_id": "u", "timestamp": 1_730_385_000_000}
    return json.dumps({**fields, **more}).encode()


def test_partials_tell_once_of_the_views_that_count() -> None:
    state, merger = Accumulator(0, 1, Rules()), Merger(1)
    late = view(timestamp=1_730_385_000_000 - 2 * 86_400_000)
    came = 1_730_385_001_000
    values, times_ms = [view(), b"bad", late, view(timestamp=1_730_385_000_500)], [came, came + 1, came + 2, came + 9]
    state.apply(chunk_of(0, 0, values, times_ms))
    merger.apply(chunk_of(0, 0, [message for _, message in state.partials(1)]))
    merger.apply(chunk_of(0, merger.position, [message for _, message in state.partials(1)]))
    assert sorted(merger.arrivals.kafka_times.take()) == [(came, 1), (came + 9, 1)]
    assert sorted(merger.arrivals.event_times.take()) == [(1_730_385_000_000, 1), (1_730_385_000_500, 1)]
    state.apply(chunk_of(0, 4, [view()]))
    merger.apply(chunk_of(0, merger.position, [message for _, message in state.partials(1)]))
    assert merger.arrivals.kafka_times.take() == [], "a broker may give no time"


def test_only_partitions_that_get_partials_get_arrival_times() -> None:
    state, targets = Accumulator(0, 1, Rules()), 50
    state.apply(chunk_of(0, 0, [view()], [1_730_385_001_000]))
    messages = [(target, partial.decode(message)) for target, message in state.partials(targets)]
    changed = {target for target, message in messages if isinstance(message, partial.Partial)}
    told = {target for target, message in messages if isinstance(message, partial.Watermark) and message.kafka_times}
    assert len([message for _, message in messages if isinstance(message, partial.Watermark)]) == targets
    assert told == changed
    assert 0 < len(changed) < targets


class OlderWatermark(msgspec.Struct, array_like=True, tag="watermark"):
    """As workers of before know it."""

    run: int
    partition: int
    timestamp_ms: int


def test_workers_of_before_read_it_and_are_read() -> None:
    ours = partial.Watermark(1, 2, 3, [(4, 5)], [(6, 7)], with_closed=True)
    assert msgspec.msgpack.decode(partial.encode(ours), type=OlderWatermark) == OlderWatermark(1, 2, 3)
    theirs = msgspec.msgpack.encode(OlderWatermark(1, 2, 3))
    assert partial.decode(theirs) == partial.Watermark(1, 2, 3)
