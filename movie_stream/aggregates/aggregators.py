"""Aggregators: the columns of a group that views update in place, and how partials of several partitions are merged.

Every aggregator is a function of the set of views alone, never of their order: sums of integers, extremes, sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple, Protocol

import numpy as np

from movie_stream.aggregates.batch import GroupedBatch
from movie_stream.columnar.columns import AnyInts, Column, Ints
from movie_stream.columnar.hyperloglog import SketchColumn, counts_distinct, pack_hashes
from movie_stream.columnar.packed_names import PackedNames
from movie_stream.columnar.spans import Spans
from movie_stream.kernels.grouping import count_hours, keep_newest

_LOW: Final = np.int64(0xFFFF_FFFF)
_UNSEEN: Final = -1
EMPTY_SKETCH: Final = pack_hashes(np.zeros(0, np.uint64))


def rank_of(views: int, name: str) -> tuple[int, str]:
    """The sort key of the entries of a top list: most views first; a tie goes to the smaller id, by code points.

    >>> sorted([(2, "b"), (9, "c"), (2, "a")], key=lambda entry: rank_of(*entry))
    [(9, 'c'), (2, 'a'), (2, 'b')]
    """
    return -views, name


class NameTables(Protocol):
    """The names that columns refer to by number; Vocabulary is one implementation."""

    @property
    def titles(self) -> PackedNames: ...
    @property
    def spellings(self) -> PackedNames: ...


class Part(NamedTuple):
    """What a source partition has of some groups: at most one row of each."""

    column: Any
    rows: Ints
    groups: Ints
    """The number of the group that each row belongs to."""


def summed(parts: Sequence[Part], count: int) -> Ints:
    """The sum of each group's values, exact up to 2**63; of columns with a width, sums by position."""
    width = parts[0].column.values.shape[1:] if parts else ()
    sums = np.zeros((count, *width), np.int64)
    for part in parts:
        sums[part.groups] += part.column.values[part.rows]
    return sums


def reduced(parts: Sequence[Part], count: int, ufunc: np.ufunc, unseen: int) -> list[int | None]:
    """The extreme of each group's values by np.maximum or np.minimum; None where all are `unseen`, the first of all."""
    extremes = np.full(count, unseen, np.int64)
    for part in parts:
        extremes[part.groups] = ufunc(extremes[part.groups], part.column.values[part.rows])
    return [None if value == unseen else value for value in extremes.tolist()]


def gathered(parts: Sequence[Part], count: int) -> list[list[Any]]:
    """The values of each group."""
    values: list[list[Any]] = [[] for _ in range(count)]
    for part in parts:
        for group, value in zip(part.groups.tolist(), part.column.read(part.rows), strict=True):
            values[group].append(value)
    return values


class Aggregator(Protocol):
    """One kind of figure of a group. Instances are compared by value; equal ones share a column."""

    @property
    def stored(self) -> str:
        """Its name and parameters in the fingerprint of a run; see Result.stored."""
        ...

    @property
    def name(self) -> str:
        """Names the column within its result, in partials and changelogs."""
        ...

    def column(self, names: NameTables, live: bool) -> Any:
        """A new column; live if views will update it, else it only holds exported values."""
        ...

    def update(self, column: Any, rows: Ints, grouped: GroupedBatch) -> None:
        """Adds the views of a batch; `rows` has one row for each group of the batch, and may repeat a row."""
        ...

    def merge(self, parts: Sequence[Part], count: int) -> Any:
        """The figures of `count` groups, each of which has a row in one or more of the parts."""
        ...


class Summed:
    """An integer that adds up over partitions; exact up to 2**63."""

    __slots__ = ()

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64)

    def merge(self, parts: Sequence[Part], count: int) -> Ints:
        return summed(parts, count)


@dataclass(frozen=True, slots=True)
class ViewCount(Summed):
    """The number of views."""

    stored: ClassVar[str] = "Views()"
    name: ClassVar[str] = "views"

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.add.at(column.values, rows, grouped.counts)


@dataclass(frozen=True, slots=True)
class SumOf(Summed):
    """The sum of a number over the views that have it; exact up to 2**63."""

    number: str

    @property
    def stored(self) -> str:
        return f"SumOf(number={self.number!r})"

    @property
    def name(self) -> str:
        return f"{self.number}.sum"

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.add.at(column.values, rows, grouped.sum(self.number))


@dataclass(frozen=True, slots=True)
class WideSumOf:
    """The sum of a large number: 10,000 prices of a billion do not fit into 63 bits. Held as two columns, x >> 32 and
    x & 0xffffffff, each exact for 2**31 views; the carry is propagated on export.
    """

    number: str

    @property
    def stored(self) -> str:
        return f"WideSumOf(number={self.number!r})"

    @property
    def name(self) -> str:
        return f"{self.number}.wide_sum"

    def column(self, names: NameTables, live: bool) -> WideColumn:
        return WideColumn()

    def update(self, column: WideColumn, rows: Ints, grouped: GroupedBatch) -> None:
        for half, sums in enumerate(grouped.wide_sum(self.number)):
            np.add.at(column.values[:, half], rows, sums)

    def merge(self, parts: Sequence[Part], count: int) -> Sequence[int]:
        return [(high << 32) + low for high, low in summed(parts, count).tolist()]


class WideColumn(Column):
    """Two integers a row: the high half, in units of 2**32, and the low half."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(np.int64, width=(2,))

    def export(self, rows: Ints) -> bytes | list[Any]:
        low = self.values[rows, 1]
        self.values[rows, 0] += low >> 32
        self.values[rows, 1] = low & _LOW
        return super().export(rows)


@dataclass(frozen=True, slots=True)
class CountOf(Summed):
    """The number of views that have a number."""

    number: str

    @property
    def stored(self) -> str:
        return f"CountOf(number={self.number!r})"

    @property
    def name(self) -> str:
        return f"{self.number}.count"

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.add.at(column.values, rows, grouped.count(self.number))


@dataclass(frozen=True, slots=True)
class LargestOf:
    """The largest number seen, None if no view had it."""

    number: str

    @property
    def stored(self) -> str:
        return f"LargestOf(number={self.number!r})"

    @property
    def name(self) -> str:
        return f"{self.number}.max"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64, fill=_UNSEEN)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.maximum.at(column.values, rows, grouped.largest(self.number))

    def merge(self, parts: Sequence[Part], count: int) -> Sequence[int | None]:
        return reduced(parts, count, np.maximum, _UNSEEN)


@dataclass(frozen=True, slots=True)
class SmallestOf:
    """The smallest number seen, None if no view had it."""

    number: str
    _unseen: ClassVar[int] = np.iinfo(np.int64).max

    @property
    def stored(self) -> str:
        return f"SmallestOf(number={self.number!r})"

    @property
    def name(self) -> str:
        return f"{self.number}.min"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64, fill=self._unseen)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.minimum.at(column.values, rows, grouped.smallest(self.number))

    def merge(self, parts: Sequence[Part], count: int) -> Sequence[int | None]:
        return reduced(parts, count, np.minimum, self._unseen)


@dataclass(frozen=True, slots=True)
class NewestTime:
    """The newest timestamp, in Unix milliseconds."""

    stored: ClassVar[str] = "NewestTime()"
    name: ClassVar[str] = "newest"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64, fill=_UNSEEN)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        np.maximum.at(column.values, rows, grouped.newest)

    def merge(self, parts: Sequence[Part], count: int) -> Sequence[int | None]:
        return reduced(parts, count, np.maximum, _UNSEEN)


@dataclass(frozen=True, slots=True)
class ViewsByHour:
    """The number of views in each local hour of the day: 24 integers."""

    stored: ClassVar[str] = "ViewsByHour()"
    name: ClassVar[str] = "views_by_hour"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(np.int64, width=(24,))

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        count_hours(grouped.batch.local_hour, grouped.group_of, rows, column.values)

    def merge(self, parts: Sequence[Part], count: int) -> Ints:
        return summed(parts, count)


@dataclass(frozen=True, slots=True)
class Members:
    """The set of distinct movie_ids or user_ids, as a sketch; see columnar/hyperloglog.py."""

    member: str
    lg_k: int

    @property
    def stored(self) -> str:
        return f"Members(member={self.member!r}, lg_k={self.lg_k!r})"

    @property
    def name(self) -> str:
        return f"{self.member}.sketch{self.lg_k}"

    def column(self, names: NameTables, live: bool) -> SketchColumn | Column:
        return SketchColumn(self.lg_k) if live else Column(object, fill=EMPTY_SKETCH)

    def update(self, column: SketchColumn, rows: Ints, grouped: GroupedBatch) -> None:
        column.add(rows, grouped.group_of, grouped.batch.hashes[self.member])

    def merge(self, parts: Sequence[Part], count: int) -> Sequence[int]:
        groups = np.concatenate([np.zeros(0, np.int64), *(part.groups for part in parts)])
        sketches = [sketch for part in parts for sketch in part.column.read(part.rows)]
        order = np.argsort(groups, kind="stable")
        firsts = np.searchsorted(groups[order], np.arange(count + 1))
        return counts_distinct([sketches[at] for at in order.tolist()], firsts, self.lg_k)


class NamesColumn:
    """Strings, dictionary-encoded: numbers of names that all columns share, -1 for none."""

    __slots__ = ("ids", "names")

    def __init__(self, names: PackedNames) -> None:
        self.names, self.ids = names, Column(np.int32, fill=_UNSEEN)

    def grow(self, length: int) -> None:
        self.ids.grow(length)

    def keep(self, rows: AnyInts) -> None:
        self.ids.keep(rows)

    def export(self, rows: Ints) -> tuple[bytes, bytes]:
        """See PackedNames.pack."""
        return self.names.pack(self.ids.values[rows])

    def export_portions(self, rows: Ints, bounds: Ints) -> list[tuple[bytes, bytes]]:
        """See PackedNames.pack_portions."""
        return self.names.pack_portions(self.ids.values[rows], bounds)

    def load(self, rows: Ints, exported: Any, picked: Ints) -> None:
        self.ids.values[rows[picked]] = self.names.unpack(*exported)[picked]

    def parts(self) -> Iterator[NamesColumn]:
        """The columns of names that this one is made of."""
        yield self


def keep_smaller(held: Ints, groups: Ints, ids: Ints, names: PackedNames) -> None:
    """Replaces the names that groups hold by these, where they are smaller in code-point order; all by number."""
    other = np.flatnonzero(held[groups] != ids)
    groups, ids = groups[other], ids[other]
    names_of = (names.texts(numbers) for numbers in (ids, held[groups]))
    for group, number, name, held_name in zip(groups.tolist(), ids.tolist(), *names_of, strict=True):
        if name < held_name:
            held[group] = number


@dataclass(frozen=True, slots=True)
class SmallestSpelling:
    """The smallest spelling of the genre in code-point order, trimmed and collapsed."""

    stored: ClassVar[str] = "SmallestSpelling()"
    name: ClassVar[str] = "spelling"

    def column(self, names: NameTables, live: bool) -> NamesColumn:
        return NamesColumn(names.spellings)

    def update(self, column: NamesColumn, rows: Ints, grouped: GroupedBatch) -> None:
        held, rank, smallest = column.ids.values, grouped.batch.vocabulary.spellings.rank, grouped.spelling
        smaller = (held[rows] < 0) | (rank[smallest] < rank[held[rows]])
        for row, spelling in zip(rows[smaller].tolist(), smallest[smaller].tolist(), strict=True):
            if held[row] < 0 or rank[spelling] < rank[held[row]]:
                held[row] = spelling

    def merge(self, parts: Sequence[Part], count: int) -> Spans:
        spelling = np.full(count, _UNSEEN, np.int64)
        for column, rows, groups in parts:
            ids, first = column.ids.values[rows], spelling[groups] == _UNSEEN
            spelling[groups[first]] = ids[first]
            keep_smaller(spelling, groups, ids, column.names)
        names: PackedNames = parts[0].column.names
        return names.spans(spelling)


class NewestNames(NamedTuple):
    """Title and genre of the newest view of each group."""

    title: Spans
    genre: Spans


class NewestColumn:
    """The time of the newest view, its title, and its genre as it is shown."""

    __slots__ = ("genre", "time_ms", "title")

    def __init__(self, names: NameTables) -> None:
        self.time_ms = Column(np.int64, fill=_UNSEEN)
        self.title, self.genre = NamesColumn(names.titles), NamesColumn(names.spellings)

    def grow(self, length: int) -> None:
        for column in self._columns():
            column.grow(length)

    def keep(self, rows: Ints) -> None:
        for column in self._columns():
            column.keep(rows)

    def export(self, rows: Ints) -> list[Any]:
        return [column.export(rows) for column in self._columns()]

    def export_portions(self, rows: Ints, bounds: Ints) -> list[list[Any]]:
        """The export of each portion; see Column."""
        return [*map(list, zip(*(column.export_portions(rows, bounds) for column in self._columns()), strict=True))]

    def load(self, rows: Ints, exported: Any, picked: Ints) -> None:
        for column, values in zip(self._columns(), exported, strict=True):
            column.load(rows, values, picked)

    def _columns(self) -> tuple[Column | NamesColumn, ...]:
        return self.time_ms, self.title, self.genre

    def parts(self) -> Iterator[NamesColumn]:
        """The columns of names that this one is made of."""
        yield self.title
        yield self.genre


@dataclass(frozen=True, slots=True)
class NewestView:
    """Title and genre of the newest view; ties in time go to the smallest title and the smallest genre."""

    stored: ClassVar[str] = "NewestView()"
    name: ClassVar[str] = "newest_view"

    def column(self, names: NameTables, live: bool) -> NewestColumn:
        return NewestColumn(names)

    def update(self, column: NewestColumn, rows: Ints, grouped: GroupedBatch) -> None:
        batch, group_of, ties = grouped.batch, grouped.group_of, np.empty(len(grouped.batch), np.int64)
        title, spelling, newest_ms = column.title.ids.values, column.genre.ids.values, column.time_ms.values
        columns = batch.timestamp_ms, batch.ids["title"], batch.ids["spelling"]
        count = keep_newest(*columns, group_of, rows, newest_ms, title, spelling, ties)
        tied, vocabulary = ties[:count], batch.vocabulary
        for view, row in zip(tied.tolist(), rows[group_of[tied]].tolist(), strict=True):
            if batch.timestamp_ms[view] == newest_ms[row]:
                title[row] = vocabulary.titles.smaller(int(batch.ids["title"][view]), int(title[row]))
                spelling[row] = vocabulary.spellings.smaller(int(batch.ids["spelling"][view]), int(spelling[row]))

    def merge(self, parts: Sequence[Part], count: int) -> NewestNames:
        newest_ms, title, genre = (np.full(count, _UNSEEN, np.int64) for _ in range(3))
        for column, rows, groups in parts:
            times = column.time_ms.values[rows]
            newer = times > newest_ms[groups]
            newest_ms[groups[newer]] = times[newer]
            newest = times == newest_ms[groups]
            for held, names in ((title, column.title), (genre, column.genre)):
                ids = names.ids.values[rows]
                held[groups[newer]] = ids[newer]
                keep_smaller(held, groups[newest], ids[newest], names.names)
        columns = parts[0].column
        return NewestNames(columns.title.names.spans(title), columns.genre.names.spans(genre))


@dataclass(frozen=True, slots=True)
class UserFigure(Summed):
    """A figure of a day that users.py maintains: it adds up over partitions, since a user's views are all in one."""

    name: str

    @property
    def stored(self) -> str:
        return f"OfUsers(name={self.name!r})"

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        raise TypeError(f"{self.name} is not computed from single views; users.py keeps it")


@dataclass(frozen=True, slots=True)
class TopUsersOf:
    """The day's most active users of one partition, which users.py maintains: (views, minutes, user_id) each."""

    name: ClassVar[str] = "top_users"
    limit: int

    @property
    def stored(self) -> str:
        return f"TopUsersOf(limit={self.limit!r})"

    def column(self, names: NameTables, live: bool) -> Column:
        return Column(object, fill=None)

    def update(self, column: Column, rows: Ints, grouped: GroupedBatch) -> None:
        raise TypeError("the most active users are not computed from single views; users.py keeps them")

    def merge(self, parts: Sequence[Part], count: int) -> Sequence[list[tuple[int, int, str]]]:
        users = ([tuple(user) for value in values for user in value] for values in gathered(parts, count))
        return [sorted(each, key=lambda user: rank_of(user[0], user[2]))[: self.limit] for each in users]
