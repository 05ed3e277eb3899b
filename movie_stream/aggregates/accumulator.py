"""The state of one source partition: a pure function of a prefix of its log, applied chunk by chunk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeVar

import msgspec
import numpy as np
from msgspec.structs import replace

from movie_stream.aggregates import partial
from movie_stream.aggregates.arrivals import Arrivals
from movie_stream.aggregates.batch import Batch, GroupedBatch
from movie_stream.aggregates.groups import Block, Groups, compact, released
from movie_stream.aggregates.local_time import LocalHours
from movie_stream.aggregates.quality import Quality, QualityBlock
from movie_stream.aggregates.reader import Reader
from movie_stream.aggregates.refused import BadReplayHeader, OpenOriginals, RefusedBlock, original_of
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.aggregates.users import UserDaysBlock, Users, UsersBlock
from movie_stream.aggregates.vocabulary import Vocabulary
from movie_stream.aggregates.window import MINUTE
from movie_stream.columnar.columns import Bools, Column, Ints
from movie_stream.columnar.murmur2 import partitions_of_spans
from movie_stream.events.chunk import Chunk
from movie_stream.events.timestamps import datetime_of

_MIN_WATERMARK_MS: Final = -(2**62)
_UNBOUNDED_MS: Final = 2**62
_HASHED_AT_ONCE: Final = 1 << 16
"""Users whose partition is computed in one call; it bounds the temporary copies of their names."""

Time = TypeVar("Time", int, Ints)
Entry = Block | UsersBlock | UserDaysBlock | RefusedBlock | QualityBlock
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that change figures."""

    allowed_lateness_ms: int = 86_400_000
    future_tolerance_ms: int = 3_600_000
    session_gap_ms: int = 1_800_000
    timezone: str = "UTC"
    revenue_per_view_micro: int = 0

    def oldest_in_time(self, watermark_ms: Time) -> Time:
        """The smallest timestamp (ms) that is not late behind this watermark."""
        return watermark_ms - self.allowed_lateness_ms


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that does not count, or a copy of such a record, and the reason."""

    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    kind: str
    """bad or late; for a copy also counted, or again: its original, or another copy of it, counts already."""
    reason: str
    original: int | None = None
    """The offset of the original, if the record is a copy."""

    @property
    def refused(self) -> bool:
        """Whether it breaks a rule."""
        return self.kind in ("bad", "late")


class OffsetGap(RuntimeError):
    """A chunk starts behind the next offset to apply; applying it would lose records."""


class Accumulator:
    """The figures of one source partition.

    `position` is the next offset to apply, `watermark_ms` the largest timestamp applied so far (None before the first).
    """

    def __init__(
        self,
        partition: int,
        partitions: int,
        rules: Rules,
        run: int = 1,
        results: tuple[Result, ...] = RESULTS,
        topic: str = "",
        block_bytes: int | None = None,
    ) -> None:
        """`topic` is the identity of the source topic, to which the headers of copies refer.

        Encoded blocks have up to `block_bytes` (None: BLOCK_BYTES).
        """
        self._block_bytes = block_bytes
        self.partition, self._partitions, self._rules, self._run = partition, partitions, rules, run
        self._topic = topic
        self._hours = LocalHours(rules.timezone)
        self._results = results
        self.reset()

    def reset(self) -> None:
        """Drops the whole state."""
        self.position = 0
        self.watermark_ms: int | None = None
        self.misplaced = 0
        """Views whose user belongs to another partition, since the start of this process."""
        self._is_misplaced, self._any_misplaced = Column(np.bool_), False
        self.vocabulary = Vocabulary()
        self.users = Users(self._results, self._rules.session_gap_ms)
        self._reader = Reader(
            *(self.vocabulary, self.users.names, self._hours),
            *(self._rules.future_tolerance_ms, self._rules.revenue_per_view_micro),
        )
        self._refused = OpenOriginals()
        self._arrivals = Arrivals()
        self._quality = Quality(self._results, self.partition, self.vocabulary)
        names = {"genre": self.vocabulary.slugs, "movie_id": self.vocabulary.movies, "user_id": self.users.names}
        self._view_groups = [
            Groups(result, names.get(result.grouped_by or ""), self.vocabulary, live=True)
            for result in self._results
            if not (result.aggregates_users or result.aggregates_records)
        ]
        self._by_column: defaultdict[str, list[Groups]] = defaultdict(list)
        for groups in self._view_groups:  # ungrouped results are summed over the genres, which are few
            self._by_column[groups.result.grouped_by or "genre"].append(groups)
        kept = (*self._view_groups, *self.users.figures, *self._quality.figures)
        self._groups = {groups.result.collection: groups for groups in kept}

    @property
    def threshold_ms(self) -> int:
        """The lower bound of the timestamps of all later valid views, in Unix milliseconds."""
        return 0 if self.watermark_ms is None else self._rules.oldest_in_time(self.watermark_ms)

    def apply(self, chunk: Chunk) -> list[DeadLetter]:
        """Applies the records from `position` on.

        Returns dead letters for those that do not count and for copies of such records. Raises OffsetGap.
        """
        if chunk.end <= self.position:
            return []
        if chunk.start > self.position:
            raise OffsetGap(f"expected offset {self.position} of partition {self.partition}, got {chunk.start}")
        chunk = chunk.since(self.position)
        self._refused.start(self.position)
        letters = self._apply_with_copies(chunk) if chunk.replays else self._apply(chunk, {})
        self.position = chunk.end
        return letters

    def _apply_with_copies(self, chunk: Chunk) -> list[DeadLetter]:
        """Applies a chunk in parts: none holds an original and its copy, or two copies of one original."""
        letters: list[DeadLetter] = []
        originals, malformed = dict[int, int](), dict[int, str]()
        for offset, header in chunk.replays.items():
            try:
                originals[offset] = original_of(header, self._topic, self.partition, before=offset)
            except BadReplayHeader as error:
                malformed[offset] = str(error)
        for part in _parts(chunk, originals):
            copies = {offset: originals[offset] for offset in part.replays if offset in originals}
            redundant = {offset for offset, original in copies.items() if not self._refused.is_open(original, offset)}
            others: list[DeadLetter] = []
            for row in np.flatnonzero(np.isin(part.offsets, [*redundant, *malformed])).tolist():
                offset = int(part.offsets[row])
                if offset in redundant:
                    reason = f"its original, at {copies[offset]}, or another copy of it counts already, or is too old"
                    others.append(self._dead_letter(part, row, "again", reason, copies[offset]))
                else:
                    others.append(self._dead_letter(part, row, "bad", malformed[offset]))
                    self._refused.refuse(offset)
            letters += self._apply(part.without({*redundant, *malformed}), copies, others)
        return letters

    def _apply(self, chunk: Chunk, copies: Mapping[int, int], others: Sequence[DeadLetter] = ()) -> list[DeadLetter]:
        """Applies records; `copies` maps the offsets of copies to the offsets of their open originals.

        `others` are dead letters of records that were removed from the chunk before. The result includes them.
        """
        batch, refusals = self._reader.read(chunk)
        refused = [
            self._dead_letter(chunk, bad.index, "bad", chunk.unreadable.get(offset, bad.reason), copies.get(offset))
            for bad, offset in zip(refusals, chunk.offsets[[bad.index for bad in refusals]].tolist(), strict=True)
        ]
        batch, late = self._split_late(batch, chunk, copies)
        refused += late
        for letter in refused:
            if letter.original is None:
                self._refused.refuse(letter.offset)
        uncounted = sorted((*refused, *others), key=lambda letter: letter.offset)
        watermark_ms = self.watermark_ms
        if len(batch):
            self._reader.add_users(batch)
            self._count(batch)
            self._arrivals.add(chunk.times_ms, batch.index, batch.timestamp_ms)
            self.watermark_ms = max(self.watermark_ms or 0, int(batch.timestamp_ms.max()))
            self._count_misplaced(batch.ids["user_id"])
        times_ms = chunk.times_ms if len(batch) == len(chunk) else chunk.times_ms[batch.index]
        self._quality.apply(batch, times_ms, uncounted, watermark_ms)
        if not copies:
            return uncounted
        return sorted((*uncounted, *self._close(chunk, batch, copies)), key=lambda letter: letter.offset)

    def _count(self, batch: Batch) -> None:
        """Adds the views to all results; results by the same column share the groups of their shortest window."""
        for column, sharing in self._by_column.items():
            windows = (groups.result.window for groups in sharing)
            shortest = min(windows, key=lambda window: window.length_ms or _UNBOUNDED_MS)
            grouped = GroupedBatch(batch, shortest, column)
            for groups in sharing:
                groups.apply(grouped)
        self.users.apply(batch, self.threshold_ms)

    def _close(self, chunk: Chunk, batch: Batch, copies: Mapping[int, int]) -> list[DeadLetter]:
        """Closes the originals whose copies count; returns a dead letter for each of these copies."""
        letters = []
        for row in batch.index[np.isin(batch.offset, list(copies))].tolist():
            original = copies[int(chunk.offsets[row])]
            self._refused.close(original)
            letters.append(self._dead_letter(chunk, row, "counted", f"counts for the record at {original}", original))
        return letters

    def _split_late(self, batch: Batch, chunk: Chunk, copies: Mapping[int, int]) -> tuple[Batch, list[DeadLetter]]:
        """The views that are not late, and dead letters of the late ones.

        A view is late if it is older, by more than ALLOWED_LATENESS, than the watermark before it. This watermark is
        the largest timestamp of the earlier views of its partition, late or not.
        """
        first = _MIN_WATERMARK_MS if self.watermark_ms is None else self.watermark_ms
        watermark = np.maximum.accumulate(np.concatenate([[first], batch.timestamp_ms]))[:-1]
        late = batch.timestamp_ms < self._rules.oldest_in_time(watermark)
        letters = []
        for row in np.flatnonzero(late).tolist():
            reason = (
                f"late: {datetime_of(int(batch.timestamp_ms[row])):%Y-%m-%dT%H:%M:%SZ} is more than "
                f"{self._rules.allowed_lateness_ms / 3_600_000:g} h before the newest view of its partition so far, "
                f"{datetime_of(int(watermark[row])):%Y-%m-%dT%H:%M:%SZ}"
            )
            original = copies.get(int(batch.offset[row]))
            letters.append(self._dead_letter(chunk, int(batch.index[row]), "late", reason, original))
        return batch.take(~late) if late.any() else batch, letters

    def _dead_letter(self, chunk: Chunk, index: int, kind: str, reason: str, original: int | None = None) -> DeadLetter:
        return DeadLetter(
            self.partition,
            int(chunk.offsets[index]),
            int(chunk.times_ms[index]),
            chunk.keys[index],
            chunk.values[index],
            kind,
            reason,
            original,
        )

    def _count_misplaced(self, users: Ints) -> None:
        is_misplaced, names = self._is_misplaced, self.users.names
        while (known := len(is_misplaced.values)) < len(names):
            fresh = np.arange(known, min(known + _HASHED_AT_ONCE, len(names)))
            is_misplaced.grow(known + len(fresh))
            is_misplaced.values[fresh] = partitions_of_spans(names.spans(fresh), self._partitions) != self.partition
            self._any_misplaced |= bool(is_misplaced.values[fresh].any())
        if self._any_misplaced:
            self.misplaced += int(np.count_nonzero(is_misplaced.values[users]))

    def partials(self, targets: int, checkpoint: bool = True) -> list[tuple[int, bytes]]:
        """The changes since the last call, as (partition of `movie-partials`, message); the watermarks come last.

        Without a `checkpoint`, those of hours, of days and of all time wait for one, unless their window is over.
        """
        messages: list[tuple[int, bytes]] = []
        for groups in self._groups.values():
            rows = np.flatnonzero(groups.unsent.values if checkpoint else self._is_due(groups))
            for target, part in self._by_target(groups, rows, targets):
                messages.extend(
                    (target, partial.encode_block(self._run, self.partition, block))
                    for block in groups.blocks(part, self._block_bytes)
                )
            groups.unsent.values[rows] = False
        if self.watermark_ms is not None:
            watermark = partial.Watermark(self._run, self.partition, self.watermark_ms, with_closed=True)
            kafka_times, event_times = self._arrivals.kafka_times.take(), self._arrivals.event_times.take()
            bare = partial.encode(watermark)
            timed = partial.encode(replace(watermark, kafka_times=kafka_times, event_times=event_times))
            changed = {target for target, _ in messages}  # the targets whose documents depend on these views
            messages += [(target, timed if target in changed else bare) for target in range(targets)]
        return messages

    def _is_due(self, groups: Groups) -> Bools:
        """Which changed rows are sent before a checkpoint: those of minutes; of long lists those of closed windows, as
        the watermark promises; of all else those of windows that have ended, for which alerts wait.
        """
        if groups.result.window is MINUTE:
            return groups.unsent.values
        until_ms = self.threshold_ms if groups.result.is_long_list else self.watermark_ms or 0
        return groups.unsent.values & _has_ended(groups, until_ms)

    def _by_target(self, groups: Groups, rows: Ints, targets: int) -> list[tuple[int, Ints]]:
        by = groups.names if groups.result.by else None
        values = None if by is None else by.spans(groups.ids[rows])
        target = partial.targets_of(groups.result.collection, groups.starts[rows], values, targets)
        return [(t, rows[target == t]) for t in range(targets)]

    @property
    def rows(self) -> int:
        """The number of rows of figures and of users in memory."""
        return self.rows_of_figures + len(self.users.names)

    @property
    def rows_of_figures(self) -> int:
        """The number of rows of figures in memory."""
        return sum(map(len, self._groups.values()))

    def freeze(self, snapshot: bool) -> Iterator[bytes]:
        """The entries of a checkpoint: the changes since the last call, or the whole state if `snapshot`.

        The state is copied now; the entries of users are encoded one by one, as the iterator advances.
        """
        blocks: list[bytes] = []
        for groups in self._groups.values():
            rows = np.arange(len(groups)) if snapshot else np.flatnonzero(groups.unsaved.values)
            blocks.extend(groups.blocks(rows, self._block_bytes))
            groups.unsaved.values[:] = False
        self._refused.start(self.position)  # a checkpoint may come before the first record
        refused = list(self._refused.blocks(snapshot, self._block_bytes))
        blocks.extend(map(_ENCODER.encode, self._quality.freeze(snapshot, self._block_bytes)))
        users = self.users.freeze(snapshot, self._block_bytes)
        return chain(released(blocks), map(_ENCODER.encode, chain(users, refused)))

    def load(self, entry: bytes) -> None:
        """Loads an entry of a checkpoint; entries have to be loaded in log order."""
        block = _DECODER.decode(entry)
        if isinstance(block, Block):
            self._groups[block.collection].merge(block)
        elif isinstance(block, RefusedBlock):
            self._refused.load(block)
        elif isinstance(block, QualityBlock):
            self._quality.load(block)
        else:
            self.users.load(block)

    def loaded(self, position: int, watermark_ms: int | None) -> None:
        """Ends a restore: marks everything loaded as sent and saved."""
        self.position, self.watermark_ms = position, watermark_ms
        for groups in self._groups.values():
            groups.unsent.values[:] = False
            groups.unsaved.values[:] = False
        self.users.mark_saved()
        self._quality.mark_saved()
        self._refused.loaded(position)
        self._is_misplaced, self._any_misplaced = Column(np.bool_), False
        self.drop_expired()

    def drop_expired(self) -> None:
        """Drops the windows that no valid view can reach any more and whose last partial `partials` has returned: if
        that is not sent, the whole state is of no use. It writes nothing to the changelog: a restore drops by the same
        watermark.
        """
        threshold = self.threshold_ms
        self._refused.drop_expired(self.position)
        for groups in self._view_groups:
            groups.drop(_has_ended(groups, threshold) & ~groups.unsent.values)
        self.users.drop_expired(threshold)
        self._quality.drop_expired(self.watermark_ms)
        for names in self.vocabulary.of_groups:
            compact(names, (*self._view_groups, self._quality))


def _has_ended(groups: Groups, time_ms: int) -> Bools:
    """Which rows are of windows that end by a time."""
    length = groups.result.window.length_ms
    if length is None:
        return np.zeros(len(groups), np.bool_)
    ended: Bools = groups.starts + length <= time_ms
    return ended


def _parts(chunk: Chunk, originals: Mapping[int, int]) -> Iterator[Chunk]:
    """Splits a chunk before every copy whose original, or another copy of it, is in the same part."""
    start, within = chunk.start, set[int]()
    for offset, original in originals.items():
        if original >= start or original in within:
            yield chunk.between(start, offset)
            start, within = offset, set()
        within.add(original)
    yield chunk.between(start, chunk.end)
