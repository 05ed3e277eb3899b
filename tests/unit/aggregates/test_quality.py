"""The quality of the records, against a reference that goes record by record: whatever the chunks and the restarts."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movie_stream.aggregates import quality
from movie_stream.aggregates.accumulator import Accumulator, DeadLetter, Rules
from movie_stream.aggregates.fields import Count, Field
from movie_stream.aggregates.quality_figures import (
    KINDS_AT_MOST,
    OTHER_REASONS,
    Partition,
    Records,
    Refused,
    is_record_figure,
    with_refused,
)
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.aggregates.vocabulary import Vocabulary
from movie_stream.aggregates.window import DAY
from movie_stream.events.reasons import kind_of
from tests.support import reference
from tests.support.examples import examples
from tests.support.reference import HOUR_MS, Record, views
from tests.support.simulation import TOPIC, Pipeline, chunk_of_records, merged, run
from tests.unit.aggregates.test_documents import FIXES, events

QUALITY = tuple(result for result in RESULTS if result.aggregates_records)
NOON_MS = 1_730_376_000_000  # 2024-10-31T12:00:00Z
HUGE_MS = 2**62

values = st.one_of(
    events.map(lambda event: json.dumps(event).encode()),
    st.sampled_from([None, b"", b"[]", b"{}", b'{"movie_id": 7}', b"\xff", b'{"title": "cut o']),
)
delays = st.one_of(st.integers(-HOUR_MS, 2 * HOUR_MS), st.just(2 * 365 * 24 * HOUR_MS))
lone_times = st.sampled_from([None, -1, 0, 5, NOON_MS, NOON_MS + 3 * HOUR_MS, reference.YEAR_9999_MS, HUGE_MS])


@st.composite
def partitions(draw: st.DrawFn) -> list[list[Record]]:
    """Views and rubbish with Kafka timestamps near their own time, far from it, or none."""
    found: list[list[Record]] = []
    for _ in range(draw(st.integers(1, 3))):
        records: list[Record] = []
        for value in draw(st.lists(values, max_size=50)):
            time_ms = draw(lone_times)
            if value and b"timestamp" in value and draw(st.booleans()):
                time_ms = json.loads(value)["timestamp"] + draw(delays)
            records.append((len(records), time_ms, value))
        found.append(records)
    return found


def with_copies(records: list[list[Record]], data: st.DataObject) -> dict[tuple[int, int], int]:
    """Adds copies of anything at the end of each partition."""
    copies: dict[tuple[int, int], int] = {}
    for partition, of_it in enumerate(records):
        for _ in range(data.draw(st.integers(0, 8), "copies") if of_it else 0):
            original = data.draw(st.integers(0, len(of_it) - 1), "original")
            value = of_it[original][2]
            if value and b"timestamp" in value:
                value = json.dumps(json.loads(value) | data.draw(st.sampled_from(FIXES), "fix")).encode()
            copies[partition, len(of_it)] = original
            of_it.append((len(of_it), data.draw(lone_times, "time"), value))
    return copies


def reasons_of(pipeline: Pipeline) -> Counter[tuple[str, str]]:
    return Counter((letter.kind, kind_of(letter.reason)) for letter in pipeline.letters.values() if letter.refused)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), partitions(), st.randoms(use_true_random=False))
def test_documents_are_those_of_a_plain_loop(
    data: st.DataObject, records: list[list[Record]], rng: random.Random
) -> None:
    copies = with_copies(records, data)
    wanted = reference.expected(records, reference.DEFAULT_RULES, copies).documents["data_quality"]
    pipeline = run(records, rng, Rules(), copies, declared=QUALITY)
    found = merged(pipeline.log, len(records), rng, declared=QUALITY)
    assert reference.same(found, {"data_quality": wanted}) == []
    told: Counter[tuple[str, str]] = Counter()
    for document in found.get("data_quality", {}).values():
        told.update({(one["kind"], one["reason"]): one["count"] for one in document["refused"]})
        assert document["refused"] == sorted(
            document["refused"], key=lambda one: (-one["count"], one["kind"], one["reason"])
        )
    assert told == reasons_of(pipeline)
    total = sum(document["records"] for document in wanted.values())
    assert total == sum(map(len, records)), "each record is counted once"


@settings(max_examples=examples(25), deadline=None)
@given(partitions(), st.randoms(use_true_random=False))
def test_checkpoints_of_what_changed_are_counted_on_with(records: list[list[Record]], rng: random.Random) -> None:
    for partition, of_it in enumerate(records):
        state, entries, sent = accumulator(partition), list[bytes](), list[bytes]()
        while state.position < len(of_it):
            end = min(len(of_it), state.position + rng.choice((1, 3, 20)))
            state.apply(chunk_of_records(partition, of_it, state.position, end))
            if rng.random() < 0.5:
                sent += [message for _, message in state.partials(1)]
                entries += state.freeze(snapshot=False)
                state.drop_expired()
                restored = accumulator(partition)
                for entry in entries:
                    restored.load(entry)
                restored.loaded(state.position, state.watermark_ms)
                state = restored
        sent += [message for _, message in state.partials(1)]
        wanted = reference.expected([*[[], [], []][:partition], of_it]).documents["data_quality"]
        assert reference.same(merged(sent, 3, rng, declared=QUALITY), {"data_quality": wanted}) == []


def accumulator(partition: int = 0) -> Accumulator:
    return Accumulator(partition, 3, Rules(), results=QUALITY, topic=TOPIC)


def documents(records: list[Record], sizes: tuple[int, ...] = (1_000,)) -> dict[str, dict[str, Any]]:
    state, sent = accumulator(), list[bytes]()
    for size in sizes:
        state.apply(chunk_of_records(0, records, state.position, min(len(records), state.position + size)))
        sent += [message for _, message in state.partials(1)]
    return merged(sent, 1, random.Random(1), declared=QUALITY)["data_quality"]


def test_an_hour_of_stream_time_begins_where_the_watermark_reaches_it() -> None:
    """A view that is behind belongs to the hour that the stream is in, and so does what is refused there."""
    records: list[Record] = [
        (0, NOON_MS + 5 * HOUR_MS, b"rubbish before the first view"),
        *views({"timestamp": NOON_MS}, {"timestamp": NOON_MS + HOUR_MS}, {"timestamp": NOON_MS}, first_offset=1),
        (4, 0, b"rubbish, whenever it was written"),
    ]
    found = documents(records)
    assert {name: (one["records"], one["views"], one["bad"]) for name, one in found.items()} == {
        "data_quality_0_2024-10-31T17:00:00Z": (1, 0, 1),
        "data_quality_0_2024-10-31T12:00:00Z": (1, 1, 0),
        "data_quality_0_2024-10-31T13:00:00Z": (3, 2, 1),
    }


def test_films_that_get_another_title() -> None:
    titles = ["A", "A", "B", "B", "A", "C"]
    records = views(*({"title": title, "timestamp": NOON_MS - 1_000 * i} for i, title in enumerate(titles)))
    for sizes in ((6,), (1,) * 6, (2, 4), (3, 3)):
        (document,) = documents(records, sizes).values()
        assert document["retitled"] == 3, "in the order of the log, not of time"


def test_shares_of_what_lacks_and_freshness() -> None:
    records: list[Record] = [
        (offset, NOON_MS + 1_000 * offset, value)
        for offset, _, value in views(
            {"timestamp": NOON_MS, "rating": 4, "duration": 3, "price": 0},
            {"timestamp": NOON_MS, "rating": None},
            {"timestamp": NOON_MS + 3_500, "price": 2.5, "genre": "Drama", "movie_id": "m2"},
        )
    ]
    (document,) = documents(records).values()
    assert {name: document[name] for name in document if name not in ("_id", "timestamp", "refused")} == {
        "partition": 0,
        "records": 3,
        "views": 3,
        "bad": 0,
        "late": 0,
        "without_rating": 2,
        "without_duration": 2,
        "without_price": 1,
        "unique_movies": 2,
        "new_genres": 2,
        "retitled": 0,
        "avg_delay_s": -0.5 / 3,
        "max_delay_s": 1.0,
    }


def test_delays_of_decades_add_up_exactly() -> None:
    """64 bits would not hold the sum of their milliseconds."""
    last_ms = reference.YEAR_9999_MS - 1
    [(_, _, value)] = views({"timestamp": 1})
    records: list[Record] = [(offset, last_ms, value) for offset in range(40_000)]
    (document,) = documents(records, (40_000,)).values()
    assert document["avg_delay_s"] == document["max_delay_s"] == (last_ms - 1) / 1_000


def test_reasons_are_bounded() -> None:
    held = with_refused((), [("bad", f"reason {i}") for i in range(KINDS_AT_MOST + 5)])
    held = with_refused(held, [("late", "late"), ("bad", "reason 3"), ("bad", "x" * 1_000)])
    assert len(held) == KINDS_AT_MOST + 2
    assert held[3] == ("bad", "reason 3", 2)
    assert held[-2:] == (("bad", OTHER_REASONS, 6), ("late", OTHER_REASONS, 1))


def test_headers_that_name_no_record_are_one_reason() -> None:
    """However many they are, and wherever they stand."""
    records = views(*({"timestamp": NOON_MS} for _ in range(4)))
    copies = {(0, 1): 7, (0, 2): 8, (0, 3): 9}
    state = accumulator()
    letters = state.apply(chunk_of_records(0, records, 0, 4, copies))
    assert {letter.kind for letter in letters} == {"bad"}
    assert len({letter.reason for letter in letters}) == 3
    (document,) = merged([m for _, m in state.partials(1)], 1, random.Random(1), QUALITY)["data_quality"].values()
    assert [one["count"] for one in document["refused"]] == [3]


def test_hours_that_are_over_are_dropped_once_they_were_sent() -> None:
    state = accumulator()
    for hour in range(20):
        state.apply(chunk_of_records(0, views({"timestamp": NOON_MS + hour * HOUR_MS}), 0, 1))
        state.position = 0
    (figures,) = state._quality.figures
    state.drop_expired()
    assert len(figures) == 20, "none was sent"
    state.partials(1)
    state.drop_expired()
    assert figures.starts.tolist() == [NOON_MS + 19 * HOUR_MS]


def test_titles_stay_known_when_names_are_numbered_anew() -> None:
    """Films of views that did not count are forgotten; those that did keep their last title."""
    state = accumulator()
    first = views({"movie_id": "old", "title": "Old", "timestamp": NOON_MS})
    late = [{"movie_id": f"late {i}", "timestamp": NOON_MS - 48 * HOUR_MS} for i in range(11_000)]
    rest = views({"movie_id": "kept", "title": "Kept", "timestamp": NOON_MS}, first_offset=11_001)
    records = [*first, *views(*late, first_offset=1), *rest]
    state.apply(chunk_of_records(0, records, 0, len(records)))
    sent = [message for _, message in state.partials(1)]
    state.drop_expired()
    movies = state.vocabulary.movies
    assert movies.texts(np.arange(len(movies))) == ["old", "kept"]
    more = views(
        {"movie_id": "kept", "title": "Kept", "timestamp": NOON_MS},
        {"movie_id": "old", "title": "New", "timestamp": NOON_MS},
        {"movie_id": "late 7", "title": "Any", "timestamp": NOON_MS},
        first_offset=len(records),
    )
    records += more
    state.apply(chunk_of_records(0, records, state.position, len(records)))
    sent += [message for _, message in state.partials(1)]
    wanted = reference.expected([records]).documents["data_quality"]
    assert sum(document["retitled"] for document in wanted.values()) == 1
    assert reference.same(merged(sent, 1, random.Random(1), QUALITY), {"data_quality": wanted}) == []


def test_what_is_known_of_the_past_is_saved_in_blocks_of_a_size() -> None:
    state = Accumulator(0, 3, Rules(), results=QUALITY, topic=TOPIC, block_bytes=2_000)
    records = views(*({"movie_id": f"m{i}", "title": f"t{i}", "genre": f"g{i}"} for i in range(300)))
    state.apply(chunk_of_records(0, records, 0, 300))
    entries = list(state.freeze(snapshot=True))
    assert max(map(len, entries)) < 2_600  # a sketch of 300 films
    restored = accumulator()
    for entry in entries:
        restored.load(entry)
    restored.loaded(300, state.watermark_ms)
    again = views(*({"movie_id": f"m{i}", "title": f"t{i}", "genre": f"g{i}"} for i in range(300)), first_offset=300)
    restored.apply(chunk_of_records(0, [*records, *again], 300, 600))
    (document,) = merged([m for _, m in restored.partials(1)], 1, random.Random(1), QUALITY)["data_quality"].values()
    assert (document["records"], document["new_genres"], document["retitled"]) == (600, 300, 0)


def test_another_result_by_partition_is_an_entry() -> None:
    fields: dict[str, Field] = {"partition": Partition(), "records": Records(), "late": Refused("late")}
    fields["views"] = Count()
    declared = (Result("quality_of_days", DAY, fields, by="partition", prefix="quality"), *QUALITY)
    day_ms = 24 * HOUR_MS
    records = views(*({"timestamp": NOON_MS + shift} for shift in (0, HOUR_MS, day_ms, -HOUR_MS, 2 * day_ms)))
    partitions = [[], records]
    found = merged(run(partitions, random.Random(3), Rules(), declared=declared).log, 2, random.Random(3), declared)
    assert found["quality_of_days"] == {
        name: {"_id": name, "partition": 1, "records": all_of_it, "late": late, "views": all_of_it - late}
        for name, all_of_it, late in (
            ("quality_1_2024-10-31", 2, 0),
            ("quality_1_2024-11-01", 2, 1),
            ("quality_1_2024-11-02", 1, 0),
        )
    }
    assert len(found["data_quality"]) == 4


def test_without_such_a_result_nothing_is_kept() -> None:
    kept = quality.Quality(tuple(result for result in RESULTS if not result.aggregates_records), 0, Vocabulary())
    assert kept.figures == []


def test_figures_of_records_are_not_made_of_single_views() -> None:
    batch: Any = None
    for figure in (held for result in QUALITY for held in result.held if is_record_figure(held)):
        with pytest.raises(TypeError, match=r"quality\.py keeps"):
            figure.update(figure.column(Vocabulary(), live=True), np.zeros(1, np.int64), batch)


def test_a_letter_is_what_the_figures_need_of_a_record() -> None:
    letter: quality.Uncounted = DeadLetter(0, 1, 2, None, None, "bad", "not JSON")
    assert letter.refused
