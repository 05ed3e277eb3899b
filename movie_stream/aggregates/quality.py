"""Data quality of one source partition by hour of stream time: numbers of records, refusals, and missing values.

The hour of a record is that of its partition's watermark after it: the largest event time of the views up to it, or,
before the first view, the record's own Kafka timestamp. Watermarks never fall, so the records of an hour are contiguous
in the log, and the figures of a past hour never change. The history that figures depend on (the genres seen in the
partition, and the last title of each film) follows log order too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import msgspec
import numpy as np

from movie_stream.aggregates.aggregators import CountOf, Members, ViewCount
from movie_stream.aggregates.batch import Batch
from movie_stream.aggregates.groups import BLOCK_BYTES, ROWS_IN_BLOCK, Groups
from movie_stream.aggregates.quality_figures import (
    DELAY,
    LONGEST_DELAY,
    NEW_GENRES,
    RECORDS,
    REFUSED,
    RETITLED,
    TIMED,
    with_refused,
)
from movie_stream.aggregates.results import Result
from movie_stream.aggregates.users import split_by_size
from movie_stream.aggregates.vocabulary import Vocabulary
from movie_stream.aggregates.window import Window
from movie_stream.columnar.columns import Bools, Column, Ints, order_of
from movie_stream.columnar.packed_names import PackedNames
from movie_stream.events.contract import MAX_TIMESTAMP_MS, MISSING
from movie_stream.events.reasons import kind_of

_LOW: Final = np.int64(0xFFFF_FFFF)
_NONE: Final = np.zeros(0, np.int64)
_NAME_BYTES: Final = 8
"""Bytes of a film, a title or a genre in a block, besides its name."""


class QualityBlock(msgspec.Struct, array_like=True, tag="quality"):
    """The history in a changelog, each field as returned by PackedNames.pack."""

    genres: tuple[bytes, bytes]
    """The slugs seen."""
    films: tuple[bytes, bytes]
    titles: tuple[bytes, bytes]
    """The title of each film's last view."""


class Uncounted(Protocol):
    """A record that does not count: refused, or a copy of a record that counts already."""

    @property
    def offset(self) -> int: ...
    @property
    def time_ms(self) -> int:
        """Its Kafka timestamp, negative if it has none."""
        ...

    @property
    def kind(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def refused(self) -> bool: ...


@dataclass(frozen=True)
class _Views:
    """The properties of views that figures are computed from, in log order."""

    batch: Batch
    before_ms: int | None
    """The partition's watermark before them."""
    timed: Bools | None
    """The mask of views that have a Kafka timestamp; None: all have one."""
    delay_ms: Ints | None
    """Kafka timestamp minus event time; None if no view has a Kafka timestamp."""
    new_genres: Ints
    """The indices of the views that were the first of their genre."""
    retitled: Ints
    """The indices of the views whose title is not the film's previous one."""

    def slices(self, window: Window) -> tuple[Ints, Ints]:
        """The index at which each window's contiguous slice of the views begins, and the start of that window."""
        times_ms, before_ms = self.batch.timestamp_ms, -1 if self.before_ms is None else self.before_ms
        first, last = (window.start_of(max(before_ms, int(time_ms))) for time_ms in (times_ms[0], times_ms.max()))
        if first == last:  # the common case
            return np.zeros(1, np.int64), np.array([first])
        starts = window.starts(np.maximum(np.maximum.accumulate(times_ms), before_ms))
        begins = np.flatnonzero(np.diff(starts, prepend=-1))
        return begins, starts[begins]


class Quality:
    """The figures of the records of one source partition, and the history that they depend on."""

    def __init__(self, results: tuple[Result, ...], partition: int, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._partition = PackedNames()
        self._partition.ids([str(partition)])
        self.figures = [
            Groups(result, self._partition, vocabulary, live=True) for result in results if result.aggregates_records
        ]
        self._seen, self._unsaved_genres = Column(np.bool_), Column(np.bool_)  # by the number of the slug
        self._title, self._unsaved_films = Column(np.int32, fill=-1), Column(np.bool_)  # by the number of the film
        self._is_affected = Column(np.bool_)
        """By the number of the film; scratch space of `_retitle`, false elsewhere."""
        self._renumbered_films: Column | None = None

    def apply(self, batch: Batch, times_ms: Ints, rest: Sequence[Uncounted], watermark_ms: int | None) -> None:
        """Adds the next records of the log: views that count, with their Kafka timestamps, and the rest in log order.

        `watermark_ms` is the partition's watermark before these records.
        """
        if not self.figures:
            return
        if len(batch):
            views = self._examine(batch, times_ms, watermark_ms)
            for figures in self.figures:
                _count(figures, views)
        for figures in self.figures if rest else ():
            _count_rest(figures, batch, rest, watermark_ms)

    def _examine(self, batch: Batch, times_ms: Ints, watermark_ms: int | None) -> _Views:
        timed: Bools | None = None
        delay: Ints | None = None
        if times_ms.min() < 0 or times_ms.max() > MAX_TIMESTAMP_MS:
            timed = (times_ms >= 0) & (times_ms <= MAX_TIMESTAMP_MS)
            times_ms = np.where(timed, times_ms, batch.timestamp_ms)
        if timed is None or timed.any():
            delay = times_ms - batch.timestamp_ms
        return _Views(batch, watermark_ms, timed, delay, self._see_genres(batch), self._retitle(batch))

    def _see_genres(self, batch: Batch) -> Ints:
        """Adds the genres to the history; returns the indices of the views that were the first of their genre."""
        self._grow_genres()
        if self._seen.values.all():  # the common case: genres are few
            return _NONE
        slugs = batch.ids["genre"]
        fresh = np.flatnonzero(~self._seen.values[slugs])
        new, first = np.unique(slugs[fresh], return_index=True)
        self._seen.values[new] = True
        self._unsaved_genres.values[new] = True
        return np.sort(fresh[first])

    def _retitle(self, batch: Batch) -> Ints:
        """Updates the films' titles; returns the indices of the views whose title is not the film's previous one."""
        self._grow_films()
        film, title = batch.ids["movie_id"], batch.ids["title"]
        differs = self._title.values[film] != title
        if not differs.any():
            return _NONE
        affected = film[differs]  # the other films keep their titles
        self._is_affected.values[affected] = True
        views = np.flatnonzero(self._is_affected.values[film])
        self._is_affected.values[affected] = False
        views = views[order_of(film[views])]
        film, title = film[views], title[views]
        begins = np.diff(film, prepend=-1) != 0
        before = np.roll(title, 1)
        before[begins] = self._title.values[film[begins]]
        last = np.roll(begins, -1)
        self._title.values[film[last]] = title[last]
        self._unsaved_films.values[film[last]] = True
        return np.sort(views[(before >= 0) & (before != title)])

    def _grow_genres(self) -> None:
        for column in (self._seen, self._unsaved_genres):
            column.grow(len(self._vocabulary.slugs))

    def _grow_films(self) -> None:
        for column in (self._title, self._unsaved_films, self._is_affected):
            column.grow(len(self._vocabulary.movies))

    def drop_expired(self, watermark_ms: int | None) -> None:
        """Drops the past hours that were sent."""
        for figures in self.figures if watermark_ms is not None else ():
            window = figures.result.window
            assert window.length_ms is not None
            over = figures.starts + window.length_ms <= window.start_of(watermark_ms or 0)
            figures.drop(over & ~figures.unsent.values)

    def freeze(self, snapshot: bool, most: int | None = None) -> list[QualityBlock]:
        """The history as blocks of up to `most` bytes (None: BLOCK_BYTES) or of one film: its changes since the last
        call, or all of it if `snapshot`. The figures are not included.
        """
        most = BLOCK_BYTES if most is None else min(most, BLOCK_BYTES)
        genres = np.flatnonzero(self._seen.values if snapshot else self._unsaved_genres.values)
        films = np.flatnonzero(self._title.values >= 0 if snapshot else self._unsaved_films.values)
        titles = self._title.values[films].astype(np.int64)
        vocabulary, empty = self._vocabulary, (b"", b"")
        blocks = [
            QualityBlock(vocabulary.slugs.pack(genres[rows]), empty, empty)
            for rows in split_by_size(vocabulary.slugs.sizes(genres) + _NAME_BYTES, most)
        ]
        for at in range(0, len(films), ROWS_IN_BLOCK):
            film, title = films[at : at + ROWS_IN_BLOCK], titles[at : at + ROWS_IN_BLOCK]
            sizes = vocabulary.movies.sizes(film) + vocabulary.titles.sizes(title) + 2 * _NAME_BYTES
            blocks += [
                QualityBlock(empty, vocabulary.movies.pack(film[rows]), vocabulary.titles.pack(title[rows]))
                for rows in split_by_size(sizes, most)
            ]
        self.mark_saved()
        return blocks

    def mark_saved(self) -> None:
        """Marks everything as saved."""
        self._unsaved_genres.values[:] = False
        self._unsaved_films.values[:] = False

    def load(self, block: QualityBlock) -> None:
        """Loads a block; blocks have to be loaded in the order in which they were made."""
        slugs = self._vocabulary.slugs.unpack(*block.genres)
        self._grow_genres()
        self._seen.values[slugs] = True
        films, titles = self._vocabulary.movies.unpack(*block.films), self._vocabulary.titles.unpack(*block.titles)
        self._grow_films()
        self._title.values[films] = titles

    def names_in(self, names: PackedNames) -> Iterator[Column]:
        """The columns that hold numbers of these names; call `renamed` after changing them."""
        for figures in self.figures:
            yield from figures.names_in(names)
        if names is self._vocabulary.titles:
            yield self._title
        if names is self._vocabulary.movies:
            films = np.flatnonzero(self._title.values >= 0)
            self._renumbered_films = Column(np.int64)
            self._renumbered_films.grow(len(films))
            self._renumbered_films.values[:] = films
            yield self._renumbered_films

    def renamed(self, names: PackedNames) -> None:
        """Ends a renumbering of these names."""
        for figures in self.figures:
            figures.renamed(names)
        if names is self._vocabulary.movies and self._renumbered_films is not None:
            films, self._renumbered_films = self._renumbered_films.values, None
            old = np.flatnonzero(self._title.values >= 0)
            titles, unsaved = self._title.values[old], self._unsaved_films.values[old]
            self._title, self._unsaved_films = Column(np.int32, fill=-1), Column(np.bool_)
            self._is_affected = Column(np.bool_)
            self._grow_films()
            self._title.values[films], self._unsaved_films.values[films] = titles, unsaved


def _count(figures: Groups, views: _Views) -> None:
    """Adds views to the groups of their windows, each of which has a contiguous slice of them."""
    batch, held = views.batch, figures.held
    begins, starts = views.slices(figures.result.window)
    counts = np.diff(begins, append=len(batch))
    rows = figures.rows(starts, None)
    figures.touch(rows, batch.offset[begins + counts - 1])
    amounts: dict[str, Callable[[], Ints]] = {
        RECORDS.name: lambda: counts,
        ViewCount.name: lambda: counts,
        TIMED.name: lambda: counts if views.timed is None else _true(views.timed, begins),
        NEW_GENRES.name: lambda: _single(views.new_genres, begins),
        RETITLED.name: lambda: _single(views.retitled, begins),
    }
    for aggregator in figures.result.held:
        if isinstance(aggregator, Members):
            lg_k = aggregator.lg_k
            registers = partial(batch.registers, aggregator.member, lg_k)
            held[aggregator.name].add(rows, counts, batch.hashes[aggregator.member], registers)
        elif isinstance(aggregator, CountOf):
            held[aggregator.name].values[rows] += _true(batch.numbers[aggregator.number] != MISSING, begins)
        elif aggregator.name in amounts:
            held[aggregator.name].values[rows] += amounts[aggregator.name]()
    if views.delay_ms is not None:
        _count_delays(figures, rows, begins, views.delay_ms, views.timed)


def _count_delays(figures: Groups, rows: Ints, begins: Ints, delay_ms: Ints, timed: Bools | None) -> None:
    if DELAY.name in figures.held:
        halves = figures.held[DELAY.name].values
        halves[rows, 0] += np.add.reduceat(delay_ms >> 32, begins)
        halves[rows, 1] += np.add.reduceat(delay_ms & _LOW, begins)
    if LONGEST_DELAY.name in figures.held:
        longest = figures.held[LONGEST_DELAY.name]
        delay_ms = delay_ms if timed is None else np.where(timed, delay_ms, longest.fill)
        longest.values[rows] = np.maximum(longest.values[rows], np.maximum.reduceat(delay_ms, begins))


def _true(values: Bools, begins: Ints) -> Ints:
    """The number of true values in each slice."""
    if len(begins) == 1:
        return np.array([np.count_nonzero(values)])
    counts: Ints = np.add.reduceat(values, begins, dtype=np.int64)
    return counts


def _single(views: Ints, begins: Ints) -> Ints:
    """The number of these views in each slice."""
    return np.bincount(np.searchsorted(begins, views, "right") - 1, minlength=len(begins))


def _count_rest(figures: Groups, batch: Batch, rest: Sequence[Uncounted], watermark_ms: int | None) -> None:
    """Adds records that do not count to the groups of the windows in which they arrived."""
    window, held = figures.result.window, figures.held
    before = np.searchsorted(batch.offset, [record.offset for record in rest])  # the number of views before each
    own_ms = np.array([record.time_ms if 0 <= record.time_ms <= MAX_TIMESTAMP_MS else 0 for record in rest], np.int64)
    first = own_ms if watermark_ms is None else np.full(len(rest), watermark_ms)
    reached = np.maximum.accumulate(np.append(-1 if watermark_ms is None else watermark_ms, batch.timestamp_ms))[before]
    starts = window.starts(np.where(before > 0, reached, first))
    arrived: defaultdict[int, list[Uncounted]] = defaultdict(list)
    for start, record in zip(starts.tolist(), rest, strict=True):
        arrived[start].append(record)
    rows = figures.rows(np.array(list(arrived), np.int64), None)
    figures.touch(rows, np.array([records[-1].offset for records in arrived.values()], np.int64))
    for row, records in zip(rows.tolist(), arrived.values(), strict=True):
        if RECORDS.name in held:
            held[RECORDS.name].values[row] += len(records)
        refused = [(record.kind, kind_of(record.reason)) for record in records if record.refused]
        if REFUSED.name in held and refused:
            held[REFUSED.name].values[row] = with_refused(held[REFUSED.name].values[row], refused)
