"""Partials merged into documents: order, repetition, eviction into a store, restores."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import structs

from movie_stream.aggregates import eviction as eviction_module
from movie_stream.aggregates import groups as groups_module
from movie_stream.aggregates import merger as merger_module
from movie_stream.aggregates import partial
from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.aggregates.document_keys import DocumentKey, StoreKey
from movie_stream.aggregates.eviction import Evicted
from movie_stream.aggregates.groups import Block
from movie_stream.aggregates.merger import Document, Merger, RunSuperseded
from movie_stream.aggregates.results import RESULTS
from movie_stream.events.chunk import chunk_of
from movie_stream.mongo.guard import body_of, compare
from tests.support import reference
from tests.support.examples import examples
from tests.support.reference import Record, views
from tests.support.simulation import evict, fetch

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_730_332_800_000
LATENESS_MS = 6 * HOUR_MS


def source(partition: int, *events: dict[str, Any]) -> Accumulator:
    """The state of a source partition after these events."""
    state = Accumulator(partition, 3, Rules(allowed_lateness_ms=LATENESS_MS))
    further(state, *events)
    return state


def further(state: Accumulator, *events: dict[str, Any]) -> None:
    state.apply(chunk_of(state.partition, state.position, [value for _, _, value in views(*events)]))


def sent(state: Accumulator) -> list[bytes]:
    return [message for _, message in state.partials(1)]


def apply(merger: Merger, messages: list[bytes]) -> None:
    merger.apply(chunk_of(0, merger.position, messages))


def by_id(documents: list[Document]) -> dict[str, Document]:
    return {document.id: document for document in documents}


def evictable(merger: Merger, *collections: str, limit: int = 0) -> list[Evicted]:
    """What may be evicted; of these collections, if any are named."""
    portions = merger.evictable(LATENESS_MS, limit)
    return [one for some in portions for one in some if not collections or one.store_key.key.collection in collections]


def hour(number: int, **fields: object) -> dict[str, Any]:
    return {"timestamp": START_MS + number * HOUR_MS, **fields}


def test_a_later_run_ends_this_one_and_an_earlier_one_is_passed_over() -> None:
    merger = Merger(3, run=2)
    apply(merger, [partial.encode(partial.Watermark(1, 0, 5)), partial.encode(partial.Watermark(2, 1, 7))])
    assert (merger.position, merger.watermarks) == (2, {1: 7})
    apply(merger, [partial.encode(partial.Watermark(2, 1, 6))])
    assert merger.watermarks == {1: 7}
    with pytest.raises(RunSuperseded, match="run 3 has begun; this worker belongs to run 2"):
        apply(merger, [partial.encode(partial.Watermark(3, 0, 5))])


def test_an_invalid_partial_is_an_error() -> None:
    for value in (None, b"", b"\xc1", b"{}"):
        with pytest.raises(msgspec.DecodeError):
            Merger(3).apply(chunk_of(0, 0, [value]))


def test_messages_come_in_step() -> None:
    merger, messages = Merger(3), sent(source(0, {}))
    apply(merger, messages)
    documents = by_id(merger.documents(100))
    merger.apply(chunk_of(0, 0, messages))
    assert merger.documents(100) == []
    with pytest.raises(RuntimeError, match=f"expected offset {len(messages)} of movie-partials, got 99"):
        merger.apply(chunk_of(0, 99, messages))
    assert len(documents) == len(RESULTS)


def test_a_revision_grows_with_every_change_of_every_partition() -> None:
    merger, first, second = Merger(3), source(0, {}, {"movie_id": "m2"}), source(2, {"movie_id": "m2"})
    apply(merger, sent(first))
    name = "top_movies_2024-10-31T14:00:00Z"
    assert by_id(merger.documents(100))[name].rev == (1 + 2, 0, 0)
    apply(merger, sent(second))
    assert by_id(merger.documents(100))[name].rev == (3, 0, 1)
    further(first, {})
    old = sent(first)
    further(first, {})
    apply(merger, sent(first))
    document = by_id(merger.documents(100))[name]
    assert document.rev == (4 + 2, 0, 1)
    assert [(movie["movie_id"], movie["views"]) for movie in body_of(document.encoded)["top_movies"]] == [
        ("m1", 3),
        ("m2", 2),
    ]
    apply(merger, old)
    assert merger.documents(100) == [], "older partials change nothing"


def test_under_backlog_windows_are_due_once_all_sources_that_are_being_read_have_passed_them() -> None:
    merger, first, second = Merger(3), source(0, hour(0), hour(9)), source(1, hour(0), hour(3))

    def due() -> set[float]:
        return {
            (key.start_ms - START_MS) / HOUR_MS for key in merger.dirty_and_ended() if key.collection == "top_movies"
        }

    apply(merger, sent(first))
    apply(merger, sent(second))
    assert due() == set(), "the third source may come"
    merger.documents(1_000)
    list(merger.freeze(True))
    further(first, hour(8), hour(10))
    apply(merger, sent(first))
    assert due() == set(), "the second is at 3"
    further(second, hour(7), hour(9))
    apply(merger, sent(second))
    assert due() == {7, 8}
    list(merger.freeze(False))
    list(merger.freeze(False))
    assert due() == set(), "nothing is being read"
    further(first, hour(11))
    apply(merger, sent(first))
    assert due() == {7, 8, 9, 10}, "the second stands still"


def test_a_document_is_new_until_it_is_made_or_restored() -> None:
    merger, view = Merger(3), source(0, {})
    apply(merger, sent(view))
    assert all(document.is_new for document in merger.documents(100))
    apply(merger, sent(source(1, {})))
    assert {document.key.collection for document in merger.documents(100) if document.is_new} == {"data_quality"}
    restored = Merger(3)
    for entry in merger.freeze(snapshot=True):
        restored.load(entry)
    restored.loaded(merger.position, None)
    further(view, {}, hour(15))
    apply(restored, sent(view))
    new = {document.id for document in restored.documents(100) if document.is_new}
    assert new >= {"hourly_2024-10-31T15:00:00Z", "top_movies_2024-10-31T15:00:00Z"}
    assert not new & {"hourly_2024-10-31T14:00:00Z", "top_movies_2024-10-31T14:00:00Z", "top_movies_all_time"}


def test_windows_that_no_source_can_change_are_dropped_once_they_are_written() -> None:
    merger, messages = Merger(3), [sent(source(partition, hour(0), hour(9))) for partition in range(3)]
    apply(merger, messages[0] + messages[1])
    merger.documents(10**9)
    rows = len(merger)
    merger.drop_final(LATENESS_MS, limit=0)
    assert len(merger) == rows, "the third source may still count"
    apply(merger, messages[2])
    rows = len(merger)
    merger.drop_final(LATENESS_MS, limit=10**9)
    assert len(merger) == rows, "there is room"
    merger.drop_final(LATENESS_MS, limit=0)
    written = by_id(merger.documents(10**9))
    assert all(written["hourly_2024-10-31T00:00:00Z"].rev), "what was not written stays"
    merger.drop_final(LATENESS_MS, limit=0)
    starts: dict[str, set[int]] = {}
    for (collection, _), groups in merger._held.items():
        starts.setdefault(collection, set()).update(groups.starts.tolist())
    for collection in ("hourly_metrics", "top_movies", "movies_aggregates", "data_quality"):
        assert starts[collection] == {START_MS + 9 * HOUR_MS}
    assert starts["top_movies_daily"] == starts["active_users"] == {START_MS}, "the day is not over"

    apply(merger, messages[0])
    assert len(merger.unfetched) == 4, "a stale copy of what was dropped"
    merger.fetched((), tuple(merger.unfetched))
    stale = by_id(merger.documents(10**9))["hourly_2024-10-31T00:00:00Z"]
    assert compare(stale.rev, written[stale.id].rev) == "older"


def test_a_day_list_is_dropped_once_all_sources_say_that_they_hold_none_of_it_back() -> None:
    merger, states = Merger(3), [source(partition, hour(0), hour(40)) for partition in range(3)]

    def days() -> set[int]:
        merger.drop_final(LATENESS_MS, limit=0)
        held = [groups for (collection, _), groups in merger._held.items() if collection == "top_movies_daily"]
        return {(start - START_MS) // DAY_MS for groups in held for start in groups.starts.tolist()}

    *blocks, watermark = sent(states[0])
    older = structs.replace(partial.decode(watermark), with_closed=False)
    apply(merger, [*blocks, partial.encode(older), *sent(states[1]), *sent(states[2])])
    merger.documents(10**9)
    assert days() == {0, 1}, "the worker of the first one is an older version"
    apply(merger, [watermark])
    saved = list(merger.freeze(snapshot=True))
    assert days() == {1}
    merger = Merger(3)
    for entry in saved:
        merger.load(entry)
    assert days() == {1}, "a restored one knows it too"


def test_documents_come_in_the_order_of_their_first_change_and_no_more_than_asked_for() -> None:
    merger = Merger(3)
    apply(merger, sent(source(0, *(hour(number) for number in range(5)))))
    everything = list(merger.dirty)
    some = merger.documents(4)
    assert {document.key for document in some} == set(everything[:4])
    merger.mark_dirty(document.key for document in some)
    assert {document.key for document in merger.documents(10**9)} == set(everything)
    assert not merger.dirty


def test_keys_are_fetched_in_the_order_of_their_first_change() -> None:
    store: dict[StoreKey, bytes] = {}
    merger, idle = Merger(3), source(2, *(hour(number) for number in range(20)))
    busy = [source(p, *(hour(number) for number in (*range(20), 200))) for p in range(2)]
    apply(merger, [message for state in (*busy, idle) for message in sent(state)])
    merger.documents(10**9)
    evict(merger, store, LATENESS_MS)
    further(idle, *(hour(number) for number in range(20)))
    apply(merger, sent(idle))
    assert len(merger.unfetched) > 20
    assert list(merger.unfetched) == [key for key in merger.dirty if key in merger.unfetched]
    fetch(merger, store)
    assert not merger.unfetched


def test_nothing_is_evicted_without_need_or_watermarks() -> None:
    merger = Merger(3)
    assert evictable(merger) == []
    apply(merger, sent(source(0, hour(0), hour(100))))
    assert evictable(merger) == [], "what changed is not yet written"
    merger.documents(10**9)
    assert evictable(merger, limit=1000) == []
    collections = {one.store_key.key.collection for one in evictable(merger)}
    assert not {"category_stats", "top_movies_all_time"} & collections, "of all time there is always more to come"
    assert {"hourly_metrics", "top_movies", "top_movies_daily"} <= collections


def test_an_evicted_key_is_loaded_with_the_next_partial() -> None:
    store: dict[StoreKey, bytes] = {}
    merger, idle = Merger(3), source(2, hour(0, movie_id="m9"))
    busy = [source(p, hour(0, movie_id=f"m{p}"), hour(100)) for p in range(2)]
    apply(merger, [message for state in (*busy, idle) for message in sent(state)])
    before = by_id(merger.documents(10**9))
    rows = len(merger)
    assert {evicted.store_key.key.start_ms for evicted in evict(merger, store, LATENESS_MS)} == {START_MS, START_MS}
    assert len(merger) < rows
    further(idle, hour(0, movie_id="m0"))
    apply(merger, sent(idle))
    assert merger.unfetched
    of_all_time = {"category_stats", "top_movies_all_time"}
    assert {document.key.collection for document in merger.documents(10**9)} == of_all_time
    fetch(merger, store)
    after = by_id(merger.documents(10**9))
    name = "top_movies_2024-10-31T00:00:00Z"
    assert before[name].rev == (1, 1, 1)
    assert after[name].rev == (1, 1, 1 + 2)
    assert [(movie["movie_id"], movie["views"]) for movie in body_of(after[name].encoded)["top_movies"]] == [
        ("m0", 2),
        ("m1", 1),
        ("m9", 1),
    ]


def test_what_changes_while_it_is_being_stored_stays() -> None:
    merger, idle = Merger(3), source(2, hour(0))
    apply(merger, [m for p in range(2) for m in sent(source(p, hour(0), hour(100)))] + sent(idle))
    merger.documents(10**9)
    packed = evictable(merger)
    further(idle, hour(0, genre="Noir"))
    apply(merger, sent(idle))
    merger.evict({one.store_key: one.rev for one in packed})
    fetch(merger, {})
    kept = by_id(merger.documents(10**9))
    assert body_of(kept["hourly_2024-10-31T00:00:00Z"].encoded)["total_views"] == 4
    assert "sci-fi_2024-10-31" not in kept


def left_behind(films: int) -> Merger:
    """Holds a list of films whose window all partitions have left, every document of which is made."""
    merger = Merger(3)
    events = [hour(0, movie_id=f"m{number}") for number in range(films)]
    apply(merger, [m for p in range(2) for m in sent(source(p, *events, hour(100)))])
    merger.documents(10**9)
    return merger


def test_a_list_leaves_when_all_its_parts_are_stored_as_they_are() -> None:
    merger = left_behind(films=100)
    packed = evictable(merger, "top_movies")
    assert len(packed) == len({one.store_key.part for one in packed}) > 32
    assert {one.store_key.id for one in packed} <= {part.id for part in merger.store_keys(packed[0].store_key.key)}
    revs, rows = {one.store_key: one.rev for one in packed}, len(merger)
    merger.evict(dict(list(revs.items())[1:]))
    assert len(merger) == rows, "one part is missing"
    merger.evict(revs | {packed[0].store_key: (0, 0, 0)})
    assert len(merger) == rows, "one part is stored as it was before"
    merger.evict(revs)
    assert len(merger) == rows - 200


def test_no_part_is_packed_ahead_of_its_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction_module, "EVICTED_AT_ONCE", 1)
    merger = left_behind(films=100)
    portions = merger.evictable(LATENESS_MS, 0)
    first = next(some for some in portions if some[0].store_key.key.collection == "top_movies")
    assert len(first) == 1
    apply(merger, sent(source(2, hour(0, movie_id="m5"))))
    rest = {one.store_key.key.collection for some in portions for one in some}
    assert not rest & {"top_movies", "top_movies_daily"}, "the lists are not written as they are now"


def test_the_oldest_windows_leave_until_few_enough_rows_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction_module, "EVICTED_AT_ONCE", 8)
    monkeypatch.setattr(merger_module, "DROPPED_AT_ONCE", 100)
    merger = Merger(3)
    events = [hour(number, movie_id=f"m{film}") for number in (*range(40), 200) for film in range(1 + number % 3)]
    apply(merger, [m for p in range(2) for m in sent(source(p, *events))])
    merger.documents(10**9)
    rows = merger._evictable_rows()
    evicted = evictable(merger, limit=rows - 30)
    assert 30 <= sum(one.rows for one in evicted) < 60
    assert evictable(merger, limit=rows) == []
    evicted = evictable(merger, limit=rows - 200)
    assert 100 <= sum(one.rows for one in evicted) < 130, "the rest once these are dropped"
    assert merger.evict({one.store_key: one.rev for one in evicted}) == sum(one.rows for one in evicted)
    left = max(one.store_key.key.start_ms for one in evicted if one.store_key.key.collection == "hourly_metrics")
    assert merger._held["hourly_metrics", 0].starts.min() == left + HOUR_MS


def test_a_list_of_more_rows_than_are_dropped_at_once_leaves_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction_module, "EVICTED_AT_ONCE", 8)
    monkeypatch.setattr(merger_module, "DROPPED_AT_ONCE", 10)
    merger = left_behind(films=200)
    while evicted := evictable(merger):
        assert merger.evict({one.store_key: one.rev for one in evicted}) == sum(one.rows for one in evicted)
    assert merger._held["top_movies", 0].starts.tolist() == [START_MS + 100 * HOUR_MS]


def test_the_blocks_of_portions_are_those_of_each_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all columns that there are; a portion that is too large has several."""
    merger = Merger(3)
    events = [hour(number % 7, movie_id=f"m{number}", title=f"Film {number}", genre="é") for number in range(40)]
    apply(merger, sent(source(0, *events)))
    for most, groups in ((most, groups) for most in (None, 400) for groups in merger._held.values()):
        if most is not None:
            monkeypatch.setattr(groups_module, "BLOCK_BYTES", most)
        rows = np.random.default_rng(7).permutation(len(groups))
        bounds = np.unique([0, len(rows) // 3, len(rows) // 3 + 1, len(rows)])
        portions = [rows[begin:end] for begin, end in pairwise(bounds.tolist())]
        found, copy = list(groups.blocks_of(rows, bounds)), Merger(3)._groups(groups.result.collection, 0)
        for portion, blocks in zip(portions, found, strict=True):
            sizes = [len(copy.merge(msgspec.msgpack.decode(block, type=Block))) for block in blocks]
            assert sum(sizes) == len(portion)
            assert max(map(len, blocks)) <= groups_module.BLOCK_BYTES or max(sizes) == 1
        for copied, row in enumerate(rows):
            assert list(copy.blocks(np.array([copied]))) == list(groups.blocks(np.array([row])))


def test_what_stays_is_there_after_a_restore_without_being_saved_again() -> None:
    merger = left_behind(films=30)
    saved = list(merger.freeze(snapshot=True))
    day = evictable(merger, "top_movies_daily")
    older = {StoreKey(DocumentKey("top_movies_daily", START_MS - 9 * DAY_MS, ""), 0): (1, 0, 0)}
    merger.evict({one.store_key: one.rev for one in day[1:]} | older)
    delta = list(merger.freeze(snapshot=False))
    assert sum(map(len, delta)) < sum(map(len, saved)) / 4
    restored = Merger(3)
    for entry in (*saved, *delta):
        restored.load(entry)
    restored.loaded(merger.position, None)
    assert len(restored) == len(merger)


def test_all_parts_have_to_be_fetched_before_they_are_saved() -> None:
    merger, idle = Merger(3), source(2, hour(0))
    apply(merger, [m for p in range(2) for m in sent(source(p, hour(0), hour(100)))])
    merger.documents(10**9)
    evict(merger, {}, LATENESS_MS)
    apply(merger, sent(idle))
    with pytest.raises(AssertionError, match="has to be fetched before"):
        merger.freeze(snapshot=False)


@pytest.mark.parametrize("seed", range(examples(4)))
def test_evictions_restores_and_idle_partitions_do_not_show(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups_module, "BLOCK_BYTES", 300)
    rng = random.Random(seed)
    logs: list[list[Record]] = [[], [], []]
    rules = Rules(allowed_lateness_ms=LATENESS_MS)
    states = [Accumulator(p, 3, rules) for p in range(3)]
    clocks = [0, 0, 0]
    merger, saved, store = Merger(3), list[bytes](), dict[StoreKey, bytes]()
    documents: dict[str, dict[str, Any]] = {}
    for _ in range(60):
        p = rng.choice((0, 0, 0, 1, 1, 1, 2))
        clocks[p] += rng.choice((0, 1, 1, 4))
        event = {
            "movie_id": rng.choice("fghi"),
            "genre": rng.choice(("Drama", "Noir")),
            "user_id": f"u{p}{rng.randrange(3)}",
        }
        logs[p] += views(hour(max(0, clocks[p] - rng.choice((0, 0, 2, 5))), **event), first_offset=len(logs[p]))
        states[p].apply(chunk_of(p, states[p].position, [value for _, _, value in logs[p][states[p].position :]]))
        apply(merger, sent(states[p]))
        fetch(merger, store)
        for document in merger.documents(rng.choice((1, 10**9))):
            documents.setdefault(document.key.collection, {})[document.id] = {
                "_id": document.id,
                **body_of(document.encoded),
            }
        if rng.random() < 0.3:
            evict(merger, store, LATENESS_MS, rng.choice((0, 10)))
        if rng.random() < 0.4 and not merger.dirty:
            snapshot = not saved or rng.random() < 0.3
            saved = [*([] if snapshot else saved), *merger.freeze(snapshot)]
            old, merger = merger, Merger(3)
            for entry in saved:
                merger.load(entry)
            merger.loaded(old.position, None)
    for document in merger.documents(10**9):
        documents.setdefault(document.key.collection, {})[document.id] = {
            "_id": document.id,
            **body_of(document.encoded),
        }
    wanted = reference.expected(logs, reference.Rules(allowed_lateness_ms=LATENESS_MS))
    assert reference.same(documents, wanted.documents) == []


def test_more_films_than_the_list_has_room_for() -> None:
    events = [hour(0, movie_id=f"m{i:02}", title=f"t{i}") for i in range(40) for _ in range(1 + i % 3)]
    records = [views(*events), views(*events[::2]), views(*events[:9])]
    merger = Merger(3)
    for p, events_of in enumerate((events, events[::2], events[:9])):
        apply(merger, sent(source(p, *events_of)))
    found: dict[str, dict[str, Any]] = {}
    for document in merger.documents(10**9):
        found.setdefault(document.key.collection, {})[document.id] = {"_id": document.id, **body_of(document.encoded)}
    assert found["top_movies"] == reference.expected(records).documents["top_movies"]


def test_more_rows_fit_the_smaller_they_are() -> None:
    def rows_in_a_megabyte(*records: Record) -> int:
        state, merger = Accumulator(0, 1, Rules()), Merger(1)
        assert merger.rows_in(10**6) == 0, "it has none"
        state.apply(chunk_of(0, 0, [value for _, _, value in records]))
        merger.apply(chunk_of(0, 0, [message for _, message in state.partials(1)]))
        return merger.rows_in(10**6)

    far_apart = views(*({"movie_id": f"m{at}", "timestamp": START_MS + at * 3_600_000} for at in range(300)))
    crowd = views(*({"movie_id": "m1", "user_id": f"u{at}", "timestamp": START_MS} for at in range(900)))
    assert rows_in_a_megabyte(*crowd) < rows_in_a_megabyte(*far_apart) < 10**6 / 100
