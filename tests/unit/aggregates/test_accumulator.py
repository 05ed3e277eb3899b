"""One source partition's state: what does not count, sums that do not fit, forgetting, blocks, restores."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movie_stream.aggregates import groups as groups_module
from movie_stream.aggregates import partial, users, vocabulary
from movie_stream.aggregates.accumulator import Accumulator, DeadLetter, OffsetGap, Rules
from movie_stream.aggregates.aggregators import TopUsersOf, UserFigure
from movie_stream.aggregates.fields import End, Keys
from movie_stream.aggregates.merger import Merger
from movie_stream.aggregates.refused import replay_header
from movie_stream.aggregates.results import RESULTS
from movie_stream.aggregates.vocabulary import Vocabulary
from movie_stream.aggregates.window import ALL_TIME
from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.columnar.packed_names import PackedNames
from movie_stream.columnar.spans import Spans
from movie_stream.events.chunk import Chunk, Records, chunk_of
from movie_stream.mongo.guard import body_of
from tests.support import reference
from tests.support.examples import examples
from tests.support.reference import Documents, Record, views

START_MS = 1_730_332_800_000  # 2024-10-31T00:00:00Z
HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def chunk(records: Sequence[Record], start: int = 0) -> Chunk:
    return chunk_of(0, start, [value for _, _, value in records])


def merged(*messages: Iterable[tuple[int, bytes]], sources: int = 1) -> Documents:
    """The documents that all these partials make."""
    merger = Merger(sources)
    merger.apply(chunk_of(0, 0, [message for some in messages for _, message in some]))
    documents: Documents = {}
    for document in merger.documents(10**9):
        documents.setdefault(document.key.collection, {})[document.id] = {
            "_id": document.id,
            **body_of(document.encoded),
        }
    return documents


def documents(records: Sequence[Record], rules: Rules | None = None) -> Documents:
    """The documents of one partition, applied as one chunk."""
    state = Accumulator(0, 1, rules or Rules())
    state.apply(chunk(records))
    return merged(state.partials(1))


def test_ten_thousand_prices_of_a_billion() -> None:
    records = views(*[{"price": 1e9}] * 10_000, {"price": 0.000001})
    assert documents(records)["category_stats"]["genre_stats_sci-fi"]["total_revenue"] == 10**13 + 1e-6
    state, other = Accumulator(0, 1, Rules()), Accumulator(1, 2, Rules())
    for at in range(0, 10_000, 2_500):  # the carry moves at every export, and through a restore
        state.apply(chunk(records[at : at + 2_500], at))
        state.partials(1)
        entries, state = state.freeze(snapshot=True), Accumulator(0, 1, Rules())
        for entry in entries:
            state.load(entry)
        state.loaded(at + 2_500, START_MS)
    state.apply(chunk(views({"price": 1e9}), 10_000))
    other.apply(chunk(records))
    total = merged(state.partials(1), other.partials(1), sources=2)["category_stats"]["genre_stats_sci-fi"]
    assert total["total_revenue"] == (20_001 * 10**15 + 1) / 10**6


def test_a_view_without_a_price_brings_the_revenue_of_a_view() -> None:
    found = documents(views({}, {"price": 0}, {"price": 2.5}), Rules(revenue_per_view_micro=1_500_000))
    assert found["category_stats"]["genre_stats_sci-fi"]["total_revenue"] == 4.0


times = st.integers(0, 5).map(lambda step: START_MS + step * 600_000)


@settings(max_examples=examples(12))
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("zyx"), st.sampled_from(["B", " a  b", "a"]), times),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
def test_of_titles_and_genres_the_newest_and_of_these_the_smallest(
    views_of: list[tuple[str, str, str, int]], data: st.DataObject
) -> None:
    fields = ("movie_id", "title", "genre", "timestamp")
    records = views(*(dict(zip(fields, view, strict=True)) for view in views_of))
    cut = data.draw(st.integers(0, len(records)))
    state = Accumulator(0, 1, Rules())
    state.apply(chunk(records[:cut]))
    first = state.partials(1)
    state.apply(chunk(records[cut:], cut))
    found = merged(first, state.partials(1))
    assert reference.same(found, reference.expected([records]).documents) == []


# ---- what does not count -------------------------------------------------------------------------------------------


def test_a_dead_letter_is_the_record_and_a_reason() -> None:
    early = reference.A_VIEW["timestamp"]
    assert isinstance(early, int)
    values = [views({})[0][2], views({"rating": 9})[0][2], b"", views({})[0][2]]
    times = np.array([early, 5, -1, early - 2 * HOUR_MS])
    state = Accumulator(3, 4, Rules())
    state.position = 7
    keys = Spans.of([b"k", None, b"l", b"m"])
    letters = state.apply(Chunk.of(Records(np.array([7, 8, 10, 11]), times, keys, Spans.of(values)), 3, 7, 12))
    assert letters[0] == DeadLetter(
        3, 8, 5, None, values[1], "bad", "rating: expected a number from 0 to 5, or null, got 9"
    )
    assert [(letter.offset, letter.key, letter.value, letter.kind) for letter in letters[1:]] == [
        (10, b"l", b"", "bad"),
        (11, b"m", values[3], "bad"),
    ]
    assert (state.position, state.watermark_ms) == (12, early)


def test_late_says_what_and_why() -> None:
    records = views({"timestamp": START_MS}, {"timestamp": START_MS - 86_400_001}, {"timestamp": START_MS - 86_400_000})
    state = Accumulator(0, 1, Rules())
    (letter,) = state.apply(chunk(records))
    assert (letter.offset, letter.kind) == (1, "late")
    assert letter.reason == (
        "late: 2024-10-29T23:59:59Z is more than 24 h before the newest view of its partition so far, "
        "2024-10-31T00:00:00Z"
    )
    assert state.watermark_ms == START_MS


def test_applied_records_are_dropped_and_missing_ones_are_noticed() -> None:
    records = views({}, {}, {"rating": 3})
    state = Accumulator(0, 1, Rules())
    assert state.threshold_ms == 0
    state.apply(chunk(records[:2]))
    assert state.apply(chunk(records[:2])) == []
    state.apply(chunk(records))
    assert merged(state.partials(1))["hourly_metrics"]["hourly_2024-10-31T14:00:00Z"]["total_views"] == 3
    with pytest.raises(OffsetGap, match="expected offset 3 of partition 0, got 4"):
        state.apply(chunk(records, 4))


def test_a_chunk_of_bad_records_only_changes_the_quality_alone() -> None:
    state = Accumulator(0, 1, Rules())
    assert [letter.offset for letter in state.apply(chunk_of(0, 0, [b"", None]))] == [0, 1]
    assert (state.position, state.watermark_ms) == (2, None)
    [(_, message)] = state.partials(2)
    sent = partial.decode(message)
    assert isinstance(sent, partial.Partial)
    assert sent.block.collection == "data_quality"
    assert len(list(state.freeze(snapshot=True))) == 2, "that they were refused, and how many"
    assert list(state.freeze(snapshot=False)) == []


def test_a_checkpoint_before_the_first_record_says_where_counting_began() -> None:
    """Else a restart would take what was refused before this run for what it has counted."""
    state = Accumulator(0, 1, Rules(), topic="t")
    state.position = 500
    entries = list(state.freeze(snapshot=True))
    again = Accumulator(0, 1, Rules(), topic="t")
    for entry in entries:
        again.load(entry)
    again.loaded(500, None)
    [(_, _, view)] = views({})
    letters = again.apply(replace(chunk_of(0, 500, [view]), replays={500: replay_header("t", 0, 7)}))
    assert [letter.kind for letter in letters] == ["counted"]


def test_views_of_users_in_the_wrong_partition_are_counted() -> None:
    here = int(partitions_of([b"u1"], 3)[0])
    for partition, misplaced in ((here, 0), ((here + 1) % 3, 3)):
        state = Accumulator(partition, 3, Rules())
        state.apply(chunk(views({}, {}, {})))
        assert state.misplaced == misplaced


def test_spellings_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "GENRES_KEPT", 3)
    state = Accumulator(0, 1, Rules())
    records = views(*({"genre": f" G{i % 9}" + " " * i} for i in range(30)))
    for at in range(0, 30, 2):
        state.apply(chunk(records[at : at + 2], at))
    assert reference.same(merged(state.partials(1)), reference.expected([records]).documents) == []


# ---- copies of what does not count ----------------------------------------------------------------------------------


def copied(values: Sequence[bytes | None], originals: dict[int, int], start: int = 0) -> Chunk:
    """Records of which some are copies, by offset."""
    return chunk_of(0, start, values, replays={at: replay_header("topic", 0, of) for at, of in originals.items()})


GOOD, BAD = (views({"rating": rating})[0][2] for rating in (3, 9))


def test_a_copy_counts_once_and_says_so() -> None:
    state = Accumulator(0, 1, Rules(), topic="topic")
    values = [GOOD, BAD, BAD, GOOD, GOOD, GOOD, GOOD]
    letters = state.apply(copied(values, {2: 1, 3: 1, 4: 1, 5: 0, 6: 3}))
    assert [(letter.offset, letter.kind, letter.original) for letter in letters] == [
        (1, "bad", None),
        (2, "bad", 1),
        (3, "counted", 1),
        (4, "again", 1),
        (5, "again", 0),
        (6, "again", 3),
    ]
    assert [letter.refused for letter in letters] == [True, True, False, False, False, False]
    assert letters[2].reason == "counts for the record at 1"
    assert letters[3].reason == "its original, at 1, or another copy of it counts already, or is too old"
    total = merged(state.partials(1))["hourly_metrics"]["hourly_2024-10-31T14:00:00Z"]
    assert (total["total_views"], total["avg_rating"]) == (2, 3.0)


def test_a_copy_whose_original_was_deleted_before_this_run_counts_once() -> None:
    state = Accumulator(0, 1, Rules(), topic="topic")
    state.position = 5
    kinds = [letter.kind for letter in state.apply(copied([GOOD, GOOD], {5: 2, 6: 2}, 5))]
    assert kinds == ["counted", "again"]
    restored = Accumulator(0, 1, Rules(), topic="topic")
    for entry in state.freeze(snapshot=True):
        restored.load(entry)
    restored.loaded(state.position, state.watermark_ms)
    kinds = [letter.kind for letter in restored.apply(copied([GOOD, GOOD], {7: 2, 8: 3}, 7))]
    assert kinds == ["again", "counted"]


def test_a_header_of_a_stranger_makes_a_bad_record_that_can_be_replayed() -> None:
    state = Accumulator(0, 1, Rules(), topic="topic")
    others = [replay_header(*named) for named in (("elsewhere", 0, 0), ("topic", 0, 2), ("topic", 0, 1))]
    headers = dict(enumerate([b"", *others]))
    letters = state.apply(chunk_of(0, 0, [GOOD] * 4, replays=headers))
    assert [(letter.offset, letter.kind) for letter in letters] == [(0, "bad"), (1, "bad"), (2, "bad"), (3, "counted")]
    assert letters[0].reason == (
        "header movie-stream-replay-of: expected an earlier record of this partition (topic 0 and an offset below 0), "
        "got ''"
    )


# ---- forgetting ----------------------------------------------------------------------------------------------------

minutes = st.integers(-600, 3000).map(lambda minute: START_MS + minute * MINUTE_MS)
events = st.fixed_dictionaries(
    {
        "timestamp": minutes,
        "user_id": st.sampled_from(["u1", "u2", "u3"]),
        "movie_id": st.sampled_from("fgh"),
        "genre": st.sampled_from(["Drama", "drama", "Noir"]),
    },
    optional={"duration": st.sampled_from([0, 20, 400, 1440]), "rating": st.integers(0, 5)},
)


@settings(max_examples=examples(80))
@given(st.lists(events, max_size=40), st.lists(st.integers(1, 5), min_size=1, max_size=12), st.booleans(), st.data())
def test_forgetting_changes_no_document(
    some: list[dict[str, Any]], sizes: list[int], in_order: bool, data: st.DataObject
) -> None:
    if in_order:
        some.sort(key=lambda event: int(event["timestamp"]))
    rules = Rules(allowed_lateness_ms=3 * HOUR_MS, session_gap_ms=90 * MINUTE_MS)
    records = views(*some)
    forgetful, faithful = Accumulator(0, 1, rules), Accumulator(0, 1, rules)
    sent: tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]] = [], []
    at = 0
    for size in (*sizes, len(records)):
        part = chunk(records[at : at + size], at)
        at += len(part)
        forgetful.apply(part)
        faithful.apply(part)
        if data.draw(st.booleans(), "sent"):
            sent[0].extend(forgetful.partials(1))
        forgetful.drop_expired()
        if data.draw(st.integers(0, 3), "restored") == 0:
            sent[0].extend(forgetful.partials(1))
            entries, restored = forgetful.freeze(snapshot=True), Accumulator(0, 1, rules)
            for entry in entries:
                restored.load(entry)
            restored.loaded(forgetful.position, forgetful.watermark_ms)
            forgetful = restored
    sent[0].extend(forgetful.partials(1))
    sent[1].extend(faithful.partials(1))
    assert merged(sent[0]) == merged(sent[1])
    wanted = reference.expected(
        [records], reference.Rules(allowed_lateness_ms=3 * HOUR_MS, session_gap_ms=90 * MINUTE_MS)
    )
    assert reference.same(merged(sent[0]), wanted.documents) == []


def test_what_no_view_can_reach_takes_no_memory() -> None:
    state = Accumulator(0, 1, Rules(allowed_lateness_ms=HOUR_MS))
    sizes = []
    for day in range(6):
        records = views(
            *(
                {
                    "timestamp": START_MS + day * 24 * HOUR_MS + i * HOUR_MS,
                    "user_id": f"u{day}-{i}",
                    "movie_id": f"m{day}-{i}",
                }
                for i in range(24)
            ),
        )
        state.apply(chunk(records, state.position))
        state.partials(1)
        state.drop_expired()
        sizes.append(sum(len(groups) for groups in state._groups.values() if groups.result.window is not ALL_TIME))
    assert sizes[-1] <= max(sizes[:2])
    assert len(state.users._days) < 60
    assert len(state.users._sessions) < 60


def test_names_that_no_group_uses_are_forgotten() -> None:
    # Those that forget films.
    passing = tuple(result for result in RESULTS if not (result.is_long_list or result.aggregates_records))
    state = Accumulator(0, 1, Rules(allowed_lateness_ms=HOUR_MS), results=passing)
    old = [{"movie_id": f"m{i}", "timestamp": START_MS} for i in range(11_000)]
    new = [{"movie_id": f"m{i}", "timestamp": START_MS + 9 * HOUR_MS, "title": f"t{i}"} for i in (10_999, 3, 20_000)]
    records = views(*old, *new)
    state.apply(chunk(records[:11_000]))
    state.apply(chunk(records[11_000:], 11_000))
    sent = state.partials(1)
    state.drop_expired()
    assert sorted(state.vocabulary.movies.texts(np.arange(len(state.vocabulary.movies)))) == ["m10999", "m20000", "m3"]
    more = views(
        {"movie_id": "m3", "timestamp": START_MS + 9 * HOUR_MS}, {"movie_id": "m4", "timestamp": START_MS + 9 * HOUR_MS}
    )
    state.apply(chunk(more, state.position))
    found = merged(sent, state.partials(1))
    wanted = reference.expected([records + [(len(records) + i, t, v) for i, t, v in more]], reference.Rules(HOUR_MS))
    del wanted.documents["top_movies_daily"], wanted.documents["top_movies_all_time"], wanted.documents["data_quality"]
    assert reference.same(found, wanted.documents) == []


# ---- blocks --------------------------------------------------------------------------------------------------------


def test_blocks_are_cut_to_size(monkeypatch: pytest.MonkeyPatch) -> None:
    records = views(
        *({"movie_id": f"m{i}", "user_id": f"u{i}", "timestamp": START_MS + i * MINUTE_MS} for i in range(300))
    )
    monkeypatch.setattr(groups_module, "BLOCK_BYTES", 2_000)
    monkeypatch.setattr(users, "_USERS_IN_BLOCK", 7)
    state = Accumulator(0, 1, Rules())
    state.apply(chunk(records))
    sent = state.partials(1)
    single = [m for _, m in sent if len(m) > 2_200]
    for message in single:
        decoded = partial.decode(message)
        assert isinstance(decoded, partial.Partial)
        assert len(decoded.block) == 1, "only a row that is larger by itself"
    assert len(sent) > 20
    restored = Accumulator(0, 1, Rules())
    for entry in state.freeze(snapshot=True):
        restored.load(entry)
    restored.loaded(state.position, state.watermark_ms)
    restored.apply(chunk(views({"user_id": "u7", "timestamp": START_MS}), 300))
    wanted = reference.expected([[*records, *views({"user_id": "u7", "timestamp": START_MS}, first_offset=300)]])
    assert reference.same(merged(sent, restored.partials(1)), wanted.documents) == []


@pytest.mark.long
@pytest.mark.parametrize("most", [None, 60_000])
def test_blocks_of_long_names_are_cut_to_what_a_topic_takes(most: int | None) -> None:
    """Thousands of users, films and titles of the longest names that there are."""
    long = "\U0001f3ac"
    records = views(
        *(
            {
                "movie_id": f"{i:04}" + long * 124,
                "title": f"{i:04}" + long * 508,
                "user_id": f"{i:04}" + long * 124,
                "timestamp": START_MS + i,
            }
            for i in range(2_500)
        )
    )
    state = Accumulator(0, 1, Rules(), block_bytes=most)
    state.apply(chunk([*records, (len(records), None, b"bad"), (600_000, None, b"bad")]))
    entries = list(state.freeze(snapshot=True))
    sent = [message for _, message in state.partials(1)]
    assert max(map(len, (*entries, *sent))) < (most or groups_module.BLOCK_BYTES) + 2_000
    restored = Accumulator(0, 1, Rules(), block_bytes=most)
    for entry in entries:
        restored.load(entry)
    restored.loaded(state.position, state.watermark_ms)
    assert list(restored.freeze(snapshot=True)) == entries
    merger, again = Merger(1, block_bytes=most), Merger(1)
    merger.apply(chunk_of(0, 0, sent))
    merger.fetched({}, merger.unfetched)
    held = list(merger.freeze(snapshot=True))
    assert max(map(len, held)) < (most or groups_module.BLOCK_BYTES) + 2_000
    for entry in held:
        again.load(entry)
    again.loaded(merger.position, None)
    assert len(again) == len(merger)


@given(
    st.sampled_from(["daily_stats", "user_activity"]),
    st.lists(st.tuples(st.integers(-(2**40), 2**40), st.text(max_size=20)), max_size=30),
    st.integers(1, 100),
)
def test_a_document_has_the_same_target_in_every_version(
    collection: str, keys: list[tuple[int, str]], targets: int
) -> None:
    starts, values = np.array([start for start, _ in keys], np.int64), Spans.of([value.encode() for _, value in keys])
    found = partial.targets_of(collection, starts, values, targets)
    assert found.tolist() == [crc32(f"{collection}\0{start}\0{value}".encode()) % targets for start, value in keys]
    without = partial.targets_of(collection, starts, None, targets)
    assert without.tolist() == [crc32(f"{collection}\0{start}\0".encode()) % targets for start, _ in keys]


class Sent:
    """Which windows of each collection are sent after another view, as hours since START_MS."""

    def __init__(self) -> None:
        self.state = Accumulator(0, 1, Rules(allowed_lateness_ms=6 * HOUR_MS))

    def after(self, hour: float, checkpoint: bool = False) -> dict[str, set[float]]:
        view = {"timestamp": START_MS + int(hour * HOUR_MS)}
        self.state.apply(chunk_of(0, self.state.position, [value for _, _, value in views(view)]))
        *blocks, last = (partial.decode(message) for _, message in self.state.partials(1, checkpoint))
        assert isinstance(last, partial.Watermark)
        assert last.with_closed
        sent: dict[str, set[float]] = {}
        for message in blocks:
            assert isinstance(message, partial.Partial)
            starts = np.frombuffer(message.block.starts, np.int64)
            sent.setdefault(message.block.collection, set()).update(((starts - START_MS) / HOUR_MS).tolist())
        return sent


def test_a_day_list_waits_for_a_checkpoint_or_until_its_day_is_closed() -> None:
    """And then goes ahead of the watermark that closes it."""
    sent = Sent()

    def of_days(hour: int, checkpoint: bool = False) -> set[float]:
        return sent.after(hour, checkpoint).get("top_movies_daily", set())

    assert of_days(1) == set()
    assert of_days(2, checkpoint=True) == {0}
    assert of_days(23) == set()
    assert of_days(29) == set()
    assert of_days(30) == {0}
    assert of_days(31) == set()
    assert of_days(31, checkpoint=True) == {24}


def test_minutes_are_sent_at_once_and_all_else_with_a_checkpoint_or_when_its_window_is_over() -> None:
    """Alerts take a window for complete once the watermark that was sent is behind it."""
    sent = Sent()
    everything = {result.collection for result in RESULTS}
    hours, days = {"top_movies", "hourly_metrics", "data_quality"}, {"active_users", "daily_stats", "top_users"}
    assert sent.after(0) == {"movies_aggregates": {0}}
    assert sent.after(0.25) == {"movies_aggregates": {0.25}}
    found = sent.after(0.5, checkpoint=True)
    assert found.keys() == everything
    assert {found[name] == {0} for name in hours | days} == {True}
    assert sent.after(0.75) == {"movies_aggregates": {0.75}}
    assert sent.after(1) == {"movies_aggregates": {1}, **{key: {0} for key in hours}}
    assert sent.after(0.5) == {"movies_aggregates": {0.5}, "top_movies": {0}, "hourly_metrics": {0}}
    found = sent.after(24)
    assert found.keys() == {"movies_aggregates"} | hours | days
    assert {found[name] == {0} for name in days} == {True}
    assert sent.after(24, checkpoint=True).keys() == everything


def test_each_key_has_one_target() -> None:
    rng = random.Random(7)
    records = views(
        *(
            {"movie_id": f"m{i}", "genre": f"g{i % 5}", "timestamp": START_MS + rng.randrange(10) * HOUR_MS}
            for i in range(60)
        )
    )
    state = Accumulator(0, 1, Rules())
    state.apply(chunk(records))
    places: dict[Any, set[int]] = {}
    for target, message in state.partials(4):
        decoded = partial.decode(message)
        if isinstance(decoded, partial.Watermark):
            places.setdefault("watermark", set()).add(target)
            continue
        block = decoded.block
        result = next(result for result in RESULTS if result.collection == block.collection)
        slugs = PackedNames()
        ids = slugs.unpack(*block.names) if result.by and block.names else None
        names = [""] * len(block) if ids is None else slugs.texts(ids)
        for start, slug in zip(np.frombuffer(block.starts, np.int64).tolist(), names, strict=True):
            places.setdefault((block.collection, start, slug), set()).add(target)
            assert target == crc32(f"{block.collection}\0{start}\0{slug}".encode()) % 4
    assert places.pop("watermark") == {0, 1, 2, 3}
    assert all(len(targets) == 1 for targets in places.values())
    assert set().union(*places.values()) == {0, 1, 2, 3}


def test_an_invalid_entry_is_not_loaded() -> None:
    with pytest.raises(msgspec.DecodeError):
        Accumulator(0, 1, Rules()).load(b"\xc1")


def test_figures_of_users_are_not_made_of_single_views() -> None:
    batch: Any = None
    for figure in (UserFigure("users"), TopUsersOf(10)):
        with pytest.raises(TypeError, match=r"users\.py keeps"):
            figure.update(figure.column(Vocabulary(), live=True), np.zeros(1, np.int64), batch)


def test_all_time_has_no_end() -> None:
    with pytest.raises(AssertionError, match="all time has no end"):
        End().values(Keys(ALL_TIME, [0], [""]), {})
