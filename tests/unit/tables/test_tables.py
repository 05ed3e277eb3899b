"""Tables over a simulated changelog: whatever writers, crashes, zombies, duplicates and deletions do to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.aggregates.aggregators import NewestView, SmallestSpelling
from movie_stream.aggregates.results import RESULTS
from movie_stream.columnar.packed_names import PackedNames
from movie_stream.events.chunk import chunk_of
from movie_stream.tables import table as tables
from movie_stream.tables.checkpoint import BrokenChangelog, Chain, CheckpointId, Cursor, EntryRecord, encode
from movie_stream.tables.table import Frozen, Table, WriterFenced
from tests.support.examples import examples
from tests.support.memory_log import Driven, MemoryLog, at_once, one_turn, run
from tests.support.reference import views

RUN = "run"


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of more than two entries is sent in several portions."""
    monkeypatch.setattr(tables, "SENT_AT_ONCE", 20)


_DECODER: msgspec.msgpack.Decoder[EntryRecord | Cursor] = msgspec.msgpack.Decoder(EntryRecord | Cursor)


def source(offset: int) -> tuple[str, int]:
    """The record of the source at an offset: a key, and a value, of which 0 deletes."""
    mixed = offset * 2_654_435_761 % 2**32
    return f"k{mixed % 7}", mixed // 7 % 4


def fold(end: int) -> tuple[dict[str, int], int | None]:
    """The state and the watermark after all records before `end`."""
    values: dict[str, int] = {}
    watermark: int | None = None
    for offset in range(end):
        key, value = source(offset)
        watermark = max(value, watermark or 0)
        if value:
            values[key] = value
        else:
            values.pop(key, None)
    return values, watermark


class Tiny:
    """A dict as the state of a table."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.position = 0
        self.watermark_ms: int | None = None
        self.values: dict[str, int] = {}
        self.changed: set[str] = set()

    def apply(self, count: int) -> None:
        for _ in range(count):
            key, value = source(self.position)
            self.position += 1
            self.watermark_ms = max(value, self.watermark_ms or 0)
            self.changed.add(key)
            if value:
                self.values[key] = value
            else:
                self.values.pop(key, None)

    def freeze(self, snapshot: bool) -> list[bytes]:
        keys, self.changed = (self.values if snapshot else sorted(self.changed)), set()
        return [json.dumps([key, self.values.get(key, 0)]).encode() for key in keys]

    def load(self, entry: bytes) -> None:
        key, value = json.loads(entry)
        if value:
            self.values[key] = value
        else:
            self.values.pop(key, None)

    def loaded(self, position: int, watermark_ms: int | None) -> None:
        self.position, self.watermark_ms = position, watermark_ms


def counting(history: list[bytes | None]) -> list[Cursor]:
    """The cursors that count, by the text of checkpoint.py, from all that was ever written."""
    entries: dict[CheckpointId, set[int]] = {}
    counted: list[Cursor] = []
    for value in history:
        record = _DECODER.decode(value or b"")
        if isinstance(record, EntryRecord):
            entries.setdefault(record.id, set()).add(record.index)
            continue
        complete = entries.get(record.id, set()) >= set(range(record.entries))
        follows = record.parent == counted[-1].id if counted else record.snapshot
        if complete and follows and record.run == RUN and all(record.id != other.id for other in counted):
            counted.append(record)
    return counted


@dataclass(eq=False)
class Writer:
    """An owner of the partition; whether it is a zombie nobody knows."""

    table: Table[Tiny]
    busy: Driven | None
    restored: bool = False
    sent: Frozen | None = None
    seen: int = 0
    """How many cursors counted when its restore, or its return, began."""
    returning: bool = False
    """Whether it was laid aside, and looks whether it may go on."""


class History(MemoryLog):
    """A log that remembers what was deleted from it."""

    def __init__(self) -> None:
        super().__init__(one_turn)

    @property
    def all(self) -> list[bytes | None]:
        return self._records


class TableMachine(RuleBasedStateMachine):
    """Writers over one changelog, each driven step by step. Restoring gives a fold of the source, always."""

    @initialize()
    def start(self) -> None:
        self.log, self.writers = History(), list[Writer]()

    def writer(self, number: int) -> Writer:
        return self.writers[number % len(self.writers)]

    @rule()
    def begin(self) -> None:
        if len(self.writers) < 5:
            table = Table(Tiny(), self.log, RUN)
            self.writers.append(Writer(table, Driven(table.restore()), seen=len(counting(self.log.all))))

    @precondition(lambda self: self.writers)
    @rule(number=st.integers(0, 4), steps=st.sampled_from([1, 1, 2, 3, 10, 100]))
    def go_on(self, number: int, steps: int) -> None:
        writer = self.writer(number)
        for _ in range(steps):
            if writer.busy is None:
                return
            try:
                if writer.busy.step():
                    continue
            except WriterFenced:
                self.writers.remove(writer)
                self.was_overtaken(writer)
                return
            done, writer.busy = writer.busy, None
            if writer.returning:
                self.has_returned(writer, done.result)
            elif not writer.restored:
                self.was_restored(writer)
            elif writer.sent is not None:
                self.has_written(writer)

    def was_restored(self, writer: Writer) -> None:
        writer.restored = True
        state = writer.table.state
        assert (state.values, state.watermark_ms) == fold(state.position)
        counted = counting(self.log.all)
        assert state.position in {0, *(cursor.position for cursor in counted)}
        if writer.seen:
            assert state.position >= counted[writer.seen - 1].position, "a checkpoint that counted was not seen"

    def has_returned(self, writer: Writer, may_go_on: bool) -> None:
        writer.returning = False
        counted, last = counting(self.log.all), writer.table._chain.last
        if may_go_on:
            since = counted[max(writer.seen - 1, 0) :]
            assert (not writer.seen and last is None) or last in [cursor.id for cursor in since], "one was not seen"
            assert writer.table.position == next((cursor.position for cursor in counted if cursor.id == last), 0)
        else:
            self.writers.remove(writer)
            newest = CheckpointId(writer.table._writer, writer.table._sequence)
            assert not counted or counted[-1].id != newest, "nobody came after it"

    def own(self, writer: Writer) -> Cursor | None:
        """The writer's newest checkpoint, if it counts."""
        table = writer.table
        newest = CheckpointId(table._writer, table._sequence)
        return next((cursor for cursor in counting(self.log.all) if cursor.id == newest), None)

    def has_written(self, writer: Writer) -> None:
        cursor = self.own(writer)
        assert cursor is not None, "it was told that its checkpoint counts"
        assert writer.sent is not None
        assert (cursor.position, cursor.snapshot) == (writer.sent.position, writer.sent.snapshot)
        writer.sent = None

    def was_overtaken(self, writer: Writer) -> None:
        cursor = self.own(writer)
        assert cursor is None or cursor != counting(self.log.all)[-1], "its checkpoint counts, and nobody came after it"
        records = len(self.log.all)
        with pytest.raises(WriterFenced):
            run(writer.table.checkpoint(writer.table.freeze()))
        assert len(self.log.all) == records, "it writes again"

    @precondition(lambda self: self.writers)
    @rule(number=st.integers(0, 4), count=st.integers(1, 6))
    def apply(self, number: int, count: int) -> None:
        writer = self.writer(number)
        if writer.restored:
            writer.table.state.apply(count)

    @precondition(lambda self: self.writers)
    @rule(number=st.integers(0, 4), steps=st.sampled_from([0, 1, 2, 100]))
    def flush(self, number: int, steps: int) -> None:
        writer = self.writer(number)
        if writer.restored and writer.busy is None:
            writer.sent = writer.table.freeze()
            writer.busy = Driven(writer.table.checkpoint(writer.sent))
            self.go_on(number, steps)

    @precondition(lambda self: self.writers)
    @rule(number=st.integers(0, 4), steps=st.sampled_from([0, 1, 2, 100]))
    def come_back(self, number: int, steps: int) -> None:
        """After a time in which it was laid aside."""
        writer = self.writer(number)
        if writer.restored and writer.busy is None:
            writer.returning, writer.seen = True, len(counting(self.log.all))
            writer.busy = Driven(writer.table.resume(self.log.end))
            self.go_on(number, steps)

    @precondition(lambda self: self.writers)
    @rule(number=st.integers(0, 4))
    def kill(self, number: int) -> None:
        writer = self.writer(number)
        self.writers.remove(writer)
        if writer.busy is not None:
            writer.busy.kill()

    @precondition(lambda self: self.log.in_flight)
    @rule(number=st.integers(0, 20))
    def arrive_late(self, number: int) -> None:
        self.log.put(self.log.in_flight.pop(number % len(self.log.in_flight)))

    @precondition(lambda self: self.log.all)
    @rule(number=st.integers(0, 200))
    def arrive_twice(self, number: int) -> None:
        self.log.put(self.log.all[-1 - number % self.log.end])

    @rule(snapshot=st.booleans())
    def another_run_writes(self, snapshot: bool) -> None:
        counted = counting(self.log.all)
        parent = counted[-1].id if counted else None
        self.log.put(encode(Cursor(CheckpointId("other", self.log.end), parent, snapshot, 10**6, 9, 0, "other run")))

    @invariant()
    def restoring_now_gives_what_counts(self) -> None:
        counted = counting(self.log.all)
        turn, self.log.turn = self.log.turn, at_once
        table = Table(Tiny(), self.log, RUN)
        run(table.restore())
        self.log.turn = turn
        assert table.state.position == (counted[-1].position if counted else 0)
        assert (table.state.values, table.state.watermark_ms) == fold(table.state.position)

    def teardown(self) -> None:
        for writer in getattr(self, "writers", ()):
            if writer.busy is not None:
                writer.busy.kill()


TestTables = TableMachine.TestCase
TestTables.settings = settings(max_examples=examples(150), stateful_step_count=40)


# ---- single points -------------------------------------------------------------------------------------------------


def written(log: MemoryLog, table: Table[Tiny], count: int) -> None:
    table.state.apply(count)
    run(table.checkpoint(table.freeze()))


def restored(log: MemoryLog, changelog_run: str = RUN) -> Table[Tiny]:
    table = Table(Tiny(), log, changelog_run)
    run(table.restore())
    return table


def test_a_snapshot_is_due_when_the_deltas_outweigh_it_and_deletes_earlier_records() -> None:
    log = MemoryLog()
    table = restored(log)
    assert table.snapshot_due
    written(log, table, 40)
    starts = set()
    for _ in range(30):
        written(log, table, 3)
        starts.add(log.start)
        assert log.end - log.start < 40, "bounded by about three times the state"
    assert len(starts) > 3
    again = restored(log)
    assert again.state.values == table.state.values
    assert again.snapshot_due == table.snapshot_due


def snapshot_with_a_zombies_inside(entries_inside: bool) -> tuple[MemoryLog, Table[Tiny]]:
    """A log whose newest snapshot counts, and has the cursor of a zombie's snapshot inside, which does not."""
    log = MemoryLog(one_turn)
    zombie, table = (Table(Tiny(), log, RUN) for _ in range(2))
    run(zombie.restore())
    zombie.state.apply(5)
    zombies = Driven(zombie.checkpoint(zombie.freeze()))
    run(table.restore())
    while not (table.snapshot_due and table.state.position):
        written(log, table, 9)
    if not entries_inside:
        drive_to(zombies, log, len(zombie.state.values))
    table.state.apply(9)
    snapshot = Driven(table.checkpoint(table.freeze()))
    drive_to(snapshot, log, 1)
    with pytest.raises(WriterFenced, match="another writer came first"):
        drive_to(zombies, log, 1000)
    drive_to(snapshot, log, 1000)
    return log, table


def drive_to(driven: Driven, log: MemoryLog, count: int) -> None:
    """Until the log has this number of further records, or it ends."""
    end = log.end + count
    while log.end < end and driven.step():
        pass


@pytest.mark.parametrize("entries_inside", [True, False])
def test_a_snapshot_that_is_not_alone_deletes_nothing_and_the_next_one_does(entries_inside: bool) -> None:
    log, table = snapshot_with_a_zombies_inside(entries_inside)
    assert log.start == 0
    assert restored(log).state.position == table.state.position
    while log.start == 0:
        written(log, table, 5)
    assert restored(log).state.values == fold(table.state.position)[0]


def test_a_cursor_counts_with_all_of_its_entries_and_after_its_parent() -> None:
    chain, first, second = Chain(RUN), CheckpointId("w", 1), CheckpointId("w", 2)
    snapshot = encode(Cursor(first, None, True, 5, None, 2, RUN))
    for _ in range(2):  # an entry that came twice is one entry
        assert chain.read(encode(EntryRecord(first, 0, b"a"))) is None
    assert chain.read(snapshot) is None
    assert chain.read(encode(Cursor(second, None, False, 6, None, 0, RUN))) is None, "a delta cannot be the first"
    chain.read(encode(EntryRecord(first, 1, b"b")))
    counted = chain.read(snapshot)
    assert counted is not None
    assert counted.payloads == [b"a", b"b"]
    assert chain.last == first
    assert chain.read(encode(Cursor(second, CheckpointId("x", 1), True, 6, None, 0, RUN))) is None
    assert chain.read(encode(Cursor(second, first, False, 6, None, 0, "other run"))) is None
    assert chain.read(encode(Cursor(second, first, False, 6, None, 0, RUN))) is not None


@pytest.mark.parametrize("start", range(1, 30))
def test_a_log_that_others_have_cut_is_noticed_unless_a_whole_snapshot_is_left(start: int) -> None:
    log = MemoryLog()
    table = Table(Tiny(), log, RUN)
    for _ in range(8):  # not the table's own deletions: all of it stays
        written(log, table, 5)
        log.start = 0
    left = [_DECODER.decode(value or b"") for value in log.get(start, log.end)]
    first = next(record for record in left if isinstance(record, Cursor))
    entries = sum(isinstance(record, EntryRecord) and record.id == first.id for record in left)
    whole = first.snapshot and entries == first.entries
    log.start = start
    if whole:
        assert restored(log).state.values == table.state.values
    else:
        with pytest.raises(BrokenChangelog, match=f"records before offset {start} were deleted"):
            restored(log)


def test_a_log_of_which_entries_are_left_but_no_cursor_is_noticed() -> None:
    log = MemoryLog()
    run(log.append([encode(EntryRecord(CheckpointId("w", 1), index, b"{}")) for index in range(3)]))
    log.start = 1
    with pytest.raises(BrokenChangelog, match="records before offset 1 were deleted"):
        restored(log)


def test_a_log_of_which_nothing_is_left_is_noticed() -> None:
    log = MemoryLog()
    written(log, restored(log), 5)
    log.start = log.end
    with pytest.raises(BrokenChangelog, match=f"all records before offset {log.end} were deleted"):
        restored(log)


def test_an_entry_that_cannot_be_loaded_is_a_broken_changelog() -> None:
    log = MemoryLog()
    first = CheckpointId("w", 1)
    run(log.append([encode(EntryRecord(first, 0, b"{")), encode(Cursor(first, None, True, 5, None, 1, RUN))]))
    with pytest.raises(BrokenChangelog, match="an entry that cannot be loaded"):
        restored(log)


def test_who_is_in_a_hurry_puts_a_snapshot_off() -> None:
    log = MemoryLog()
    table = restored(log)
    table.defer_snapshot = True
    assert table.snapshot_due, "without one there is nothing to follow"
    table.defer_snapshot = False
    while not (table.snapshot_due and table.state.position):
        written(log, table, 5)
    table.defer_snapshot = True
    assert not table.freeze().snapshot


def test_a_zombie_whose_changelog_was_cut_under_it_is_overtaken() -> None:
    log = MemoryLog()
    zombie = restored(log)
    written(log, zombie, 30)
    table = restored(log)
    while log.start == 0:
        written(log, table, 5)
    assert table.state.position > zombie.state.position
    zombie.state.apply(100)
    with pytest.raises(WriterFenced, match="deleted by another"):
        run(zombie.checkpoint(zombie.freeze()))
    assert restored(log).state.position == table.state.position


def test_who_was_overtaken_never_writes_again() -> None:
    """Its chain has read the other's checkpoint: one with that as its parent would count, with figures of before."""
    log = MemoryLog()
    zombie = restored(log)
    written(log, zombie, 30)
    table = restored(log)
    written(log, table, 5)
    zombie.state.apply(1)
    with pytest.raises(WriterFenced, match="another writer came first"):
        run(zombie.checkpoint(zombie.freeze()))
    end = log.end
    with pytest.raises(WriterFenced, match="an earlier checkpoint"):
        run(zombie.checkpoint(zombie.freeze()))
    assert log.end == end
    assert restored(log).state.position == table.state.position


def test_a_restore_starts_over_when_the_log_is_cut_under_it() -> None:
    log = MemoryLog(one_turn)
    table = Table(Tiny(), log, RUN)
    run(table.restore())
    table.state.apply(20)
    run(table.checkpoint(table.freeze()))
    reader = Table(Tiny(), log, RUN)
    reading = Driven(reader.restore())
    for _ in range(3):
        assert reading.step()
    while log.start == 0:
        table.state.apply(5)
        run(table.checkpoint(table.freeze()))
    while reading.step():
        pass
    assert reader.state.position == table.state.position
    assert reader.state.values == table.state.values


def test_another_runs_changelog_is_no_changelog() -> None:
    log = MemoryLog()
    written(log, restored(log, "old"), 12)
    new = restored(log)
    assert (new.state.position, new.state.values, new.snapshot_due) == (0, {}, True)
    written(log, new, 3)
    assert restored(log).state.position == 3
    assert restored(log, "old").state.position in (0, 12)


@pytest.mark.parametrize(
    "value", [None, b"", b"\xc1", b"{}", b"\x96\xa5claim\x01", encode(EntryRecord(CheckpointId("w", 1), 0, b"x"))[:-1]]
)
def test_what_no_writer_of_ours_has_written_is_named(value: bytes | None) -> None:
    log = MemoryLog()
    log.put(value)
    with pytest.raises(BrokenChangelog, match="expected an entry or a cursor, got b'"):
        restored(log)


def test_a_cursor_counts_once() -> None:
    chain, first = Chain(RUN), CheckpointId("w", 1)
    cursor = encode(Cursor(first, None, True, 5, None, 0, RUN))
    assert chain.read(cursor) is not None
    assert chain.read(cursor) is None
    itself = encode(Cursor(first, first, True, 9, None, 0, RUN))
    assert chain.read(itself) is None


class Unread(MemoryLog):
    """A log that says how often it was read."""

    reads = 0

    def read(self, start: int | None, until: int | None) -> AsyncIterator[tuple[int, bytes | None]]:
        self.reads += 1
        return super().read(start, until)


def test_what_a_writer_has_written_alone_is_not_read_back() -> None:
    log = Unread()
    table = restored(log)
    for _ in range(20):
        written(log, table, 5)
    assert log.reads == 1
    log.put(encode(Cursor(CheckpointId("other", 1), None, False, 0, None, 0, RUN)))
    written(log, table, 5)
    assert log.reads == 2
    assert restored(log).state.values == fold(table.state.position)[0]


def test_a_table_that_was_laid_aside_goes_on_unless_another_checkpoint_counted() -> None:
    log = Unread()
    table = restored(log)
    written(log, table, 30)
    assert run(table.resume(log.end))
    assert log.reads == 1, "there was nothing new to read"
    table.state.apply(3)
    for zombies in (
        encode(EntryRecord(CheckpointId("z", 1), 0, b"x")),
        encode(Cursor(CheckpointId("z", 1), None, True, 1, None, 1, RUN)),
    ):
        log.put(zombies)
    assert run(table.resume(log.end)), "what does not count does no harm"
    written(log, table, 2)
    written(log, restored(log), 5)
    assert not run(table.resume(log.end))


def test_a_table_that_was_laid_aside_does_not_go_on_where_its_changelog_was_cut_or_lost() -> None:
    log = MemoryLog()
    table = restored(log)
    assert not run(table.resume(log.end)), "nothing was ever there: restoring costs nothing"
    written(log, table, 30)
    assert not run(table.resume(log.end - 1))
    end = log.end
    log.put(b"")
    log.start = end + 1
    assert not run(table.resume(log.end))


def test_an_empty_state_has_a_position_too() -> None:
    log = MemoryLog()
    table = restored(log)
    table.state.position = 7
    run(table.checkpoint(table.freeze()))
    assert (restored(log).state.position, log.end) == (7, 1)


def test_the_accumulator_is_restored_from_its_changelog() -> None:
    log, rules = MemoryLog(), Rules(allowed_lateness_ms=4 * 3_600_000)
    hour = 3_600_000
    start = 1_730_332_800_000
    records = views(
        *(
            {
                "user_id": f"u{i % 5}",
                "movie_id": f"m{i % 7}",
                "genre": ["Drama", "drama ", "Noir"][i % 3],
                "timestamp": start + i * hour // 3 - (i % 4) * hour,
                "rating": i % 6,
                "duration": i % 90 * 7,
                "price": 1e9,
            }
            for i in range(150)
        )
    )
    whole = Accumulator(0, 1, rules)
    table = Table(Accumulator(0, 1, rules), log, RUN)
    run(table.restore())
    for at in range(0, 150, 6):
        chunk = chunk_of(0, at, [value for _, _, value in records[at : at + 6]])
        whole.apply(chunk)
        table.state.apply(chunk)
        seen, wanted = table.state.partials(1), whole.partials(1)
        assert by_key(seen) == by_key(wanted), f"after the restore at {at}"
        run(table.checkpoint(table.freeze()))
        table.state.drop_expired()
        if at % 12 == 0:
            table = Table(Accumulator(0, 1, rules), log, RUN)
            run(table.restore())
            assert (table.state.position, table.state.watermark_ms) == (whole.position, whole.watermark_ms)
    assert log.start > 0


def by_key(messages: list[tuple[int, bytes]]) -> list[Any]:
    """Partials without regard to the order of their rows."""
    rows = []
    for _, message in messages:
        decoded = msgspec.msgpack.decode(message)
        if decoded[0] == "watermark":
            rows.append(str(decoded))
            continue
        *_, (_, collection, starts, names, labels, held) = decoded
        count = len(starts) // 8
        [result] = [result for result in RESULTS if result.collection == collection]
        named = _texts(names) if names else [None] * count
        columns = [_rows(of, column, count) for of, column in zip(result.held, held, strict=True)]
        for i in range(count):
            values = [column[i] for column in columns]
            rows.append(str((collection, starts[8 * i : 8 * i + 8], named[i], labels[8 * i : 8 * i + 8], values)))
    return sorted(rows)


def _rows(held: object, column: Any, count: int) -> list[Any]:
    """What each row holds of a column."""
    if isinstance(held, SmallestSpelling):
        return _texts(column)
    if isinstance(held, NewestView):
        time_ms, title, genre = column
        times = [time_ms[8 * row : 8 * row + 8] for row in range(count)]
        return list(zip(times, _texts(title), _texts(genre), strict=True))
    if isinstance(column, bytes):
        width = len(column) // count
        return [column[width * row : width * row + width] for row in range(count)]
    return list(column)


def _texts(packed: tuple[bytes, bytes]) -> list[str]:
    """The strings that PackedNames.pack has packed."""
    names = PackedNames()
    return names.texts(names.unpack(*packed))
